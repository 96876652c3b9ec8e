"""data.source → data/prepared (uint8 images in three splits, their normalization) and metrics/prepare.json."""

import sys
from pathlib import Path

from genbalance.params import Params
from genbalance.runtime.stage import execute, publish
from genbalance.tracking import Run

OUT = Path("data/prepared")
GRID_COLUMNS = 10
NO_CLASSES = "no classes: the reference classifier learns rotations, and metrics that need classes are left out"
PRINTED = {"training images": "train", "validation images": "val", "test images": "test", "classes": "classes"}


def main(params: Params, run: Run) -> None:
    """Reads, splits, measures and stores the images, and shows some of each class."""
    from genbalance.data import pixels, prepared, sources, split
    from genbalance.data.pictures import per_class
    from genbalance.runtime.repository import root

    source = sources.read_source(params.data, root() / "data" / "raw")
    parts = split.split_source(source, params.data, params.seed)
    for note in (*source.notes, *split.absences(source, *parts[1:])):
        print(f"prepare: warning: {note}", file=sys.stderr, flush=True)
    mean, std = pixels.measure(parts[0].images)
    names = (source.class_names, source.factor_names, source.stacked)
    dataset = prepared.Prepared(*parts, params.data.source, source.title, source.classes, mean, std, *names)
    prepared.save(dataset, OUT)

    metrics = {"source": dataset.source, "title": dataset.title, **dataset.profile}
    if dataset.class_names:
        metrics["class_names"] = dict(enumerate(dataset.class_names))
    publish(run, "prepare", metrics | {"files": source.files}, OUT, PRINTED)
    run.dataset(dataset.source, prepared.digest(OUT), dataset.title, dataset.profile)
    if not dataset.has_classes:
        print(f"prepare: {NO_CLASSES}", flush=True)
    run.image("images", per_class(dataset.train, dataset.classes, GRID_COLUMNS), step=0)


if __name__ == "__main__":
    execute("prepare", main)
