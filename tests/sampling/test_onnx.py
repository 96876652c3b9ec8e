"""An exported model draws the same pixels as the network that it was made of."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.device import initialised
from genbalance.sampling.gan import gan_drawing
from genbalance.sampling.onnx import save_onnx
from genbalance.sampling.vae import vae_drawing

CPU = torch.device("cpu")
GAN = {"shape": [1, 20, 20], "latents": 6, "width": 8}
VAE = {"shape": [1, 20, 20], "latents": 6, "width": 32, "log_sigma_floor": -3.0}
GANS = {
    "perceptron": {"arch": "mlp"},
    "convolutions": {"arch": "dcgan"},
    "an odd size": {"arch": "dcgan", "shape": [1, 17, 17]},
    "clusters": {"arch": "dcgan", "conditions": 7, "truncation": 0.8},
    "dense blocks": {"arch": "dense", "shape": [3, 12, 20]},
    "styles": {"arch": "style", "conditions": 7, "truncation": 0.7},
    "styles, an odd size": {"arch": "style", "shape": [3, 17, 20]},
    "classes": {"arch": "mlp", "conditions": 6, "classes": 3, "spectral": True},
}
VAES = {
    "bernoulli": {"arch": "mlp", "likelihood": "bernoulli"},
    "gaussian": {"arch": "mlp", "likelihood": "gaussian"},
    "an odd size": {"arch": "conv", "likelihood": "bernoulli", "shape": [1, 17, 17]},
    "a flow": {"arch": "conv", "likelihood": "bernoulli", "prior": "flow"},
    "a mixture prior": {"arch": "conv", "likelihood": "bernoulli", "prior": "mixture"},
    "a vamp prior": {"arch": "conv", "likelihood": "bernoulli", "prior": "vamp"},
    "a vamp prior and classes": {"arch": "conv", "likelihood": "gaussian", "prior": "vamp", "classes": 3},
    "a ladder": {"arch": "ladder", "likelihood": "bernoulli"},
    "a ladder, colour and classes": {
        **{"arch": "ladder", "likelihood": "gaussian_shared", "prior": "mixture", "classes": 3},
        "shape": [3, 33, 20],
    },
    "maps of latents": {"arch": "nvae", "likelihood": "bernoulli"},
    "a flow and classes": {"arch": "conv", "likelihood": "gaussian", "prior": "flow", "classes": 3},
    "a mixture": {"arch": "mlp", "likelihood": "logistic_mixture"},
    "one sigma, colour": {"arch": "mlp", "likelihood": "gaussian_shared", "shape": [3, 12, 20]},
    "a mixture, colour": {"arch": "mlp", "likelihood": "logistic_mixture", "shape": [3, 12, 20], "classes": 3},
    "residual blocks, colour": {"arch": "conv", "likelihood": "gaussian", "shape": [3, 33, 20]},
}
MANY = 300


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """As after a training: no layer is zero or the identity, batch norm has seen something."""
    noise = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=noise)
    for name, buffer in model.named_buffers():
        if "running" in name or name.endswith("net.mean"):
            buffer += 0.1 * torch.rand(buffer.shape, generator=noise)
    return model.eval()


def gan_of(name: str) -> Gan:
    """A GAN; no two of its conditions have the same share."""
    gan = shaken(initialised(lambda: Gan(**GAN | GANS[name]), 0, name, CPU))
    if gan.conditions:
        shares = torch.rand(gan.conditions.shares.shape, generator=torch.Generator().manual_seed(1))
        gan.conditions.shares.copy_(shares / shares.sum(dim=1, keepdim=True))
    return gan


def vae_of(name: str) -> Vae:
    return shaken(initialised(lambda: Vae(**VAE | VAES[name]), 0, name, CPU))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Gan | Vae, str], Path]:
    """A function that gives a model's file by the model and its name; each is made once, not to be written to."""
    folder = tmp_path_factory.mktemp("exported")

    def path(model: Gan | Vae, name: str) -> Path:
        kind, drawing = ("gan", gan_drawing) if isinstance(model, Gan) else ("vae", vae_drawing)
        file = folder / f"{kind} {name}.onnx"
        if not file.exists():
            save_onnx(file, kind, drawing(model))
        return file

    return path


