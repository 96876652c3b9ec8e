"""Distances between all points of two sets, in blocks, so that no matrix of all pairs is in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.runtime.errors import UserError

BLOCK = 256  # rows at a time
COPY = 1e-12  # squared distances below this share of the squared lengths are rounding: the points are equal
TIE = 1e-9  # and distances that differ by a smaller share than this: they are equal

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Neighbours:
    """Of each of n queries the k nearest points: Euclidean ``distances`` [n, k], ascending, and their ``indices``."""

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]


def blocks(a: Points, b: Points) -> Iterator[tuple[int, Tensor]]:
    """Squared distances of a few rows of [n, d] to all of [m, d] at a time: the first row, and float64 [rows, m].

    ‖a‖² + ‖b‖² − 2·a·b about the mean of b, which keeps the terms small; exactly zero for equal points.
    """
    origin = b.mean(axis=0, dtype=np.float64)
    x, y = (torch.from_numpy(points.astype(np.float64) - origin) for points in (a, b))
    lengths_x, lengths_y = x.square().sum(dim=1), y.square().sum(dim=1)
    for first in range(0, len(x), BLOCK):
        lengths = lengths_x[first : first + BLOCK, None]
        squared = torch.addmm(lengths_y, x[first : first + BLOCK], y.T, alpha=-2).add_(lengths)
        # points this near have one length, so that twice the row's stands for the sum of both
        yield first, squared.masked_fill_(squared < 2 * COPY * lengths, 0)


def nearest(queries: Points, references: Points, k: int, same: bool = False) -> Neighbours:
    """The ``k`` nearest of ``references`` [m, d] for each of ``queries`` [n, d].

    With ``same`` the two are one set and no point is its own neighbour; its duplicates are.

    Raises:
        UserError: there are fewer than k.
    """
    most = len(references) - same
    if not 1 <= k <= most:
        raise UserError(f"neighbours: found {k} among {len(references)} points; allowed: 1 … {most}")
    found = [
        _closest(_without_self(first, block) if same else block, k) for first, block in blocks(queries, references)
    ]
    squared, indices = (torch.cat(column).numpy() for column in zip(*found, strict=True))
    return Neighbours(np.sqrt(squared), indices)


def _closest(squared: Tensor, k: int) -> tuple[Tensor, Tensor]:
    if k == 1:  # a minimum is several times faster than a selection
        values, indices = squared.min(dim=1, keepdim=True)
        return values, indices
    values, indices = squared.topk(k, dim=1, largest=False)
    return values, indices


def _without_self(first: int, squared: Tensor) -> Tensor:
    rows = torch.arange(len(squared))
    squared[rows, rows + first] = torch.inf
    return squared


def nearer(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether the first of two distances is the smaller, for all of [n]: 1, 0, or ½ where equal up to rounding."""
    return np.where(np.abs(a - b) <= TIE * np.maximum(a, b), 0.5, a < b)


def mean_distance(points: Points) -> float:
    """The mean Euclidean distance between two different points of a set [n, d].

    Raises:
        UserError: there are fewer than two.
    """
    n = len(points)
    if n < 2:
        raise UserError(f"mean distance: found {n} points; allowed: at least 2")
    return sum(float(block.sqrt_().sum()) for _, block in blocks(points, points)) / (n * (n - 1))
