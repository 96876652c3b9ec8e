"""Tiny linear networks as files: features W·x of flattened images in [0, 1], as ONNX and as TorchScript."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper


def weights(inputs: int, features: int = 5) -> np.ndarray:
    """W [inputs, features]."""
    return np.random.default_rng(inputs).normal(size=(inputs, features)).astype(np.float32)


def save_onnx(
    path: Path,
    shape: tuple[int, int, int],
    *,
    batch: int | str = "batch",
    stated: tuple[int | str, ...] | None = None,
    output: tuple[int, ...] = (-1, 5),
    kind: int = TensorProto.FLOAT,
) -> None:
    """Its input states [batch, *stated] and is read as [batch, *shape]; its output is reshaped to ``output``."""
    size = int(np.prod(shape))
    constants = {"flat": np.array([-1, size]), "w": weights(size), "out": np.array(output)}
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], ["features"]),
        helper.make_node("Reshape", ["features", "out"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", kind, [batch, *(stated or shape)])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "linear", [given], [taken], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


class Linear(torch.nn.Module):
    """The same, for TorchScript."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.from_numpy(weights(int(np.prod(shape)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] → [B, 5, 1, 1]."""
        return (x.flatten(1) @ self.w)[:, :, None, None]


def save_script(path: Path, shape: tuple[int, int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that there are newer formats
        torch.jit.script(Linear(shape).eval()).save(path)
