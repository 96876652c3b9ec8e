"""A training stage run in this process: what is measured is its own loop and no copy of it."""

import contextlib
import io
import runpy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.pairs import Pairs
from genbalance.data import prepared
from genbalance.params import Params

STAGES = Path(__file__).parents[1] / "stages"


class Watch:
    """A tracked run that keeps nothing, and calls ``ended`` with the images/s of each epoch when it has ended."""

    run_id = key = ""  # of which no checkpoint is kept

    def __init__(self, ended: Callable[[float], None]) -> None:
        self._ended = ended

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:  # noqa: ARG002 (the protocol's)
        """Tells the images/s."""
        if "images_per_second" in values:
            self._ended(values["images_per_second"])

    def image(self, *_: object, **__: object) -> None:
        """Nothing."""

    def artifact(self, *_: object, **__: object) -> None:
        """Nothing."""

    def dataset(self, *_: object, **__: object) -> None:
        """Nothing."""

    def model(self, *_: object, **__: object) -> None:
        """Nothing."""

    def headline(self, *_: object, **__: object) -> None:
        """Nothing."""


def train(stage: str, params: Params, dataset: prepared.Prepared, ended: Callable[[float], None]) -> None:
    """Runs a stage's ``main`` on ``dataset`` in a folder of its own; ``ended`` is called between its epochs."""
    main = runpy.run_path(str(STAGES / f"{stage}.py"))["main"]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        prepared.save(dataset, Path("data/prepared"))
        main(params, Watch(ended))


def epochs_in_turn(
    case: Case, params: Params, dataset: prepared.Prepared, reference: Callable[[], float], pairs: int
) -> Pairs:
    """An epoch of the stage, then one of the reference, and so on; ``reference`` returns its seconds an image.

    Returns:
        Seconds an image. The first pair, in which memory is taken and libraries warm up, is not among them.
    """
    ours: list[float] = []
    theirs: list[float] = []

    def ended(images_per_second: float) -> None:
        ours.append(1 / images_per_second)
        theirs.append(reference())

    train(case.stage, case.params(params, pairs + 1), dataset, ended)
    return Pairs(ours[1:], theirs[1:])
