"""A training on two processes: the gradients of one with the whole batch, and after a kill the weights of none."""

import threading
from multiprocessing import current_process
from multiprocessing.connection import Client
from pathlib import Path

import numpy as np
import pytest
import shared_trainings
import torch
from committed import PARAMS

from genbalance.data import prepared
from genbalance.data.prepared import Prepared, Split
from genbalance.params import read_params
from genbalance.runtime.errors import UserError
from genbalance.training import vae
from genbalance.training.alarms import DivergedError
from genbalance.training.processes import Answers, call, on_processes

CPU = torch.device("cpu")
KEY = "a" * 64
EPOCHS = 4


class Run:
    run_id = "run"

    def __init__(self, key=KEY):
        self.key, self.logged, self.tags = key, [], {}

    def log(self, values, step=None):
        self.logged += [(name, step) for name in values]

    def tag(self, tags):
        self.tags |= tags

    def image(self, *_, **__):
        pass

    flush = image


def dataset():
    rng = np.random.default_rng(0)
    splits = (Split(rng.integers(0, 256, (n, 8, 8), np.uint8), rng.integers(0, 2, n)) for n in (62, 12, 12))
    return Prepared(*splits, "made", "Noise", 2, 0.5, 0.3)


def params(processes):
    """Of a VAE whose images have a β each."""
    found = read_params(PARAMS)
    compute = {"device": "cpu", "threads": 1, "processes": processes, "precision": "fp32"}
    config = {"epochs": EPOCHS, "batch_size": 31, "width": 16, "latents": 3, "beta_range": [0.1, 10.0]}
    update = {
        "compute": found.compute.model_copy(update=compute),
        "vae": found.vae.model_copy(update=config),
        "checkpoint": found.checkpoint.model_copy(update={"seconds": 0.0}),
    }
    return found.model_copy(update=update)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What is the same for all: a repository with prepared images."""
    place = tmp_path_factory.mktemp("repository")
    prepared.save(dataset(), place / "prepared")
    return place


@pytest.fixture
def _repository(folder, monkeypatch, settings):
    torch.set_num_threads(1)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))


def trained(train, run):
    return on_processes(train, "train_vae", Path("prepared"))(params(2), dataset(), CPU, run)


@pytest.fixture(scope="module")
def shared(folder):
    """Of one launch: the objectives' gradients, and a VAE's training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        return trained(shared_trainings.objectives_and_vae, Run(""))


@pytest.mark.usefixtures("_repository")
def test_two_processes_have_the_gradients_of_one_with_the_whole_batch(shared):
    alone = shared_trainings.of_objectives().weights
    assert len({name.split(", step")[0] for name in alone}) == len(shared_trainings.OBJECTIVES)
    for name, value in alone.items():
        apart = (shared.weights[name] - value).double().norm()
        assert apart <= 1e-6 * value.double().norm() + 1e-12, name  # what is 0 but for rounding is nothing more


@pytest.mark.usefixtures("_repository")
def test_a_training_has_the_curves_of_one_process(shared):
    alone = vae.train(params(1), dataset(), CPU, Run(""))
    assert list(shared.curves) == list(alone.curves)
    np.testing.assert_allclose(shared.curves, alone.curves, rtol=2e-3)
    assert "threads 1, processes 2" in shared.metrics["machine"]


@pytest.mark.usefixtures("_repository")
def test_coefficients_that_find_their_value_go_the_way_of_one_process(shared):
    alone = shared_trainings.held_coefficients(params(1), dataset(), CPU, Run(""))
    for name, curve in alone.items():
        assert len(curve) == EPOCHS
        assert (np.diff(curve) != 0).all(), name  # it moves
        np.testing.assert_allclose(shared.weights[name], curve, rtol=2e-3, err_msg=name)


@pytest.mark.usefixtures("_repository")
def test_clients_on_two_processes_give_the_bytes_of_all_on_one(shared):
    alone = shared_trainings.of_clients(params(1), dataset(), CPU, Run(""))
    assert {"vae: val_loss", "gan: loss_g"} < alone.keys()
    for name, found in alone.items():
        assert torch.equal(shared.weights[name], found), name


@pytest.mark.usefixtures("_repository")
def test_a_training_resumes_after_a_process_was_killed_and_gets_the_weights_of_none(shared, capfd):
    run = Run()
    shared_trainings.KILLED.unlink(missing_ok=True)  # of another test's process
    resumed = trained(shared_trainings.killed_vae, run)
    assert shared_trainings.KILLED.exists()
    lines = capfd.readouterr().err.splitlines()
    assert "train_vae: a process has ended; all of them start anew" in lines
    assert [line for line in lines if line.startswith("train_vae: resuming after epoch")]
    for name, weight in resumed.weights.items():
        assert torch.equal(weight, shared.weights[name]), name
    assert resumed.curves.equals(shared.curves)
    assert [step for name, step in run.logged if name == "val_loss"] == [*range(1, EPOCHS + 1)]
    assert len(set(run.logged)) == len(run.logged)


@pytest.mark.usefixtures("_repository")
def test_clients_resume_after_a_process_was_killed_and_get_the_weights_of_none(shared, capfd):
    shared_trainings.KILLED.unlink(missing_ok=True)  # of another test's process
    resumed = trained(shared_trainings.killed_clients, Run("b" * 64))
    assert shared_trainings.KILLED.exists()
    assert "train_gan: resuming after epoch" in capfd.readouterr().err
    assert resumed.weights
    for name, found in resumed.weights.items():
        assert torch.equal(shared.weights[name], found), name


def test_the_stages_process_logs_each_epoch_once_and_answers_with_the_first_error():
    run = Run()
    with Answers(run, "train_vae") as answers:
        for start in range(2):  # the second after a kill
            with Client(answers.address, authkey=current_process().authkey) as connection:
                call(connection, "begin", 0)
                for step in range(1, 3 + start):
                    call(connection, "log", {"loss": 1.0}, step)
        with Client(answers.address, authkey=current_process().authkey) as connection:
            for name, args in (("fail", (UserError("the disk is full"),)), ("begin", (1,)), ("flush", ())):
                with pytest.raises(UserError, match=r"^the disk is full$"):
                    call(connection, name, *args)
    assert run.logged == [("loss", 1), ("loss", 2), ("loss", 3)]
    assert not [thread for thread in threading.enumerate() if thread.name == "answers" and not thread.daemon]


def test_a_divergence_is_an_alarm_of_the_run_in_whichever_process_it_was():
    run = Run()
    with (
        Answers(run, "train_vae") as answers,
        Client(answers.address, authkey=current_process().authkey) as connection,
        pytest.raises(UserError, match="is nan"),
    ):
        call(connection, "fail", DivergedError("epoch 2: loss is nan"))
    assert run.tags == {"alarm.divergence": "epoch 2: loss is nan"}


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"^compute\.processes: found 2, but torch sees 1 GPUs here; allowed"):
        on_processes(vae.train, "train_vae", Path("prepared"))(params(2), dataset(), torch.device("cuda"), Run(""))
