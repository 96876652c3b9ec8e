"""models/vae.safetensors, evaluated → metrics/evaluate_vae.json and artifacts/evaluate_vae."""

from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

PREPARED = Path("data/prepared")
OUT = Path("artifacts/evaluate_vae")
METRICS = Path("metrics/evaluate_vae.json")
PRINTED = {
    **{"Fréchet distance": "fd_test", "of real images": "fd_floor"},
    **{"−ELBO": "nelbo", "IWAE bound": "nll", "active units": "active_units"},
}


def main(params: Params, run: Run) -> None:
    """Its samples, its likelihood, its codes and its reconstructions."""
    from genbalance.data import prepared
    from genbalance.evaluation.reference_classifier import load_extractor
    from genbalance.evaluation.vae import evaluate
    from genbalance.models import weights
    from genbalance.models.vae import Vae
    from genbalance.runtime.device import set_up

    device = set_up(params.compute, params.seed, "evaluate_vae")
    dataset = prepared.load(PREPARED)
    run.dataset(dataset.source, prepared.digest(PREPARED), dataset.title, dataset.profile)
    extractor = load_extractor(Path("models/classifier.safetensors"), PREPARED, dataset, device)
    vae = weights.load(Path("models/vae.safetensors"), Vae, device)
    metrics = evaluate(vae, dataset, extractor, params.evaluate, params.seed, OUT)
    run.artifact(OUT)
    publish(run, "evaluate_vae", metrics, METRICS, PRINTED)


if __name__ == "__main__":
    execute("evaluate_vae", main, loads="genbalance.evaluation.vae")
