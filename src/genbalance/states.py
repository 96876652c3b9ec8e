"""Nested states, such as ``state_dict()`` gives them, as one safetensors file that gives back exactly what went in:
whole numbers as keys, tuples, every digit, and how each tensor lies in memory. Nothing here is a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from genbalance.files import whole_file

PLAIN = (bool, int, float, str, type(None))


def save(path: Path, state: Any) -> None:
    """Writes dicts, lists and tuples of tensors, arrays, numbers and texts.

    Raises:
        TypeError: something else is in it.
    """
    tensors: dict[str, Tensor] = {}
    structure = _taken_apart(state, "", tensors)
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"state": json.dumps(structure)})


def load(path: Path) -> Any:
    """What :func:`save` was given, with its tensors on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, KeyError, TypeError, ValueError: it is cut short, or another kind of file.
    """
    with safe_open(path, framework="pt") as file:
        structure = json.loads((file.metadata() or {})["state"])
        return _put_together(structure, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def copy(state: Any) -> Any:
    """The same with tensors of its own, on the CPU, as a file would give it back."""
    tensors: dict[str, Tensor] = {}
    return _put_together(_taken_apart(state, "", tensors), tensors)


def _taken_apart(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The structure of ``value`` as JSON can hold it; its tensors go to ``tensors``."""
    if isinstance(value, np.ndarray):
        return {"array": _taken_apart(torch.from_numpy(value), path, tensors)}
    if isinstance(value, Tensor):
        name = f"{len(tensors)}{path}"
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name, "strides": value.stride()}
    if isinstance(value, Mapping):
        items = [[_plain(key, path), _taken_apart(part, f"{path}/{key}", tensors)] for key, part in value.items()]
        return {"dict": items}
    if type(value) in (list, tuple):
        parts = [_taken_apart(part, f"{path}/{index}", tensors) for index, part in enumerate(value)]
        return {type(value).__name__: parts}
    return {"plain": _plain(value, path)}


def _plain(value: Any, path: str) -> Any:
    if type(value) not in PLAIN:
        raise TypeError(f"{path}: a {type(value).__name__} cannot be kept")
    return value


def _put_together(structure: Any, tensors: Mapping[str, Tensor]) -> Any:
    match structure:
        case {"array": inner}:
            return _put_together(inner, tensors).numpy()
        case {"tensor": name, "strides": strides}:
            flat = tensors[name]
            # fused Adam takes weights and moments in the order of their memory: they must lie as they lay
            return torch.empty_strided(flat.shape, strides, dtype=flat.dtype).copy_(flat)
        case {"dict": items}:
            return {key: _put_together(part, tensors) for key, part in items}
        case {"list": parts}:
            return [_put_together(part, tensors) for part in parts]
        case {"tuple": parts}:
            return tuple(_put_together(part, tensors) for part in parts)
        case {"plain": value}:
            return value
    raise ValueError("is not a state")
