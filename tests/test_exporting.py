"""An exported model draws the same pixels as the network that it was made of."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from genbalance.compute import initialised
from genbalance.exporting import of_gan, of_vae, save_onnx
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

CPU = torch.device("cpu")
GAN = {"size": 20, "latents": 6, "width": 8}
VAE = {"size": 20, "latents": 6, "width": 32, "log_sigma_floor": -3.0}
GANS = {
    "perceptron": {"arch": "mlp"},
    "convolutions": {"arch": "dcgan"},
    "an odd size": {"arch": "dcgan", "size": 17},
    "clusters": {"arch": "dcgan", "conditions": 7, "truncation": 0.8},
    "classes": {"arch": "mlp", "conditions": 6, "classes": 3, "spectral": True},
}
VAES = {
    "bernoulli": {"arch": "mlp", "likelihood": "bernoulli"},
    "gaussian": {"arch": "mlp", "likelihood": "gaussian"},
    "an odd size": {"arch": "conv", "likelihood": "bernoulli", "size": 17},
    "a flow": {"arch": "conv", "likelihood": "bernoulli", "prior": "flow"},
    "a flow and classes": {"arch": "conv", "likelihood": "gaussian", "prior": "flow", "classes": 3},
}
MANY = 300


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """As after a training: no layer is zero or the identity, batch norm has seen something."""
    noise = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=noise)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer += 0.1 * torch.rand(buffer.shape, generator=noise)
    return model.eval()


def gan_of(name: str) -> Gan:
    return shaken(initialised(lambda: Gan(**GAN | GANS[name]), 0, name, CPU))


def vae_of(name: str) -> Vae:
    return shaken(initialised(lambda: Vae(**VAE | VAES[name]), 0, name, CPU))


def run(path: Path, **inputs: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(inputs)
    (images,) = session.run(["images"], {name: tensor.numpy() for name, tensor in inputs.items()})
    return images


def assert_same_pixels(drawn: np.ndarray, expected: torch.Tensor) -> None:
    """Within 1e-5 of the range; as levels 0 … 255 all but a hundredth of a percent are equal, and those by one."""
    assert drawn.shape == expected.shape
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert drawn.std() > 0.02
    np.testing.assert_allclose(drawn, expected.numpy(), rtol=0, atol=1e-5)
    apart = np.abs((drawn * 255).round() - (expected.numpy() * 255).round())
    assert apart.max() <= 1
    assert apart.mean() <= 1e-4


@pytest.mark.parametrize("name", GANS)
def test_an_exported_generator_draws_the_same_pixels(name: str, tmp_path: Path) -> None:
    gan, noise = gan_of(name), torch.Generator().manual_seed(3)
    save_onnx(tmp_path / "gan.onnx", of_gan(gan))
    for count in (1, MANY):
        labels = torch.randint(3, (count,), generator=noise) if gan.classes else None
        inputs = {"latents": gan.draw_latents(count, noise)}
        if gan.conditions:
            inputs["conditions"] = gan.draw_conditions(count, noise, labels)
        with torch.inference_mode():
            expected = (gan.generator(*inputs.values()) + 1) / 2
        assert_same_pixels(run(tmp_path / "gan.onnx", **inputs), expected)


@pytest.mark.parametrize("name", VAES)
def test_an_exported_decoder_draws_the_same_pixels(name: str, tmp_path: Path) -> None:
    vae, noise = vae_of(name), torch.Generator().manual_seed(3)
    save_onnx(tmp_path / "vae.onnx", of_vae(vae))
    for count in (1, MANY):
        inputs = {"noise": torch.randn(count, vae.latents, generator=noise)}
        if vae.classes:
            inputs["labels"] = torch.randint(3, (count,), generator=noise)
        with torch.inference_mode():
            expected = vae.sample(*inputs.values())
        assert_same_pixels(run(tmp_path / "vae.onnx", **inputs), expected)


def metadata_of(path: Path) -> dict[str, Any]:
    """As a program reads it that knows onnxruntime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return json.loads(session.get_modelmeta().custom_metadata_map["genbalance"])


def drawn_inputs(metadata: dict[str, Any], count: int, digit: int = 0) -> dict[str, np.ndarray]:
    """Inputs for images (of a digit), by what stands in the file alone."""
    rng, inputs = np.random.default_rng(0), {}
    for name, entry in metadata["inputs"].items():
        shape = [count if size == "batch" else size for size in entry["shape"]]
        if entry["distribution"] == "normal":
            values = rng.normal(entry["mean"], entry["std"], shape)
        elif entry.get("means") == "class":
            values = np.full(shape, digit)
        else:
            probabilities = entry.get("probabilities") or entry["probabilities_of_class"][digit]
            values = rng.choice(len(probabilities), shape, p=probabilities)
        inputs[name] = values.astype(entry["dtype"])
    return inputs


@pytest.mark.parametrize("name", [*GANS, *VAES])
def test_the_metadata_are_enough_to_draw_the_model_s_own_digits(name: str, tmp_path: Path) -> None:
    if name in GANS:
        model = gan_of(name)
        drawing, network = of_gan(model), lambda *given: (model.generator(*given) + 1) / 2
    else:
        model = vae_of(name)
        drawing, network = of_vae(model), model.sample
    save_onnx(tmp_path / "x.onnx", drawing)
    metadata = metadata_of(tmp_path / "x.onnx")
    assert (metadata["model"], metadata["classes"]) == ("gan" if name in GANS else "vae", model.classes)
    inputs = {key: torch.from_numpy(value) for key, value in drawn_inputs(metadata, MANY, digit=2).items()}
    with torch.inference_mode():
        assert_same_pixels(run(tmp_path / "x.onnx", **inputs), network(*inputs.values()))


@pytest.mark.parametrize("name", GANS)
def test_inputs_by_the_metadata_are_distributed_as_the_model_s_own(name: str, tmp_path: Path) -> None:
    gan, count, noise = gan_of(name), 20_000, torch.Generator().manual_seed(1)
    if gan.conditions:
        shares = torch.rand(gan.conditions.shares.shape, generator=noise)
        gan.conditions.shares.copy_(shares / shares.sum(dim=1, keepdim=True))
    save_onnx(tmp_path / "x.onnx", of_gan(gan))
    for digit in range(gan.classes or 1):
        inputs = drawn_inputs(metadata_of(tmp_path / "x.onnx"), count, digit)
        assert inputs["latents"].std() == pytest.approx(gan.draw_latents(count, noise).std().item(), rel=0.01)
        if gan.conditions:
            labels = torch.full((count,), digit) if gan.classes else None
            own = torch.bincount(gan.draw_conditions(count, noise, labels), minlength=len(gan.conditions.centroids))
            theirs = np.bincount(inputs["conditions"], minlength=len(own))
            np.testing.assert_allclose(theirs / count, own.numpy() / count, atol=0.02)


def test_a_file_is_valid(tmp_path: Path) -> None:
    save_onnx(tmp_path / "gan.onnx", of_gan(gan_of("clusters")))
    onnx.checker.check_model(onnx.load(tmp_path / "gan.onnx"), full_check=True)


def test_the_same_weights_are_the_same_bytes_which_name_no_path(tmp_path: Path) -> None:
    for name in ("first.onnx", "second.onnx"):
        save_onnx(tmp_path / name, of_vae(vae_of("bernoulli")))
    first = (tmp_path / "first.onnx").read_bytes()
    assert first == (tmp_path / "second.onnx").read_bytes()
    assert not re.search(rb"\.py\b|/torch/|File \"", first)
