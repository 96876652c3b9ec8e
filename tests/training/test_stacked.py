"""Stacked trainings: the numbers of separate ones, whoever ends early or is killed; and what cannot be stacked."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from multiprocessing import current_process
from multiprocessing.connection import Client, wait

import numpy as np
import pandas as pd
import pytest
from committed import ROOT
from signals import LIMIT
from small_repository import environment
from stacked_trainings import PREPARED, Run, alone, dataset, params, stacked

from genbalance.data import prepared
from genbalance.runtime.errors import UserError
from genbalance.training import vae
from genbalance.training.alarms import DivergedError
from genbalance.training.processes import Task, call
from genbalance.training.rendezvous import Rendezvous
from genbalance.training.stacked import Mailbox, Stack, train_all

LOGGED = [1, 1, 2, 2, 3, 3]  # the curves' row of each epoch, and what the run alone has
MEMBERS = [(0.5, 1, 0.002), (4.0, 1, 0.002), (4.0, 2, 0.001)]  # β, seed, learning rate


def assert_equal(one, other):
    assert list(one.curves) == list(other.curves)
    np.testing.assert_allclose(one.curves, other.curves, rtol=1e-3)
    for name, value in other.weights.items():
        if not name.startswith("prior."):  # of a mixture that is fitted, the order of its components is chance
            assert (one.weights[name] - value).double().norm() <= 1e-3 * value.double().norm() + 1e-6, name


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"arch": "conv"},
        {"beta_range": [0.1, 10.0]},
        {"arch": "conv", "beta_range": [0.1, 10.0], "conditional": True},
        {"importance_samples": 3, "conditional": True},
        {"free_bits": 0.1, "kl_warmup": 2},
        {"balance": "geco", "target_distortion": 30.0},
        {"prior": "normal", "likelihood": "gaussian"},
        {"prior": "flow", "likelihood": "gaussian_shared"},
        {"prior": "vamp", "likelihood": "logistic_mixture"},
    ],
    ids=lambda config: "-".join(map(str, config.values())),
)
def test_stacked_trainings_have_the_numbers_of_separate_ones(config):
    members = [(params(*numbers, **config), dataset(numbers[1])) for numbers in MEMBERS]
    kinds = {vae.stackable(*member) for member in members}
    assert len(kinds) == 1
    assert kinds != {""}
    for own, member in zip(stacked(members), members, strict=True):
        assert_equal(own, alone(*member))


@pytest.mark.usefixtures("settings")
def test_one_that_diverges_and_one_of_fewer_epochs_leave_the_others_alone():
    members = [
        (params(4.0), dataset(1)),
        (params(0.5, learning_rate=1e30), dataset(1)),
        (params(1.0, epochs=1), dataset(1)),
        (params(0.5), dataset(1)),
    ]
    kept, diverged, short, other = stacked(members)
    assert isinstance(diverged, DivergedError)
    for own, place in ((kept, 0), (short, 2), (other, 3)):
        assert_equal(own, alone(*members[place]))


@pytest.mark.usefixtures("settings")
def test_where_the_process_is_interrupted_all_end_at_their_next_step(monkeypatch):
    stack = Stack(2)
    monkeypatch.setattr(Run, "log", lambda _, __, step=None: stack.end() if step == 1 else None)
    found = stacked([(params(0.5), dataset(1)), (params(4.0), dataset(1))], stack)
    assert [type(each) for each in found] == [EOFError] * 2


def test_trainings_are_of_a_kind_if_they_differ_in_numbers_alone():
    kind = vae.stackable(params(1.0), dataset(1))
    for config in ({"lr_decay": 0.1}, {"ema_decay": 0.5}, {"kl_warmup": 2}, {"epochs": 9}):
        assert vae.stackable(params(2.0, 3, 0.1, **config), dataset(2)) == kind
    for config in ({"width": 32}, {"free_bits": 0.1}, {"batch_size": 30}, {"beta_range": [0.1, 10.0]}):
        assert vae.stackable(params(1.0, **config), dataset(1)) not in (kind, "")


@pytest.mark.parametrize("config", [{"balance": "sigma"}, {"arch": "ladder"}, {"updates": "alternating"}])
def test_what_is_not_of_numbers_alone_is_not_stacked(config):
    assert vae.stackable(params(1.0, **config), dataset(1)) == ""


@pytest.mark.parametrize("error", [DivergedError("epoch 2: loss is nan"), UserError("no")])
def test_what_a_training_raises_is_raised_by_the_process_that_it_is_of(error):
    with Mailbox(Run(), "train_vae") as mailbox:
        line = Client(mailbox.address, authkey=current_process().authkey)
        with line as connection, pytest.raises(UserError, match=str(error)):
            call(connection, "fail", error)
        with pytest.raises(type(error), match=str(error)):
            mailbox.result()
        assert mailbox.done.is_set()


@pytest.mark.usefixtures("settings")
def test_one_whose_process_has_ended_before_it_began_keeps_nobody_waiting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared.save(dataset(1), tmp_path / PREPARED)
    with Mailbox(Run(), "train_vae") as mailbox:
        own = Task(vae.train, "train_vae", params(1.0), tmp_path / PREPARED, "cpu", mailbox.address)
        train_all([replace(own, address=str(tmp_path / "nowhere")), own])
        found = mailbox.result()
    pd.testing.assert_frame_equal(found.curves, alone(params(1.0), dataset(1)).curves)


@pytest.fixture
def meeting():
    with Rendezvous() as meeting:
        yield meeting


def started(place, beta, meeting):
    place.mkdir()
    prepared.save(dataset(1), place / PREPARED)
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests", ROOT)))
    own = environment() | {"PYTHONPATH": path, "DVC_ROOT": str(place), "OMP_NUM_THREADS": "1"} | meeting.variables
    program = [sys.executable, str(ROOT / "tests" / "stacked_trainings.py"), str(beta)]
    return subprocess.Popen(program, cwd=place, env=own, stdout=-1, stderr=-1, text=True)


def released(meeting, processes):
    """The sizes of the groups, once all of the processes wait; the test fails if one ends."""
    ends = [os.pidfd_open(process.pid) for process in processes]
    while not (groups := meeting.release(len(processes))):
        assert not wait(ends, 0.05), [process.communicate() for process in processes if process.poll() is not None]
    for end in ends:
        os.close(end)
    return groups


@pytest.mark.usefixtures("settings")
def test_where_the_one_that_trains_is_killed_the_others_meet_again_and_resume(tmp_path, meeting):
    (tmp_path / "kill").touch()
    betas = [0.5, 1.0, 4.0]
    processes = {beta: started(tmp_path / str(beta), beta, meeting) for beta in betas}
    assert released(meeting, list(processes.values())) == [3]
    ends = {os.pidfd_open(process.pid): beta for beta, process in processes.items()}
    (killed,) = (ends[end] for end in wait(list(ends), LIMIT))
    first = processes.pop(killed)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert released(meeting, list(processes.values())) == [2]
    for beta, process in processes.items():
        printed, progress = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, progress
        found = json.loads(printed)
        assert found["stacked"] == 2
        assert found["epochs"] == LOGGED
        assert "resuming after epoch" in progress
        curves = alone(params(beta), dataset(1)).curves
        for name, values in found["curves"].items():
            np.testing.assert_allclose(values, curves[name], rtol=1e-3, err_msg=name)
    for end in ends:
        os.close(end)


@pytest.mark.usefixtures("settings")
def test_one_that_meets_no_other_has_the_bytes_of_one_that_trains_alone(tmp_path, meeting):
    process = started(tmp_path / "only", 1.0, meeting)
    assert released(meeting, [process]) == [1]
    printed, progress = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, progress
    assert json.loads(printed) == {
        "curves": alone(params(1.0), dataset(1)).curves.to_dict(orient="list"),
        "epochs": LOGGED,
        "stacked": 1,
    }
