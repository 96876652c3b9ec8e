"""Half precision and compilation: how a training step is computed, never what it computes."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from genbalance.errors import UserError
from genbalance.params import Compute

P = ParamSpec("P")
R = TypeVar("R")

WIDE = 1000  # units from which a linear layer gains by bf16 products on a CPU that has instructions for them


def uses_bf16(compute: Compute, device: torch.device, *networks: nn.Module) -> bool:
    """Whether products are taken in bf16. ``auto`` asks the hardware's instructions and the networks, never a clock, so
    that one machine always answers the same: a GPU with bf16 products (compute capability 8), or a CPU with AMX whose
    networks have convolutions or wide layers."""
    if compute.precision != "auto":
        return compute.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False)) and any(map(_gains, networks))


def _gains(network: nn.Module) -> bool:
    return any(
        isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        or (isinstance(layer, nn.Linear) and min(layer.in_features, layer.out_features) >= WIDE)
        for layer in network.modules()
    )


def lowered(loss: Callable[P, R], bf16: bool, device: torch.device) -> Callable[P, R]:
    """``loss`` with its networks' products in bf16, if so; weights, optimizer and sums stay float32."""
    if not bf16:
        return loss

    def in_bf16(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast(device.type, torch.bfloat16):
            return loss(*args, **kwargs)

    return in_bf16


def compile_on_gpu(compute: Compute, device: torch.device, *networks: nn.Module) -> None:
    """Compiles each network in its place (torch.compile), where ``compute.compile`` says so.

    Raises:
        UserError: ``compute.compile`` is true and there is no GPU to compile for.
    """
    if not compute.compile:
        return
    if device.type != "cuda":
        raise UserError("compute.compile: found true, but this runs on the CPU; allowed there: false")
    for network in networks:
        network.compile()
