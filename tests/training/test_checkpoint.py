"""Checkpoints: everything comes back exactly, and a training that goes on ends as if it had never stopped."""

import math
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from genbalance.runtime.device import generator
from genbalance.runtime.locking import CHECKPOINT, CHECKPOINTS, RUN, StageLock
from genbalance.training.checkpoint import Checkpoint
from genbalance.training.ema import MovingAverage
from genbalance.training.gan import GanObjective
from genbalance.training.loop import linear_fall
from genbalance.training.vae import BestEpoch

KEY = "a" * 64
STEPS, EPOCHS = 5, 6


class Run:
    """A tracked run that keeps what it is told of."""

    run_id = "run-1"

    def __init__(self, key=KEY):
        self.key = key
        self.logged = []
        self.sent = 0

    def log(self, values, step=None):
        self.logged.append((step, dict(values)))

    def flush(self):
        self.sent = len(self.logged)


@pytest.fixture(autouse=True)
def _repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def same(left, right):
    """Equal down to types, bits, and how tensors lie in memory."""
    if isinstance(left, torch.Tensor):
        assert left.stride() == right.stride()
        assert left.dtype == right.dtype
        assert torch.equal(left.cpu().contiguous().view(-1), right.cpu().contiguous().view(-1))
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()
    elif isinstance(left, dict):
        assert list(left) == list(right)
        assert [type(key) for key in left] == [type(key) for key in right]
        for key, value in left.items():
            same(value, right[key])
    elif isinstance(left, list | tuple):
        assert type(left) is type(right)
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            same(one, other)
    else:
        assert type(left) is type(right)
        assert repr(left) == repr(right)


def channels_last():
    return torch.arange(48.0).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "state",
    [
        {0: {"step": torch.tensor(3.0)}, 1: {}, "0": 2},
        {
            "floats": [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, math.inf, -0.0, math.nan],
            "whole": [1, 1.0, True, None],
        },
        {"betas": (0.9, 0.999), "nested": [[], {}, (), ("λ", "a/b", "")]},
        [channels_last(), channels_last()[:, :1], torch.zeros(0, 3), torch.tensor(7), torch.rand(3, 4).T],
        [
            torch.tensor([1, 255], dtype=torch.uint8),
            torch.tensor([True]),
            torch.rand(2).double(),
            torch.rand(2).bfloat16(),
        ],
        torch.Generator().manual_seed(5).get_state(),
    ],
)
def test_a_state_comes_back_bit_by_bit_with_its_strides_types_and_keys(state):
    class Part:
        def __init__(self, state):
            self.state = state

        def state_dict(self):
            return {"state": self.state}

        def load_state_dict(self, state_dict):
            self.state = state_dict["state"]

    with Checkpoint("toy", Run(), 0.0, Part(state)) as checkpoint:
        epochs = checkpoint.epochs(3)
        assert [next(epochs), next(epochs)] == [1, 2]
    del checkpoint
    restored = Part(None)
    with Checkpoint("toy", Run(), 0.0, restored) as checkpoint:
        assert list(checkpoint.epochs(3)) == [2, 3]
    same(state, restored.state)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(16, 1)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


SCHEDULES = {
    "linear fall": lambda optimizer: LambdaLR(optimizer, linear_fall(STEPS * EPOCHS, 0.5)),
    "one cycle": lambda optimizer: OneCycleLR(optimizer, 0.01, total_steps=STEPS * EPOCHS + 1),
}


class Killed(BaseException):
    pass


def train(schedule_of, optimizer_of, run, killed_at=None):
    """The weights, the average and the rows at the end of a training that is killed at a step of its process."""
    model = network()
    optimizer = optimizer_of(model.parameters(), 0.01, fused=True)
    schedule = schedule_of(optimizer)
    average, losses = MovingAverage(model, 0.9), []
    noise, best = generator(0, "noise"), BestEpoch("loss")
    taken = 0
    with Checkpoint("toy", run, 0.0, model, optimizer, schedule, average, noise, losses, best) as checkpoint:
        for epoch in checkpoint.epochs(EPOCHS):
            model.train()
            for _ in range(STEPS):
                taken += 1
                if taken == killed_at:
                    raise Killed
                images = torch.randn(4, 3, 6, 6, generator=noise).to(memory_format=torch.channels_last)
                loss = model(images).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                average.update(model)
            losses.append(loss.item())
            best.consider(epoch, {"loss": loss.item()}, average.module, np.array([loss.item()]))
    return deepcopy([p.state_dict() for p in (model, optimizer, schedule, average, best)] + losses)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", [Adam, AdamW])
def test_a_training_that_is_killed_again_and_again_ends_as_if_it_never_was(schedule, optimizer, capsys):
    whole = train(SCHEDULES[schedule], optimizer, Run(key=""))
    for killed_at in (2, 3 * STEPS, STEPS + 1, STEPS):
        with pytest.raises(Killed):
            train(SCHEDULES[schedule], optimizer, Run(), killed_at)
    same(whole, train(SCHEDULES[schedule], optimizer, Run()))
    printed = capsys.readouterr().err.splitlines()
    assert printed == [f"toy: resuming after epoch {epoch}" for epoch in (2, 3, 3)]


def test_moments_that_lay_otherwise_than_their_weights_would_give_other_weights():
    """What the strides are kept for: fused Adam pairs memory, and says nothing."""
    trained = []
    for contiguous in (False, True):
        layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(-1, 1, layer.weight.numel()).view_as(layer.weight))
        optimizer = Adam([layer.weight], 0.1, fused=True)
        for step in range(2):
            layer.weight.grad = torch.sin(layer.weight.detach() * (step + 1) * 7)
            if step and contiguous:
                moments = optimizer.state[layer.weight]
                for name in ("exp_avg", "exp_avg_sq"):
                    moments[name] = moments[name].contiguous()
            optimizer.step()
        trained.append(layer.weight.detach().clone())
    assert not torch.equal(*trained)


