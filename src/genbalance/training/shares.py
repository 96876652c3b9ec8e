"""How a training on several processes shares a batch: each process has rows of it, and the objective is the whole's.

The networks, losses and augmentations are those of one process and know nothing of it. While a loss is computed on a
process's rows, a :class:`Share` stands in for what goes beyond them: a random draw is that of the whole batch, of which
the process takes its rows; batch norm has the mean and the variance of the whole batch, and so has a mean over its
images. After a backward pass gradients and scalars are added up over the processes, each weighed by its share of the
images: they are those of the whole batch, and equal in all processes to the last bit, so that weights stay equal.

Of a federated training (:mod:`genbalance.training.federated`) no batch is shared: each process trains clients.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.functional import batch_norm, dropout
from torch.overrides import TorchFunctionMode

from genbalance.runtime.locking import StageLock

TIMEOUT = timedelta(days=1)  # for which a process waits for the others, as while one of them logs or trains a client
_claimed: ContextVar[Path | None] = ContextVar("claimed")  # the checkpoints' folder, locked by another process
_whole = False  # whether this process computes batches of its own


def join(backend: str, claimed: Path | None) -> None:
    """Makes this process one of several that train together; torchrun's variables say which.

    Args:
        backend: gloo or nccl.
        claimed: the folder of the training's checkpoints, which the process that has started these ones has locked;
            None: there are no checkpoints.
    """
    take_claimed(claimed)
    store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
    # the launcher's store outlives a restart: without a prefix a process may read the address of one that was killed
    own = PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=count, timeout=TIMEOUT)


def take_claimed(claimed: Path | None) -> None:
    """Takes the folder of the training's checkpoints from the process that has locked it; None: there are none."""
    _claimed.set(claimed)


