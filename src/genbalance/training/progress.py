"""Progress of a training loop: one line of the same few fields, before a bar on a terminal, once an epoch elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from tqdm import tqdm

UNKNOWN = "–"  # before the first epoch has ended

Counted = tuple[Mapping[str, float], Mapping[str, int], int]
"""Of an epoch: sums over images and numbers of images by the names of losses, and the number of images."""


class EpochMeter:
    """Means of the losses over an epoch, its speed, and the progress line on stderr.

    The line holds the stage's name and five fields at most, always in this order: the epoch, the metrics of ``shown``,
    images/s, time left. On a terminal it is refreshed in place, with a bar for the whole training at its end; elsewhere
    :meth:`line` prints it once an epoch. Use the meter as a context, so that the bar ends where the training does.

    Args:
        label: the stage's name.
        epochs: how many epochs the training has.
        images_per_epoch: how many images an epoch sees.
        shown: two metrics at most: the text before the value → the name of the metric, a loss or one given to
            :meth:`line`. The values are those of the latest whole epoch.

    Attributes:
        epoch_number: the epoch under way, counted from 1.
        seconds: of the latest whole epoch.
        images_per_second: of the latest whole epoch.
    """

    def __init__(self, label: str, epochs: int, images_per_epoch: int, shown: Mapping[str, str] | None = None) -> None:
        self.epoch_number = 0
        self.seconds = 0.0
        self.images_per_second = 0.0
        self._label = label
        self._epochs = epochs
        self._images_per_epoch = images_per_epoch
        self._shown = shown or {}
        self._values: dict[str, float] = {}
        self._begun = self._epoch_begun = self._first_begun = time.monotonic()  # of an epoch: its part, its first one
        self._done = 0  # images that this process has trained on: not those before a training was resumed
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._images = 0
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        """The meter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar, however the training ended."""
        if self._bar is not None:
            self._bar.close()

    @contextmanager
    def epoch(self, number: int) -> Iterator[Self]:
        """One epoch, counted from 1, or a further part of it: the means start anew with an epoch, and the time of each
        part is taken when it ends well."""
        if number != self.epoch_number:
            self.epoch_number, self._sums, self._counts, self._images, self.seconds = number, {}, {}, 0, 0.0
            self._first_begun = time.monotonic()
        if self._bar is None and sys.stderr.isatty():  # not before, so that "resuming …" has a line of its own
            before = (number - 1) * self._images_per_epoch
            self._bar = tqdm(
                desc=self._text(0),
                total=self._epochs * self._images_per_epoch,
                initial=before,
                bar_format="{desc}  {bar}",
                dynamic_ncols=True,
            )
        self._epoch_begun = time.monotonic()
        self._show()
        yield self
        self.means()  # waits for a GPU's queue, so that the time is that of the work
        self.seconds += time.monotonic() - self._epoch_begun
        self.images_per_second = self._images / self.seconds if self.seconds else 0.0

    def add(self, terms: Mapping[str, Any], images: int) -> None:
        """The losses of one step.

        Args:
            terms: numbers or 0-dimensional tensors by name; each a mean over the step's images. A tensor is added up
                where it lies, and not waited for. Steps may have different terms.
            images: the number of images in the step.
        """
        for name, value in terms.items():
            if hasattr(value, "detach"):
                value = value.detach().double()  # whose products with a number of images are exact
            self._sums[name] = self._sums.get(name, 0.0) + value * images
            self._counts[name] = self._counts.get(name, 0) + images
        self._images += images
        self._done += images
        if self._bar is not None:
            self._show(images)

    def means(self) -> dict[str, float]:
        """The epoch's losses so far: the mean of each over the images of the steps that have it."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def counted(self) -> Counted:
        """What this process has counted in the epoch."""
        return {name: float(total) for name, total in self._sums.items()}, self._counts, self._images

    def recount(self, every: Sequence[Counted]) -> None:
        """Puts the counts of ``every`` process, this one's among them, in the place of its own: each has trained other
        clients."""
        before, self._sums, self._counts, self._images = self._images, {}, {}, 0
        for sums, counts, images in every:
            for name, total in sums.items():
                self._sums[name] = self._sums.get(name, 0.0) + total
                self._counts[name] = self._counts.get(name, 0) + counts[name]
            self._images += images
        self._done += self._images - before
        self.seconds = time.monotonic() - self._first_begun  # waits for the others are a part of it
        self.images_per_second = self._images / self.seconds if self.seconds else 0.0
        if self._bar is not None:
            self._show(self._images - before)

    def line(self, extra: Mapping[str, float] | None = None) -> None:
        """Shows the epoch that has ended.

        Args:
            extra: what was measured after it, such as the validation's losses.
        """
        self._values = self.means() | dict(extra or {})
        if self._bar is not None:
            self._show()
            self._bar.refresh()
        else:
            print(self._text(self.images_per_second), file=sys.stderr, flush=True)

    def message(self, text: str) -> None:
        """A line of its own on stderr, above the bar where there is one."""
        tqdm.write(f"{self._label}: {text}", file=sys.stderr)

    def _show(self, images: int = 0) -> None:
        if self._bar is not None:
            seconds = self.seconds + time.monotonic() - self._epoch_begun
            speed = self._images / seconds if images and seconds else self.images_per_second
            self._bar.set_description_str(self._text(speed), refresh=False)
            self._bar.update(images)

    def _text(self, images_per_second: float) -> str:
        values = (self._values.get(name) for name in self._shown.values())
        seen = (self.epoch_number - 1) * self._images_per_epoch + self._images
        to_do = self._epochs * self._images_per_epoch - seen
        left = _clock((time.monotonic() - self._begun) / self._done * to_do) if self._done else UNKNOWN
        speed = f"{images_per_second:,.0f}" if images_per_second else UNKNOWN
        fields = [
            f"{self._label} {self.epoch_number:>{len(str(self._epochs))}}/{self._epochs}",
            *(f"{text} {_short(value)}" for text, value in zip(self._shown, values, strict=True)),
            f"{speed} images/s",
            f"{left} left",
        ]
        return "  ".join(fields)


def _short(value: float | None) -> str:
    """Two or three decimals, fewer of large numbers: as wide from epoch to epoch.

    >>> _short(2.117), _short(0.4242), _short(107.477), _short(0.0004)
    ('2.12', '0.424', '107.5', '4e-04')
    """
    if value is None:
        return UNKNOWN
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-3:
        return f"{value:.0e}"
    return f"{value:.{3 if size < 1 else 2 if size < 100 else 1}f}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