def test_the_generator_that_dropout_draws_from_goes_on_too():
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with Checkpoint("toy", Run(), 0.0) as checkpoint:
            for epoch in checkpoint.epochs(3):
                drawn.append((epoch, torch.rand(()).item()))
                if seed == 1 and epoch == 2:
                    break
    torch.manual_seed(1)
    expected = [torch.rand(()).item() for _ in range(3)]
    # epoch 2 was begun and not kept: it is drawn again
    assert drawn == [(1, expected[0]), (2, expected[1]), (2, expected[1]), (3, expected[2])]


def kept(key=KEY):
    return CHECKPOINTS / "toy" / key / CHECKPOINT


def test_checkpoints_are_as_far_apart_as_asked_for_and_the_last_epoch_is_none():
    with Checkpoint("toy", Run(), 3600.0) as checkpoint:
        assert list(checkpoint.epochs(3)) == [1, 2, 3]
    assert not kept().exists()
    with Checkpoint("toy", Run(), 0.0) as checkpoint:
        assert [(epoch, kept().exists()) for epoch in checkpoint.epochs(3)] == [(1, False), (2, True), (3, True)]
    with Checkpoint("toy", Run(), 0.0) as checkpoint:
        assert list(checkpoint.epochs(3)) == [3]


def test_the_tracked_run_is_kept_with_the_checkpoint_and_files_beside_it():
    with Checkpoint("toy", Run(), 0.0) as checkpoint:
        for epoch in checkpoint.epochs(2):
            (checkpoint.folder / str(epoch)).touch()
    del checkpoint
    assert sorted(path.name for path in kept().parent.iterdir()) == sorted(["1", "2", CHECKPOINT, RUN])
    with StageLock("toy") as place:
        assert place.resumable(KEY) == "run-1"


def test_without_a_key_nothing_is_kept():
    with Checkpoint("toy", Run(key=""), 0.0) as checkpoint:
        for _ in checkpoint.epochs(3):
            (checkpoint.folder / "file").touch()
        folder = checkpoint.folder
    assert not CHECKPOINTS.exists()
    assert not folder.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path):
    path.write_bytes(b"")


def foreign(path):
    torch.save({"epoch": 1}, path)


def of_other_parts(path):
    state = torch.load(path, weights_only=True)
    state["parts"][0] = nn.Linear(3, 3).state_dict()
    torch.save(state, path)


def of_another_machine(path):
    torch.save(torch.load(path, weights_only=True) | {"made on": "torch 1.0, abacus"}, path)


class Harmful:
    def __reduce__(self):
        return print, ("a pickle that runs code",)


def of_code(path):
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))


def of_code_in_a_checkpoint(path):
    torch.save(torch.load(path, weights_only=True) | {"more": Harmful()}, path)


def of_a_longer_training(path):
    torch.save(torch.load(path, weights_only=True) | {"epoch": 3}, path)


@pytest.mark.parametrize(
    "broken",
    [cut, emptied, foreign, of_code, of_code_in_a_checkpoint, of_other_parts, of_another_machine, of_a_longer_training],
)
def test_a_checkpoint_that_is_none_is_one_line_and_the_training_restarts(broken, capsys):
    def begun():
        torch.manual_seed(7)
        stream = generator(1, "x")
        model = nn.Linear(2, 2)
        return model, Checkpoint("toy", Run(), 0.0, Adam(model.parameters(), fused=True), stream, model), stream

    model, checkpoint, _ = begun()
    fresh = deepcopy(model.state_dict())
    with checkpoint:
        for _ in checkpoint.epochs(2):
            with torch.no_grad():
                model.weight.zero_()
            (checkpoint.folder / "gathered").touch()
    del checkpoint
    broken(kept())
    model, checkpoint, stream = begun()
    with checkpoint:
        assert next(checkpoint.epochs(3)) == 1
    same(fresh, model.state_dict())
    assert torch.equal(stream.get_state(), generator(1, "x").get_state())
    assert not list(kept().parent.iterdir())
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    assert line.startswith(f"toy: {kept().resolve()}: cannot be resumed from (")
    assert line.endswith("training restarts")


def test_a_disk_that_takes_no_checkpoint_does_not_stop_the_training(capsys):
    with Checkpoint("toy", Run(), 0.0) as checkpoint:
        checkpoint.folder.rmdir()
        checkpoint.folder.write_text("in the way")
        checkpoint._restored = lambda count: 0
        assert list(checkpoint.epochs(2)) == [1, 2]
    (line,) = capsys.readouterr().err.splitlines()
    assert "no checkpoint could be written" in line


def test_the_number_of_ds_steps_is_restored():
    objective = GanObjective.__new__(GanObjective)
    objective._d_steps = 5
    other = GanObjective.__new__(GanObjective)
    other.load_state_dict(deepcopy(objective.state_dict()))
    assert other._d_steps == 5


def test_what_was_logged_before_a_checkpoint_is_sent_before_it_is_kept(monkeypatch):
    run, sent = Run(), []
    monkeypatch.setattr(torch, "save", lambda *_: sent.append((run.sent, len(run.logged))))
    with Checkpoint("toy", run, 0.0) as checkpoint:
        for epoch in checkpoint.epochs(3):
            run.log({"loss": 1 / epoch}, step=epoch)
    assert sent == [(1, 1), (2, 2)]
