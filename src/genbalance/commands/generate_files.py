"""Digits as a folder: ``images/`` with a PNG each, ``grid.png`` or ``line.png``, and ``generated.json``."""

from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genbalance.errors import UserError
from genbalance.files import read_json, whole_folder, write_json
from genbalance.generation.lettering import line
from genbalance.pictures import grid, save_png

INDEX, IMAGES, GRID, LINE = "generated.json", "images", "grid.png", "line.png"


def check_free(out: Path) -> None:
    """Whether `save` may put its folder there: nothing is lost but what it wrote.

    Raises:
        UserError: something else is there.
    """
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        own = {out / INDEX, out / IMAGES, out / GRID, out / LINE}
        own |= {out / IMAGES / image["file"] for image in read_json(out / INDEX)["images"]}
        strange = sorted(path for path in out.rglob("*") if path not in own)
    except (OSError, JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(f"{out}: exists and was not created by genbalance; choose an empty folder") from None
    if strange:
        raise UserError(f"{strange[0]}: was not created by genbalance and is not removed; choose another --out")


def save(out: Path, text: str | None, images: Mapping[str, NDArray[np.uint8]], index: Mapping[str, Any]) -> None:
    """Writes the folder in the place of what was there.

    Args:
        out: the folder.
        text: the line that the images stand in; None: they are shown as a grid.
        images: [S, S] by the name of the file.
        index: what to know of them.

    Raises:
        UserError: it cannot be written.
    """
    every = list(images.values())
    try:
        with whole_folder(out.resolve()) as folder:
            (folder / IMAGES).mkdir()
            for name, image in images.items():
                save_png(folder / IMAGES / name, image)
            if text is None:
                save_png(folder / GRID, grid(np.stack(every), int(np.ceil(np.sqrt(len(every))))))
            else:
                save_png(folder / LINE, line(text, every))
            write_json(folder / INDEX, index)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
