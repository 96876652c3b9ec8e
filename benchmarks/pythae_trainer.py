"""pythae's trainer in pythae's own interpreter."""

import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.cases import MLP
from genbalance.data.prepared import Prepared
from genbalance.params import Params
from genbalance.runtime.errors import UserError

PROGRAM = Path(__file__).with_name("pythae_training.py")
EPOCHS = 2  # that a call takes the time of


def epoch(python: Path, params: Params, dataset: Prepared, folder: Path) -> Callable[[], float]:
    """What trains a few epochs of the perceptron VAE and returns the seconds an image of their median; the images go
    into ``folder``."""
    config, file = MLP.params(params, 1).vae, folder / "images.npy"
    np.save(file, dataset.train.images)
    sizes = (config.latents, config.width, config.batch_size, config.learning_rate, params.compute.threads, EPOCHS)
    command = [str(python), "-I", *map(str, (PROGRAM, file, *sizes))]

    def measured() -> float:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"pythae fails: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
        return float(statistics.median(json.loads(done.stdout))) / len(dataset.train)

    return measured
