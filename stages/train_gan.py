"""data/prepared → models/gan.safetensors: the generator's moving average, which is what samples, and the discriminator.

Also curves and the grid of every epoch (artifacts/train_gan), metrics/train_gan.json and the last grid beside it.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/train_gan")
WEIGHTS = Path("models/gan.safetensors")
GRIDS = Path("metrics/train_gan")  # _samples.png
PRINTED = {
    **{"epochs": "epochs", "loss": "loss_total", "D on held-out": "d_accuracy_held_out"},
    **{"AUC of D on held-out": "d_ranking_held_out"},
}


def main(params: Params, run: Run) -> None:
    """Trains on L = L_D + λ·L_G."""
    from genbalance.data import prepared
    from genbalance.runtime.device import set_up
    from genbalance.training.gan import train
    from genbalance.training.processes import on_processes

    device = set_up(params.compute, params.seed, "train_gan")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    trained = on_processes(train, "train_gan", PREPARED)(params, dataset, device, run)
    for file in trained.save(WEIGHTS, OUT, GRIDS):
        run.artifact(file)
    run.model("gan", WEIGHTS, dataset.profile)
    publish(run, "train_gan", trained.metrics, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_gan", main, loads="genbalance.training.gan")
