"""The page of `genbalance explain`: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genbalance.families.registry import Family
from genbalance.reporting.page import render

RAISES, LOWERS = "#e8862e", "#3d8ec9"  # colours of pixels that raise a score and of those that lower it, on black


@dataclass(frozen=True)
class Example:
    """An image and the maps of it, PNG bytes; ``name``: what is said of it; ``correlation`` of both maps, or "" where
    there is none."""

    image: bytes
    gradients: bytes
    occlusion: bytes
    name: str
    correlation: str


@dataclass(frozen=True)
class Explained:
    """What a network says of images, and which pixels make it say so.

    Attributes:
        title: of the section.
        score: what the maps are of, in a sentence.
        raises: what a pixel speaks for that raises the score.
        lowers: what one that lowers it speaks for.
        groups: examples by what they are.
        checks: how well both maps agree, and how exact the integral is, in sentences.
    """

    title: str
    score: str
    raises: str
    lowers: str
    groups: Mapping[str, Sequence[Example]]
    checks: str


@dataclass(frozen=True)
class Row:
    """A latent.

    Attributes:
        latent: its index.
        variance: of E[z|x].
        span: its values in the first and the last image.
        images: PNG bytes along it.
        read: what the classifier reads in each; empty without a classifier.
        moves: by how much the mean probability of classes changes along it, in words; "" without a classifier.
        weights: of classes in the linear probe, in words; "" without a classifier.
    """

    latent: int
    variance: str
    span: tuple[str, str]
    images: Sequence[bytes]
    read: Sequence[str]
    moves: str
    weights: str


@dataclass(frozen=True)
class Latents:
    """The most active latents, and what they are measured on, in sentences."""

    rows: Sequence[Row]
    about: str


@dataclass(frozen=True)
class Explanation:
    """All content of the page: of a model of a ``family``, trained on images that are called ``title``, drawn with a
    ``seed``."""

    family: Family
    title: str
    seed: int
    explained: Sequence[Explained]
    latents: Latents | None


def explanation_page(content: Explanation) -> str:
    """The page as HTML: equal input, equal text."""
    return render("explanation.html.j2", content=content, family=content.family, raises=RAISES, lowers=LOWERS)
