"""Members of a stack are trained as they would be alone."""

import pytest
import torch

CPU = torch.device("cpu")
CONFIG = {"shape": [1, 8, 8], "latents": 3, "width": 32, "batch_size": 6, "learning_rate": 0.002}


@pytest.mark.parametrize("arch", ["mlp", "conv"])
def test_stacked_members_get_the_weights_of_separate_trainings(arch, load):
    found = load("stacked").compared(arch, 0, CPU, CONFIG, 1, 3)
    assert found["members"] == 8
    assert found["largest_difference"] < 1e-4
    assert found["speedup"]["least"] > 0


def test_beta_makes_the_members_different(load):
    benchmark = load("stacked")
    model = benchmark.Loss(benchmark.Vae(arch="mlp", likelihood="bernoulli", log_sigma_floor=-6.0, **{
        key: CONFIG[key] for key in ("shape", "latents", "width")
    }))  # fmt: skip
    weights, step = benchmark.stacked(model, torch.tensor([0.1, 0.1, 10.0]), 0.01)
    step(torch.ones(4, 1, 8, 8), torch.ones(4, 3))
    for weight in weights.values():
        assert torch.equal(weight[0], weight[1])
    assert any(not torch.equal(weight[0], weight[2]) for weight in weights.values())
