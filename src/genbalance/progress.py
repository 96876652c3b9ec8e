"""Progress of a training loop: a bar on a terminal, a line an epoch elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from tqdm import tqdm

REFRESH = 20  # steps between two looks at the losses: on a GPU, each look waits for the device


class EpochMeter:
    """Means of the losses over an epoch, its speed, and what a person watching sees of them.

    On a terminal a bar for the whole training (losses, images/s, time left); elsewhere a line an epoch, from
    :meth:`line`. Use it as a context, so that the bar ends where the training does.

    Args:
        label: what stands in front.
        epochs: how many there will be.
        images_per_epoch: how many images an epoch sees.

    Attributes:
        epoch_number: the epoch under way, counted from 1.
        seconds: of the latest whole epoch.
        images_per_second: of the latest whole epoch.
    """

    def __init__(self, label: str, epochs: int, images_per_epoch: int) -> None:
        self.epoch_number = 0
        self.seconds = 0.0
        self.images_per_second = 0.0
        self._label = label
        self._epochs = epochs
        self._images_per_epoch = images_per_epoch
        self._begun = time.monotonic()
        self._first = 0
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._images = 0
        self._steps = 0
        self._bar = tqdm(
            total=epochs * images_per_epoch,
            desc=label,
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        """The meter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar, however the training ended."""
        self._bar.close()

    @contextmanager
    def epoch(self, number: int) -> Iterator[Self]:
        """One epoch, counted from 1: the means start anew, and its time is taken when it ends well."""
        self.epoch_number, self._sums, self._counts, self._images, self._steps = number, {}, {}, 0, 0
        if not self._first:  # a training that goes on has its first epochs behind it
            self._first = number
            self._bar.initial = self._bar.n = (number - 1) * self._images_per_epoch
        self._bar.set_description(f"{self._label} {number}/{self._epochs}", refresh=False)
        begun = time.monotonic()
        yield self
        self.means()  # waits for a GPU's queue, so that the time is that of the work
        self.seconds = time.monotonic() - begun
        self.images_per_second = self._images / self.seconds if self.seconds else 0.0

    def add(self, terms: Mapping[str, Any], images: int) -> None:
        """The losses of one step.

        Args:
            terms: numbers or 0-dimensional tensors by name; each a mean over the step's images. A tensor is added up
                where it lies, and not waited for. Not every step need tell the same.
            images: the number of images in the step.
        """
        for name, value in terms.items():
            if hasattr(value, "detach"):
                value = value.detach().double() if name not in self._sums else value.detach()  # then all sums are
            self._sums[name] = self._sums.get(name, 0.0) + value * images
            self._counts[name] = self._counts.get(name, 0) + images
        self._images += images
        self._steps += 1
        self._bar.update(images)
        if not self._bar.disable and self._steps % REFRESH == 0:
            self._bar.set_postfix_str(_readable(self.means()), refresh=False)

    def means(self) -> dict[str, float]:
        """The epoch's losses so far: the mean of each over the images of the steps that told it."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def line(self, extra: Mapping[str, float] | None = None) -> None:
        """Tells of the epoch that has ended: its losses, and what was measured after it.

        Args:
            extra: further numbers to tell, the validation's say.
        """
        told = _readable(self.means() | dict(extra or {}))
        if not self._bar.disable:
            self._bar.set_postfix_str(told)
            return
        done = time.monotonic() - self._begun
        left = done / (self.epoch_number - self._first + 1) * (self._epochs - self.epoch_number)
        print(
            f"{self._label} {self.epoch_number}/{self._epochs}: {told}, "
            f"{self.images_per_second:.0f} images/s, {_clock(left)} left",
            file=sys.stderr,
            flush=True,
        )


def _readable(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
