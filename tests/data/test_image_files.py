"""Samples on disk, in every form that is taken, and in many that are not."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save, save_file
from safetensors.torch import save_file as save_torch

from genbalance.data import array_files, arrays, image_files, reading
from genbalance.runtime.errors import UserError

SIDE = 9


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def npy(tmp_path):
    def write(array, name="samples.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return write


def refused(path, *found):
    with pytest.raises(UserError) as error:
        image_files.read_images(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    for part in found:
        assert part in message, message


def same(path, images):
    samples = image_files.read_images(path)
    assert samples.warnings == ()
    found = samples.images
    assert type(found) is np.ndarray
    assert found.flags.writeable
    assert found.flags.c_contiguous
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize("form", ["npy", "npz", "packed npz", "safetensors", "png", "NPY"])
def test_every_form_gives_the_same_pixels(images, tmp_path, form):
    path = tmp_path / f"samples.{form.split()[-1]}"
    match form:
        case "npy":
            np.save(path, images)
        case "NPY":
            with path.open("wb") as file:
                np.save(file, images)
        case "npz":
            np.savez(path, whatever=images)
        case "packed npz":
            np.savez_compressed(path, images)
        case "safetensors":
            save_file({"x": images}, path)
        case "png":
            path.mkdir()
            for index, image in enumerate(images):
                Image.fromarray(image).save(path / f"{index}.png")
    same(path, images)


@pytest.mark.parametrize("shape", [(7, SIDE, SIDE), (7, 1, SIDE, SIDE), (7, SIDE, SIDE, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_channel_may_stand_first_last_or_be_missing(images, npy, shape, order):
    same(npy(np.array(images.reshape(shape), order=order)), images)


@pytest.mark.parametrize("kind", ["uint8", "int64", ">i2", "uint16", "float32"])
def test_one_image_of_one_pixel_is_an_image(npy, kind):
    same(npy(np.zeros((1, 1, 1, 1), kind)), np.zeros((1, 1, 1)))


@pytest.mark.parametrize("kind", ["int16", ">i4", "uint16", "uint64"])
def test_whole_numbers_of_any_type_stay_as_they_are(images, npy, kind):
    same(npy(images.astype(kind)), images)


@pytest.mark.parametrize("kind", ["float16", "float32", ">f4", "float64"])
def test_floats_come_back_to_the_pixels_that_they_were(npy, kind):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    same(npy((levels / 255).astype(kind)), levels)


def test_floats_are_rounded_to_the_nearest_level(npy):
    same(npy(np.array([[[0, 0.49 / 255], [0.51 / 255, 1]]])), [[[0, 0], [1, 255]]])


def test_more_floats_than_a_block_are_all_converted(npy, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK", 1000)
    images = np.random.default_rng(1).integers(0, 256, (203, 2, 2), dtype=np.uint8)
    same(npy(images / 255), images)


def test_true_is_white(npy):
    same(npy(np.array([[[True, False], [False, True]]])), [[[255, 0], [0, 255]]])


def test_all_black_is_taken(npy):
    same(npy(np.zeros((3, 2, 2), np.uint8)), np.zeros((3, 2, 2)))


@pytest.mark.parametrize("name", array_files.NAMES)
@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_of_several_arrays_the_one_with_a_known_name_is_taken(images, tmp_path, name, form):
    path = tmp_path / f"samples.{form}"
    arrays = {"labels": np.arange(7), name: images}
    np.savez(path, **arrays) if form == "npz" else save_file(arrays, path)
    same(path, images)


@pytest.mark.parametrize("names", [("a", "b"), ("b", "images", "samples")])
@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_several_arrays_without_one_known_name_are_listed(images, tmp_path, names, form):
    path = tmp_path / f"samples.{form}"
    arrays = dict.fromkeys(names, images)
    np.savez(path, **arrays) if form == "npz" else save_file(arrays, path)
    refused(path, f"holds {', '.join(names)}", "images, samples, arr_0, or a data set with x_train or train_images")


def test_many_arrays_are_counted_and_not_all_listed(images, tmp_path):
    np.savez(tmp_path / "many.npz", **{f"layer{index}": images for index in range(9)})
    refused(tmp_path / "many.npz", "layer4, … (9);")


def test_an_empty_archive_holds_nothing(tmp_path):
    np.savez(tmp_path / "none.npz")
    refused(tmp_path / "none.npz", "holds nothing")


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.full((3, 4, 4), np.nan, np.float32), "NaN"),
        (np.array([[[np.inf]]]), "infinite"),
        (np.array([[[-np.inf]]]), "infinite"),
        (np.array([[[-1.0, 1], [0, 0]]]), "−1 … 1; allowed: floats in [0, 1]; if −1 is black, take (x + 1) / 2"),
        (np.array([[[0.0, 255], [3.5, 0]]]), "divide by 255"),
        (np.array([[[-3.0, 255], [3, 0]]]), "bring black to 0"),
        (np.array([[[0, 1.0000001], [0, 0]]], np.float32), "1.0000001; allowed: floats in [0, 1]; clip"),
        (np.array([[[-0.02, 1], [0, 0]]]), "-0.02 … 1; allowed: floats in [0, 1]; clip"),
        (np.array([[[-1, 3], [0, 0]]]), "-1 … 3"),
        (np.array([[[0, 256], [0, 0]]]), "0 … 256"),
        (np.array([[[0, 1], [0, 0]]], np.uint8), "multiply by 255"),
        (np.ones((2, 3, 3), np.int64), "multiply by 255"),
        (np.zeros((32, 32, 3), np.uint8), "[32, 32, 3], which is one image [H, W, C] or many narrow ones"),
        (np.zeros((28, 28, 1), np.uint8), "[28, 28, 1], which is one image [H, W, C] or many narrow ones"),
        (np.zeros((2, 3, 5, 3), np.uint8), "[2, 3, 5, 3], whose channels may stand first or last"),
        (np.zeros((2, 1, 5, 3), np.uint8), "[2, 1, 5, 3], whose channels may stand first or last"),
        (np.zeros((2, 5, 5, 4), np.uint8), "[2, 5, 5, 4]"),
        (np.zeros((2, 3072), np.uint8), "[2, 3072]"),
        (np.zeros((2, 4, 5, 5), np.uint8), "[2, 4, 5, 5]"),
        (np.zeros((2, 783), np.uint8), "[2, 783]"),
        (np.zeros((16, 16), np.uint8), "[16, 16]"),
        (np.zeros((), np.uint8), "[]"),
        (np.zeros((0, 28, 28), np.uint8), "no image"),
        (np.zeros((5, 0, 0), np.float32), "no image"),
        (np.zeros((2, 3, 3), np.complex64), "complex64"),
        (np.full((2, 3, 3), "7"), "<U1"),
        (np.zeros((2, 3, 3), [("x", "u1")]), "found values of type"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line(npy, array, found):
    refused(npy(array), found.replace("−1 …", "-1 …"), "allowed")


@pytest.mark.parametrize("name", ["o.npy", "o.npz"])
def test_objects_are_never_unpickled(tmp_path, name):
    path = tmp_path / name
    (np.save if name == "o.npy" else np.savez)(path, np.array([[[None]]], object), allow_pickle=True)
    refused(path, "bject", "cannot be read")


def test_a_pickle_under_another_name_is_not_opened(tmp_path):
    path = tmp_path / "p.npy"
    path.write_bytes(pickle.dumps(np.zeros((2, 3, 3))))
    refused(path, "starts with the bytes 80 04")


@pytest.mark.parametrize("name", ["p.pt", "p.pkl", "p.png", "p.npy.gz", "p"])
def test_files_of_another_kind_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    refused(
        tmp_path / name, "a folder of images (PNG, JPEG, WebP, BMP, TIFF, GIF), or a file .npy, .npz or .safetensors"
    )


@pytest.mark.parametrize("name", ["a.npy", "folder", "a.pt"])
def test_what_is_not_there_is_told(tmp_path, name):
    refused(tmp_path / name, "is not there")


@pytest.mark.parametrize("form", ["npy", "npz", "safetensors"])
def test_a_file_cut_anywhere_is_refused(images, tmp_path, form):
    whole = tmp_path / f"whole.{form}"
    {"npy": np.save, "npz": lambda p, x: np.savez_compressed(p, x), "safetensors": lambda p, x: save_file({"x": x}, p)}[
        form
    ](whole, images)
    content = whole.read_bytes()
    path = tmp_path / f"cut.{form}"
    for length in [*range(0, len(content), 23), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path)


def test_a_damaged_archive_is_refused(images, tmp_path):
    np.savez_compressed(tmp_path / "x.npz", images)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[200] ^= 0xFF
    (tmp_path / "x.npz").write_bytes(content)
    refused(tmp_path / "x.npz", "cannot be read")


def test_an_archive_of_other_things_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "x.npz", "no array")


def test_a_type_that_numpy_lacks_is_named(tmp_path):
    save_torch({"x": torch.zeros(2, 3, 3, dtype=torch.bfloat16)}, tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", "BF16", "floats in [0, 1]")


def test_what_was_left_out_of_a_folder_and_what_was_lossy_is_a_warning_each(images, tmp_path):
    for index, suffix in enumerate((".png", ".jpg", ".webp", ".jpeg")):
        Image.fromarray(images[index]).save(tmp_path / f"{index}{suffix}")
    (tmp_path / "labels.csv").write_text("7")
    samples = image_files.read_images(tmp_path)
    assert len(samples.images) == 4
    left_out, lossy = samples.warnings
    assert left_out == "left out, since they are not images: labels.csv"
    assert lossy.startswith("3 of 4 images are JPEG and WebP: lossy compression")


def test_black_pictures_with_ones_are_refused(tmp_path):
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "x.png")
    refused(tmp_path, "multiply by 255")


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("form", ["last", "first", "folder"])
def test_rectangles_are_read_in_grey_and_in_colour(npy, tmp_path, form, colour):
    images = np.random.default_rng(2).integers(0, 256, (4, 5, 7, 3) if colour else (4, 5, 7), dtype=np.uint8)
    if form == "folder":
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{number}.png")
        return same(tmp_path, images)
    return same(npy(np.moveaxis(images, -1, 1) if colour and form == "first" else images), images)


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
def test_colours_of_any_type_come_back_to_the_pixels_that_they_were(npy, kind):
    images = np.random.default_rng(2).integers(0, 256, (4, 5, 5, 3), dtype=np.uint8)
    same(npy((images / 255 if kind.startswith("f") else images).astype(kind)), images)


def test_channels_and_size_are_what_is_asked_for(npy):
    images = np.random.default_rng(2).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    path = npy(images)
    luma = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_array_equal(image_files.read_images(path, channels=1).images, luma)
    np.testing.assert_array_equal(image_files.read_images(npy(luma), channels=3).images, np.stack([luma] * 3, 3))
    means = images.reshape(4, 3, 2, 3, 2, 3).mean((2, 4))
    assert np.abs(image_files.read_images(npy(images), size=3).images - means).max() <= 1  # rounded twice


@pytest.mark.parametrize("kind", ["uint8", "float32", "int64"])
def test_rows_of_pixels_become_squares(images, npy, kind):
    unit = 255 if kind == "float32" else 1
    same(npy((images / unit).astype(kind).reshape(7, -1)), images)


@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("kind", ["uint8", "float32", "bool"])
def test_three_equal_channels_are_grey(images, npy, axis, kind):
    grey = images / np.float32(255) if kind == "float32" else images > 99 if kind == "bool" else images
    same(npy(np.stack([grey] * 3, axis)), np.uint8(255) * grey if kind == "bool" else images)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_that_are_whole_levels_are_levels(images, npy, kind):
    same(npy(images.astype(kind)), images)


def test_a_tilde_is_the_home_directory(images, npy, monkeypatch):
    monkeypatch.setenv("HOME", str(npy(images).parent))
    np.testing.assert_array_equal(image_files.read_images(Path("~/samples.npy")).images, images)


KERAS = {"x_train": "images", "y_train": "labels", "x_test": "others", "y_test": "labels"}
MEDMNIST = {f"{part}_{kind}": kind for part in ("val", "test") for kind in ("images", "labels")}


@pytest.mark.parametrize("names", [KERAS, MEDMNIST | {"train_images": "images", "train_labels": "labels"}])
@pytest.mark.parametrize("colours", [True, False])
def test_of_a_data_set_the_training_images_are_measured_and_that_is_said(images, tmp_path, names, colours):
    arrays = {"images": images[::-1], "labels": np.arange(7)[:, None], "others": images[:2]}
    stored = {name: arrays[kind] for name, kind in names.items()}
    (training,) = [name for name in names if name in array_files.TRAINING]
    stored[training] = np.stack([images] * 3, 3) if colours else images
    np.savez_compressed(tmp_path / "set.npz", **stored)
    samples = image_files.read_images(tmp_path / "set.npz")
    np.testing.assert_array_equal(samples.images, images)
    (warning,) = samples.warnings
    assert warning.endswith(f" {training} is measured")


def test_names_of_an_archive_are_told_in_a_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("a\nb", "\x1b[2J", "c" * 9000):
            archive.writestr(name, "hello")
    refused(tmp_path / "x.npz", "holds ?[2J, a?b, ccc")
    with pytest.raises(UserError) as error:
        image_files.read_images(tmp_path / "x.npz")
    assert len(str(error.value)) < 600


# ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = 2**20


def claiming(shape, values=b""):
    """A NumPy file whose header claims a shape of uint8."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def zipped(content, packing=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("images.npy", content)
    return stream.getvalue()