def is_first() -> bool:
    """Whether this process logs and saves: one of several, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


def claim(lock: StageLock, key: str) -> Path | None:
    """The folder of the training ``key``, locked by this process or by the one that has started it; None where another
    process trains the same, and without a key."""
    try:
        return _claimed.get()
    except LookupError:
        return lock.claim(key)


def agreed(restore: Callable[[], int]) -> int:
    """What ``restore`` gives: the epoch of a checkpoint, 0 without one. The first process decides whether there is one;
    the others restore it then, and only then.

    Raises:
        RuntimeError: one of them cannot.
    """
    if not dist.is_initialized():
        return restore()
    place = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
    decided = torch.tensor(restore() if is_first() else 0, device=place)
    dist.broadcast(decided, src=0)
    epoch = int(decided)
    if epoch and not is_first() and restore() != epoch:
        raise RuntimeError(f"the first process resumes after epoch {epoch}, and this one cannot")
    return epoch


def are_several() -> bool:
    """Whether this process trains together with others."""
    return dist.is_initialized() and dist.get_world_size() > 1


def own(count: int) -> range:
    """Which of ``count`` clients of a federated training this process trains, counted from 0; one process all."""
    return range(dist.get_rank(), count, dist.get_world_size()) if dist.is_initialized() else range(count)


@contextmanager
def whole_batches() -> Iterator[None]:
    """Within it this process computes whole batches, as it does for a client, and shares none with the others."""
    global _whole
    _whole = True
    try:
        yield
    finally:
        _whole = False


def of_all(found: Any) -> list[Any]:
    """What each process has found, in the order of the processes: tensors, which are on the CPU then, with their
    strides, numbers and texts, in dicts, lists and tuples."""
    own, every = io.BytesIO(), [b""] * dist.get_world_size()
    torch.save(found, own)
    dist.all_gather_object(every, own.getvalue())
    return [torch.load(io.BytesIO(each), map_location="cpu", weights_only=True) for each in every]


class Whole:
    """All rows of a batch, where one process trains alone.

    Attributes:
        rows: the indices of its images.
        weight: of this process's objective in that of the batch; None: 1.
    """

    weight: Tensor | None = None

    def __init__(self, batch: Tensor) -> None:
        self.rows = batch

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is to be undone."""

    def gathered(self, scalars: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """The scalars themselves."""
        return scalars


class Share(TorchFunctionMode):
    """The rows of a batch that are this process's: the first ones are the first process's, and so on; where the batch
    cannot be divided evenly, some have one more. Use it as a context around the loss alone.

    Attributes:
        rows: the indices of its images.
        weight: of this process's objective in that of the batch.
    """

    def __init__(self, batch: Tensor) -> None:
        super().__init__()
        size, count, rank = len(batch), dist.get_world_size(), dist.get_rank()
        ends = [size * place // count for place in range(count + 1)]
        self._size, self._start = size, ends[rank]
        self._shares = torch.tensor(ends, device=batch.device).diff().div(size)  # of each process
        self.rows = batch[ends[rank] : ends[rank + 1]]
        self._count = len(self.rows)
        self.weight = self._shares[rank]
        self._stands_in = True

    def __enter__(self) -> Self:
        """Itself, in the place of what it stands in for."""
        global _current
        super().__enter__()  # type: ignore[no-untyped-call]
        _current = self
        return self

    def __exit__(self, *error: Any) -> None:
        """Leaves all as it was."""
        global _current
        _current = None
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Calls ``func``, or what stands in for it."""
        found = STAND_INS.get(func) if self._stands_in else None
        return func(*args, **(kwargs or {})) if found is None else found(self, func, *args, **(kwargs or {}))

    def of_whole(self, draw: Callable[[int], Tensor]) -> Tensor:
        """This process's rows of what is drawn for the whole batch, whose number of images ``draw`` is given."""
        self._stands_in = False
        try:
            return self._own(draw(self._size))
        finally:
            self._stands_in = True

    def gathered(self, scalars: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]) -> Mapping[str, Tensor]:
        """Makes the parameters' gradients, which are of this process's weighed objective, those of the whole batch, and
        returns its scalars, each a mean over images: one message from each process to the others."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        own = torch.stack([value.detach().to(gradients[0].dtype) for value in scalars.values()]) * self.weight
        message = torch.cat([*(gradient.flatten() for gradient in gradients), own])
        dist.all_reduce(message)
        *sums, means = message.split([*(gradient.numel() for gradient in gradients), len(scalars)])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient))
        return dict(zip(scalars, means.unbind(), strict=True))

    def _own(self, whole: Tensor, place: int = 0) -> Tensor:
        return whole.narrow(place, self._start, self._count)

    def _grown(self, like: Tensor) -> Tensor:
        """An empty tensor for the whole batch, laid out as ``like`` is for this process's rows."""
        self._check(like.shape, 0)
        return torch.empty_strided((self._size, *like.shape[1:]), like.stride(), dtype=like.dtype, device=like.device)

    def _check(self, size: Sequence[int], place: int) -> None:
        if size[place] != self._count:
            raise RuntimeError(
                f"found {tuple(size)} in a training on several processes, but a row for each of the "
                f"{self._count} images of this one is asked for"
            )

    def _draw(self, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Random numbers of a size that is the last argument or, of plain numbers, all of them: [B, …], or
        [draws, B, latents]."""
        *before, size = (args,) if isinstance(args[0], int) and function is not torch.randint else args
        place = 1 if len(size) == 3 else 0
        self._check(size, place)
        return self._own(function(*before, [*size[:place], self._size, *size[place + 1 :]], **kwargs), place)

    def _draw_like(self, function: Callable[..., Tensor], like: Tensor, **kwargs: Any) -> Tensor:
        return self._own(function(self._grown(like), **kwargs))

    def _dropout(
        self,
        function: Callable[..., Tensor],
        inputs: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training:
            return function(inputs, p, training, inplace)
        return inputs * self._own(function(self._grown(inputs).fill_(1), p))

    def _roll(self, function: Callable[..., Tensor], inputs: Tensor, shifts: int, dims: int) -> Tensor:
        """Of rows that no gradient goes through."""
        if dims != 0:
            return function(inputs, shifts, dims)
        self._check(inputs.shape, 0)
        whole = inputs.new_zeros((self._size, *inputs.shape[1:]))
        self._own(whole).copy_(inputs)
        dist.all_reduce(whole)
        return self._own(function(whole, shifts, dims))

    def _mean(self, function: Callable[..., Tensor], inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Over the images, where it is over the first axis."""
        found = function(inputs, *args, **kwargs)
        if kwargs.get("dim") != 0:
            return found
        self._check(inputs.shape, 0)
        total: Tensor = _Sum.apply(found * self.weight)
        return total

    def _batch_norm(
        self,
        function: Callable[..., Tensor],
        inputs: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """The layer's inputs [n, C, …], n a multiple of this process's images, normalised by mean and variance of the
        inputs of all processes."""
        if not training:
            return function(inputs, running_mean, running_var, weight, bias, training, momentum, eps)
        count = inputs.numel() // inputs.shape[1] * self._size // self._count
        with torch.no_grad():
            wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
            # torch.var_mean over these axes takes a CPU 27 times as long
            own = torch.stack(torch.ops.aten.batch_norm_update_stats(wide, None, None, momentum))
            parts = [torch.empty_like(own) for _ in self._shares]
            dist.all_gather(parts, own)
            means, variances = torch.stack(parts, dim=1)
            shares = self._shares[:, None]
            mean = (shares * means).sum(dim=0)
            variance = (shares * (variances + (means - mean).square())).sum(dim=0)
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (count / (count - 1)), momentum)
        normalised: Tensor = _Normalised.apply(inputs, weight, bias, mean, variance, eps, count)
        return normalised

    def _refuse(self, function: Callable[..., Any], *_: Any, **__: Any) -> Tensor:
        raise RuntimeError(f"{function.__name__} is not shared by several processes yet")


STAND_INS: Mapping[Callable[..., Any], Callable[..., Tensor]] = {
    torch.rand: Share._draw,
    torch.randn: Share._draw,
    torch.randint: Share._draw,
    torch.randn_like: Share._draw_like,
    torch.rand_like: Share._draw_like,
    dropout: Share._dropout,
    torch.Tensor.roll: Share._roll,
    torch.Tensor.mean: Share._mean,
    batch_norm: Share._batch_norm,
    **dict.fromkeys(
        (torch.randperm, torch.bernoulli, torch.normal, torch.multinomial, torch.poisson, torch.randint_like),
        Share._refuse,
    ),
    **dict.fromkeys((torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.bernoulli_), Share._refuse),
}
_current: Share | None = None


def share_of(batch: Tensor) -> Whole | Share:
    """The rows of a batch of image indices that this process computes."""
    return Share(batch) if dist.is_initialized() and not _whole else Whole(batch)


def of_batch(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """``draw(count)``; where ``count`` images are a process's share of a batch, its rows of ``draw`` of the batch. For
    draws in which the rows of a batch depend on one another."""
    return draw(count) if _current is None else _current.of_whole(draw)


class _Sum(torch.autograd.Function):
    """The sum over the processes, of which each has a part of the gradient."""

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _Normalised(torch.autograd.Function):
    """Batch norm with a mean and a variance that depend on the inputs of all processes.

    torch's own kernels normalise, and give the gradient for a mean and a variance that are constants, with those of
    weight and bias; what is missing is a linear function of the inputs (Ioffe & Szegedy 2015, arXiv:1502.03167, section
    3): dL/dx = γ/σ·(dL/dy − E[dL/dy] − x̂·E[x̂·dL/dy]), with means over all ``count`` numbers of a channel.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, count: int
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight, mean, variance)
        ctx.eps, ctx.count = eps, count
        return batch_norm(inputs, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, mean, variance = ctx.saved_tensors
        through, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, inputs, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        both = torch.stack([of_weight, of_bias])
        dist.all_reduce(both)
        along, constant = both / ctx.count
        precision = (variance + ctx.eps).rsqrt()
        slope = weight * precision.square() * along
        offset = weight * precision * constant - slope * mean
        shape = [1, -1, *[1] * (inputs.dim() - 2)]
        missing = torch.addcmul(offset.view(shape), inputs, slope.view(shape))
        return (through - missing).to(through.dtype), of_weight, of_bias, None, None, None, None