def run(path: Path, **inputs: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(inputs)
    (images,) = session.run(["images"], {name: tensor.numpy() for name, tensor in inputs.items()})
    return images


def assert_same_pixels(drawn: np.ndarray, expected: torch.Tensor, apart: float = 1e-5) -> None:
    """Within 1e-5 of the range, or so far ``apart``; as levels 0 … 255 all but a hundredth of a percent are equal, and
    those by one. Of many images: in a single one, a pixel between two levels is more than that."""
    assert drawn.shape == expected.shape
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert drawn.std() > 0.02
    np.testing.assert_allclose(drawn, expected.numpy(), rtol=0, atol=apart)
    levels = np.abs((drawn * 255).round() - (expected.numpy() * 255).round())
    assert levels.max() <= 1
    assert levels.mean() <= 1e-4


@pytest.mark.parametrize("name", GANS)
def test_an_exported_generator_draws_the_same_pixels(name: str, exported: Callable[[Gan | Vae, str], Path]) -> None:
    gan, noise = gan_of(name), torch.Generator().manual_seed(3)
    file, drawn, expected = exported(gan, name), [], []
    for count in (1, MANY):
        labels = torch.randint(3, (count,), generator=noise) if gan.classes else None
        inputs = {"latents": gan.draw_latents(count, noise)}
        if gan.conditions:
            inputs["conditions"] = gan.draw_conditions(count, noise, labels)
        with torch.inference_mode():
            expected.append((gan.generator(*inputs.values()) + 1) / 2)
        drawn.append(run(file, **inputs))
    assert_same_pixels(np.concatenate(drawn), torch.cat(expected))


@pytest.mark.parametrize("name", VAES)
def test_an_exported_decoder_draws_the_same_pixels(name: str, exported: Callable[[Gan | Vae, str], Path]) -> None:
    vae, noise = vae_of(name), torch.Generator().manual_seed(3)
    file, drawn, expected = exported(vae, name), [], []
    for count in (1, MANY):
        inputs = {"noise": torch.randn(count, vae.latents, generator=noise)}
        if vae.classes:
            inputs["labels"] = torch.randint(3, (count,), generator=noise)
        with torch.inference_mode():
            expected.append(vae.sample(*inputs.values()))
        drawn.append(run(file, **inputs))
    # a VampPrior takes 200 times an angle, and with it 200 times its last digit
    assert_same_pixels(np.concatenate(drawn), torch.cat(expected), apart=2e-5 if "vamp" in name else 1e-5)


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


@pytest.mark.parametrize(("kind", "name"), [*(("gan", name) for name in GANS), *(("vae", name) for name in VAES)])
def test_the_metadata_are_enough_to_draw_the_model_s_own_digits(
    kind: str, name: str, exported: Callable[[Gan | Vae, str], Path]
) -> None:
    if kind == "gan":
        model = gan_of(name)
        network = lambda *given: (model.generator(*given) + 1) / 2  # noqa: E731
    else:
        model = vae_of(name)
        network = model.sample
    file = exported(model, name)
    metadata = metadata_of(file)
    assert (metadata["model"], metadata["classes"]) == (kind, model.classes)
    inputs = {key: torch.from_numpy(value) for key, value in drawn_inputs(metadata, MANY, digit=2).items()}
    with torch.inference_mode():
        assert_same_pixels(run(file, **inputs), network(*inputs.values()))


@pytest.mark.parametrize("name", GANS)
def test_inputs_by_the_metadata_are_distributed_as_the_model_s_own(
    name: str, exported: Callable[[Gan | Vae, str], Path]
) -> None:
    gan, count, noise = gan_of(name), 20_000, torch.Generator().manual_seed(1)
    file = exported(gan, name)
    for digit in range(gan.classes or 1):
        inputs = drawn_inputs(metadata_of(file), count, digit)
        assert inputs["latents"].std() == pytest.approx(gan.draw_latents(count, noise).std().item(), rel=0.01)
        if gan.conditions:
            labels = torch.full((count,), digit) if gan.classes else None
            own = torch.bincount(gan.draw_conditions(count, noise, labels), minlength=len(gan.conditions.centroids))
            theirs = np.bincount(inputs["conditions"], minlength=len(own))
            np.testing.assert_allclose(theirs / count, own.numpy() / count, atol=0.02)


def test_a_file_is_valid(exported: Callable[[Gan | Vae, str], Path]) -> None:
    onnx.checker.check_model(onnx.load(exported(gan_of("clusters"), "clusters")), full_check=True)


def test_the_same_weights_are_the_same_bytes_which_name_no_path(
    exported: Callable[[Gan | Vae, str], Path], tmp_path: Path
) -> None:
    first = exported(vae_of("bernoulli"), "bernoulli").read_bytes()
    save_onnx(tmp_path / "second.onnx", "vae", vae_drawing(vae_of("bernoulli")))
    assert first == (tmp_path / "second.onnx").read_bytes()
    assert not re.search(rb"\.py\b|/torch/|File \"", first)
