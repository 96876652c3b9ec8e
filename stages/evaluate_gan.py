"""models/gan.safetensors, judged → metrics/evaluate_gan.json and artifacts/evaluate_gan."""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/evaluate_gan")


def main(params: Params, run: Run) -> None:
    """Draws as many samples as there are real images to hold them against, and measures them."""
    import torch

    from genbalance import weights
    from genbalance.compute import generator, set_up
    from genbalance.data import prepared
    from genbalance.data.pixels import SIGNED, standardized
    from genbalance.evaluation.features import in_blocks
    from genbalance.evaluation.judge import Judge
    from genbalance.evaluation.samples import Bench
    from genbalance.files import whole_folder
    from genbalance.models.classifier import Classifier
    from genbalance.models.gan import Gan
    from genbalance.tables import save_csv

    device = set_up(params.compute, params.seed, "evaluate_gan")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    classifier = weights.load(Path("models/classifier.safetensors"), Classifier, device)
    model = weights.load(Path("models/gan.safetensors"), Gan, device)

    judge = Judge(classifier, standardized(digits.mean, digits.std), device)
    bench = Bench.of(digits, judge, params.evaluate, params.seed)
    z = torch.randn(bench.n, model.latents, generator=generator(params.seed, "evaluate/gan")).to(device)
    samples = SIGNED.to_uint8(in_blocks(model.generator, z))[:, 0].numpy()
    generated = judge.read(samples)

    with whole_folder(OUT) as folder:
        save_csv(folder / "classes.csv", bench.class_table(generated))
    run.artifact(OUT)
    publish(run, "evaluate_gan", bench.measure(generated))


if __name__ == "__main__":
    execute("evaluate_gan", main)
