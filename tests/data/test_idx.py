"""The IDX format."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from genbalance.data import idx, reading
from genbalance.runtime.errors import UserError

FILE = Path("some-file")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_what_was_written_is_what_is_read(to_idx, dtype):
    values = np.array([[1, -2, 3], [100, 5, 127]]).astype(dtype)
    parsed = idx.parse(to_idx(values), FILE, 2)
    assert parsed.dtype == values.dtype
    np.testing.assert_array_equal(parsed, values)


def test_gzip_is_known_by_content_and_not_by_name(tmp_path):
    (tmp_path / "plain.gz").write_bytes(b"\0\0\x08\x01")
    (tmp_path / "packed").write_bytes(gzip.compress(b"\0\0\x08\x01"))
    found = [idx.content(tmp_path / name) for name in ("plain.gz", "packed")]
    assert found == [idx.Content(b"\0\0\x08\x01")] * 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda good: b"", r"\(none\).*starts with 00 00 08 03"),
        (lambda good: b"<!DOCTYPE html>", "3c 21 44 4f.*starts with 00 00 08 03"),
        (lambda good: good[:2] + b"\x07" + good[3:], "00 00 07 03.*starts with 00 00 08 03"),
        (lambda good: good[:2] + b"\x0d" + good[3:], "truncated: found 208 bytes.*needs 784"),
        (lambda good: good[:3] + b"\x01" + good[4:], "found 1 dimensions.*3 are needed"),
        (lambda good: good[:9], "truncated: found 9 bytes.*header of 16"),
        (lambda good: good[:-1], r"truncated: found 207 bytes.*3 × 8 × 8 values needs 208"),
        (lambda good: good + b"\0", r"too long: found more bytes.*needs 208"),
        (lambda good: good[:4] + b"\xff" * 12 + good[16:], "truncated"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(to_idx, spoil, reason):
    good = to_idx(np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(UserError, match=f"^some-file: .*{reason}") as error:
        idx.parse(spoil(good), FILE, 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda packed: packed[:-20], "too early"),
        (lambda packed: packed[:90] + bytes(byte ^ 0xFF for byte in packed[90:99]) + packed[99:], "corrupt"),
        (lambda packed: packed[:-8] + bytes(8), "corrupt"),
        (lambda packed: packed[:-8] + bytes(8) + b"rest", "corrupt"),
    ],
)
def test_a_bad_gzip_file_is_refused_in_one_line(tmp_path, to_idx, spoil, reason):
    path = tmp_path / "images.gz"
    path.write_bytes(spoil(gzip.compress(to_idx(np.random.default_rng(0).integers(0, 256, (9, 9, 9), dtype="u1")))))
    with pytest.raises(UserError, match=f"images.gz: .*{reason}.*copy it again$") as error:
        idx.content(path)
    assert "\n" not in str(error.value)


def test_an_unreadable_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"gone: cannot be read: No such file"):
        idx.content(tmp_path / "gone")


@pytest.mark.parametrize(("behind", "notes"), [(b"", 0), (bytes(512), 0), (b"rest", 1), (bytes(9) + b"rest", 1)])
def test_bytes_behind_a_gzip_stream_are_ignored_with_a_note_and_padding_without(tmp_path, to_idx, behind, notes):
    path, whole = tmp_path / "images.gz", to_idx(np.ones((3, 8, 8), np.uint8))
    path.write_bytes(gzip.compress(whole) + behind)
    found = idx.content(path)
    assert found.unpacked == whole
    assert len(found.notes) == notes
    assert all(note == f"{path}: found bytes behind the gzip stream; they are ignored" for note in found.notes)


def test_a_file_in_several_gzip_members_is_one(tmp_path, to_idx):
    whole = to_idx(np.ones((3, 8, 8), np.uint8))
    (tmp_path / "images.gz").write_bytes(gzip.compress(whole[:50]) + gzip.compress(whole[50:]))
    assert idx.content(tmp_path / "images.gz") == idx.Content(whole)


def most_memory(path):
    """The largest number of bytes held while the file is read."""
    tracemalloc.start()
    try:
        idx.content(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("head", [b"\0\0\x08\x03" + struct.pack(">3I", 2, 8, 8), b"<html>"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_no_more_is_unpacked_than_the_header_says(tmp_path, head, pack):
    (tmp_path / "bomb").write_bytes(pack(head + bytes(2**25)))
    assert len(idx.content(tmp_path / "bomb").unpacked) == (4 if head == b"<html>" else len(head) + 2 * 8 * 8 + 1)
    assert most_memory(tmp_path / "bomb") < 2**22


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_memory_grows_with_what_is_there_and_not_with_what_a_header_claims(tmp_path, pack):
    (tmp_path / "claims").write_bytes(pack(b"\0\0\x08\x03" + struct.pack(">3I", 2**30, 1, 1) + b"few"))
    assert most_memory(tmp_path / "claims") < 2**22


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
@pytest.mark.parametrize(("dims", "dtype"), [((2**20 + 1, 1, 1), 8), ((2**17 + 1, 1, 1), 14), ((2**32 - 1,) * 255, 8)])
def test_a_header_beyond_the_budget_is_refused_before_any_value_is_read(tmp_path, monkeypatch, pack, dims, dtype):
    monkeypatch.setattr(reading, "MAX_BYTES", 2**20)
    path = tmp_path / "large"
    path.write_bytes(pack(struct.pack(f">HBB{len(dims)}I", 0, dtype, len(dims), *dims)))
    with pytest.raises(UserError, match=r"large: found more than 1,048,576 bytes.*the budget$"):
        idx.content(path)
