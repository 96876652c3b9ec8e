"""data/prepared → models/vae_gan.safetensors: the moving average of encoder and decoder, and the discriminator.

Also curves, KL per latent and the grids of every epoch (artifacts/train_vae_gan), metrics/train_vae_gan.json and the
last grids beside it.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/train_vae_gan")
WEIGHTS = Path("models/vae_gan.safetensors")
GRIDS = Path("metrics/train_vae_gan")  # _samples.png, _reconstructions.png
PRINTED = {
    **{"epochs": "epochs", "D on held-out": "d_accuracy_held_out"},
    **{"KL": "val_rate", "active units": "active_units"},
}


def main(params: Params, run: Run) -> None:
    """Trains on L = L_recon + β·L_KL + λ·L_G."""
    from genbalance.data import prepared
    from genbalance.runtime.device import set_up
    from genbalance.training.vae_gan import train

    device = set_up(params.compute, params.seed, "train_vae_gan")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    trained = train(params, dataset, device, run)
    for file in trained.save(WEIGHTS, OUT, GRIDS):
        run.artifact(file)
    run.model("vae_gan", WEIGHTS, dataset.profile)
    publish(run, "train_vae_gan", trained.metrics, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_vae_gan", main, loads="genbalance.training.vae_gan")
