"""How the metrics answer to samples of known quality: real images, spoiled ones, copies, and models.

    python benchmarks/calibration.py "DCGAN=gan:models/gan.safetensors" "VAE, β = 1=vae:models/vae.safetensors"

Prints two tables in Markdown: every metric of every set of samples, and how each metric ranks them. Reads params.yaml,
data/prepared and models/classifier.safetensors; writes nothing.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from genbalance.data import prepared
from genbalance.data.pixels import SIGNED, UNIT, standardized
from genbalance.evaluation.features import FeatureExtractor, in_blocks
from genbalance.evaluation.suite import EvaluationSuite
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator, set_up
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed

Images = NDArray[np.uint8]

KEPT = 0.85  # of the validation images, so that a class can be dropped from as many
DROPPED = 4
COLUMNS = {  # what is best: the least, the largest, or nearest to a value
    "fd_test": min,
    "fd_infinity": min,
    "kid_test": min,
    "classifier_score": max,
    "precision": max,
    "recall": max,
    "density": 1.0,
    "coverage": max,
    "nn_accuracy": 0.5,
    "vendi": "vendi_real",
    "pairwise_distance": "pairwise_distance_real",
    "class_distance": min,
    "share_worst_to_mean": max,
    "fd_class_worst": min,
    "authenticity": "authenticity_real",
    "nearer_train": 0.5,
    "copying_z": 0.0,
}


def spoiled(dataset: prepared.Prepared, n: int, seed: int) -> dict[str, Images]:
    """n real images that no model saw, as they are and spoiled in known ways."""
    rng = np.random.default_rng(stream_seed(seed, "calibration"))

    def some(split: prepared.Split, where: NDArray[np.bool_] | None = None) -> Images:
        rows = np.arange(len(split)) if where is None else np.flatnonzero(where)
        images: Images = split.images[rng.choice(rows, n, replace=False)]
        return images

    real = some(dataset.val)
    noise = rng.standard_normal(real.shape)
    one_each = np.stack([dataset.val.images[dataset.val.labels == label][0] for label in range(dataset.classes)])
    return {
        "real images": real,
        **{
            f"noise, σ = {level}": (real + 255 * level * noise).clip(0, 255).round().astype(np.uint8)
            for level in (0.1, 0.3)
        },
        **{f"blur, σ = {width} pixel": gaussian_filter(real, (0, width, width)) for width in (0.5, 1.0)},
        f"no {DROPPED}": some(dataset.val, dataset.val.labels != DROPPED),
        "one digit a class": one_each[np.arange(n) % dataset.classes],
        "training images": some(dataset.train),
    }


def drawn(model: str, file: Path, n: int, seed: int, device: torch.device) -> Images:
    """n samples of a model's file, of any class; ``model`` is gan or vae."""
    noise = generator(seed, "calibration/models", device)
    if model == "gan":
        gan = weights.load(file, Gan, device)
        asked = torch.arange(n, device=device) % gan.classes if gan.classes else None
        z, conditions = gan.draw_latents(n, noise), gan.draw_conditions(n, noise, asked)
        images = SIGNED.to_uint8(in_blocks(gan.generator, z, conditions))
    elif model == "vae":
        vae = weights.load(file, Vae, device)
        asked = torch.arange(n, device=device) % vae.classes if vae.classes else None
        z = torch.randn(n, vae.latents, generator=noise, device=device)
        images = UNIT.to_uint8(in_blocks(vae.sample, z, asked))
    else:
        raise UserError(f"{model}:{file}: found {model}; allowed: gan or vae")
    samples: Images = images[:, 0].numpy()
    return samples


def badness(name: str, metrics: dict[str, Any]) -> float:
    """How far a metric is from its best: larger is worse."""
    value, best = metrics[name], COLUMNS[name]
    if best is min:
        return float(value)
    if best is max:
        return -float(value)
    return abs(float(value) - float(metrics[best] if isinstance(best, str) else best))  # type: ignore[arg-type]


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main(arguments: list[str]) -> None:
    """Measures all sets of samples and prints both tables."""
    params = read_params()
    device = set_up(params.compute, params.seed, "calibration")
    dataset = prepared.load(Path("data/prepared"))
    classifier = weights.load(Path("models/classifier.safetensors"), Classifier, device)
    extractor = FeatureExtractor(classifier, standardized(dataset.mean, dataset.std), device)
    suite = EvaluationSuite.of(dataset, extractor, params.evaluate, params.seed, most=int(KEPT * len(dataset.val)))
    sets = spoiled(dataset, suite.n, params.seed)
    for argument in arguments:
        name, _, source = argument.rpartition("=")
        model, _, file = source.partition(":")
        sets[name] = drawn(model, Path(file), suite.n, params.seed, device)
    found = {name: suite.measure(extractor.read(images)).metrics for name, images in sets.items()}
    reference = next(iter(found.values()))
    floors = {"fd_test": "fd_floor", "fd_infinity": "fd_infinity_floor", "kid_test": "kid_floor"}
    print(f"{dataset.title}, n = {suite.n}\n")
    print(
        markdown(
            ["metric", "floor", *found],
            [
                [
                    f"`{key}`",
                    _shown(reference.get(floors.get(key, f"{key}_real"))),
                    *(_shown(m[key]) for m in found.values()),
                ]
                for key in COLUMNS
            ],
        )
    )
    print()
    letters = {name: chr(ord("a") + index) for index, name in enumerate(found)}
    print("; ".join(f"{letter}: {name}" for name, letter in letters.items()) + "\n")
    print(
        markdown(
            ["metric", "from best to worst"],
            [
                [f"`{key}`", " ".join(letters[n] for n in sorted(found, key=lambda n, k=key: badness(k, found[n])))]  # type: ignore[misc]
                for key in COLUMNS
            ],
        )
    )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        raise SystemExit(str(error)) from None
