"""Features of another network, out of a file (ONNX or TorchScript), in place of the reference classifier's: with those
of Inception or DINOv2 a Fréchet distance can be compared with other people's."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from genbalance.data.pixels import UNIT
from genbalance.data.prepared import in_words
from genbalance.evaluation.features import Features, Images, without_classes
from genbalance.runtime.device import upload
from genbalance.runtime.errors import UserError, in_a_line, machine_errors

BLOCK = 50  # images at a time: those that such networks take are large
ONNX, SCRIPT = ".onnx", ".pt"
INPUT = "float32 [batch, 1 or 3, height, width]"
OUTPUT = "[batch, d] or [batch, d, 1, 1]"
LARGEST = 2048  # pixels a side


@dataclass(frozen=True)
class FileExtractor:
    """What reads images by the network of a file.

    Attributes:
        name: of the file.
        md5: of the file.
        run: images float32 [B, C, H, W] in [0, 1] on ``device`` to the network's output.
        channels: C.
        size: (H, W) to which images are resized.
        block: images at a time.
        device: where they are resized.
    """

    name: str
    md5: str
    run: Callable[[Tensor], Tensor]
    channels: int
    size: tuple[int, int]
    block: int
    device: torch.device

    def read(self, images: Images) -> Features:
        """Features of images uint8 [n, H, W(, 3)], without class probabilities.

        Images of another size are resized by torch's bilinear interpolation with antialiasing; grey ones get three
        equal channels where the network takes three.

        Raises:
            UserError: the network fails, or its output is neither [B, d] nor [B, d, 1, 1].
        """
        starts = range(0, len(images), self.block)
        found = [self._block(images[start : start + self.block]) for start in starts]
        return without_classes(np.concatenate(found))

    def _block(self, images: Images) -> NDArray[np.float32]:
        with torch.inference_mode(), _in_a_line(self.name, "fails on the images"):
            given = upload(np.ascontiguousarray(images), UNIT, self.device)
            if given.shape[2:] != self.size:
                given = interpolate(given, self.size, mode="bilinear", antialias=True)
            output = self.run(given.expand(-1, self.channels, -1, -1).contiguous())
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise UserError(f"{self.name}: found an output of the type {_type(output)}; allowed: floats {OUTPUT}")
        shape = tuple(output.shape)
        if len(shape) not in (2, 4) or shape[0] != len(images) or shape[2:] not in ((), (1, 1)) or not shape[1]:
            raise UserError(f"{self.name}: found an output {[*shape]} of {len(images)} images; allowed: {OUTPUT}")
        features: NDArray[np.float32] = output.flatten(1).float().cpu().numpy()
        return features


def load(path: Path, size: int | None, shape: Sequence[int], device: torch.device) -> FileExtractor:
    """The extractor of a file, tried on a black image. Load files that you trust: no pickle of Python is read and no
    Python is run, yet what reads such files was not made for hostile ones.

    Args:
        path: a file .onnx with one input, float32 [B, C, H, W] in [0, 1], whose H and W say what images are resized to
            where they are fixed; or .pt, TorchScript that takes the same.
        size: pixels a side that images are resized to; None: what the file says, else the images' own size.
        shape: [channels, height, width] of the images.
        device: where it runs.

    Raises:
        UserError: no such file, another kind of file, or a network that does not take these images.
    """
    if not path.is_file():
        raise UserError(f"{path}: is {'no file' if path.exists() else 'not there'}; allowed: a file {ONNX} or {SCRIPT}")
    if size is not None and not 1 <= size <= LARGEST:
        raise UserError(f"--features-size: found {size}; allowed: 1 … {LARGEST}")
    match path.suffix.lower():
        case ".onnx":
            run, block, (fixed_channels, *fixed) = _onnx(path, device)
        case ".pt":
            run, block, (fixed_channels, *fixed) = _script(path, device)
        case _:
            raise UserError(f"{path}: found a file of another kind; allowed: {ONNX} or {SCRIPT} (TorchScript)")
    if size is not None and any(side not in (None, size) for side in fixed):
        raise UserError(f"--features-size: found {size}, but {path} takes {_times(fixed)} pixels alone; leave it out")
    own = (size or shape[1], size or shape[2])
    wanted = (fixed[0] or own[0], fixed[1] or own[1])
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    for channels in (fixed_channels,) if fixed_channels else (shape[0], 3):
        if channels < shape[0]:
            raise UserError(f"{path}: takes grey images, but these are of {in_words(shape)}; allowed: grey ones")
        found = FileExtractor(str(path), md5, run, channels, wanted, block, device)
        try:
            found.read(np.zeros((1, *shape[1:], *([3] if shape[0] == 3 else [])), np.uint8))
        except UserError as error:  # it may take three channels alone: TorchScript does not say
            refusal = error
        else:
            return found
    raise refusal


Loaded = tuple[Callable[[Tensor], Any], int, Sequence[int | None]]
"""The network; how many images it takes at a time; its [C, H, W], None where it takes any."""


def _onnx(path: Path, device: torch.device) -> Loaded:
    with machine_errors():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: its warnings are on what it folds
    wanted = ["CUDAExecutionProvider"] * (device.type == "cuda") + ["CPUExecutionProvider"]
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    with _in_a_line(path, "cannot be read as ONNX"):
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = ", ".join(f"{given.name} {given.type} {given.shape}" for given in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise UserError(f"{path}: takes {in_a_line(found) or 'nothing'}; allowed: one input, {INPUT}")
    if len(outputs) != 1:
        names = in_a_line(", ".join(output.name for output in outputs))
        raise UserError(f"{path}: has the outputs {names}; allowed: one, {OUTPUT}")
    batch, *sides = (length if isinstance(length, int) else None for length in inputs[0].shape)
    if batch not in (None, 1) or sides[0] not in (None, 1, 3):
        raise UserError(f"{path}: takes {in_a_line(found)}; allowed: {INPUT} of any batch, or one image at a time")

    def run(images: Tensor) -> Tensor:
        (output,) = session.run(None, {inputs[0].name: images.cpu().numpy()})
        return torch.from_numpy(output)

    return run, batch or BLOCK, sides


def _script(path: Path, device: torch.device) -> Loaded:
    with warnings.catch_warnings(), _in_a_line(path, "cannot be read as TorchScript"):
        warnings.simplefilter("ignore")  # torch's, that there are newer formats
        network = torch.jit.load(str(path), map_location=device).eval()
    return network, BLOCK, (None, None, None)


@contextmanager
def _in_a_line(name: Path | str, what: str) -> Iterator[None]:
    """Whatever a library raises, as a refusal."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # onnxruntime's own are of no common kind
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # TorchScript tells the reason last, below two traces
        reason = in_a_line(lines[-1 if isinstance(error, RuntimeError) else 0]) if lines else type(error).__name__
        raise UserError(f"{name}: {what} ({reason}); allowed: {INPUT} in, {OUTPUT} out") from None


def _type(value: Any) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def _times(sides: Sequence[int | None]) -> str:
    return " × ".join("any" if side is None else str(side) for side in sides)
