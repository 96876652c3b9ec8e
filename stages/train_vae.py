"""data/prepared → models/vae.safetensors: encoder, decoder and prior of the epoch with the least validation loss.

Also curves, KL per latent and the grids of every epoch (artifacts/train_vae), metrics/train_vae.json and the kept
epoch's grids beside it.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/train_vae")
WEIGHTS = Path("models/vae.safetensors")
GRIDS = Path("metrics/train_vae")  # _samples.png, _reconstructions.png
PRINTED = {
    **{"best epoch": "best_epoch", "loss": "val_loss", "KL": "val_rate"},
    **{"distortion": "val_distortion", "active units": "active_units"},
}


def main(params: Params, run: Run) -> None:
    """Trains on L = L_recon + β·L_KL."""
    from genbalance.data import prepared
    from genbalance.runtime.device import set_up
    from genbalance.training.stacked import with_others
    from genbalance.training.vae import stackable, train

    device = set_up(params.compute, params.seed, "train_vae")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    trained = with_others(train, "train_vae", PREPARED, stackable)(params, dataset, device, run)
    for file in trained.save(WEIGHTS, OUT, GRIDS):
        run.artifact(file)
    run.model("vae", WEIGHTS, dataset.profile)
    publish(run, "train_vae", trained.metrics, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_vae", main, loads="genbalance.training.vae")
