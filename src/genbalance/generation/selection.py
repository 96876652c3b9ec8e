"""The best of many candidates for one digit: no copies, no duplicates, typical, and different from one another.

Pure functions of arrays. Of n candidates: ``features`` [n, d] of the judge; ``score`` [n], higher is better;
``copying`` [n], the distance to the nearest training digit over that digit's distance to its own nearest other one (a
copy: 0); and ``reach`` [n], the latter distance: how far apart digits lie there. Each answer is an array of rows, best
first, and does not depend on the order in which the candidates come.
"""

import numpy as np
from numpy.typing import NDArray

from genbalance.evaluation.neighbours import Points

NEAR = 0.6  # of the reach: nearer than that are copies; 5 in 1,000 held-out digits are that near to a training digit
SHORTLIST = 2  # candidates for each one wanted, among which the different ones are looked for

Each = NDArray[np.float64]
Rows = NDArray[np.int64]


def ranked(features: Points, score: Each) -> Rows:
    """All candidates, the highest score first; equal scores in the order of their features."""
    return np.lexsort((*features.T, -score))


def usable(features: Points, score: Each, copying: Each, reach: Each) -> Rows:
    """Those that copy neither a training digit nor a better candidate, best first.

    A near-copy lies nearer than `NEAR` times the distance of neighbouring training digits: of a training digit
    (``copying``, after Alaa et al. 2022, arXiv:2102.08921), or of a better candidate that is usable itself.
    """
    order = ranked(features, score)
    order = order[copying[order] >= NEAR]
    points = features.astype(np.float64)
    kept: list[int] = []
    for row in order:
        apart = np.linalg.norm(points[kept] - points[row], axis=1)
        if not kept or apart.min() > NEAR * reach[row]:
            kept.append(int(row))
    return np.array(kept, np.int64)


def farthest_first(points: Points, count: int) -> Rows:
    """``count`` of the points [n, d]: the first one, then each time the one that is farthest from those taken.

    The greedy solution of the k-centre problem (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5): its least distance
    between two taken points is at least half the greatest possible. Of equally far ones the first is taken.
    """
    x = points.astype(np.float64)
    taken, apart = [0], np.linalg.norm(x - x[0], axis=1)
    apart[0] = -1
    for _ in range(min(count, len(x)) - 1):
        taken.append(int(apart.argmax()))
        apart = np.minimum(apart, np.linalg.norm(x - x[taken[-1]], axis=1))
        apart[taken] = -1
    return np.array(taken, np.int64)


def select(features: Points, score: Each, copying: Each, reach: Each, count: int) -> Rows:
    """``count`` of the candidates, or fewer where fewer are usable, best first.

    Of the `usable` the ``SHORTLIST * count`` best are looked at, and of these those that differ most are taken, the
    best one among them.
    """
    shortlist = usable(features, score, copying, reach)[: SHORTLIST * count]
    if not len(shortlist):
        return shortlist
    return shortlist[np.sort(farthest_first(features[shortlist], count))]
