"""Digits of the user's own, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from genbalance.data.sources import read_source
from genbalance.errors import UserError

RAW = Path("never-touched")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("side", "classes"), [(8, 2), (17, 5), (32, 26)])
def test_any_square_size_and_number_of_classes_is_read(idx_folder, make_data, zipped, side, classes):
    n = classes * (classes + 1) // 2
    folder = idx_folder(zipped=zipped, side=side, classes=classes, n_train=2 * n, n_test=n)
    source = read_source(make_data(path=str(folder)), RAW)
    assert source.classes == classes
    assert source.train.images.shape == (2 * n, side, side)
    assert source.test.images.shape == (n, side, side)
    assert source.train.images.dtype == np.uint8
    assert source.train.labels.dtype == np.int64


def test_packing_and_spelling_change_nothing(idx_folder, make_data):
    folder = idx_folder(zipped=True)
    packed = read_source(make_data(path=str(folder)), RAW)
    for path in folder.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    dotted = read_source(make_data(path=str(folder)), RAW)
    np.testing.assert_array_equal(packed.train.images, dotted.train.images)
    assert sorted(packed.files.values()) == sorted(dotted.files.values())
    assert all(not name.endswith(".gz") for name in packed.files)


def test_a_relative_path_counts_from_the_working_directory(idx_folder, make_data, monkeypatch):
    monkeypatch.chdir(idx_folder().parent)
    assert len(read_source(make_data(path="idx"), RAW).train) == 120


def test_missing_files_are_all_listed(idx_folder, make_data):
    folder = idx_folder()
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(UserError, match="train-labels-idx1-ubyte, t10k-images-idx3-ubyte not there"):
        read_source(make_data(path=str(folder)), RAW)


def test_a_missing_folder_is_told(make_data, tmp_path):
    with pytest.raises(UserError, match=r"data\.path: found '.*nowhere', which is not a folder"):
        read_source(make_data(path=str(tmp_path / "nowhere")), RAW)


def u8(*shape):
    return np.ones(shape, np.uint8)


BAD = {
    "other counts": (
        {"train-labels-idx1-ubyte": np.resize(np.uint8([0, 1, 2]), 119)},
        "found 119 labels for the 120 images",
    ),
    "not square": ({"train-images-idx3-ubyte": u8(120, 8, 9)}, "found images of 8 × 9 pixels; allowed: square"),
    "too small": ({"train-images-idx3-ubyte": u8(120, 7, 7)}, "7 × 7 pixels; allowed: square ones of at least 8 × 8"),
    "another test size": ({"t10k-images-idx3-ubyte": u8(30, 9, 9)}, "9 × 9 pixels, the training images 8 × 8"),
    "pixels not uint8": ({"train-images-idx3-ubyte": np.ones((120, 8, 8), np.int16)}, "type int16; allowed: uint8"),
    "flat images": ({"train-images-idx3-ubyte": u8(120, 64)}, "found 2 dimensions.*3 are needed"),
    "test label beyond": (
        {"t10k-labels-idx1-ubyte": np.resize(np.uint8([0, 1, 2, 3]), 30)},
        r"t10k-labels.*found the label 3; allowed: 0 … 2",
    ),
    "negative label": (
        {"train-labels-idx1-ubyte": np.resize(np.int8([-1, 0, 1]), 120)},
        "found the label -1; allowed: 0, 1, 2",
    ),
    "class without image": (
        {"train-labels-idx1-ubyte": np.resize(np.uint8([0, 2]), 120)},
        "no image of class 1 though the labels go up to 2",
    ),
    "labels from one": (
        {"train-labels-idx1-ubyte": np.resize(np.uint8([1, 2, 3]), 120)},
        "no image of class 0 though",
    ),
    "one class": ({"train-labels-idx1-ubyte": np.zeros(120, np.uint8)}, "at least two classes"),
    "nothing": (
        {"train-images-idx3-ubyte": u8(0, 8, 8), "train-labels-idx1-ubyte": u8(0)},
        "found no labels",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_digits_are_told_in_one_line(idx_folder, to_idx, make_data, case):
    arrays, told = BAD[case]
    folder = idx_folder()
    for name, array in arrays.items():
        (folder / name).write_bytes(to_idx(array))
    with pytest.raises(UserError, match=told) as error:
        read_source(make_data(path=str(folder)), RAW)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
