"""Sequences of images along paths through a latent space: interpolations between two points, traversals of one latent,
and their files.

Shapes: latents [L] and points on a path [n, L], of standard normal noise; ``condition``: None where a model has none;
sequences uint8 [rows, steps, H, W] or [rows, steps, H, W, 3].
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genbalance.data.pictures import arranged, enlarged, grid, like, save_png, text_tile, text_width
from genbalance.runtime.io import whole_file
from genbalance.sampling.sampler import Condition, Images, Sampler

STRAIGHT = 1e-6  # sine of the angle below which both ends lie in one direction, or opposite ones
FRAME = 90  # milliseconds
SIDE = 168  # least side of an image in a GIF, pixels: it is looked at alone
CAPTION = 22  # height of a label above it, pixels


def slerp(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Points on the great circle from ``first`` to ``second``; ``shares`` [n] say how far along, from 0 to 1.

    White 2016 (arXiv:1609.04468): nearly all of N(0, I) lies near a sphere, which a straight line between two of its
    points leaves for where the model was never trained. Where the ends lie in one direction or opposite ones, there is
    no one great circle, and the line is taken.
    """
    a, b = first.double(), second.double()
    cosine = (a @ b / (a.norm() * b.norm()).clamp(min=torch.finfo(torch.float64).tiny)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    at = shares.double()[:, None]
    if angle.sin() < STRAIGHT:
        return torch.lerp(a, b, at).to(first.dtype)
    path: Tensor = (((1 - at) * angle).sin() * a + (at * angle).sin() * b) / angle.sin()
    return path.to(first.dtype)


def traversal(start: Tensor, latent: int, values: Tensor) -> Tensor:
    """``start`` with each of ``values`` [n] in the place of one latent."""
    path = start.repeat(len(values), 1)
    path[:, latent] = values.to(start.dtype)
    return path


def interpolation(sampler: Sampler, ends: Tensor, condition: Condition, steps: int) -> Images:
    """Images [steps, H, W(, 3)] between two points ``ends`` [2, L] with the ``condition`` [2]."""
    shares = torch.linspace(0, 1, steps, device=ends.device)
    return sampler.between(slerp(ends[0], ends[1], shares), condition, shares)


def traversals(
    sampler: Sampler, start: Tensor, condition: Condition, values: Tensor, latents: Iterable[int]
) -> dict[int, Images]:
    """For each of ``latents`` the images [n, H, W(, 3)] of its traversal of ``values`` [n] from ``start``, with the
    ``condition`` [1]; those that change the image most, summed variance of the pixels, come first."""
    repeated = None if condition is None else condition.expand(len(values))
    found = {latent: sampler.images(traversal(start, latent, values), repeated) for latent in latents}
    return dict(sorted(found.items(), key=lambda item: -float(item[1].var(axis=0, dtype=np.float64).sum())))


def save_sequences(path: Path, sequences: NDArray[np.uint8], labels: Sequence[str] = ()) -> None:
    """Writes sequences as a file of the kind that its name says; the same pixels give the same bytes.

    Args:
        path: .png: a row each; .gif: the sequences side by side, a step a frame, forth and back without an end.
        sequences: to draw.
        labels: an ASCII text for each row, perhaps of two lines; left of it in a PNG, above it in a GIF.
    """
    if path.suffix.lower() == ".png":
        save_png(path, _rows(sequences, labels))
        return
    frames = [Image.fromarray(_frame(sequences[:, step], labels)) for step in range(sequences.shape[1])]
    with whole_file(path) as part:
        first, *others = [*frames, *frames[-2:0:-1]]
        first.save(part, format="GIF", save_all=True, append_images=others, duration=FRAME, loop=0)


def _rows(sequences: NDArray[np.uint8], labels: Sequence[str]) -> NDArray[np.uint8]:
    rows, steps = sequences.shape[:2]
    picture = grid(sequences.reshape(-1, *sequences.shape[2:]), steps)
    if not labels:
        return picture
    height, width = (len(picture) - 1) // rows, max(map(text_width, labels))
    column = np.pad(np.concatenate([text_tile(label, height, width) for label in labels]), ((0, 1), (0, 0)))
    return np.hstack([like(picture, column), picture])


def _frame(images: NDArray[np.uint8], labels: Sequence[str]) -> NDArray[np.uint8]:
    tiles = enlarged(images, SIDE)
    if labels:
        captions = [text_tile(", ".join(label.splitlines()), CAPTION, tiles.shape[2]) for label in labels]
        tiles = np.concatenate([like(tiles[0], np.stack(captions)), tiles], axis=1)
    return arranged(tiles, int(np.ceil(np.sqrt(len(tiles)))))
