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
    """What a file does: ``network`` of ``inputs`` by name, examples among them, with what is to be ``told`` about it.

    The images are [B, 1, S, S], intensities in [0, 1].
    """

    network: nn.Module
    inputs: Mapping[str, Tensor]
    told: Mapping[str, Any]


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

    Inputs: ``latents`` float32 [B, L], normal with the standard deviation that the file tells as ``truncation``; where
    there are any, ``conditions`` int64 [B], to be drawn with the ``shares`` that it tells: a row for each class, or one
    where no class can be asked for.
    """
    inputs = {"latents": torch.zeros(EXAMPLES, gan.latents)}
    told: dict[str, Any] = {"draws": "gan", "truncation": gan.truncation, "classes": gan.classes}
    if gan.conditions:
        inputs["conditions"] = torch.zeros(EXAMPLES, dtype=torch.int64)
        told["shares"] = gan.conditions.shares.tolist()
    return Drawing(_Generator(gan), inputs, told)


def of_vae(vae: Vae) -> Drawing:
    """The decoder behind the prior, also a learned one.

    Inputs: ``noise`` float32 [B, L], standard normal; of a conditional model ``labels`` int64 [B].
    """
    inputs = {"noise": torch.zeros(EXAMPLES, vae.latents)}
    if vae.classes:
        inputs["labels"] = torch.zeros(EXAMPLES, dtype=torch.int64)
    return Drawing(_Decoder(vae), inputs, {"draws": "vae", "classes": vae.classes})


def save_onnx(path: Path, drawing: Drawing) -> None:
    """Writes it, weights included: output ``images``, what is told as JSON under the metadata key ``genbalance``. The
    same weights give the same bytes."""
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
    program.model.metadata_props["genbalance"] = json.dumps(drawing.told, sort_keys=True)
    with whole_file(path) as part:
        program.save(part, external_data=False)
