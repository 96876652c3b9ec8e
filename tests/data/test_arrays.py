"""Many images lie in a mapped file: memory does not grow with them."""

import shutil
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from genbalance.data import arrays, class_folders
from genbalance.data.images import conform
from genbalance.data.sources import read_source
from genbalance.data.split import split
from genbalance.runtime.errors import UserError

SIDE = 32
BUDGET = 2**17


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(arrays, "BUDGET", BUDGET)
    monkeypatch.setattr(arrays, "BLOCK", BUDGET // 4)
    monkeypatch.setattr(arrays.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def is_mapped(array):
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_only_what_is_beyond_the_budget_is_mapped(small, tmp_path):
    assert not is_mapped(arrays.empty((BUDGET,)))
    many = arrays.empty((BUDGET + 1,))
    assert is_mapped(many)
    many[:] = 7
    assert (many == 7).all()
    assert list(tmp_path.iterdir()) == []  # the file has no name, and ends with the array


def test_a_disk_without_room_is_told_before_anything_is_written(small, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: namedtuple("Usage", "free")(BUDGET))
    with pytest.raises(UserError, match=r"found 0\.0 GiB free, but the images need .*set TMPDIR") as error:
        arrays.empty((2 * BUDGET,))
    assert str(error.value).startswith(str(tmp_path))


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_rows_are_taken_in_their_order(small, n):
    images = np.random.default_rng(0).integers(0, 256, (n, 16, 16), dtype=np.uint8)
    rows = np.random.default_rng(1).permutation(n)
    np.testing.assert_array_equal(arrays.take(images, rows), images[rows])


def test_blocks_are_all_rows_once(small):
    for images in (np.zeros((1000, 99), np.uint8), np.zeros((3, BUDGET), np.uint8), np.zeros((0, 4), np.uint8)):
        rows = np.arange(len(images))
        np.testing.assert_array_equal(np.concatenate([rows[:0], *(rows[b] for b in arrays.blocks(images))]), rows)


def taken(do):
    """The peak of memory that Python and NumPy take: mapped files do not count."""
    tracemalloc.start()
    try:
        result = do()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.fixture
def folder(tmp_path):
    """A function that makes a folder of n pictures in two classes, most of them links to a few files."""

    def make(n):
        root = tmp_path / f"made{n}"
        for label in ("a", "b"):
            (root / label).mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(n):
            file = root / "ab"[number % 2] / f"{number}.png"
            if number < 20:
                colours = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(colours if number else colours[..., 0]).save(file)
            else:
                file.symlink_to(root / "ab"[number % 2] / f"{number % 20}.png")
        return root

    return make


def test_memory_does_not_grow_with_the_images_of_a_folder(small, folder, make_data):
    """Reading and splitting take for each further image less than a quarter of its bytes: for its name."""

    def prepare(n):
        data = make_data(source="folder", path=str(folder(n)))
        source = read_source(data, None)
        return source, split(source.train, source.test, source.classes, data, seed=1)

    prepare(50)  # loads what is loaded once
    few, many = 200, 800
    peaks = {}
    for n in (few, many):
        peaks[n], (source, parts) = taken(lambda n=n: prepare(n))
        assert source.train.images.shape == (n, SIDE, SIDE, 3)
        assert is_mapped(source.train.images)
        assert is_mapped(parts[0].images)
    assert peaks[many] - peaks[few] < (many - few) * 3 * SIDE**2 / 4


def test_mapped_images_are_those_in_memory(folder, monkeypatch, small):
    path = str(folder(200))
    mapped = class_folders.read(path, [24, 16], "auto")
    monkeypatch.setattr(arrays, "BUDGET", 2**30)
    plain = class_folders.read(path, [24, 16], "auto")
    assert (is_mapped(mapped.train.images), is_mapped(plain.train.images)) == (True, False)
    np.testing.assert_array_equal(mapped.train.images, plain.train.images)
    np.testing.assert_array_equal(mapped.train.labels, plain.train.labels)


@pytest.mark.parametrize(("size", "channels"), [(16, "auto"), (None, 1), (16, 1), ([24, 40], 3)])
def test_what_is_converted_is_mapped_too(small, size, channels):
    images = np.random.default_rng(0).integers(0, 256, (1200, SIDE, SIDE, 3), dtype=np.uint8)
    peak, (found,) = taken(lambda: conform([images], size, channels))
    assert is_mapped(found)
    assert peak < 20 * BUDGET < images.size
