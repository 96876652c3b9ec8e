"""Networks on disk: safetensors with the constructor's arguments in the header, so that a file explains itself."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genbalance.errors import UserError
from genbalance.files import whole_file

M = TypeVar("M", bound=nn.Module)


def save(path: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Writes weights and ``config``. One metadata key: with several, safetensors would order them by chance."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with whole_file(path) as part:
        save_file(tensors, part, metadata={"config": json.dumps(config, sort_keys=True)})


def load(path: Path, build: Callable[..., M], device: torch.device) -> M:
    """The network that ``build(**config)`` makes of the file, in evaluation mode.

    Raises:
        UserError: no such file, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads(file.metadata()["config"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        module = build(**config)
        module.load_state_dict(state)
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; run `dvc repro`") from None
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: is not a network of this project ({reason}); run `dvc repro`") from None
    return module.to(device).to(memory_format=torch.channels_last).eval()


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
