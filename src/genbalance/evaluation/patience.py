"""How far a measurement is, for whoever waits: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence, Sized
from typing import TypeVar

from tqdm import tqdm

SILENCE = 60.0  # seconds between two lines where there is no terminal: a short measurement tells nothing


B = TypeVar("B", bound=Sized)


def watched(blocks: Sequence[B], label: str) -> Iterator[B]:
    """The blocks, one by one, while stderr tells how many of their images are done and how long the others take.

    Args:
        blocks: of images, all at hand.
        label: what is being measured.
    """
    total, done = sum(len(block) for block in blocks), 0
    begun = told = time.monotonic()
    terminal = sys.stderr.isatty()
    with tqdm(total=total, desc=label, unit=" images", dynamic_ncols=True, disable=not terminal) as bar:
        for block in blocks:
            yield block
            done += len(block)
            bar.update(len(block))
            now = time.monotonic()
            if not terminal and now - told >= SILENCE and done < total:
                told, left = now, (now - begun) / done * (total - done)
                print(
                    f"{label}: {done:,} of {total:,} images, {tqdm.format_interval(left)} left",
                    file=sys.stderr,
                    flush=True,
                )
