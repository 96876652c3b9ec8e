"""Can an attacker tell a model's training images from other images? Membership inference, with intervals.

An attack is a score of each image, higher for those that it takes for training images: the members, against images that
the model has not seen. A model that tells nothing of single training images gives an AUC of ½.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genbalance.data.prepared import Split
from genbalance.evaluation.bootstrap import Bootstrap, around
from genbalance.evaluation.features import Images
from genbalance.evaluation.neighbours import blocks, nearest

COMPONENTS = 40  # principal components that distances are measured in, at most
FALSE_POSITIVES = 100  # the rate of true positives is that at one false positive in so many

Rows = NDArray[np.int64]
Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Attack:
    """How well one attack separates members from others: ``auc``, the true-positive rate ``tpr`` at 1% false positives,
    and the 95% interval of each under its name in ``ci95``."""

    auc: float
    tpr: float
    ci95: dict[str, dict[str, float]]


def attack(members: Scores, others: Scores, bootstrap: Bootstrap) -> Attack:
    """Of the scores of members [n] and of other images [m].

    The AUC is P(member's score > other's) over all pairs, ties counting half. The true-positive rate is the largest
    share of members above a threshold that at most 1% of the others reach (Carlini et al. 2022, arXiv:2112.03570): by
    chance 1%. Images of either side are resampled independently.
    """
    _, places = np.unique(-np.concatenate([members, others]), return_inverse=True)  # 0: the highest score
    of_members, of_others, count = places[: len(members)], places[len(members) :], int(places.max()) + 1

    def rates(a: Rows, b: Rows) -> tuple[float, float]:
        """AUC and true-positive rate of images that are there so often: [n] and [m]."""
        true, false = (
            np.concatenate([[0], np.bincount(at, counts, count).cumsum()])
            for at, counts in ((of_members, a), (of_others, b))
        )
        area = float((np.diff(false) * (true[1:] + true[:-1])).sum() / (2 * true[-1] * false[-1]))
        allowed = np.searchsorted(FALSE_POSITIVES * false, false[-1], side="right") - 1
        return area, float(true[allowed] / true[-1])

    auc, tpr = rates(*(np.ones(len(side), np.int64) for side in (members, others)))
    sides = (bootstrap.counts(len(members), 0), bootstrap.counts(len(others), 1))
    resampled = np.array([rates(*counts) for counts in zip(*sides, strict=True)])
    intervals = (around(value, column) for value, column in zip((auc, tpr), resampled.T, strict=True))
    within = [{end: min(max(value, 0.0), 1.0) for end, value in ends.items()} for ends in intervals]
    return Attack(auc, tpr, dict(zip(("auc", "tpr"), within, strict=True)))


def candidates(train: Split, test: Split, most: int) -> tuple[Rows, Rows]:
    """Rows of training and of test images, equally many of each class, ``most`` of either at most.

    Of each class the first ones of its split, as many as the split with fewer has; where that is more than ``most``,
    the same share of each class. An attack could otherwise tell the two apart by their classes.
    """
    members, others = list[Rows](), list[Rows]()
    order = list[NDArray[np.float64]]()
    for label in np.intersect1d(train.labels, test.labels):
        rows = [np.flatnonzero(split.labels == label) for split in (train, test)]
        count = min(map(len, rows))
        for chosen, found in zip((members, others), rows, strict=True):
            chosen.append(found[:count])
        order.append((np.arange(count) + 0.5) / count)
    first = np.argsort(np.concatenate(order), kind="stable")[:most]
    return np.concatenate(members)[first], np.concatenate(others)[first]


def nearness(members: Images, others: Images, samples: Images) -> tuple[Scores, Scores]:
    """The Monte-Carlo attack on samples alone: of each image the share of the ``samples`` in the ε-ball around it.

    Hilprecht et al. 2019 (arXiv:1906.03006), with their median heuristic: ε is the median over members [n, H, W(, 3)]
    and others [m, H, W(, 3)] of the distance to the nearest sample [k, H, W(, 3)]. As theirs on MNIST, distances are
    Euclidean in the principal components of pixels: here the first 40 of the samples, which an attacker has. The
    reference classifier's features are no choice: it was trained on the members, and could tell them apart by itself.
    """
    from sklearn.utils.extmath import randomized_svd

    rows = [images.reshape(len(images), -1).astype(np.float32) for images in (members, others, samples)]
    centred = rows[2] - rows[2].mean(axis=0)
    _, _, axes = randomized_svd(centred, min(COMPONENTS, *centred.shape), random_state=0)
    known, unknown, drawn = (some @ axes.T for some in rows)
    images = np.concatenate([known, unknown])
    radius = float(np.median(nearest(images, drawn, 1).distances))
    inside = [(squared.sqrt() <= radius).double().mean(dim=1) for _, squared in blocks(images, drawn)]
    shares = torch.cat(inside).numpy()
    return shares[: len(members)], shares[len(members) :]
