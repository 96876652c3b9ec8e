"""data.source → data/prepared (uint8 digits in three splits, their normalization) and metrics/prepare.json."""

import sys
from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

OUT = Path("data/prepared")
GRID_COLUMNS = 10
PRINTED = {"training images": "train", "validation images": "val", "test images": "test", "classes": "classes"}


def main(params: Params, run: Run) -> None:
    """Reads, splits, measures and stores the digits, and shows some of each class."""
    from genbalance.data import pixels, prepared, sources
    from genbalance.data.pictures import per_class
    from genbalance.data.split import split
    from genbalance.runtime.repository import root

    source = sources.read_source(params.data, root() / "data" / "raw")
    for note in source.notes:
        print(f"prepare: warning: {note}", file=sys.stderr, flush=True)
    train, val, test = split(source.train, source.test, source.classes, params.data, params.seed)
    mean, std = pixels.measure(train.images)
    digits = prepared.Prepared(train, val, test, params.data.source, source.title, source.classes, mean, std)
    prepared.save(digits, OUT)

    names = {"source": digits.source, "title": digits.title}
    publish(run, "prepare", names | digits.profile | {"files": source.files}, OUT, PRINTED)
    run.dataset(digits.source, prepared.digest(OUT), digits.title, digits.profile)
    run.image("digits", per_class(train, digits.classes, GRID_COLUMNS), step=0)


if __name__ == "__main__":
    execute("prepare", main)
