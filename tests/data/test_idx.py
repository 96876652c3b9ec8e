"""The IDX format."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from genbalance.data import idx
from genbalance.errors import UserError

FILE = Path("some-file")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32"])
def test_what_was_written_is_what_is_read(to_idx, dtype):
    values = np.array([[1, -2, 3], [100, 5, 127]]).astype(dtype)
    parsed = idx.parse(to_idx(values), FILE, 2)
    assert parsed.dtype == values.dtype
    np.testing.assert_array_equal(parsed, values)


def test_gzip_is_known_by_content_and_not_by_name(tmp_path):
    (tmp_path / "plain.gz").write_bytes(b"\0\0\x08\x01")
    (tmp_path / "packed").write_bytes(gzip.compress(b"\0\0\x08\x01"))
    assert idx.content(tmp_path / "plain.gz") == idx.content(tmp_path / "packed") == b"\0\0\x08\x01"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda good: b"", r"\(none\).*starts with 00 00 08 03"),
        (lambda good: b"<!DOCTYPE html>", "3c 21 44 4f.*starts with 00 00 08 03"),
        (lambda good: good[:2] + b"\x07" + good[3:], "00 00 07 03.*starts with 00 00 08 03"),
        (lambda good: good[:2] + b"\x0d" + good[3:], "float32.*integers"),
        (lambda good: good[:3] + b"\x01" + good[4:], "found 1 dimensions.*3 are needed"),
        (lambda good: good[:9], "truncated: found 9 bytes.*header of 16"),
        (lambda good: good[:-1], r"truncated: found 207 bytes.*3 × 8 × 8 values needs 208"),
        (lambda good: good + b"\0", r"too long: found 209 bytes.*needs 208"),
        (lambda good: good[:4] + b"\xff" * 12 + good[16:], "truncated"),
    ],
)
def test_a_bad_file_is_told_in_one_line(to_idx, spoil, told):
    good = to_idx(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(UserError, match=f"^some-file: .*{told}") as error:
        idx.parse(spoil(good), FILE, 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda packed: packed[:-20], "too early"),
        (lambda packed: packed[:20] + bytes(byte ^ 0xFF for byte in packed[20:40]) + packed[40:], "corrupt"),
        (lambda packed: packed[:-8] + bytes(8), "corrupt"),
        (lambda packed: packed + b"rest", "corrupt"),
    ],
)
def test_a_bad_gzip_file_is_told_in_one_line(tmp_path, spoil, told):
    path = tmp_path / "images.gz"
    path.write_bytes(spoil(gzip.compress(np.random.default_rng(0).bytes(1000))))
    with pytest.raises(UserError, match=f"images.gz: .*{told}.*copy it again$") as error:
        idx.content(path)
    assert "\n" not in str(error.value)


def test_an_unreadable_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"gone: cannot be read: No such file"):
        idx.content(tmp_path / "gone")
