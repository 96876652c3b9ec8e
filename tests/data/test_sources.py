"""Digits of the user's own, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from genbalance.data.sources import read_source
from genbalance.runtime.errors import UserError

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
    return np.full(shape, 200, np.uint8)


BAD = {
    "other counts": (
        {"train-labels-idx1-ubyte": np.resize(np.uint8([0, 1, 2]), 119)},
        "found 119 labels for the 120 images",
    ),
    "too large": (
        {"train-images-idx3-ubyte": u8(120, 129, 8)},
        "129 × 8 pixels with data.size = original; allowed: 8 … 128 a side; set data.size",
    ),
    "too small": ({"train-images-idx3-ubyte": u8(120, 7, 7)}, "7 × 7 pixels; allowed: at least 8 × 8"),
    "another test size": (
        {"t10k-images-idx3-ubyte": u8(30, 9, 9)},
        "8 × 8 grey pixels and 9 × 9 grey pixels; make",
    ),
    "pixels of 16 bits": (
        {"train-images-idx3-ubyte": np.full((120, 8, 8), 256, np.int16)},
        "whole numbers of 256 … 256; allowed: whole numbers of 0 … 255",
    ),
    "negative pixels": ({"train-images-idx3-ubyte": np.full((120, 8, 8), -1, np.int8)}, "whole numbers of -1 … -1"),
    "pixels 0 and 1": (
        {"train-images-idx3-ubyte": np.arange(120 * 64, dtype=np.uint8).reshape(120, 8, 8) % 2},
        r"train-images-idx3-ubyte: found whole numbers of 0 … 1; allowed: 0 … 255; if 1 is white, multiply by 255",
    ),
    "test pixels 0 and 1": (
        {"t10k-images-idx3-ubyte": np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8) % 2},
        r"t10k-images-idx3-ubyte: found whole numbers of 0 … 1",
    ),
    "pixels in [−1, 1]": (
        {"train-images-idx3-ubyte": np.linspace(-1, 1, 120 * 64, dtype=np.float32).reshape(120, 8, 8)},
        r"found floats of -1 … 1; allowed: floats in \[0, 1\]; if −1 is black",
    ),
    "NaN": ({"train-images-idx3-ubyte": np.full((120, 8, 8), np.nan, np.float32)}, "NaN"),
    "labels in fractions": (
        {"train-labels-idx1-ubyte": np.resize(np.float32([0, 1, 2]), 120)},
        "found labels of type float32; allowed: whole numbers",
    ),
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
    "nothing": (
        {"train-images-idx3-ubyte": u8(0, 8, 8), "train-labels-idx1-ubyte": u8(0)},
        "found no image",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_digits_are_told_in_one_line(idx_folder, to_idx, make_data, case):
    arrays, reason = BAD[case]
    folder = idx_folder()
    for name, array in arrays.items():
        (folder / name).write_bytes(to_idx(array))
    with pytest.raises(UserError, match=reason) as error:
        read_source(make_data(path=str(folder)), RAW)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def notes_of(folder, make_data):
    return read_source(make_data(path=str(folder)), RAW).notes


def strokes(n, side=8):
    """White on black."""
    images = np.zeros((n, side, side), np.uint8)
    images[:, 2:-2, 3:5] = 255
    return images


def put(folder, to_idx, **arrays):
    names = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
    for part, array in arrays.items():
        (folder / names[part]).write_bytes(to_idx(array))
    return folder


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("unit", [True, False])
def test_pixels_of_another_type_are_taken_where_their_range_says_what_they_are(
    idx_folder, to_idx, make_data, dtype, unit
):
    folder = idx_folder()
    plain = read_source(make_data(path=str(folder)), RAW)
    divided = 255 if unit and dtype.startswith("float") else 1
    put(folder, to_idx, train=(plain.train.images / divided).astype(dtype))
    read = read_source(make_data(path=str(folder)), RAW)
    np.testing.assert_array_equal(read.train.images, plain.train.images)
    assert read.train.images.dtype == np.uint8


def test_white_on_black_is_no_reason_to_warn(idx_folder, to_idx, make_data):
    assert notes_of(put(idx_folder(), to_idx, train=strokes(120), test=strokes(30)), make_data) == ()


@pytest.mark.parametrize(
    ("train", "test", "notes"),
    [
        (255 - strokes(120), 255 - strokes(30), ["training images: the images look inverted"]),
        (strokes(120), 255 - strokes(30), ["test images: the images look inverted"]),
        (strokes(120) // 15, strokes(30) // 15, ["training images: the images look dim", "test images: the images"]),
    ],
)
def test_training_and_test_images_that_look_wrong_are_warned_of(idx_folder, to_idx, make_data, train, test, notes):
    found = notes_of(put(idx_folder(), to_idx, train=train, test=test), make_data)
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))


def test_labels_from_one_are_taken_from_zero_and_said_once(idx_folder, to_idx, make_data):
    folder = idx_folder()
    plain = read_source(make_data(path=str(folder)), RAW)
    for part, name in (("train", "train-labels-idx1-ubyte"), ("test", "t10k-labels-idx1-ubyte")):
        (folder / name).write_bytes(to_idx((getattr(plain, part).labels + 1).astype(np.uint8)))
    read = read_source(make_data(path=str(folder)), RAW)
    np.testing.assert_array_equal(read.train.labels, plain.train.labels)
    np.testing.assert_array_equal(read.test.labels, plain.test.labels)
    assert read.classes == plain.classes
    (note,) = read.notes
    assert note.endswith("found labels from 1; they are taken from 0, so that 1 is class 0")


def renamed(folder, chosen="digits", ending=""):
    """The files of MNIST under the names of EMNIST."""
    for path in list(folder.iterdir()):
        name = path.name.replace("t10k", "test")
        packed = gzip.compress(path.read_bytes()) if ending else path.read_bytes()
        (folder / f"emnist-{chosen}-{name}{ending}").write_bytes(packed)
        path.unlink()
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("chosen", ["digits", "letters", "balanced"])
def test_the_files_of_emnist_are_known_and_turned_upright(idx_folder, make_data, chosen, ending):
    folder = idx_folder()
    plain = read_source(make_data(path=str(folder)), RAW)
    read = read_source(make_data(path=str(renamed(folder, chosen, ending))), RAW)
    np.testing.assert_array_equal(read.train.images, plain.train.images.transpose(0, 2, 1))
    np.testing.assert_array_equal(read.test.images, plain.test.images.transpose(0, 2, 1))
    np.testing.assert_array_equal(read.train.labels, plain.train.labels)
    assert sorted(read.files) == sorted(path.name.removesuffix(".gz") for path in folder.iterdir())
    assert len(read.notes) == 2
    assert all("column by column" in note for note in read.notes)


def test_a_missing_file_of_emnist_is_told_by_its_name(idx_folder, make_data):
    folder = renamed(idx_folder())
    (folder / "emnist-digits-test-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="emnist-digits-test-labels-idx1-ubyte not there"):
        read_source(make_data(path=str(folder)), RAW)


def test_the_files_of_several_data_sets_in_one_folder_are_refused(idx_folder, make_data):
    folder = renamed(idx_folder())
    (folder / "emnist-letters-train-images-idx3-ubyte.gz").write_bytes(b"x")
    (folder / "train-labels-idx1-ubyte").write_bytes(b"x")
    with pytest.raises(UserError, match="several data sets, train-…, emnist-digits-…, emnist-letters-…; leave"):
        read_source(make_data(path=str(folder)), RAW)


def test_a_tilde_is_the_home_directory(idx_folder, make_data, monkeypatch):
    monkeypatch.setenv("HOME", str(idx_folder().parent))
    assert len(read_source(make_data(path="~/idx"), RAW).train) == 120
    with pytest.raises(UserError, match=r"data\.path: found '~nobody-of-this-name/x', which is not a folder"):
        read_source(make_data(path="~nobody-of-this-name/x"), RAW)


def test_a_class_that_the_test_files_lack_is_said(idx_folder, to_idx, make_data):
    folder = idx_folder()
    (folder / "t10k-labels-idx1-ubyte").write_bytes(to_idx(np.resize(np.uint8([0, 2]), 30)))
    (note,) = notes_of(folder, make_data)
    assert note.endswith("found no test image of class 1; what is measured on test images leaves it out")


def test_bytes_behind_a_gzip_stream_are_said(idx_folder, make_data):
    folder = idx_folder(zipped=True)
    with (folder / "train-images-idx3-ubyte.gz").open("ab") as file:
        file.write(b"rest")
    (note,) = notes_of(folder, make_data)
    assert note.endswith("found bytes behind the gzip stream; they are ignored")