def forged(whole, size):
    """An archive whose headers say that its member unpacks to ``size`` bytes."""
    real = struct.pack("<I", len(claiming((2**15, 32, 32))) + 2**25)
    assert whole.count(real) == 2
    return whole.replace(real, struct.pack("<I", size))


BOMB = claiming((2**15, 32, 32), bytes(2**25))
CLAIMS = {
    "npz that unpacks to more": ("x.npz", lambda: zipped(BOMB), "the budget"),
    "npz whose array claims more": ("x.npz", lambda: zipped(claiming((2**20, 32, 32), b"few")), "more values than"),
    "npz whose entry says less than it unpacks to": ("x.npz", lambda: forged(zipped(BOMB), 200), "BadZipFile"),
    "npz whose entry and array say less": (
        "x.npz",
        lambda: forged(zipped(claiming((1, 8, 8), bytes(2**25 + len(claiming((2**15, 32, 32))) - 128))), 192),
        "BadZipFile",
    ),
    "npz in bzip2": ("x.npz", lambda: zipped(BOMB, zipfile.ZIP_BZIP2), "packing"),
    "npz in lzma": ("x.npz", lambda: zipped(BOMB, zipfile.ZIP_LZMA), "packing"),
    "npy of more": ("x.npy", lambda: BOMB, "the budget"),
    "npy that claims more": ("x.npy", lambda: claiming((2**20, 32, 32), b"few"), "more values than"),
    "npy that claims no end": ("x.npy", lambda: claiming("(" + "9" * 9000 + ", 1, 1)"), "cannot be read"),
    "npy whose header has no end": ("x.npy", lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99), "EOF"),
    "safetensors of more": (
        "x.safetensors",
        lambda: save({"x": np.zeros((2**15, 32, 32), np.uint8)}),
        "the budget",
    ),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_file_that_claims_more_than_it_should_is_refused_before_memory_is_taken(case, tmp_path, monkeypatch):
    name, make, reason = CLAIMS[case]
    monkeypatch.setattr(reading, "MAX_BYTES", SMALL)
    path = tmp_path / name
    path.write_bytes(make())
    tracemalloc.start()
    try:
        refused(path, reason)
        assert tracemalloc.get_traced_memory()[1] < 8 * SMALL
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
def test_a_file_of_just_the_budget_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", SMALL + 128 * (name == "x.npz"))  # there the header counts
    images = np.full((SMALL // 1024, 32, 32), 7, np.uint8)
    write = {"x.npy": np.save, "x.npz": np.savez_compressed, "x.safetensors": lambda p, x: save_file({"x": x}, p)}
    write[name](tmp_path / name, images)
    np.testing.assert_array_equal(image_files.read_images(tmp_path / name).images, images)


def test_each_picture_of_a_folder_has_the_budget(tmp_path, monkeypatch):
    for number in range(20):
        Image.fromarray(np.full((100, 100), number, np.uint8)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(reading, "MAX_BYTES", 5 * 100 * 100)
    assert len(image_files.read_images(tmp_path).images) == 20
    Image.fromarray(np.zeros((200, 200), np.uint8)).save(tmp_path / "14.png")
    with pytest.raises(UserError, match=r"14\.png: found more than 50,000 bytes.*the budget"):
        image_files.read_images(tmp_path)
