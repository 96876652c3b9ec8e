"""Generators and decoders as ONNX files, which other programs and languages can draw with.

Of torch's two formats the one without a pickle: an archive of torch.export holds one, of its example inputs.
"""

import json
import logging
import warnings
from pathlib import Path

import torch

from genbalance.families import registry
from genbalance.models import weights
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file
from genbalance.sampling.sampler import Drawing


def export(model: str, weights_file: Path, out: Path) -> str:
    """Writes the ONNX file of a model of the family ``model``.

    Returns:
        What it takes, a line.

    Raises:
        UserError: there are no such weights, or the file cannot be written.
    """
    if not weights_file.is_file():
        raise UserError(f"{weights_file}: is not there; run `dvc repro`")
    family = registry.family(model)
    drawing = family.make_drawing(weights.load(weights_file, family.build, torch.device("cpu")))
    try:
        save_onnx(out, model, drawing)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    taken = ", ".join(f"{name} {['batch', *given.example.shape[1:]]}" for name, given in drawing.inputs.items())
    return f"{out}: {taken.replace(chr(39), '')} → images [batch, C, H, W] in [0, 1]"


def save_onnx(path: Path, model: str, drawing: Drawing) -> None:
    """Writes it, weights included: output ``images`` [B, C, H, W], intensities in [0, 1]. The same weights give the
    same bytes.

    The metadata key ``genbalance`` holds, as JSON, ``model`` (the family), ``classes`` (how many it can be conditioned
    on; 0: none), and ``inputs``: the metadata of each (see :class:`genbalance.sampling.sampler.Input`).
    """
    network = drawing.network.eval().to(memory_format=torch.contiguous_format)
    batch = torch.export.Dim("batch")
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it reports what it did not fold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own code
        program = torch.onnx.export(
            network,
            tuple(given.example for given in drawing.inputs.values()),
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
    inputs = {name: dict(given.metadata) for name, given in drawing.inputs.items()}
    metadata = {"model": model, "classes": drawing.classes, "inputs": inputs}
    program.model.metadata_props["genbalance"] = json.dumps(metadata)
    with whole_file(path) as part:
        program.save(part, external_data=False)
