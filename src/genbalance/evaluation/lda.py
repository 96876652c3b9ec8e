"""Linear discriminant analysis: a plane of the latents on which the classes lie apart."""

import numpy as np
from numpy.typing import NDArray

AXES = 2
STILL = 1e-9  # of the largest code: what rounding may leave

Codes = NDArray[np.floating]
Labels = NDArray[np.int64]


def discriminant_map(train: Codes, labels: Labels, codes: Codes) -> NDArray[np.float64]:
    """The ``codes`` [m, latents] on the two linear discriminants of labelled ones [n, latents]: [m, 2].

    Fisher 1936, Rao 1948: the directions along which the means of the classes vary most in units of the standard
    deviation within a class. Those of largest variance tell nothing here: a VAE makes its codes as round as its prior.
    Of two classes there is one such direction; in codes that do not vary within the classes, or between them, there is
    none, nor where there are no more codes than classes: an axis without one is zero. The
    sign of an axis is free; the class mean that lies furthest out along it is on its positive side.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    known = train.astype(np.float64)
    middle = {label: known[labels == label].mean(axis=0) for label in np.unique(labels)}
    within = known - np.stack([middle[label] for label in labels])
    between = np.stack([*middle.values()]) - known.mean(axis=0)
    least = STILL * np.abs(known).max()
    if len(known) <= len(middle) or np.abs(within).max() <= least or np.abs(between).max() <= least:
        return np.zeros((len(codes), AXES))
    analysis = LinearDiscriminantAnalysis().fit(known, labels)
    middles = analysis.transform(analysis.means_)[:, :AXES]
    furthest = np.take_along_axis(middles, np.abs(middles).argmax(axis=0)[None], axis=0)
    placed = analysis.transform(codes.astype(np.float64))[:, :AXES] * np.where(furthest < 0, -1.0, 1.0)
    plane: NDArray[np.float64] = np.pad(placed, ((0, 0), (0, AXES - placed.shape[1])))
    return plane
