"""A data set as a file of arrays: names, layouts, labels; and what is refused."""

import tracemalloc

import numpy as np
import pytest

from genbalance.data import arrays, reading
from genbalance.data.sources import read_source
from genbalance.runtime.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 8, 10), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture
def source(make_data):
    return lambda path, **options: read_source(make_data(source="array", path=str(path), **options), None)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        np.savez_compressed(tmp_path / "own set.npz", **arrays)
        return tmp_path / "own set.npz"

    return write


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY),
        (GREY[..., None], GREY),
        (GREY[:, None], GREY),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, 3, 1), COLOUR),
        (np.stack([GREY] * 3, 3), GREY),
        (np.stack([GREY] * 3, 1) / np.float32(255), GREY),
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_each_layout_gives_the_same_images(source, npz, tmp_path, images, expected, form):
    if form == "npy":
        np.save(tmp_path / "own set.npy", images)
        read = source(tmp_path / "own set.npy")
        assert (read.classes, set(read.train.labels), read.class_names) == (0, {0}, ())
    else:
        read = source(npz(images=images, labels=LABELS, class_names=["cat", "dog", "owl"]))
        np.testing.assert_array_equal(read.train.labels, LABELS)
        assert (read.classes, read.class_names) == (3, ("cat", "dog", "owl"))
    np.testing.assert_array_equal(read.train.images, expected)
    assert (read.title, read.test, read.notes) == ("own set", None, ())
    assert list(read.files) == [f"own set.{form}"]


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "y"), ("samples", "labels"), ("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y")],
)
def test_the_usual_names_are_known(source, npz, images, labels):
    read = source(npz(**{images: GREY, labels: LABELS[:, None].astype(np.uint8)}))
    np.testing.assert_array_equal(read.train.labels, LABELS)
    np.testing.assert_array_equal(read.train.images, GREY)


def test_arrays_without_names_are_images_and_labels(source, tmp_path):
    np.savez(tmp_path / "x.npz", GREY, LABELS)
    assert source(tmp_path / "x.npz").classes == 3


def test_one_array_of_any_name_is_images(source, npz):
    assert source(npz(whatever=GREY)).classes == 0


@pytest.mark.parametrize("names", [("x_{}", "y_{}"), ("{}_images", "{}_labels")])
def test_a_data_set_has_a_test_set_and_its_validation_images_join_the_training_images(source, npz, names):
    arrays = {}
    for part, rows in (("train", slice(0, 6)), ("val", slice(6, 9)), ("test", slice(9, 12))):
        arrays |= {names[0].format(part): GREY[rows], names[1].format(part): LABELS[rows]}
    read = source(npz(**arrays))
    np.testing.assert_array_equal(read.train.images, GREY[:9])
    np.testing.assert_array_equal(read.test.images, GREY[9:])
    np.testing.assert_array_equal(read.test.labels, LABELS[9:])
    (note,) = read.notes
    assert f"{names[0].format('val')}: joined to the training images" in note


def test_a_test_set_may_have_no_labels_where_training_has_none(source, npz):
    read = source(npz(x_train=GREY, x_test=GREY[:3]))
    assert (read.classes, len(read.test), set(read.test.labels)) == (0, 3, {0})


def test_one_class_is_read(source, npz):
    assert source(npz(images=GREY, labels=np.zeros(12, int))).classes == 1


def test_colour_in_one_part_makes_all_coloured_and_size_acts_on_all(source, npz):
    path = npz(x_train=GREY, x_val=GREY, x_test=COLOUR)
    read = source(path, size=[8, 16])
    assert (read.train.images.shape, read.test.images.shape) == ((24, 8, 16, 3), (12, 8, 16, 3))
    assert source(path, channels=1).test.images.shape == (12, 8, 10)


def test_other_arrays_are_left_out_and_that_is_said(source, npz):
    (note,) = source(npz(images=GREY, weights=LABELS)).notes
    assert note.endswith("the arrays weights are left out")


def test_large_images_are_reduced_where_a_size_is_given(source, npz):
    assert source(npz(images=np.repeat(GREY, 20, axis=1)), size=[64, 8]).train.images.shape == (12, 64, 8)


@pytest.fixture
def small(monkeypatch):
    """A budget of 64 KiB."""
    monkeypatch.setattr(reading, "MAX_BYTES", 2**16)
    monkeypatch.setattr(arrays, "BUDGET", 2**16)
    monkeypatch.setattr(arrays, "BLOCK", 2**14)


