"""Generators and decoders as ONNX files, which other programs and languages can draw with.

Of torch's two formats the one without a pickle: an archive of torch.export holds one, of its example inputs.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genbalance.data.pixels import SIGNED
from genbalance.files import whole_file
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

EXAMPLES = 3  # images that the export is traced with; a file draws any number


@dataclass(frozen=True)
class Drawing:
    """What a file does: ``network`` of ``inputs`` by name, with examples; ``metadata`` says what to draw these from.

    The images are [B, 1, S, S], intensities in [0, 1].

    The metadata are ``model`` (gan or vae), ``classes`` (how many can be asked for; 0: none) and for each of
    ``inputs`` its ``dtype``, its ``shape`` with ``batch`` for B, and its ``distribution``: ``normal`` with ``mean`` and
    ``std``; or ``categorical``, whole numbers from 0 with ``probabilities``. Where these depend on the class that is
    asked for, ``probabilities_of_class`` has a row for each class; where the input is that class itself, ``means`` is
    ``class``.
    """

    network: nn.Module
    inputs: Mapping[str, Tensor]
    metadata: Mapping[str, Any]


class _Generator(nn.Module):
    def __init__(self, gan: Gan) -> None:
        super().__init__()
        self.generator = gan.generator

    def forward(self, latents: Tensor, conditions: Tensor | None = None) -> Tensor:
        images: Tensor = SIGNED.decode(self.generator(latents, conditions))
        return images


class _Decoder(nn.Module):
    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.vae.sample(noise, labels)


def of_gan(gan: Gan) -> Drawing:
    """The generator.

    Inputs: ``latents`` float32 [B, L], normal with the truncation as their standard deviation; where there are any,
    ``conditions`` int64 [B], categorical with their shares among the training images (of a class).
    """
    inputs = {"latents": _normal(gan.latents, gan.truncation)}
    if gan.conditions:
        shares = gan.conditions.shares.double()
        rows = (shares / shares.sum(dim=1, keepdim=True)).tolist()  # exactly 1 each, as numpy.random asks for
        inputs["conditions"] = _categorical(
            {"probabilities_of_class": rows} if gan.classes else {"probabilities": rows[0]}
        )
    return _drawing(_Generator(gan), "gan", gan.classes, inputs)


def of_vae(vae: Vae) -> Drawing:
    """The decoder behind the prior, also a learned one.

    Inputs: ``noise`` float32 [B, L], standard normal; of a conditional model ``labels`` int64 [B].
    """
    inputs = {"noise": _normal(vae.latents, 1.0)}
    if vae.classes:
        inputs["labels"] = _categorical({"probabilities": [1 / vae.classes] * vae.classes, "means": "class"})
    return _drawing(_Decoder(vae), "vae", vae.classes, inputs)


def _normal(width: int, std: float) -> tuple[Tensor, dict[str, Any]]:
    """An example of an input and its metadata."""
    metadata = {"dtype": "float32", "shape": ["batch", width], "distribution": "normal", "mean": 0.0, "std": std}
    return torch.zeros(EXAMPLES, width), metadata


def _categorical(probabilities: Mapping[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    metadata = {"dtype": "int64", "shape": ["batch"], "distribution": "categorical", **probabilities}
    return torch.zeros(EXAMPLES, dtype=torch.int64), metadata


def _drawing(
    network: nn.Module, model: str, classes: int, inputs: Mapping[str, tuple[Tensor, dict[str, Any]]]
) -> Drawing:
    metadata = {"model": model, "classes": classes, "inputs": {name: entry for name, (_, entry) in inputs.items()}}
    return Drawing(network, {name: example for name, (example, _) in inputs.items()}, metadata)


def save_onnx(path: Path, drawing: Drawing) -> None:
    """Writes it, weights included: output ``images``, the metadata as JSON under the key ``genbalance``. The same
    weights give the same bytes."""
    network = drawing.network.eval().to(memory_format=torch.contiguous_format)
    batch = torch.export.Dim("batch")
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # tells what it did not fold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own ways
        program = torch.onnx.export(
            network,
            tuple(drawing.inputs.values()),
            input_names=list(drawing.inputs),
            output_names=["images"],
            dynamic_shapes=tuple({0: batch} for _ in drawing.inputs),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():  # torch's notes on its source, with paths of this machine
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*program.model.graph.inputs, *program.model.graph.outputs):
        value.metadata_props.clear()
    program.model.graph.metadata_props.clear()
    program.model.metadata_props.clear()
    program.model.metadata_props["genbalance"] = json.dumps(drawing.metadata)
    with whole_file(path) as part:
        program.save(part, external_data=False)
