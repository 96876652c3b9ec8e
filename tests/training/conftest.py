"""What the tests of whole trainings share."""

import pytest
import torch


@pytest.fixture
def repository(tmp_path, monkeypatch, settings):
    """A folder that checkpoints go to."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
