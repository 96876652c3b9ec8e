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
