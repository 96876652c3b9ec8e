"""models/gan.safetensors, judged → metrics/evaluate_gan.json and artifacts/evaluate_gan.

Its samples, its discriminator, and the test digits that its generator can be made to draw.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/evaluate_gan")
METRICS = Path("metrics/evaluate_gan.json")
PRINTED = {
    **{"Fréchet distance": "fd_test", "of real digits": "fd_floor"},
    **{"precision": "precision", "recall": "recall", "coverage": "coverage"},
}


def main(params: Params, run: Run) -> None:
    """Measures as many samples as there are real images to hold them against, then inverts the generator."""
    import torch

    from genbalance import weights
    from genbalance.compute import generator, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import SIGNED, UNIT, standardized
    from genbalance.evaluation import discrimination, reconstruction
    from genbalance.evaluation.classes import as_asked, draw_labels
    from genbalance.evaluation.features import in_blocks
    from genbalance.evaluation.inversion import invert, nearest_rows
    from genbalance.evaluation.judge import Judge
    from genbalance.evaluation.samples import Bench
    from genbalance.exhibits import exhibit
    from genbalance.files import whole_folder
    from genbalance.generation.gan_sampler import GanSampler
    from genbalance.generation.tour import tour
    from genbalance.models.classifier import Classifier
    from genbalance.models.gan import Gan
    from genbalance.rng import stream_seed

    knobs = params.evaluate
    device = set_up(params.compute, params.seed, "evaluate_gan")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    classifier = weights.load(Path("models/classifier.safetensors"), Classifier, device)
    model = weights.load(Path("models/gan.safetensors"), Gan, device)

    judge = Judge(classifier, standardized(digits.mean, digits.std), device)
    bench = Bench.of(digits, judge, knobs, params.seed)
    noise = generator(params.seed, "evaluate/gan", device)
    wanted = draw_labels(digits.train.labels, bench.n, stream_seed(params.seed, "evaluate/gan/labels"))
    z = model.draw_latents(bench.n, noise)
    told = model.draw_conditions(bench.n, noise, torch.from_numpy(wanted).to(device) if model.classes else None)
    drawn = in_blocks(model.generator, z, told)
    samples = SIGNED.to_uint8(drawn)[:, 0].numpy()
    read = judge.read(samples)
    measured = bench.measure(read)

    logits = {}
    for name, split in (("train", digits.train), ("test", digits.test)):
        images, labels = upload(split.images, SIGNED, device), torch.from_numpy(split.labels).to(device)
        logits[name] = in_blocks(model.discriminator, images, model.conditions_of(images, labels)).numpy()
    on_drawn = in_blocks(model.discriminator, drawn.to(device), told).numpy()
    right = {name: discrimination.right(on_real, on_drawn) for name, on_real in logits.items()}
    accurate = {"train": right["train"][0], "test": right["test"][0], "generated": right["test"][1]}

    originals = digits.test.images[: knobs.inversion_images]
    targets = upload(originals, SIGNED, device)
    start = nearest_rows(targets, drawn).to(device)
    kept = None if told is None else told[start]
    found = invert(model.generator, targets, z[start], knobs.inversion_steps, kept)
    rebuilt = SIGNED.to_uint8(in_blocks(model.generator, found, kept))[:, 0].numpy()
    quality, certainty = reconstruction.compare(
        UNIT.encode(originals), UNIT.encode(rebuilt), judge.read(originals), judge.read(rebuilt), bench.bootstrap
    )

    metrics = measured.metrics | {f"d_accuracy_{name}": values.mean() for name, values in accurate.items()} | quality
    if model.classes:
        asked = as_asked(read.probabilities, wanted)
        metrics["condition_accuracy"], certainty["condition_accuracy"] = asked.mean(), bench.bootstrap.mean(asked)
    metrics |= {f"d_auc_{name}": discrimination.ranked(on_real, on_drawn) for name, on_real in logits.items()}
    metrics["reconstructed"] = len(originals)
    metrics["ci95"] |= certainty | {f"d_accuracy_{n}": bench.bootstrap.mean(v) for n, v in accurate.items()}
    with whole_folder(OUT) as folder:
        exhibit(folder, measured, samples, digits, rebuilt)
        tour(GanSampler(model), z, told, read.probabilities).save(folder)
    run.artifact(OUT)
    publish(run, "evaluate_gan", metrics, METRICS, PRINTED)


if __name__ == "__main__":
    execute("evaluate_gan", main)
