"""Small VAEs that are trained together, in threads or in processes of their own.

As a program, ``python tests/stacked_trainings.py β``, it is a stage's process in its working directory: it trains with
those that it meets, and prints curves and what was logged as JSON. The first process that trains for all is killed
after the second epoch, if the file ``../kill`` exists, which it removes.
"""

import json
import os
import signal
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from committed import PARAMS

from genbalance.data import prepared
from genbalance.data.prepared import Prepared, Split
from genbalance.params import read_params
from genbalance.training import vae
from genbalance.training.stacked import Output, Stack, with_others

CPU = torch.device("cpu")
PREPARED = Path("prepared")


class Run:
    """Notes the epochs that are logged."""

    run_id = "run"

    def __init__(self, key=""):
        self.key, self.epochs = key, []

    def log(self, values, step=None):
        if step and values:
            self.epochs.append(step)

    def image(self, *_, **__):
        pass

    tag = flush = image


class Killed(Run):
    """Kills its process, where that trains for all."""

    def log(self, values, step=None):
        super().log(values, step)
        if step == 2 and isinstance(sys.stderr, Output) and Path("../kill").exists():
            Path("../kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def dataset(seed):
    rng = np.random.default_rng(seed)
    splits = (Split(rng.integers(0, 256, (n, 8, 8), np.uint8), rng.integers(0, 2, n)) for n in (62, 12, 12))
    return Prepared(*splits, "made", "Noise", 2, 0.5, 0.3)


def params(beta, seed=1, learning_rate=0.002, **config):
    found = read_params(PARAMS)
    compute = {"device": "cpu", "threads": 1, "precision": "fp32"}
    small = {"arch": "mlp", "epochs": 3, "batch_size": 31, "width": 16, "latents": 3, "learning_rate": learning_rate}
    update = {
        "beta": beta,
        "seed": seed,
        "compute": found.compute.model_copy(update=compute),
        "vae": found.vae.model_copy(update=small | config),
        "checkpoint": found.checkpoint.model_copy(update={"seconds": 0.0}),
    }
    return found.model_copy(update=update)


def alone(given, data, device=CPU):
    return vae.train(given, data, device, Run())


def stacked(members, stack=None, device=CPU):
    """What each of the trainings, params and data, returns or raises."""
    stack, found = stack or Stack(len(members)), [None] * len(members)

    def train(place):
        with stack.member():
            try:
                found[place] = alone(*members[place], device)
            except Exception as error:
                found[place] = error

    threads = [Thread(target=train, args=(place,)) for place in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main():
    run = Killed("a" * 64)
    train = with_others(vae.train, "train_vae", PREPARED, vae.stackable)
    trained = train(params(float(sys.argv[1])), prepared.load(PREPARED), CPU, run)
    curves = trained.curves.to_dict(orient="list")
    print(json.dumps({"curves": curves, "epochs": run.epochs, "stacked": trained.metrics.get("stacked", 1)}))


if __name__ == "__main__":
    main()
