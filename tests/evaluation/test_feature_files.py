"""Features of networks in files: those of a linear one are a product that NumPy takes too."""

import hashlib

import numpy as np
import pytest
import torch
from networks import save_onnx, save_script, weights
from onnx import TensorProto
from torch.nn.functional import interpolate

from genbalance.evaluation.feature_files import BLOCK, load
from genbalance.runtime.errors import UserError

CPU = torch.device("cpu")
SAVE = {"onnx": save_onnx, "pt": save_script}


def images(n=7, side=8, colour=True):
    shape = (n, side, side + 1, 3) if colour else (n, side, side + 1)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def linear(floats):
    """W·x of floats [n, C, H, W]."""
    rows = floats.reshape(len(floats), -1)
    return rows @ weights(rows.shape[1])


@pytest.fixture(params=SAVE)
def file(request, tmp_path):
    """Saves a network that takes a shape [C, H, W]."""

    def save(shape):
        SAVE[request.param](path := tmp_path / f"net.{request.param}", shape)
        return path

    return save


def test_features_are_those_of_channels_first_in_zero_to_one(file):
    found = load(file((3, 8, 9)), None, [3, 8, 9], CPU)
    features = found.read(images()).features
    np.testing.assert_allclose(features, linear(images().transpose(0, 3, 1, 2) / np.float32(255)), rtol=1e-4, atol=1e-4)
    assert features.dtype == np.float32
    assert found.md5 == hashlib.md5(file((3, 8, 9)).read_bytes()).hexdigest()


def test_more_images_than_a_block_are_read_in_their_order(file):
    extractor = load(file((3, 8, 9)), None, [3, 8, 9], CPU)
    many = images(2 * BLOCK + 3)
    alone = np.concatenate([extractor.read(image[None]).features for image in many])
    np.testing.assert_allclose(extractor.read(many).features, alone, rtol=1e-5, atol=1e-5)


def test_grey_images_get_three_equal_channels_where_the_network_takes_three(file):
    grey = images(colour=False)
    features = load(file((3, 8, 9)), None, [1, 8, 9], CPU).read(grey).features
    np.testing.assert_allclose(features, linear(np.stack([grey] * 3, 1) / np.float32(255)), rtol=1e-4, atol=1e-4)


def test_a_network_of_grey_images_gets_one_channel(file):
    grey = images(colour=False)
    features = load(file((1, 8, 9)), None, [1, 8, 9], CPU).read(grey).features
    np.testing.assert_allclose(features, linear(grey[:, None] / np.float32(255)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [5, 12])
def test_images_are_resized_to_what_the_network_takes_bilinearly_with_antialiasing(file, size):
    path = file((3, size, size))
    floats = torch.from_numpy(images()).permute(0, 3, 1, 2) / 255
    expected = linear(interpolate(floats, (size, size), mode="bilinear", antialias=True).numpy())
    stated = None if path.suffix == ".onnx" else size  # ONNX says it itself
    features = load(path, stated, [3, 8, 9], CPU).read(images()).features
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_an_onnx_file_of_any_size_takes_images_as_they_are_or_as_is_asked_for(tmp_path):
    for shape, size in (((3, 8, 9), None), ((3, 6, 6), 6)):
        save_onnx(tmp_path / "any.onnx", shape, stated=("c", "h", "w"))
        assert load(tmp_path / "any.onnx", size, [3, 8, 9], CPU).size == shape[1:]


def test_a_network_of_one_image_at_a_time_reads_all_of_them(tmp_path):
    save_onnx(tmp_path / "one.onnx", (3, 8, 9), batch=1, output=(1, 5))
    save_onnx(tmp_path / "any.onnx", (3, 8, 9))
    one, many = (load(tmp_path / name, None, [3, 8, 9], CPU).read(images()) for name in ("one.onnx", "any.onnx"))
    np.testing.assert_allclose(one.features, many.features, rtol=1e-5, atol=1e-5)


def test_there_are_no_classes_to_tell_apart(file):
    assert np.array_equal(load(file((3, 8, 9)), None, [3, 8, 9], CPU).read(images()).probabilities, np.ones((7, 1)))


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"shape": (1, 8, 9)}, "takes grey images, but these are of 8 × 9 colour pixels"),
        ({"shape": (4, 8, 9)}, r"takes x tensor\(float\) \['batch', 4, 8, 9\]; allowed: float32 \[batch, 1 or 3, "),
        ({"shape": (3, 8, 9), "batch": 4}, "allowed: .* of any batch, or one image at a time"),
        ({"shape": (3, 8, 9), "stated": (216,)}, r"\['batch', 216\]; allowed: one input"),
        ({"shape": (3, 8, 9), "kind": TensorProto.UINT8}, r"tensor\(uint8\)"),
        ({"shape": (3, 8, 9), "output": (-1, 5, 1)}, r"found an output \[1, 5, 1\] of 1 images; allowed: \[batch, d\]"),
        ({"shape": (3, 8, 9), "output": (-1, 1)}, r"found an output \[5, 1\] of 1 images"),
        ({"shape": (3, 8, 8), "stated": (3, "h", "w")}, "fails on the images"),
    ],
)
def test_an_onnx_file_that_takes_or_gives_something_else_is_refused_in_a_line(tmp_path, arguments, found):
    save_onnx(tmp_path / "net.onnx", **arguments)
    with pytest.raises(UserError, match=found) as refusal:
        load(tmp_path / "net.onnx", None, [3, 8, 9], CPU)
    assert str(refusal.value).startswith(f"{tmp_path / 'net.onnx'}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("net.onnx", "cannot be read as ONNX"),
        ("net.pt", "cannot be read as TorchScript"),
        ("net.safetensors", "found a file of another kind; allowed: .onnx or .pt"),
        ("", "is no file"),
        ("nowhere.pt", "is not there"),
    ],
)
def test_what_is_no_network_is_refused_in_a_line(tmp_path, name, found):
    for broken in ("net.onnx", "net.pt", "net.safetensors"):
        (tmp_path / broken).write_bytes(b"no network")
    with pytest.raises(UserError, match=found) as refusal:
        load(tmp_path / name, None, [3, 8, 9], CPU)
    assert "\n" not in str(refusal.value)


def test_a_network_of_another_size_is_refused_with_the_reason_that_torch_gives(tmp_path):
    save_script(tmp_path / "net.pt", (3, 5, 5))
    with pytest.raises(UserError, match=r"net.pt: fails on the images \(.*mat1 and mat2 shapes cannot be multiplied"):
        load(tmp_path / "net.pt", None, [3, 8, 9], CPU)


@pytest.mark.parametrize(("size", "found"), [(6, "found 6, but .* takes 5 × 5 pixels alone"), (0, "allowed: 1 … 2048")])
def test_a_size_that_the_file_does_not_take_is_refused(tmp_path, size, found):
    save_onnx(tmp_path / "net.onnx", (3, 5, 5))
    with pytest.raises(UserError, match=f"--features-size: .*{found}"):
        load(tmp_path / "net.onnx", size, [3, 8, 9], CPU)
