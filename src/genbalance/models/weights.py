"""Networks on disk: safetensors with the constructor's arguments in the header, so that a file explains itself.

A file is not trusted: the header's arguments must be of the types and ranges that params.yaml takes, and the network
that they make, which has no memory yet, must have the tensors that the header lists. Only then is memory taken.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genbalance.params import first_problem
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.io import whole_file

M = TypeVar("M", bound=nn.Module)

TYPES = {torch.float32: "F32", torch.int64: "I64"}  # of all weights and buffers, as safetensors' header names them
INITIALISERS = {
    name for name in vars(nn.init) if name.endswith("_") and not name.endswith("__")
}  # and tensors' methods of these names


def save(path: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Writes weights and ``config``. One metadata key: with several, safetensors would order them by chance."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"config": json.dumps(config, sort_keys=True)})


def load(path: Path, build: Callable[..., M], device: torch.device) -> M:
    """The network that ``build(**config)`` makes of the file, in evaluation mode.

    ``build`` is called on torch's meta device, where tensors have no memory, and must refuse a ``config`` that is none
    of its own; every weight and buffer comes out of the file.

    Raises:
        UserError: no such file, or not one of ours.
    """
    if (note := _note(path)).startswith("families."):  # what a stage leaves whose family is off
        raise UserError(f"{path}: {note}; set it to true and run `dvc repro`")
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads(file.metadata()["config"])
            with torch.device("meta"), _Uninitialised():
                module = build(**config)
            _compare(module, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
            module.to_empty(device="cpu")
            module.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; run `dvc repro`") from None
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: is not a network of this project ({_reason(error)}); run `dvc repro`") from None
    return module.to(device).to(memory_format=torch.channels_last).eval()


class _Uninitialised(TorchFunctionMode):
    """Within it, layers leave their weights as they are. What the meta device does in place of drawing them is not
    needed, and loads torch's compiler, which takes longer than torch itself."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func.__name__ in INITIALISERS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def _note(path: Path) -> str:
    """The first line of a text file; "" of any other."""
    try:
        with path.open("rb") as file:
            return file.readline(200).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _compare(module: nn.Module, slices: Mapping[str, Any]) -> None:
    """Whether the file's tensors are those of the network, all of them, by name, shape and type.

    Raises:
        ValueError: they are not, or a buffer is kept out of files, so that nothing would fill it.
    """
    made = {
        name: f"{TYPES[tensor.dtype]} {list(tensor.shape)}"
        for tensors in (module.named_parameters(), module.named_buffers())
        for name, tensor in tensors
    }
    found = {name: f"{part.get_dtype()} {part.get_shape()}" for name, part in slices.items()}
    for name in sorted(made.keys() | found.keys()):
        if made.get(name) != found.get(name):
            raise ValueError(f"{name}: found {found.get(name)}, but its config makes {made.get(name)}")


def _reason(error: Exception) -> str:
    """What was wrong, in a line."""
    if isinstance(error, ValidationError):
        return f"config.{first_problem(error)}"
    return in_a_line((str(error).splitlines() or [type(error).__name__])[0])


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}
