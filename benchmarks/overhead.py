"""What a training stage's program costs beside its training: seconds, and the memory that it takes.

Each stage runs once as DVC would run it, for a few epochs on some training images, with validation and test images as
many as MNIST has: all that is not training then takes as long as on MNIST, but for the loading of the rest of the
training images. Run as `python -m benchmarks.overhead`.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import IMAGES, sized
from benchmarks.programs import Course, ran
from benchmarks.results import record, table
from genbalance.data import prepared
from genbalance.params import Params, read_params
from genbalance.training import loop

STAGES = ("vae", "gan", "classifier")
EPOCHS = 3
MNIST = {"train": 54_000, "val": 6_000, "test": 10_000}
IMAGE_BYTES = 5  # a pixel: as it is stored, and as a float32
LIMIT_MIB = 2048


def on_mnist(section: str, params: Params, course: Course, pixels: int) -> dict[str, float]:
    """The same program with all of MNIST and the epochs of params.yaml, reckoned."""
    config = getattr(params, section)
    beside = course.fixed + config.epochs * course.an_epoch
    trains = config.epochs * loop.seen(MNIST["train"], config.batch_size) / course.images_per_second
    more = (MNIST["train"] - IMAGES) * pixels * IMAGE_BYTES / 2**20
    return {
        "epochs": config.epochs,
        "beside_s": beside,
        "share_beside": beside / (beside + trains),
        "peak_mib": course.peak_mib + more,
    }


def main() -> None:
    """Runs the stages, prints, records."""
    params = read_params()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = sized(prepared.load(Path("data/prepared")), IMAGES, MNIST["val"], MNIST["test"])
        prepared.save(dataset, folder / "data/prepared")
        for section in STAGES:
            seen = loop.seen(IMAGES, getattr(params, section).batch_size)
            course = ran(folder, section, EPOCHS, seen)
            found[section] = asdict(course) | {
                "on_mnist": on_mnist(section, params, course, dataset.height * dataset.width)
            }
    print(f"training stages as programs, {EPOCHS} epochs of {IMAGES} images; and all of MNIST, reckoned")
    print(as_text(found))
    record("overhead", {"epochs": EPOCHS, "images": IMAGES, "stages": found})


def as_text(found: dict[str, Any]) -> str:
    """Seconds and memory, a column a stage."""
    columns = [["", "whole, s", "training, s", "beside it, s", "of which at each epoch, s", "MNIST: beside it, s"]]
    columns[0] += ["MNIST: share of the whole", "peak, MiB", f"MNIST: peak, MiB (target: < {LIMIT_MIB})"]
    for section, one in found.items():
        whole, mnist = one["seconds"], one["on_mnist"]
        seconds = [whole, one["training"], whole - one["training"], one["an_epoch"], mnist["beside_s"]]
        columns.append([f"train_{section}", *(f"{value:.1f}" for value in seconds)])
        columns[-1] += [f"{mnist['share_beside']:.0%}", f"{one['peak_mib']:.0f}", f"{mnist['peak_mib']:.0f}"]
    return table(list(zip(*columns, strict=True)))


if __name__ == "__main__":
    main()
