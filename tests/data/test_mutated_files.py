"""Files of every kind, changed at random: each is read, or refused in a line, in little memory."""

import gzip
import io
import random
import struct
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save

from genbalance.data import idx, image_files, reading
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.vae import Vae
from genbalance.runtime.errors import UserError

CHANGES = 600
MOST = 2**24  # bytes of memory that a file takes; the budget is a quarter of it
CPU = torch.device("cpu")
GOOD = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
JUDGE = {"shape": [1, 8, 8], "classes": 3, "width": 4}
VAE = {"arch": "mlp", "likelihood": "gaussian", "shape": [1, 8, 8], "latents": 3, "width": 16, "log_sigma_floor": -6.0}
PICTURES = {"png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WebP", "jpg": "JPEG"}
WORDS = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"-1", b"1000000000", b"9223372036854775808", b"null", b"[", b'"')


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def whole_files(folder: Path) -> dict[str, bytes]:
    """By their names, of which the part before the dot says who reads them."""
    weights.save(folder / "judge", JUDGE, Classifier(**JUDGE).state_dict())
    weights.save(folder / "vae", VAE, Vae(**VAE).state_dict())
    values = b"\0\0\x08\x03" + struct.pack(">3I", *GOOD.shape) + GOOD.tobytes()
    see_through = np.dstack([GOOD[0]] * 4)
    return {
        "samples.npy": written(lambda stream: np.save(stream, GOOD)),
        "samples.npz": written(lambda stream: np.savez_compressed(stream, x_train=GOOD, y_train=GOOD[:, 0, 0])),
        "samples.safetensors": save({"images": GOOD}),
        **{
            f"folder/x.{suffix}": written(lambda stream, kind=kind: Image.fromarray(GOOD[0]).save(stream, kind))
            for suffix, kind in PICTURES.items()
        },
        "folder/transparent.png": written(lambda stream: Image.fromarray(see_through).save(stream, "PNG")),
        "idx": values,
        "idx.gz": gzip.compress(values, mtime=0),
        "judge": (folder / "judge").read_bytes(),
        "vae": (folder / "vae").read_bytes(),
    }


def changed(content: bytes, chance: random.Random) -> bytes:
    """One change to eight, most of them near the start, where headers stand."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(1 + min(len(found), chance.choice((200, 200, 10**6))))
        length = chance.randrange(1, 9)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                found[at : at + length] = chance.choice(WORDS)
            case 2:
                del found[at : at + length]
            case 3:
                found[at:at] = found[at : at + length]
            case 4:
                del found[at + 20 :]
    return bytes(found)


def read(file: Path) -> None:
    match file.name.partition(".")[0], file.parent.name:
        case "idx", _:
            idx.parse(idx.content(file).unpacked, file, 3)
        case "judge", _:
            weights.load(file, Classifier, CPU)
        case "vae", _:
            weights.load(file, Vae, CPU)
        case _, "folder":
            image_files.read_images(file.parent)
        case _:
            image_files.read_images(file)


def test_a_file_changed_at_random_is_read_or_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", MOST // 4)
    (tmp_path / "folder").mkdir()
    whole = whole_files(tmp_path)
    chance, ends = random.Random(0), Counter[str]()
    for name, content in whole.items():  # so that no library is loaded below
        (tmp_path / name).write_bytes(content)
        read(tmp_path / name)
        (tmp_path / name).unlink()
    tracemalloc.start()
    try:
        for number in range(CHANGES):
            name = chance.choice(list(whole))
            file = tmp_path / name
            file.write_bytes(content := changed(whole[name], chance))
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read(file)
                ends["read"] += 1
            except UserError as error:
                message = str(error)
                assert message.startswith(str(file if file.parent == tmp_path else file.parent)), (
                    number,
                    name,
                    message,
                )
                assert message.isprintable(), (number, name, message)
                assert len(message) < 600, (number, name, message)
                ends["refused"] += 1
            except BaseException as error:
                raise AssertionError(f"{number}: {name}: {type(error).__name__}: {content[:300]!r}") from error
            finally:
                file.unlink()
            taken = tracemalloc.get_traced_memory()[1] - before
            assert taken < MOST, (number, name, taken)
    finally:
        tracemalloc.stop()
    assert min(ends["read"], ends["refused"]) > CHANGES / 20
    tell(f"{CHANGES:,} files changed at random: {ends['read']:,} read, {ends['refused']:,} refused in a line each")
