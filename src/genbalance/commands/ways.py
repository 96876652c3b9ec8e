"""Ways through a latent space, drawn."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genbalance.commands.studio import Studio
from genbalance.errors import UserError

KINDS = (".png", ".gif")


def interpolate(studio: Studio, first: int, second: int, steps: int, rows: int, out: Path) -> str:
    """Draws ``rows`` ways from a digit to another in ``steps`` images each, between the best candidates of either.

    Returns:
        What was done.

    Raises:
        UserError: an option or a file is not as it should be, or no good candidates are found.
    """
    _check_kind(out)
    studio.check("--from", first)
    studio.check("--to", second)

    import torch

    from genbalance.generation.ways import interpolation

    starts = studio.supply(first).optimised(2 * rows if first == second else rows)
    ends = starts.rows(slice(rows, None)) if first == second else studio.supply(second).optimised(rows)
    ways = []
    for row in range(rows):
        told = None if starts.told is None or ends.told is None else torch.stack([starts.told[row], ends.told[row]])
        ways.append(interpolation(studio.sampler, torch.stack([starts.z[row], ends.z[row]]), told, steps))
    _save(out, np.stack(ways), [f"{first} to {second}"] * rows)
    return f"{out}: from {first} to {second} in {steps} steps, drawn by the {studio.kind} with the seed {studio.root}"


def traverse(studio: Studio, digit: int, latents: list[int], span: float, steps: int, out: Path) -> str:
    """Draws the best candidate for a digit with one latent after another taken from -``span`` to ``span``.

    Args:
        studio: where.
        digit: what is changed.
        latents: a row each; none: those eight that change the picture most.
        span: in standard deviations.
        steps: images a row.
        out: a PNG or GIF.

    Returns:
        What was done, with the latents in the order of the rows.

    Raises:
        UserError: an option or a file is not as it should be, or no good candidate is found.
    """
    _check_kind(out)
    studio.check("--digit", digit)

    import torch

    from genbalance.generation.tour import ROWS
    from genbalance.generation.ways import traversals

    sampler = studio.sampler
    for latent in latents:
        if not 0 <= latent < sampler.latents:
            raise UserError(f"--latent: found {latent}; allowed: 0 … {sampler.latents - 1}")
    best = studio.supply(digit).optimised(1)
    values = torch.linspace(-span, span, steps, device=best.z.device)

    ways = traversals(sampler, best.z[0], best.told, values, latents or range(sampler.latents))
    shown = latents or [*ways][:ROWS]
    labels = [f"latent {latent}\n{-span:g} to {span:g} SD" for latent in shown]
    _save(out, np.stack([ways[latent] for latent in shown]), labels)
    rows = ", ".join(map(str, shown))
    return f"{out}: a {digit} of the {studio.kind} with the seed {studio.root}; a row each, the latents {rows}"


def _check_kind(out: Path) -> None:
    if out.suffix.lower() not in KINDS:
        raise UserError(f"--out: found '{out.name}'; allowed: a file name that ends in {' or '.join(KINDS)}")


def _save(out: Path, ways: NDArray[np.uint8], labels: list[str]) -> None:
    from genbalance.generation.animation import save_ways

    try:
        save_ways(out, ways, labels)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
