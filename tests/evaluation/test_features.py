"""A network applied block by block."""

import pytest
import torch
from torch import nn

from genbalance.compute import initialised
from genbalance.evaluation import features
from genbalance.evaluation.features import in_blocks


@pytest.fixture
def network():
    return initialised(lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 0, "net", torch.device("cpu"))


@pytest.mark.parametrize("count", [1, 3, 7, 9])
def test_blocks_are_one_pass_in_the_same_order(monkeypatch, network, count):
    inputs = torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    whole = network(inputs).detach()
    monkeypatch.setattr(features, "BLOCK", 3)
    sizes = []
    blocks = in_blocks(lambda block: sizes.append(len(block)) or network(block), inputs)
    torch.testing.assert_close(blocks, whole)
    assert sizes == [3] * (count // 3) + ([count % 3] if count % 3 else [])
    assert not blocks.requires_grad


def test_the_memory_is_bounded():
    sizes = []
    in_blocks(lambda block: sizes.append(len(block)) or block, torch.zeros(1234, 2))
    assert max(sizes) == features.BLOCK <= 1000
    assert sum(sizes) == 1234
