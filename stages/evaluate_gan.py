"""models/gan.safetensors, evaluated → metrics/evaluate_gan.json and artifacts/evaluate_gan."""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/evaluate_gan")
METRICS = Path("metrics/evaluate_gan.json")
PRINTED = {
    **{"Fréchet distance": "fd_test", "of real images": "fd_floor"},
    **{"precision": "precision", "recall": "recall", "coverage": "coverage"},
}


def main(params: Params, run: Run) -> None:
    """Its samples, its discriminator, and its reconstructions by inversion."""
    from genbalance.data import prepared
    from genbalance.evaluation.gan import evaluate
    from genbalance.evaluation.reference_classifier import load_extractor
    from genbalance.models import weights
    from genbalance.models.gan import Gan
    from genbalance.runtime.device import set_up

    device = set_up(params.compute, params.seed, "evaluate_gan")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    extractor = load_extractor(Path("models/classifier.safetensors"), PREPARED, dataset, device)
    gan = weights.load(Path("models/gan.safetensors"), Gan, device)
    metrics = evaluate(gan, dataset, extractor, params.evaluate, params.seed, OUT)
    run.artifact(OUT)
    publish(run, "evaluate_gan", metrics, METRICS, PRINTED)


if __name__ == "__main__":
    execute("evaluate_gan", main, loads="genbalance.evaluation.gan")
