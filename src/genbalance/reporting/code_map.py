"""The map of an encoder's codes on the page: a reader chooses a code, and sees the image and its reconstruction."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genbalance.families.registry import Family
from genbalance.reporting.chart import BOTTOM, LEFT, RIGHT, TOP, scale, tick_labels
from genbalance.reporting.classes import MANY
from genbalance.reporting.latents import LIGHT_INKS, caption_of_classes
from genbalance.reporting.results import Results
from genbalance.reporting.text import number
from genbalance.reporting.theme import Plot

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Pair = tuple[Images, Images]
    Mapped = Mapping[str, Pair]

WIDTH, HEIGHT = 640, 420
COLUMNS = 40  # of a sheet
ABOVE = 14  # for the name of the y axis


@dataclass(frozen=True)
class Dots:
    """The codes of a class: the number of its colour, and a path with a dot at each."""

    ink: int
    path: str


@dataclass(frozen=True)
class CodeMap:
    """A map of :data:`WIDTH` by :data:`HEIGHT` units.

    Attributes:
        plot: the same figure as a picture, whose title and alternative text this one has.
        caption: below it.
        family: whose codes they are.
        xs: the labelled places of the x axis, each with its label.
        ys: those of the y axis.
        named: the names of both axes.
        dots: by class.
        middles: the middle of each class and its colour and name; of many classes none.
        places: of the codes, in the order of the test images.
        labels: the name of each one's class; empty where there are no classes.
        originals: a sheet of the test images, as many as there are places, in rows of :data:`COLUMNS`, PNG bytes.
        reconstructions: likewise.
        size: width and height of an image on them.
    """

    plot: Plot
    caption: str
    family: Family
    xs: tuple[tuple[float, str], ...]
    ys: tuple[tuple[float, str], ...]
    named: tuple[str, str]
    dots: tuple[Dots, ...]
    middles: tuple[tuple[float, float, int, str], ...]
    places: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]
    originals: bytes
    reconstructions: bytes
    size: tuple[int, int]
    columns: int = COLUMNS

    @property
    def view(self) -> str:
        """The SVG's view box."""
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Where its axes end: left, right, top, bottom."""
        return LEFT, WIDTH - RIGHT, TOP + ABOVE, HEIGHT - 2 * BOTTOM


def code_map(results: Results, family: Family, plot: Plot, conditional: bool, mapped: "Pair") -> CodeMap:
    """The map of the codes of the first test images.

    Args:
        results: of the stages before the report.
        family: whose codes are shown.
        plot: the picture of the map.
        conditional: the model is conditioned on the class.
        mapped: some of the first test images uint8 [n, H, W(, 3)], and their reconstructions.
    """
    originals, reconstructions = mapped
    table = results.tables[f"evaluate_{family.name}/codes"]
    count = len(originals)
    shown = {column: values[:count] for column, values in table.items()}
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP + ABOVE, HEIGHT - 2 * BOTTOM
    x, y = scale(shown["x"], left, right, margin=0.04), scale(shown["y"], bottom, top, margin=0.04)
    places = tuple((x(a), y(b)) for a, b in zip(shown["x"], shown["y"], strict=True))
    labels = [int(label) for label in shown["class"]] if results.has_classes else [0] * count
    classes = sorted(set(labels))
    members = {label: [at for at, own in zip(places, labels, strict=True) if own == label] for label in classes}
    named = results.has_classes and len(classes) <= MANY
    caption = caption_of_classes(results, conditional, named) if results.has_classes else plot.caption
    if count < len(table["x"]):
        caption += f" Shown are the first {number(count)} of these images; figures/{plot.name}.png has them all."
    return CodeMap(
        plot,
        caption,
        family,
        tick_labels(x),
        tick_labels(y),
        ("first discriminant [SD within a class]", "second discriminant")
        if results.has_classes
        else ("first principal component", "second principal component"),
        tuple(
            Dots(label % len(LIGHT_INKS), "".join(f"M{a:g} {b:g}h0" for a, b in of_class))
            for label, of_class in members.items()
        ),
        tuple(
            (*_middle(of_class), label % len(LIGHT_INKS), results.class_name(label))
            for label, of_class in members.items()
            if named
        ),
        places,
        tuple(results.class_name(label) for label in labels) if results.has_classes else (),
        _sheet(originals),
        _sheet(reconstructions),
        (originals.shape[2], originals.shape[1]),
    )


def _middle(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    x, y = (round(sum(at) / len(places), 1) for at in zip(*places, strict=True))
    return x, y


def _sheet(images: "Images") -> bytes:
    """Images in rows of :data:`COLUMNS`, without gaps, as PNG."""
    import numpy as np
    from PIL import Image

    count, height, width, *channels = images.shape
    rows = -(-count // COLUMNS)
    tiles = np.zeros((rows * COLUMNS, height, width, *channels), np.uint8)
    tiles[:count] = images
    sheet = tiles.reshape(rows, COLUMNS, height, width, *channels).swapaxes(1, 2)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(sheet).reshape(rows * height, COLUMNS * width, *channels))
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
