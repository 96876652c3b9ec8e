"""The commands that draw images with a trained model: digits as a folder, interpolations and traversals as a picture.

Nothing heavy loads before the options are checked.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pictures import grid, save_png
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import read_json, rounded, whole_folder, write_json
from genbalance.sampling.context import Context
from genbalance.sampling.glyphs import GLYPHS, line

if TYPE_CHECKING:
    from genbalance.sampling.selection import Candidates

COUNT = 64
INDEX, IMAGES, GRID, LINE = "generated.json", "images", "grid.png", "line.png"
SEQUENCES = (".png", ".gif")
ROWS = 8  # latents of a traversal, where none is named


@dataclass(frozen=True)
class Options:
    """``wanted``: how many images of which class, by its name or number, None for images without classes; ``text``: the
    line that they stand in, if any; ``raw``: the first candidates, not the best."""

    wanted: dict[str | None, int]
    text: str | None
    raw: bool

    @classmethod
    def of(cls, digit: str | None, digits: str | None, count: int | None, raw: bool) -> "Options":
        """Of the command's options.

        Raises:
            UserError: they contradict one another, or ``digits`` cannot be drawn.
        """
        if digit is not None and digits is not None:
            raise UserError("give either --digit or --digits, not both")
        if digits is None:
            if digit is None and count is None:
                raise UserError("give either --digit or --digits; for images without classes, --count")
            return cls({digit: COUNT if count is None else count}, None, raw)
        if count is not None:
            raise UserError(f"--count: found {count} with --digits, which draws each digit once; allowed: with --digit")
        unknown = [character for character in digits if character not in GLYPHS and character not in "0123456789"]
        if unknown or all(character in GLYPHS for character in digits):
            found = f"'{unknown[0]}' in '{digits}'" if unknown else f"'{digits}'"
            glyphs = " ".join(GLYPHS).strip()
            raise UserError(f"--digits: found {found}; allowed: digits, and between them {glyphs} and spaces")
        return cls(dict(Counter(character for character in digits if character not in GLYPHS)), digits, raw)

    @property
    def label(self) -> str:
        """For a file name: the class, or the line, with _ in place of characters that file names avoid."""
        return _file_name(self.text if self.text is not None else next(iter(self.wanted)) or "images")

    @property
    def asked(self) -> dict[str, int | str]:
        """By the names of the options."""
        if self.text is not None:
            return {"digits": self.text}
        ((digit, count),) = self.wanted.items()
        if digit is None:
            return {"count": count}
        return {"digit": int(digit) if digit.isdecimal() else digit, "count": count}


def generate(context: Context, options: Options, out: Path) -> str:
    """Draws the digits that the options name into the folder ``out``, whole or not at all.

    Returns:
        What was done, in a line for each digit.

    Raises:
        UserError: an option, a file or the folder is not as it should be, or too few digits are found within the tries.
    """
    option = "--digit" if options.text is None else "--digits"
    labels = {named: context.label(option, named) for named in options.wanted}
    _check_free(out)

    counts: dict[str, dict[str, int]] = {}
    drawn: dict[str | None, Candidates] = {}
    for named, count in sorted(options.wanted.items(), key=lambda item: labels[item[0]] or 0):
        selection = context.selection(labels[named])
        drawn[named] = selection.raw(count) if options.raw else selection.best(count)
        counts[named or "images"] = vars(selection.rejection.counts)
    images = list(_in_order(options, drawn))
    index = {
        **context.provenance,
        "asked": options.asked,
        "selection": {"raw": options.raw, "tries": context.tries} | _rules(options),
        "candidates": counts,
        "images": [{"file": name} | _scores(context, labels[named], one) for name, named, one in images],
    }
    _save_folder(out, options.text, {name: one.images[0] for name, _, one in images}, index)
    lines = [_summary(named, found, counts[named or "images"]["tried"]) for named, found in drawn.items()]
    return "\n".join([*lines, f"{out}: images, their grid and {INDEX}"])


def interpolate(context: Context, first: str | None, second: str | None, steps: int, rows: int, out: Path) -> str:
    """Draws ``rows`` interpolations from a class to another in ``steps`` images each, between the best candidates of
    either; of images without classes, for which None is named, between the best candidates.

    Returns:
        What was done.

    Raises:
        UserError: an option or a file is not as it should be, or no good candidates are found.
    """
    _check_kind(out)
    start, end = context.label("--from", first), context.label("--to", second)

    import torch

    from genbalance.sampling.interpolation import interpolation

    found = context.selection(start).best(2 * rows if start == end else rows)
    starts = found.rows(slice(rows))
    ends = found.rows(slice(rows, None)) if start == end else context.selection(end).best(rows)
    points, conditions = torch.stack([starts.z, ends.z], dim=1), None
    if starts.condition is not None and ends.condition is not None:
        conditions = torch.stack([starts.condition, ends.condition], dim=1)
    drawn = [
        interpolation(context.sampler, points[row], None if conditions is None else conditions[row], steps)
        for row in range(rows)
    ]
    _save_sequences(out, np.stack(drawn), [] if start is None else [f"{first} to {second}"] * rows)
    path = f"{'between samples' if start is None else f'from {first} to {second}'} in {steps} steps"
    return f"{out}: {path}, drawn by the {context.model} with the seed {context.root}"


def traverse(context: Context, digit: str | None, latents: list[int], span: float, steps: int, out: Path) -> str:
    """Draws the best candidate for a class with one latent after another taken from -``span`` to ``span``.

    Args:
        context: of the command.
        digit: the class whose image is changed; None for images without classes.
        latents: a row each; none: those eight that change the image most.
        span: in standard deviations.
        steps: images a row.
        out: a PNG or GIF.

    Returns:
        What was done, with the latents in the order of the rows.

    Raises:
        UserError: an option or a file is not as it should be, or no good candidate is found.
    """
    _check_kind(out)
    label = context.label("--digit", digit)

    import torch

    from genbalance.sampling.interpolation import traversals

    sampler = context.sampler
    for latent in latents:
        if not 0 <= latent < sampler.latent_dim:
            raise UserError(f"--latent: found {latent}; allowed: 0 … {sampler.latent_dim - 1}")
    best = context.selection(label).best(1)
    values = torch.linspace(-span, span, steps, device=best.z.device)

    drawn = traversals(sampler, best.z[0], best.condition, values, latents or range(sampler.latent_dim))
    shown = latents or [*drawn][:ROWS]
    labels = [f"latent {latent}\n{-span:g} to {span:g} SD" for latent in shown]
    _save_sequences(out, np.stack([drawn[latent] for latent in shown]), labels)
    rows = ", ".join(map(str, shown))
    what = "a sample" if digit is None else f"a {digit}" if digit.isdecimal() else digit
    return f"{out}: {what} of the {context.model} with the seed {context.root}; a row each, the latents {rows}"


def _check_free(out: Path) -> None:
    """Whether `_save_folder` may put its folder there: it replaces nothing but what this command wrote.

    Raises:
        UserError: something else is there.
    """
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
        own = {out / INDEX, out / IMAGES, out / GRID, out / LINE}
        own |= {out / IMAGES / image["file"] for image in read_json(out / INDEX)["images"]}
        others = sorted(path for path in out.rglob("*") if path not in own)
    except (OSError, JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise UserError(f"{out}: exists and was not created by genbalance; choose an empty folder") from None
    if others:
        raise UserError(f"{others[0]}: was not created by genbalance and is not removed; choose another --out")


def _save_folder(
    out: Path, text: str | None, images: Mapping[str, NDArray[np.uint8]], index: Mapping[str, Any]
) -> None:
    """Writes ``images/`` with a PNG each, the line of ``text`` or a grid of them, and the index, in the place of what
    was there.

    Args:
        out: the folder.
        text: the line that the images stand in; None: they are shown as a grid.
        images: [H, W(, 3)] by the name of the file.
        index: where they come from and their scores.

    Raises:
        UserError: it cannot be written.
    """
    every = list(images.values())
    with _write_errors(out), whole_folder(out.resolve()) as folder:
        (folder / IMAGES).mkdir()
        for name, image in images.items():
            save_png(folder / IMAGES / name, image)
        if text is None:
            save_png(folder / GRID, grid(np.stack(every), int(np.ceil(np.sqrt(len(every))))))
        else:
            save_png(folder / LINE, line(text, every))
        write_json(folder / INDEX, index)


def _file_name(text: str) -> str:
    """With _ in place of characters that file names avoid."""
    return re.sub(r"[^\w.+()-]", "_", text)


def _in_order(
    options: Options, drawn: "dict[str | None, Candidates]"
) -> "Iterator[tuple[str, str | None, Candidates]]":
    """Each image by the name of its file, with its class: best first, or in the order of the line."""
    text = options.text
    wanted = [c for c in text if c not in GLYPHS] if text else [d for d, n in options.wanted.items() for _ in range(n)]
    rows = {digit: iter(range(len(found))) for digit, found in drawn.items()}
    width = max(3, len(str(len(wanted))))
    for place, digit in enumerate(wanted, 1):
        row = next(rows[digit])
        of_class = "" if digit is None else f"_{_file_name(digit)}"
        yield f"{place:0{width}}{of_class}.png", digit, drawn[digit].rows(slice(row, row + 1))


def _rules(options: Options) -> dict[str, Any]:
    from genbalance.sampling.rejection import CONFIDENCE
    from genbalance.sampling.selection import LEAST, NEAR, POOL, SHORTLIST, K

    if options.raw:
        return {}
    return {
        "confidence": CONFIDENCE,
        "near": NEAR,
        "neighbours": K,
        "pool": POOL,
        "least": LEAST,
        "shortlist": SHORTLIST,
    }


def _scores(context: Context, label: int | None, one: "Candidates") -> dict[str, Any]:
    """Of a single image; without classes, those that need none."""
    names = {"candidate": "number", "read": "read", "score": "score", "confidence": "confidence"}
    names |= {"typicality": "typicality", "nearest_training_digit": "nearest", "copying": "copying"}
    scores = {name: getattr(one, field)[0] for name, field in names.items()}
    if label is None:
        return rounded({name: value for name, value in scores.items() if name not in ("read", "confidence")})
    return rounded({"digit": context.named(label)} | scores | {"read": context.named(int(scores["read"]))})


def _summary(named: str | None, found: "Candidates", tried: int) -> str:
    spans = {"confidence": found.confidence} if named is not None else {}
    spans |= {"typicality": found.typicality}
    scores = ", ".join(f"{name} {values.min():.3f} … {values.max():.3f}" for name, values in spans.items())
    return f"{'images' if named is None else named}: {len(found)} of {tried:,} candidates, {scores}"


def _check_kind(out: Path) -> None:
    if out.suffix.lower() not in SEQUENCES:
        raise UserError(f"--out: found '{out.name}'; allowed: a file name that ends in {' or '.join(SEQUENCES)}")


def _save_sequences(out: Path, sequences: NDArray[np.uint8], labels: list[str]) -> None:
    from genbalance.sampling.interpolation import save_sequences

    with _write_errors(out):
        save_sequences(out, sequences, labels)


@contextmanager
def _write_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
