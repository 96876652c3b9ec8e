"""The pictures of a training, a file an epoch."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from genbalance import pictures
from genbalance.files import whole_file
from genbalance.tracking import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Album:
    """Grids by name and epoch, the same in the run and on disk.

    Args:
        run: gets each picture as it arises.
        folder: where they gather until they are asked for.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder / "pictures"

    def add(self, name: str, epoch: int, picture: "NDArray[np.uint8]") -> None:
        """A grey picture [H, W] of an epoch."""
        pictures.save_png(self._page(name, epoch), picture)
        self._run.image(name, picture, step=epoch)

    def copy(self, name: str, epoch: int, target: Path) -> None:
        """One epoch's picture, as a file of its own."""
        with whole_file(target) as part:
            shutil.copyfile(self._page(name, epoch), part)

    def copy_all(self, target: Path) -> None:
        """All of them into the folder ``target``, as ``<name>/epoch_<number>.png``. Copied and not moved: who is
        killed now needs them again."""
        for page in self._folder.glob("*/epoch_*.png"):
            copied = target / page.relative_to(self._folder)
            copied.parent.mkdir(exist_ok=True)
            shutil.copyfile(page, copied)

    def _page(self, name: str, epoch: int) -> Path:
        return self._folder / name / f"epoch_{epoch:04d}.png"
