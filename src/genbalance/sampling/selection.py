"""The best of many candidates for one digit: read as it with confidence, no copies, no duplicates, typical of the
training images, and different from one another. Of images without classes, the same but for what is read.

The functions are pure ones of arrays. Of n candidates: ``features`` [n, d] of the reference classifier; ``score`` [n],
higher is better; ``copying`` [n], the distance to the nearest training image over that digit's distance to its own
nearest other one (a copy: 0); and ``reach`` [n], the latter distance: how far apart digits lie there. Each returns
rows, best first, and does not depend on the order in which the candidates come.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance.data.prepared import Split
from genbalance.evaluation.classes import read_classes
from genbalance.evaluation.features import FeatureExtractor
from genbalance.evaluation.memorization import authenticity
from genbalance.evaluation.neighbours import Points, blocks, nearest
from genbalance.runtime.errors import UserError
from genbalance.sampling.rejection import CONFIDENCE, Accepted, RejectionSampler
from genbalance.sampling.sampler import Condition, Images

Each = NDArray[np.float64]
Rows = NDArray[np.int64]

K = 3  # neighbours of the realism score, as in the paper
LARGEST = 1e6  # realism of a copy, whose score would be infinite
NEAR = 0.6  # of the reach: nearer than that are copies; 5 in 1,000 held-out images are that near to a training image
SHORTLIST = 2  # candidates per image wanted, among which the most diverse are chosen
BLOCK = 250  # candidates at a time
MOST = 10_000  # training images that the realism is among, at most: the time grows with their square
POOL = 8  # candidates to choose from, per image wanted,
LEAST = 64  # and at least


def ranked(features: Points, score: Each) -> Rows:
    """All candidates, the highest score first; equal scores in the order of their features."""
    return np.lexsort((*features.T, -score))


def usable(features: Points, score: Each, copying: Each, reach: Each) -> Rows:
    """Those that copy neither a training image nor a better candidate, best first.

    A near-copy lies nearer than `NEAR` times the distance of neighbouring training images: of a training image
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

    The ``SHORTLIST * count`` best of the `usable` are compared, and the most diverse of these are taken, the best one
    among them.
    """
    shortlist = usable(features, score, copying, reach)[: SHORTLIST * count]
    if not len(shortlist):
        return shortlist
    return shortlist[np.sort(farthest_first(features[shortlist], count))]


@dataclass(frozen=True)
class Realism:
    """The realism score: how typical a single image is of real images, which balls about ``centers`` [m, d] with
    ``radii`` [m] represent."""

    centers: Points
    radii: NDArray[np.float64]

    @classmethod
    def of(cls, real: Points) -> "Realism":
        """Balls about the real images [n, d] that reach to their third nearest neighbour, without the larger half.

        Raises:
            UserError: there are fewer than four.
        """
        radii = nearest(real, real, K, same=True).distances[:, -1]
        small = radii <= np.median(radii)
        return cls(real[small], radii[small])

    def score(self, features: Points) -> Each:
        """The largest ratio of a ball's radius to the distance from its centre, for each of [n, d]; 1 and more: inside
        a ball.

        Kynkäänniemi et al. 2019 (arXiv:1904.06991), equation 3: balls in sparse regions, which are large, do not count.
        """
        squared = torch.from_numpy(np.square(self.radii))
        found = [(squared / distances).amax(dim=1) for _, distances in blocks(features, self.centers)]
        return torch.cat(found).sqrt().nan_to_num(LARGEST).clamp(max=LARGEST).numpy()


@dataclass(frozen=True)
class Candidates:
    """n scored candidates: ``images`` [n, H, W(, 3)], the latents ``z`` [n, L] and the ``condition`` [n] that they are
    drawn from.

    ``number`` [n]: its place in the random stream; ``read`` [n]: the class that the reference classifier reads;
    ``confidence`` [n]: its probability of the digit wanted, 1 where none is; ``typicality`` [n]: the realism score
    among the training images of that class; ``nearest`` [n]: the nearest of these, as a row of the training split;
    ``copying`` and ``reach`` [n]: see :mod:`genbalance.sampling.selection`; ``features`` [n, d].
    """

    images: Images
    z: torch.Tensor
    condition: Condition
    number: Rows
    read: Rows
    confidence: Each
    typicality: Each
    nearest: Rows
    copying: Each
    reach: Each
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def score(self) -> Each:
        """Confidence times typicality."""
        return self.confidence * self.typicality

    def rows(self, which: Rows | slice) -> "Candidates":
        """Some of them, in that order."""
        some: list[Any] = [value if value is None else value[which] for value in self._values()]
        return Candidates(*some)

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """One after another; at least one."""
        return cls(*map(_joined, zip(*(part._values() for part in parts), strict=True)))

    def _values(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


def _joined(values: Sequence[Any]) -> Any:
    if values[0] is None:
        return None
    return torch.cat(list(values)) if isinstance(values[0], torch.Tensor) else np.concatenate(values)


@dataclass(frozen=True)
class Scorer:
    """Scores candidates for ``digit`` by the training images [m] of this class, of all classes for None, whose features
    are ``train`` [m, d] and which are ``rows`` [m] of their split."""

    digit: int | None
    train: NDArray[np.float32]
    rows: Rows
    realism: Realism

    @classmethod
    def of(cls, extractor: FeatureExtractor, split: Split, digit: int | None, name: str = "") -> "Scorer":
        """Takes the features of the training images of a class, which messages call by its ``name``, or its number.

        Raises:
            UserError: there are too few.
        """
        rows = np.arange(len(split)) if digit is None else np.flatnonzero(split.labels == digit)
        if len(rows) <= K:
            what = "images" if digit is None else f"digit {name or digit}"
            raise UserError(f"{what}: found {len(rows)} training images; allowed: at least {K + 1}")
        train = extractor.read(split.images[rows]).features
        return cls(digit, train, rows, Realism.of(train if digit is not None else train[:MOST]))

    def score(self, found: Accepted) -> Candidates:
        """The candidates with their scores."""
        features, probabilities = found.reading.features, found.reading.probabilities
        near = authenticity(features, self.train)
        reach = np.divide(near.distance, near.ratio, out=np.zeros(len(found)), where=near.ratio > 0)
        return Candidates(
            images=found.images,
            z=found.z,
            condition=found.condition,
            number=found.number,
            read=read_classes(probabilities),
            confidence=np.ones(len(found)) if self.digit is None else probabilities[:, self.digit].astype(np.float64),
            typicality=self.realism.score(features),
            nearest=self.rows[near.nearest],
            copying=near.ratio,
            reach=reach,
            features=features,
        )


@dataclass(frozen=True)
class Selection:
    """Chooses among the candidates that ``rejection`` accepts; ``model`` is the model's name in messages, and ``name``
    that of the class, where it is not its number."""

    rejection: RejectionSampler
    scorer: Scorer
    model: str
    name: str = ""

    def best(self, count: int) -> Candidates:
        """The best ``count`` of at least as many times `POOL` confident candidates, best first (see
        :mod:`genbalance.sampling.selection`); of fewer candidates after the last try.

        Raises:
            UserError: after the last try, fewer are usable.
        """
        counts, parts = self.rejection.counts, list[Candidates]()
        for found in self.rejection.accepted(None if self.scorer.digit is None else CONFIDENCE):
            parts.append(self.scorer.score(found))
            if counts.confident >= max(POOL * count, LEAST) and (best := self._best(parts, count)):
                return best
        if best := self._best(parts, count):
            return best
        if self.scorer.digit is None:
            raise UserError(
                f"of {counts.tried:,} candidates of the {self.model}, without near-copies {counts.usable:,} are left, "
                f"but {count:,} are needed; allowed: a smaller --count, more --tries, or --raw"
            )
        raise UserError(
            f"digit {self.name or self.scorer.digit}: of {counts.tried:,} candidates of the {self.model}, the "
            f"classifier read {counts.read:,} as it, {counts.confident:,} of them with a probability of at least "
            f"{CONFIDENCE:g}; without near-copies {counts.usable:,} are left, but {count:,} are needed; allowed: a "
            "smaller count, more --tries, or --raw"
        )

    def raw(self, count: int) -> Candidates:
        """The first ``count`` candidates; of a model without classes, of those that the classifier reads as the digit.

        Raises:
            UserError: after the last try there are fewer.
        """
        counts, parts = self.rejection.counts, list[Candidates]()
        every = self.rejection.sampler.classes or self.scorer.digit is None
        for found in self.rejection.accepted(None if every else 0):
            parts.append(self.scorer.score(found))
            if sum(map(len, parts)) >= count:
                return Candidates.joined(parts).rows(np.arange(count))
        if every:
            raise UserError(
                f"{counts.tried:,} candidates of the {self.model} are drawn at most, but {count:,} are needed; "
                "allowed: a smaller count or more --tries"
            )
        raise UserError(
            f"digit {self.name or self.scorer.digit}: of {counts.tried:,} candidates of the {self.model}, the "
            f"classifier read {counts.read:,} as it, but {count:,} are needed; allowed: a smaller count or more --tries"
        )

    def _best(self, parts: Sequence[Candidates], count: int) -> Candidates | None:
        """None where fewer are usable."""
        if not parts:
            return None
        pool = Candidates.joined(parts)
        scores = (pool.features, pool.score, pool.copying, pool.reach)
        self.rejection.counts.usable = len(usable(*scores))
        return pool.rows(select(*scores, count)) if self.rejection.counts.usable >= count else None
