"""What stands in for functions of torch in a share of a batch, in a group of one process: all rows are its own."""

from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import dropout

from genbalance.training.shares import Share, is_first, of_batch, share_of

BATCH = torch.arange(8)


@pytest.fixture
def _group(tmp_path):
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_without_a_group_a_batch_is_whole_and_its_objective_unweighed():
    share = share_of(BATCH)
    assert share.rows is BATCH
    assert share.weight is None
    assert is_first()
    assert of_batch(torch.ones, 3).tolist() == [1, 1, 1]


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("sides", [(), (6, 6)])
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_batch_norm_has_the_outputs_the_gradients_and_the_statistics_of_torch(sides, dtype, apart):
    draws = torch.Generator().manual_seed(0)
    inputs, gradient = (torch.randn(8, 5, *sides, generator=draws).to(dtype) for _ in range(2))
    found = []
    for context in (share_of(BATCH), nullcontext()):
        layer = (nn.BatchNorm2d if sides else nn.BatchNorm1d)(5, dtype=torch.promote_types(dtype, torch.float32))
        with torch.no_grad():
            layer.weight.copy_(torch.arange(1.0, 6.0))
        given = (3 * inputs + 10).requires_grad_()
        with context:
            outputs = layer(given)
        outputs.backward(gradient)
        gradients = given.grad, layer.weight.grad, layer.bias.grad
        found.append((outputs, *gradients, layer.running_mean, layer.running_var))
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, rtol=apart, atol=apart)


@pytest.mark.usefixtures("_group")
def test_draws_are_those_without_a_share():
    like = torch.empty(8, 3, 4, 4).to(memory_format=torch.channels_last)[:, :1]
    draws = [
        lambda: torch.rand(8, 1, generator=torch.Generator().manual_seed(1)),
        lambda: torch.randn((2, 8, 3)),
        lambda: torch.randint(1, 5, (8, 1)),
        lambda: torch.randn_like(like),
        lambda: dropout(torch.ones(8, 50), 0.3),
        lambda: torch.arange(16).view(8, 2).roll(1, dims=0),
        lambda: torch.arange(16.0).view(8, 2).mean(dim=0),
        lambda: of_batch(torch.randperm, 8),
    ]
    for draw in draws:
        torch.manual_seed(0)
        expected = draw()
        torch.manual_seed(0)
        with Share(BATCH):
            assert torch.equal(draw(), expected)


@pytest.mark.usefixtures("_group")
def test_a_draw_that_would_be_another_in_each_process_raises():
    with Share(BATCH):
        for draw in (lambda: torch.rand(3, 4), lambda: torch.randperm(8), lambda: torch.empty(8).normal_()):
            with pytest.raises(RuntimeError, match="several processes"):
                draw()
