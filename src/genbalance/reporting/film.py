"""Training as a filmstrip."""

from collections.abc import Mapping

from genbalance.reporting import grids

FRAMES = 5


def frames(film: Mapping[int, bytes]) -> dict[int, bytes]:
    """Up to five epochs of a film, from the first to the last and denser early on, where most happens.

    A frame is the upper left quarter of the epoch's grid: PNG bytes in, PNG bytes out.
    """
    epochs = sorted(film)
    ranks = {round(len(epochs) ** (step / (FRAMES - 1))) - 1 for step in range(FRAMES)}
    return {epochs[rank]: _quarter(film[epochs[rank]]) for rank in sorted(ranks)}


def _quarter(png: bytes) -> bytes:
    width, height = grids.size(png)
    return grids.part(png, (width + 1) // 2, (height + 1) // 2)
