"""Trainings for tests of several processes, which import them by name."""

import os
import signal
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pandas as pd
import test_golden
import torch
import torch.distributed as dist

from genbalance.runtime.device import generator
from genbalance.training import gan, loop, shares, vae
from genbalance.training.epochs import Trained

REFUSED = ("gan, unrolled",)
TWO_STEPS = ("vae, mlp", "gan, style", "classifier")  # the others take one
OBJECTIVES = [name for name in test_golden.trainings() if name not in REFUSED]
KILLED = Path("killed")
shares.TIMEOUT = timedelta(minutes=2)  # in the processes, too, which import this first: none waits for ever


def first_steps(name):
    """Of a golden objective: all scalars, gradients and buffers of each step, by name."""
    found = {}
    torch.manual_seed(0)
    phases, order = test_golden.trainings()[name](), generator(0, "order")
    batches = loop.batches(100, 32 if name == "gan, style" else 31, order)  # which two cannot divide evenly
    for number, scalars in enumerate(islice(loop.steps(phases, batches), 1 + (name in TWO_STEPS)), start=1):
        found |= {f"{name}, step {number}: {key}": value for key, value in scalars.items()}
        for phase in phases:
            tensors = {key: p.grad for key, p in phase.module.named_parameters() if p.grad is not None}
            tensors |= dict(phase.module.named_buffers())
            found |= {f"{name}, step {number}, {phase.name}: {key}": value.clone() for key, value in tensors.items()}
    return found


def of_objectives(*_):
    """All of them in float64."""
    digits = test_golden.digits
    images, labels = digits()
    test_golden.digits = lambda: (images.double(), labels)
    torch.set_default_dtype(torch.float64)
    try:
        found = {key: value for name in OBJECTIVES for key, value in first_steps(name).items()}
    finally:
        torch.set_default_dtype(torch.float32)
        test_golden.digits = digits
    return Trained({}, found, {}, pd.DataFrame())


def held_coefficients(params, dataset, device, run):
    """After each epoch β of a VAE that holds its distortion, and λ of a GAN that holds D's accuracy, by name."""
    geco = {"balance": "geco", "beta_range": "none", "target_distortion": 43.0}
    accuracy = {"balance": "accuracy", "arch": "mlp", "epochs": params.vae.epochs, "batch_size": 8, "clusters": 0}
    of_vae = params.model_copy(update={"vae": params.vae.model_copy(update=geco)})
    of_gan = params.model_copy(update={"gan": params.gan.model_copy(update=accuracy)})
    torch.manual_seed(0)  # of D's dropout, which a stage seeds
    curves = {"beta": vae.train(of_vae, dataset, device, run), "lambda": gan.train(of_gan, dataset, device, run)}
    return {name: torch.tensor(trained.curves[name].to_numpy()) for name, trained in curves.items()}


def of_clients(params, dataset, device, run, families=("vae", "gan")):
    """Weights and curves of a VAE and a GAN of three clients with different classes, by name."""
    clients = {"clients": 3, "rounds": 2, "split": "classes", "concentration": 1.0}
    update = {"federated": params.federated.model_copy(update=clients)}
    tiny = {"batch_size": 5, "width": 16, "latents": 3, "epochs": 4, "conditional": True}
    own = {"vae": {"prior": "normal"}, "gan": {"arch": "mlp", "clusters": 0}}
    found = {}
    for family in families:
        update[family] = getattr(params, family).model_copy(update=tiny | own[family])
        torch.manual_seed(0)
        trained = {"vae": vae.train, "gan": gan.train}[family](params.model_copy(update=update), dataset, device, run)
        found |= {f"{family}: {name}": weight for name, weight in trained.weights.items()}
        found |= {f"{family}: {name}": torch.tensor(curve.to_numpy()) for name, curve in trained.curves.items()}
    return found


def objectives_and_vae(params, dataset, device, run):
    """A VAE's training, whose weights are beside those of the objectives, the coefficients that others found, and the
    federated trainings."""
    found = of_objectives().weights | held_coefficients(params, dataset, device, run)
    found |= of_clients(params, dataset, device, run)
    trained = vae.train(params, dataset, device, run)
    return Trained(trained.arguments, found | dict(trained.weights), trained.metrics, trained.curves)


class Fatal:
    """A run; the process that logs its third epoch is killed."""

    def __init__(self, run):
        self.key, self.run_id = run.key, run.run_id
        self.image, self.tag, self.flush = run.image, run.tag, run.flush

    def log(self, values, step=None):
        if step == 3:
            KILLED.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def fatal_once(run):
    """The run, with which the second process is killed once."""
    return Fatal(run) if dist.get_rank() == 1 and not KILLED.exists() else run


def killed_vae(params, dataset, device, run):
    """The same training, in which the second process is killed once."""
    return vae.train(params, dataset, device, fatal_once(run))


def killed_clients(params, dataset, device, run):
    """A GAN of clients, the same too."""
    return Trained({}, of_clients(params, dataset, device, fatal_once(run), ("gan",)), {}, pd.DataFrame())
