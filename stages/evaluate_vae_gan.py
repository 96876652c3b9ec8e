"""models/vae_gan.safetensors, evaluated → metrics/evaluate_vae_gan.json and artifacts/evaluate_vae_gan."""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/evaluate_vae_gan")
METRICS = Path("metrics/evaluate_vae_gan.json")
PRINTED = {
    **{"Fréchet distance": "fd_test", "of real images": "fd_floor"},
    **{"recall": "recall", "of reconstructions": "fd_reconstructions", "active units": "active_units"},
}


def main(params: Params, run: Run) -> None:
    """Its samples, its discriminator, its codes and its reconstructions."""
    from genbalance.data import prepared
    from genbalance.evaluation.reference_classifier import load_extractor
    from genbalance.evaluation.vae_gan import evaluate
    from genbalance.models import weights
    from genbalance.models.vae_gan import VaeGan
    from genbalance.runtime.device import set_up

    device = set_up(params.compute, params.seed, "evaluate_vae_gan")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    extractor = load_extractor(Path("models/classifier.safetensors"), PREPARED, dataset, device)
    vae_gan = weights.load(Path("models/vae_gan.safetensors"), VaeGan, device)
    metrics = evaluate(vae_gan, dataset, extractor, params.evaluate, params.seed, OUT)
    run.artifact(OUT)
    publish(run, "evaluate_vae_gan", metrics, METRICS, PRINTED)


if __name__ == "__main__":
    execute("evaluate_vae_gan", main, loads="genbalance.evaluation.vae_gan")
