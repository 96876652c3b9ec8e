"""Broken data files: each is refused in a line that names it, with exit code 1, and nothing is written."""

import gzip
import importlib.util
import io
import os
import pickle
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from committed import PARAMS
from numpy.lib import format as npy
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.data import image_files, prepared, reading
from genbalance.runtime import stage

ROOT = Path(__file__).parents[2]
IMAGES, LABELS, TEST_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"
SIDE = 8
PETABYTES = 2**50
SMALL = 2**20  # what may be unpacked here: a test need not fill the memory to see that nobody else can

Spoil = Callable[[Path], object]


# ── IDX files: what lies in the folder of data.path, and what prepare says ───────────────────────────────────────


def cut(length: int) -> Spoil:
    return lambda file: file.write_bytes(file.read_bytes()[:length])


def replaced(start: int, new: bytes) -> Spoil:
    """Other bytes from ``start`` on."""

    def spoil(file: Path) -> None:
        old = file.read_bytes()
        file.write_bytes(old[:start] + new + old[start + len(new) :])

    return spoil


def encoded(values: np.ndarray[Any, Any]) -> Spoil:
    """Another array of uint8 or int8 in its place."""
    code = {"uint8": 8, "int8": 9}[values.dtype.name]
    header = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    return lambda file: file.write_bytes(header + values.tobytes())


