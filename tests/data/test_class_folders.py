"""A data set as folders: classes, test images, no labels; and what is refused."""

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from genbalance.data import class_folders
from genbalance.data.sources import read_source
from genbalance.runtime.errors import UserError

SIDE = 8


@pytest.fixture
def tree(tmp_path):
    """A function that writes a picture of one level, 110, 120 …, for each path."""

    def make(*names, shape=(SIDE, SIDE)):
        for number, name in enumerate(names):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".png":
                Image.fromarray(np.full(shape, 100 + 10 * number + 10, np.uint8)).save(file)
            else:
                file.write_bytes(b"x")
        return tmp_path

    return make


@pytest.fixture
def source(make_data):
    return lambda path, **options: read_source(make_data(source="folder", path=str(path), **options), None)


def levels(split):
    return (split.images[:, 0, 0] - 100).tolist()


def refused(source, path, found):
    with pytest.raises(UserError) as error:
        source(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert found in str(error.value), str(error.value)


def test_a_folder_is_a_class_and_the_files_come_in_natural_order(tree, source):
    path = tree("dog/2.png", "cat/x.png", "dog/10.png", "cat/y.png", "class 10/a.png", "class 9/a.png")
    read = source(path)
    assert read.class_names == ("cat", "class 9", "class 10", "dog")
    assert levels(read.train) == [20, 40, 60, 50, 10, 30]
    assert read.train.labels.tolist() == [0, 0, 1, 2, 3, 3]
    assert (read.classes, read.test, read.notes, read.title) == (4, None, (), path.name)
    assert read.train.labels.dtype == np.int64
    assert list(read.files) == [path.name]


def test_torchvision_finds_the_same_classes_files_and_pixels(tree, source):
    path = tree(*(f"{name}/{number}.png" for number in range(3) for name in ("owl", "cat", "dog")), "cat/note.txt")
    read, theirs = source(path, channels=3), ImageFolder(str(path))
    assert list(read.class_names) == theirs.classes
    assert read.train.labels.tolist() == theirs.targets
    np.testing.assert_array_equal(read.train.images, np.stack([np.asarray(image) for image, _ in theirs]))


def test_test_images_lie_beside_the_training_images(tree, source):
    read = source(tree("train/a/1.png", "train/b/1.png", "test/b/1.png", "test/a/1.png"))
    assert (levels(read.train), levels(read.test)) == ([10, 20], [40, 30])
    assert (read.train.labels.tolist(), read.test.labels.tolist()) == ([0, 1], [0, 1])
    assert read.class_names == ("a", "b")


@pytest.mark.parametrize("val", ["val", "Validation", "valid"])
def test_validation_images_join_the_training_images_and_that_is_said(tree, source, val):
    read = source(tree("train/a/1.png", f"{val}/b/1.png", f"{val}/a/1.png"))
    assert levels(read.train) == [10, 30, 20]
    assert read.train.labels.tolist() == [0, 0, 1]
    (note,) = read.notes
    assert f"{val}: is joined to " in note


def test_without_class_folders_there_are_no_labels(tree, source):
    read = source(tree("b.png", "a.png", "notes.md"))
    assert (read.classes, read.class_names, levels(read.train), read.train.labels.tolist()) == (0, (), [20, 10], [0, 0])
    assert read.notes == ("left out, since they are not images: notes.md",)


def test_flat_parts_have_no_labels_either(tree, source):
    read = source(tree("train/1.png", "train/2.png", "test/1.png"))
    assert (read.classes, levels(read.train), levels(read.test)) == (0, [10, 20], [30])


def test_one_class_folder_is_one_class(tree, source):
    read = source(tree("cat/1.png", "cat/2.png"))
    assert (read.classes, read.class_names) == (1, ("cat",))


def test_a_train_folder_alone_is_no_class(tree, source):
    assert source(tree("train/1.png", "train/2.png")).classes == 0


def test_a_class_called_train_beside_others_is_a_class(tree, source):
    assert source(tree("train/1.png", "bus/2.png")).class_names == ("bus", "train")


def test_a_class_that_the_test_images_lack_is_said_by_its_name(tree, source):
    (note,) = source(tree("train/a/1.png", "train/owl/1.png", "test/a/1.png")).notes
    assert note.endswith("found no test image of class owl; what is measured on test images leaves it out")


def test_what_archives_add_is_left_out(tree, source):
    read = source(tree("a/1.png", "__MACOSX/._1.png", ".DS_Store", "a/.hidden.png", "a/labels.csv"))
    assert read.class_names == ("a",)
    assert read.notes == ("left out, since they are not images: .DS_Store, __MACOSX, a/.hidden.png, a/labels.csv",)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a/1.png", "2.png"], "found images (2.png, …) beside folders (a)"),
        (["train/a/1.png", "2.png"], "found images (2.png, …) beside train"),
        (["train/a/1.png", "train/2.png"], "train: found images (2.png, …) beside folders (a)"),
        (["train/a/1.png", "test/2.png"], "found images with and without a folder for their class"),
        (["train/1.png", "val/a/2.png"], "found images with and without a folder for their class"),
        (
            ["train/a/1.png", "test/a/1.png", "test/b/1.png"],
            "test/b: found test images of a class that has no training",
        ),
        (["train/a/1.png", "test/a/1.png", "cat/1.png"], "found train and test beside cat"),
        (["test/a/1.png"], "found test without train"),
        (["val/a/1.png", "test/a/1.png"], "found test, val without train"),
        (["a/b/1.png"], "a: found the folder b in the folder of a class"),
        (["a/1.png", "b/notes.txt"], "b: found no image in the folder of a class"),
        (["a/1.png", "b/x.svg"], "b: only PNG, JPEG, WebP, BMP, TIFF, GIF are supported"),
        (["a/1.png", "b/x.npy"], "found 1 .npy (x.npy)"),
        (["notes.txt"], "found no image"),
        (["a/1.png", "a/2.jpg"], "2.jpg: is not a whole JPEG file"),
        (["a\n/1.png"], "unprintable; rename that file"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tree, source, names, found):
    refused(source, tree(*names), found)


def test_a_folder_that_is_not_there_is_told(source, tmp_path):
    refused(source, tmp_path / "x", "data.path: found")
    (tmp_path / "x").write_bytes(b"")
    refused(source, tmp_path / "x", "which is not a folder")


def test_images_of_two_sizes_are_refused_unless_a_size_is_given(tree, source):
    tree("train/a/1.png", shape=(9, 20))
    path = tree("test/a/x.png")
    refused(source, path, "x.png: found 8 × 8 pixels, but 1.png has 9 × 20; allowed: images of one size (resized by")
    read = source(path, size=[8, 16])
    assert read.train.images.shape == read.test.images.shape == (1, 8, 16)


def test_tiny_images_are_refused(tree, source):
    refused(source, tree("a/1.png", shape=(7, 30)), "found images of 7 × 30 pixels; allowed: at least 8 × 8")


def test_large_images_are_refused_before_others_are_read_unless_a_size_is_given(tree, source):
    path = tree("a/1.png", "a/2.png", shape=(20, 129))
    (path / "a/3.png").write_bytes(b"no image")
    refused(
        source,
        path,
        "images of 20 × 129 pixels with data.size = original; allowed: 8 … 128 a side; set data.size",
    )
    (path / "a/3.png").unlink()
    assert source(path, size=16).train.images.shape == (2, 16, 16)


@pytest.mark.parametrize(("width", "noted"), [(64, False), (65, True), (128, True)])
def test_images_that_the_networks_are_not_made_for_are_noted(tree, source, width, noted):
    path = tree("a/1.png", shape=(8, width))
    notes = source(path).notes
    assert [note.startswith(f"images of 8 × {width} grey pixels: the DCGAN") for note in notes] == [True] * noted
    assert source(path, size=64).notes == ()


def test_one_coloured_test_image_makes_all_coloured(tree, source):
    tree("test/a/1.png", shape=(SIDE, SIDE, 3))
    path = tree("train/a/1.png")
    assert source(path).train.images.shape == (1, SIDE, SIDE)
    picture = np.full((SIDE, SIDE, 3), (1, 2, 3), np.uint8)
    Image.fromarray(picture).save(path / "test/a/1.png")
    assert source(path).train.images.shape == (1, SIDE, SIDE, 3)
    assert source(path, channels=1).test.images.shape == (1, SIDE, SIDE)


def test_a_tilde_is_the_home_directory(tree, source, monkeypatch):
    monkeypatch.setenv("HOME", str(tree("x/a/1.png")))
    assert source("~/x").class_names == ("a",)


def test_bright_photographs_are_no_negatives(tree, source):
    path = tree("train/a/1.png")
    Image.new("L", (SIDE, SIDE), 250).save(path / "train/a/2.png")
    assert class_folders.read(str(path), None, "auto").notes == source(path).notes == ()
