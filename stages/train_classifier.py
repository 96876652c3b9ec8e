"""data/prepared → models/classifier.safetensors: the reference classifier, whose features the metrics use.

Also curves and the confusion matrix (artifacts/train_classifier), and metrics/train_classifier.json.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/train_classifier")
WEIGHTS = Path("models/classifier.safetensors")
PRINTED = {"epochs": "epochs", "test accuracy": "test_accuracy", "calibration error": "ece"}


def main(params: Params, run: Run) -> None:
    """Trains on cross-entropy, and tests."""
    from genbalance.data import prepared
    from genbalance.runtime.device import set_up
    from genbalance.training.classifier import train
    from genbalance.training.processes import on_processes

    device = set_up(params.compute, params.seed, "train_classifier")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    trained = on_processes(train, "train_classifier", PREPARED)(params, dataset, device, run)
    trained.save(WEIGHTS, OUT)
    run.artifact(OUT)
    run.model("classifier", WEIGHTS, dataset.profile)
    publish(run, "train_classifier", trained.metrics, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_classifier", main, loads="genbalance.training.classifier")