def packed(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda file: file.write_bytes(change(gzip.compress(file.read_bytes(), mtime=0)))


def instead(make: Spoil) -> Spoil:
    """Something else under the file's name."""

    def spoil(file: Path) -> None:
        file.unlink()
        make(file)

    return spoil


IDX_CASES: dict[str, tuple[str, Spoil]] = {
    "cut in the magic number": (IMAGES, cut(3)),
    "cut in the header": (IMAGES, cut(9)),
    "cut behind the header": (IMAGES, cut(16)),
    "cut in a picture": (IMAGES, cut(1000)),
    "cut by a byte": (IMAGES, cut(-1)),
    "labels cut": (LABELS, cut(-5)),
    "empty": (IMAGES, cut(0)),
    "a web page": (IMAGES, lambda file: file.write_bytes(b"<!DOCTYPE html><title>404</title>")),
    "no such type": (IMAGES, replaced(2, b"\x07")),
    "floats": (IMAGES, replaced(2, b"\x0d")),
    "two dimensions": (IMAGES, replaced(3, b"\x02")),
    "255 dimensions": (IMAGES, replaced(3, b"\xff")),
    "a picture more than there is": (IMAGES, replaced(4, struct.pack(">I", 121))),
    "petabytes": (IMAGES, replaced(4, b"\xff" * 12)),
    "trailing bytes": (IMAGES, lambda file: file.write_bytes(file.read_bytes() + b"more")),
    "fewer labels than images": (LABELS, encoded(np.resize(np.uint8([0, 1, 2]), 119))),
    "no labels": (LABELS, encoded(np.zeros(0, np.uint8))),
    "a negative label": (LABELS, encoded(np.resize(np.int8([0, 1, -1]), 120))),
    "a class without an image": (LABELS, encoded(np.resize(np.uint8([0, 1, 3]), 120))),
    "a test label beyond the classes": (TEST_LABELS, encoded(np.resize(np.uint8([0, 1, 9]), 30))),
    "images for labels": (LABELS, encoded(np.zeros((120, SIDE, SIDE), np.uint8))),
    "zeros and ones": (IMAGES, encoded(np.resize(np.uint8([0, 1, 1]), (120, SIDE, SIDE)))),
    "narrow": (IMAGES, encoded(np.ones((120, SIDE, 3), np.uint8))),
    "one pixel": (IMAGES, encoded(np.ones((120, 1, 1), np.uint8))),
    "no pixels": (IMAGES, encoded(np.ones((120, 0, 0), np.uint8))),
    "gzip cut": (IMAGES, packed(lambda whole: whole[:-20])),
    "gzip damaged": (
        IMAGES,
        packed(lambda whole: whole[:30] + bytes(byte ^ 0xFF for byte in whole[30:60]) + whole[60:]),
    ),
    "gzip with another checksum": (IMAGES, packed(lambda whole: whole[:-8] + bytes(8))),
    "gzip of more than may be": (IMAGES, lambda file: file.write_bytes(gzip.compress(bytes(8 * SMALL)))),
    "a file of more than may be": (IMAGES, lambda file: os.truncate(file, PETABYTES // 2**14)),
    "a folder": (IMAGES, instead(lambda file: file.mkdir())),
    "not there": (IMAGES, instead(lambda file: None)),
    "a pipe": (IMAGES, instead(os.mkfifo)),
    "a link to itself": (IMAGES, instead(lambda file: file.symlink_to(file.name))),
    "a link to nowhere": (IMAGES, instead(lambda file: file.symlink_to("nowhere"))),
    "not to be read": (IMAGES, lambda file: file.chmod(0)),
}
UNREADABLE_BY_ROOT_TOO = [case for case in IDX_CASES if case != "not to be read"]


class Silent:
    """Stands for the tracked run, which nothing may reach."""


@contextmanager
def untracked(name: str, params: Any, resumable: Any) -> Iterator[Silent]:
    yield Silent()


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else str(path.lstat().st_mode)
        for path in folder.rglob("*")
        if ".checkpoints" not in path.parts  # the stage's lock
    }


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty repository, with little memory; signals are afterwards what they were."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("DVC_ROOT", str(place))
    monkeypatch.setattr(reading, "MAX_BYTES", SMALL)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield place
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_broken_idx_files_are_each_refused_in_a_line_that_names_one(
    workplace: Path,
    tmp_path: Path,
    make_contents: Callable[..., dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tell: Callable[[str], None],
) -> None:
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "stages" / "prepare.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(stage, "tracked", untracked)
    whole = make_contents(side=SIDE)
    text = PARAMS.read_text(encoding="utf-8").replace("source: bundled", "source: idx")
    cases = UNREADABLE_BY_ROOT_TOO if os.geteuid() == 0 else list(IDX_CASES)
    for number, case in enumerate(cases):
        name, spoil = IDX_CASES[case]
        folder = tmp_path / str(number)
        folder.mkdir()
        for file, content in whole.items():
            (folder / file).write_bytes(content)
        spoil(folder / name)
        Path("params.yaml").write_text(text.replace("path: data/idx", f"path: {folder}"), encoding="utf-8")
        before = contents(workplace)
        with pytest.raises(SystemExit) as end:
            stage.execute("prepare", program.main)
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (1, ""), case
        assert err.count("\n") == 1, (case, err)
        assert err.startswith("prepare: "), (case, err)
        assert name in err, (case, err)
        assert contents(workplace) == before, case
    tell(f"{len(cases)} broken IDX files: {len(cases)} refused in a line each, nothing written")


# ── samples: what `genbalance evaluate` says ─────────────────────────────────────────────────────────────────────

GOOD = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE), dtype=np.uint8)


def npy_bytes(header: str | None = None, array: Any = GOOD, **options: Any) -> bytes:
    stream = io.BytesIO()
    npy.write_array(stream, array, **options)
    if header is None:
        return stream.getvalue()
    padded = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + array.tobytes()


def shaped(*shape: int) -> bytes:
    """A NumPy file of a few bytes whose header claims more."""
    return npy_bytes(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


def archive(content: bytes, name: str = "images.npy", packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as file:
        file.writestr(name, content)
    return stream.getvalue()


def safetensors(array: np.ndarray[Any, Any], folder: Path) -> bytes:
    save_file({"images": array}, folder / "whole")
    content = (folder / "whole").read_bytes()
    (folder / "whole").unlink()
    return content


def png(array: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def png_of_size(side: int) -> bytes:
    """A PNG file of a few bytes whose header claims side × side pixels."""
    whole = png(GOOD[0])
    header = b"IHDR" + struct.pack(">2I", side, side) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


OBJECTS = np.array([[[None]]], object)
SAMPLE_CASES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "objects": ("x.npy", lambda _: npy_bytes(array=OBJECTS)),
    "objects in an archive": ("x.npz", lambda _: archive(npy_bytes(array=OBJECTS))),
    "a pickle": ("x.npy", lambda _: pickle.dumps(GOOD)),
    "a pickle in an archive": ("x.npz", lambda _: archive(pickle.dumps(GOOD))),
    "a pickle as safetensors": ("x.safetensors", lambda _: pickle.dumps(GOOD)),
    "NumPy cut in the header": ("x.npy", lambda _: npy_bytes()[:50]),
    "NumPy cut in a picture": ("x.npy", lambda _: npy_bytes()[:-10]),
    "NumPy of petabytes": ("x.npy", lambda _: shaped(PETABYTES, SIDE, SIDE)),
    "NumPy of more than a number holds": ("x.npy", lambda _: shaped(2**40, 2**40, 2**40)),
    "NumPy of less than nothing": ("x.npy", lambda _: shaped(-1, SIDE, SIDE)),
    "NumPy with an open bracket": ("x.npy", lambda _: npy_bytes("{'descr': '|u1', 'shape': ((((7, 8, 8), }")),
    "NumPy with an open text": ("x.npy", lambda _: npy_bytes("{'descr': '''|u1, 'shape': (7, 8, 8), }")),
    "NumPy of an odd type": (
        "x.npy",
        lambda _: npy_bytes("{'descr': ',|u1', 'fortran_order': False, 'shape': (7, 8, 8)}"),
    ),
    "NumPy with code": ("x.npy", lambda _: npy_bytes("{'descr': __import__('os').abort(), 'shape': (7, 8, 8)}")),
    "an archive cut": ("x.npz", lambda _: archive(npy_bytes())[:-30]),
    "an archive damaged": ("x.npz", lambda _: archive(npy_bytes()).replace(GOOD.tobytes()[:8], b"\xff" * 8)[:90]),
    "an archive of petabytes": ("x.npz", lambda _: archive(shaped(PETABYTES, SIDE, SIDE))),
    "an archive that unpacks to more than may be": (
        "x.npz",
        lambda _: archive(npy_bytes(array=np.zeros((2**15, 8, 8), "u1"))),
    ),
    "an archive in bzip2": ("x.npz", lambda _: archive(npy_bytes(), packing=zipfile.ZIP_BZIP2)),
    "NumPy of a header of gigabytes": ("x.npy", lambda _: b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99)),
    "zeros and ones": ("x.npy", lambda _: npy_bytes(array=GOOD % 2)),
    "an archive of text": ("x.npz", lambda _: archive(b"hello", "readme.txt")),
    "an archive of nothing": ("x.npz", lambda _: b"PK\x05\x06" + bytes(18)),
    "safetensors cut": ("x.safetensors", lambda folder: safetensors(GOOD, folder)[:-10]),
    "safetensors of petabytes": (
        "x.safetensors",
        lambda folder: struct.pack("<Q", PETABYTES) + safetensors(GOOD, folder)[8:],
    ),
    "NaN": ("x.npy", lambda _: npy_bytes(array=np.full((7, SIDE, SIDE), np.nan))),
    "another size": ("x.npy", lambda _: npy_bytes(array=np.zeros((7, SIDE + 1, SIDE + 1), "u1"))),
    "colours": ("x.npy", lambda _: npy_bytes(array=np.stack([GOOD, GOOD, 255 - GOOD], axis=3))),
    "no image": ("x.npy", lambda _: npy_bytes(array=np.zeros((0, SIDE, SIDE), "u1"))),
    "empty": ("x.npy", lambda _: b""),
    "PNG cut": ("p/x.png", lambda _: png(GOOD[0])[:-30]),
    "PNG of nothing": ("p/x.png", lambda _: b""),
    "PNG of a thousand million pixels": ("p/x.png", lambda _: png_of_size(40_000)),
    "PNG of a hundred million pixels": ("p/x.png", lambda _: png_of_size(10_000)),
    "a JPEG under another name": ("p/x.png", lambda _: png(GOOD[0], "JPEG")),
}
ODD_PLACES: dict[str, Spoil] = {
    "a pipe": os.mkfifo,
    "a link to itself": lambda file: file.symlink_to(file.name),
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "an empty folder": lambda file: file.mkdir(),
    "not there": lambda file: None,
}


def test_broken_samples_are_each_refused_in_a_line_that_names_the_file(
    workplace: Path, tmp_path: Path, make_split: Callable[..., prepared.Split], tell: Callable[[str], None]
) -> None:
    digits = [make_split(n, SIDE, 3, seed) for seed, n in enumerate((120, 30, 30))]
    prepared.save(prepared.Prepared(*digits, "idx", "own IDX files", 3, 0.5, 0.3), Path("data/prepared"))
    Path("params.yaml").write_bytes(PARAMS.read_bytes())
    cases: dict[str, tuple[str, Spoil]] = {
        case: (name, lambda file, make=make: file.write_bytes(make(tmp_path)))
        for case, (name, make) in SAMPLE_CASES.items()
    }
    cases |= {f"{case} for a file": ("x.npy", spoil) for case, spoil in ODD_PLACES.items()}
    before = contents(workplace)
    for number, (case, (name, spoil)) in enumerate(cases.items()):
        file = tmp_path / str(number) / name
        file.parent.mkdir(parents=True)
        spoil(file)
        asked = file.parent if name.startswith("p/") else file
        result = CliRunner().invoke(app, ["evaluate", str(asked), "--json", "out.json", "--copies", "out.png"])
        assert type(result.exception) is SystemExit, (case, result.exception)
        assert result.exit_code == 1, case
        assert result.output.count("\n") == 1, (case, result.output)
        assert len(result.output) < 500, (case, result.output)
        assert result.output.startswith(str(file)), (case, result.output)
        assert contents(workplace) == before, case
    tell(f"{len(cases)} broken files of samples: {len(cases)} refused in a line each, nothing written")


def test_the_same_samples_unbroken_are_read(tmp_path: Path) -> None:
    """What was refused above was refused for its fault."""
    (tmp_path / "p").mkdir()
    whole = {"x.npy": npy_bytes(), "x.npz": archive(npy_bytes()), "x.safetensors": safetensors(GOOD, tmp_path)}
    whole |= {f"p/{number}.png": png(image) for number, image in enumerate(GOOD)}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    for name in ("x.npy", "x.npz", "x.safetensors", "p"):
        np.testing.assert_array_equal(image_files.read_images(tmp_path / name).images, GOOD)