@pytest.mark.parametrize(
    "values",
    [np.uint8, lambda images: images / np.float32(255), lambda images: images > 99, lambda images: images[:, None]],
    ids=["uint8", "floats", "bool", "channels first"],
)
def test_an_npy_file_of_any_size_is_read_block_by_block(source, tmp_path, small, values):
    images = np.random.default_rng(0).integers(0, 256, (8000, 8, 10), dtype=np.uint8)
    np.save(tmp_path / "x.npy", values(images))
    source(tmp_path / "x.npy")  # loads what is loaded once
    tracemalloc.start()
    try:
        read = source(tmp_path / "x.npy")
        assert tracemalloc.get_traced_memory()[1] < images.nbytes
    finally:
        tracemalloc.stop()
    expected = np.where(images > 99, 255, 0) if values(images).dtype == bool else images
    np.testing.assert_array_equal(read.train.images, expected)


def test_an_npz_file_keeps_the_budget(source, npz, small):
    with pytest.raises(UserError, match=r"found more than 65,536 bytes of values; allowed: at most that, the budget"):
        source(npz(images=np.zeros((8000, 8, 10), np.uint8)))


BAD = {
    "no images": ({"labels": LABELS, "y_test": LABELS}, "allowed: train images called images, samples"),
    "labels without images": (
        {"images": GREY, "labels": LABELS, "y_test": LABELS},
        "test images called x_test",
    ),
    "test without labels": (
        {"images": GREY, "labels": LABELS, "x_test": GREY},
        "images of train, test, but labels of train",
    ),
    "training without": ({"images": GREY, "x_test": GREY, "y_test": LABELS}, "but labels of test alone"),
    "two names": ({"images": GREY, "x_train": GREY}, "holds images and x_train, which mean the same"),
    "two labels": ({"images": GREY, "labels": LABELS, "y": LABELS}, "holds labels and y, which mean the same"),
    "other counts": ({"images": GREY, "labels": LABELS[1:]}, "labels: found 11 labels for the 12 images of"),
    "one-hot": ({"images": GREY, "labels": np.eye(3, dtype=int)[LABELS]}, "labels of the shape [12, 3]"),
    "fractions": ({"images": GREY, "labels": LABELS / 2}, "labels of type float64; allowed: whole numbers"),
    "negative": ({"images": GREY, "labels": LABELS - 1}, "found the label -1"),
    "a gap": ({"images": GREY, "labels": 2 * LABELS}, "found no image of class 1"),
    "beyond": ({"images": GREY, "labels": LABELS, "x_test": GREY, "y_test": LABELS + 1}, "y_test: found the label 3"),
    "names": ({"images": GREY, "labels": LABELS, "class_names": ["a", "b"]}, "found 3 classes and 2 names"),
    "names twice": ({"images": GREY, "labels": LABELS, "class_names": ["a", "b", "a"]}, "found the class name 'a'"),
    "names in lines": ({"images": GREY, "labels": LABELS, "class_names": ["a\nb", "b", "c"]}, "the class name 'a?b'"),
    "names as numbers": ({"images": GREY, "labels": LABELS, "class_names": [1, 2, 3]}, "class_names [3] of type int64"),
    "names alone": ({"images": GREY, "class_names": ["a"]}, "holds class_names, but no labels"),
    "NaN": ({"images": GREY * np.float32(np.nan)}, "images: found NaN"),
    "test NaN": ({"x_train": GREY, "x_test": GREY * np.float32(np.nan)}, "x_test: found NaN"),
    "zeros and ones": ({"images": GREY % 2}, "images: found whole numbers of 0 … 1"),
    "two ways": ({"images": COLOUR[:, :3, :, :]}, "whose channels may stand first or last"),
    "small": ({"images": GREY[:, :7]}, "found images of 7 × 10 pixels; allowed: at least 8 × 8"),
    "large": (
        {"images": np.zeros((3, 129, 9))},
        "129 × 9 pixels with data.size = original; allowed: 8 … 128 a",
    ),
    "other sizes": ({"x_train": GREY, "x_test": GREY[:, :, :9]}, "8 × 10 grey pixels and 8 × 9 grey pixels"),
    "other val": ({"x_train": GREY, "x_val": GREY[:, :, :9]}, "x_val: found another size"),
    "nothing": ({}, "holds nothing"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_a_line(source, npz, case):
    arrays, found = BAD[case]
    path = npz(**arrays)
    with pytest.raises(UserError) as error:
        source(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    assert found in str(error.value), str(error.value)


@pytest.mark.parametrize("name", ["x.safetensors", "x.csv", "x"])
def test_files_of_another_kind_are_refused(source, tmp_path, name):
    with pytest.raises(UserError, match=r"x.*: is not there; allowed: a file \.npz or \.npy"):
        source(tmp_path / name)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"found a file of another kind; allowed: a file \.npz or \.npy"):
        source(tmp_path / name)
