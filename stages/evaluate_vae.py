"""models/vae.safetensors, judged → metrics/evaluate_vae.json and artifacts/evaluate_vae.

Its samples, its reconstructions and its likelihood.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/evaluate_vae")


def main(params: Params, run: Run) -> None:
    """Measures as many samples as there are real images to hold them against, then every test image rebuilt."""
    import torch

    from genbalance import weights
    from genbalance.autoencoding import account
    from genbalance.compute import generator, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import UNIT, standardized
    from genbalance.evaluation import reconstruction
    from genbalance.evaluation.features import in_blocks
    from genbalance.evaluation.judge import Judge
    from genbalance.evaluation.latents import active_units
    from genbalance.evaluation.samples import Bench
    from genbalance.files import whole_folder
    from genbalance.models.classifier import Classifier
    from genbalance.models.vae import Vae
    from genbalance.tables import save_csv

    device = set_up(params.compute, params.seed, "evaluate_vae")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    classifier = weights.load(Path("models/classifier.safetensors"), Classifier, device)
    model = weights.load(Path("models/vae.safetensors"), Vae, device)

    judge = Judge(classifier, standardized(digits.mean, digits.std), device)
    bench = Bench.of(digits, judge, params.evaluate, params.seed)
    z = torch.randn(bench.n, model.latents, generator=generator(params.seed, "evaluate/vae")).to(device)
    samples = UNIT.to_uint8(in_blocks(lambda block: model.decode(block).mean, z))[:, 0].numpy()
    generated = judge.read(samples)

    test = digits.test.images
    valued = account(model, upload(test, UNIT, device), generator(params.seed, "evaluate/vae/test", device))
    metrics = bench.measure(generated) | {
        "nelbo": valued.loss(beta=1.0),
        "rate": valued.rate,
        "distortion": float(valued.distortion.mean()),
        "active_units": active_units(valued.means),
    }
    metrics |= reconstruction.compare(UNIT.encode(test), valued.reconstructions)
    rebuilt = UNIT.to_uint8(valued.reconstructions)
    metrics["classifier_agreement"] = reconstruction.agreement(judge.read(test), judge.read(rebuilt))

    with whole_folder(OUT) as folder:
        save_csv(folder / "classes.csv", bench.class_table(generated))
    run.artifact(OUT)
    publish(run, "evaluate_vae", metrics)


if __name__ == "__main__":
    execute("evaluate_vae", main)
