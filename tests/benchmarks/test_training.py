"""Trainings against plain loops: both sides do the same work, and tables hold what was measured."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.transforms.functional import to_tensor

from genbalance.data.pixels import UNIT
from genbalance.losses.vae import vae_output
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.errors import UserError
from genbalance.training import loop as training
from genbalance.training.gan import ConditionedImages, GanObjective


@pytest.fixture
def small(load, params, digits, monkeypatch):
    """Params with little to do; what a stage leaves set in the process is put back."""
    threads = torch.get_num_threads()
    few = {"batch_size": 20, "width": 16}
    yield params.model_copy(
        update={
            "vae": params.vae.model_copy(update=few),
            "gan": params.gan.model_copy(update={**few, "batch_size": 5, "clusters": 3}),  # eight steps: one look
            "classifier": params.classifier.model_copy(update=few),
        }
    )
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def test_torchvision_reads_the_same_digits(load, digits, tmp_path):
    dataset = load("torchvision_mnist").mnist(tmp_path, digits, to_tensor)
    assert len(dataset) == 40
    pixels, label = dataset[7]
    assert torch.equal(pixels[0], torch.from_numpy(UNIT.encode(digits.train.images[7])))
    assert label == digits.train.labels[7]


@pytest.mark.parametrize("arch", ["mlp", "conv"])
def test_the_plain_vae_has_the_same_loss_on_the_same_batch(load, arch):
    model = Vae(arch, "bernoulli", [1, 12, 12], 5, 16, 0.0)
    pixels = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    ours = vae_output(model, pixels, torch.Generator().manual_seed(1)).terms.loss(2.0)
    plain = load("plain_losses").negative_elbo(model, pixels, 2.0, torch.Generator().manual_seed(1))
    assert plain.item() == pytest.approx(ours.item(), rel=1e-5)
    for mine, theirs in zip(*(torch.autograd.grad(loss, model.parameters()) for loss in (ours, plain)), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_the_plain_gan_has_the_same_losses_on_the_same_batch(load, params):
    losses = load("plain_losses")
    gan = Gan("dcgan", [1, 12, 12], 5, 4, conditions=3)
    images = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    real = ConditionedImages(images, torch.arange(8) % 3)
    config = params.gan.model_copy(update=load("cases").GAME)
    for side in ("d", "g"):
        streams = [torch.Generator().manual_seed(1) for _ in range(4)]
        optimizer = torch.optim.SGD(gan.discriminator.parameters())
        objective = GanObjective(gan, real, real, config, optimizer, *streams)
        scalars = getattr(objective, f"loss_{side}")(torch.arange(8))
        ours = scalars["objective_d" if side == "d" else "loss_g"]
        fake = gan.generator(gan.generator.draw(8, torch.Generator().manual_seed(1)), real.conditions)
        if side == "d":
            plain = losses.discriminator_loss(gan, images, fake, real.conditions)
        else:
            plain = losses.generator_loss(gan, fake, real.conditions)
        assert plain.item() == pytest.approx(ours.item(), rel=1e-5)


@pytest.mark.parametrize("section", ["vae", "gan", "classifier"])
def test_both_sides_train_networks_of_the_same_size(load, small, digits, section, tmp_path, monkeypatch):
    cases, loops = load("cases"), load("plain_loops")
    case = next(case for case in cases.CASES if case.section == section and "width" not in case.fixed)
    trained = []

    made = training.Phase.__post_init__

    def watched(phase):
        made(phase)
        trained.append([p.shape for p in phase.parameters])

    plain = {name: [] for name in ("Adam", "AdamW")}
    for name, kind in (("Adam", loops.Adam), ("AdamW", loops.AdamW)):
        monkeypatch.setattr(
            loops, name, lambda given, *a, kind=kind, name=name, **k: kind(_kept(given, plain[name]), *a, **k)
        )
    monkeypatch.setattr(training.Phase, "__post_init__", watched)
    loop = loops.epoch(case, small, digits, torch.device("cpu"), tmp_path)
    pairs = load("in_process").epochs_in_turn(case, small, digits, loop, 1)
    assert len(pairs.ours) == len(pairs.reference) == 1
    assert min(pairs.ours + pairs.reference) > 0
    assert trained == plain["Adam"] + plain["AdamW"]


def _kept(parameters, shapes):
    parameters = list(parameters)
    shapes.append([p.shape for p in parameters])
    return parameters


def test_a_plain_epoch_leaves_deterministic_algorithms_as_they_were(load, small, digits, tmp_path):
    case = next(case for case in load("cases").CASES if case.section == "classifier")
    loop = load("plain_loops").epoch(case, small, digits, torch.device("cpu"), tmp_path)
    torch.use_deterministic_algorithms(True)
    assert loop() > 0
    assert torch.are_deterministic_algorithms_enabled()


def test_the_arithmetic_of_a_perceptrons_step_is_its_closed_form(load, small, digits):
    case = load("cases").Case("", "vae", {"arch": "mlp", "width": 16})
    flops = load("arithmetic").arithmetic(case, small, digits, 1).flops
    pixels, width, latents = 12 * 12, 16, small.vae.latents
    weights = pixels * width + width**2 + width * 2 * latents + latents * width + width**2 + width * pixels
    # forward, the gradients of weights and of inputs; the first layer's input needs none
    assert flops == 2 * (3 * weights - pixels * width)


def test_the_products_alone_are_the_steps_and_change_nothing(load, small, digits, monkeypatch):
    """A clock that counts products: a step of the perceptron has six forward, six for weights and five for inputs."""
    arithmetic, repeated = load("arithmetic"), []

    def seconds(work):
        with arithmetic._Products() as products:
            work()
        repeated.append(len(products._calls))
        return 20.0 * repeated[-1]  # images of a step

    monkeypatch.setattr(arithmetic, "seconds", seconds)
    case = load("cases").Case("", "vae", {"arch": "mlp", "width": 16, "prior": "normal"})
    assert arithmetic.arithmetic(case, small, digits, 3).alone == 17
    assert repeated == [17] * 3  # once for the phase, whatever the steps of the epoch


def test_the_peak_is_that_of_the_best_size(load, monkeypatch):
    arithmetic, took = load("arithmetic"), iter([1.0, 9.0, 1.0, 0.5, 0.5, 9.0])
    monkeypatch.setattr(arithmetic, "seconds", lambda work: next(took))
    assert arithmetic.matrix_peak(torch.device("cpu"), (8, 16), 3) == 2 * 16**3 / 0.5


def test_tables_hold_what_was_measured(load):
    suite, cost = load("training"), load("overhead")
    speed = suite.speed(load("pairs").Pairs([0.001, 0.002], [0.004, 0.004]))
    assert speed["ratio"] == {"median": 3.0, "least": 2.0, "largest": 4.0}
    assert speed["reference_images_s"]["median"] == 250
    one = {"model": "VAE, mlp", "batch": 128, "flops_an_image": 7.5e6, "flop_s": 3e10, "peak_flop_s": 6e10}
    one["products_alone"] = {"share_of_peak": 0.75, "ratio": 4.5}
    speeds = suite.speeds([one | speed | {"share_of_peak": 0.5}], speed).splitlines()
    assert re.split(r"  +", speeds[1])[3:] == ["750 (500 … 1000)", "250 (250 … 250)", "3.00 (2.00 … 4.00)", "≥ 4"]
    assert speeds[2].startswith("VAE, mlp")
    assert "pythae" in speeds[2]
    (row,) = suite.shares([one | {"share_of_peak": 0.5}]).splitlines()[1:]
    assert re.split(r"  +", row) == ["VAE, mlp", "7.5", "30.0", "60.0", "50%", "≥ 60%", "75%", "4.50"]
    mnist = {"beside_s": 12.34, "share_beside": 0.25, "peak_mib": 900.0}
    course = {"seconds": 9.0, "training": 5.0, "an_epoch": 0.5, "fixed": 2.5, "peak_mib": 700.0, "on_mnist": mnist}
    cells = [re.split(r"  +", line)[1] for line in cost.as_text({"vae": course}).splitlines()]
    assert cells == ["train_vae", "9.0", "5.0", "4.0", "0.5", "12.3", "25%", "700", "900"]


def test_pythaes_failure_to_train_is_one_line(load, params, digits, tmp_path):
    loop = load("pythae_trainer").epoch(Path(shutil.which("false")), params, digits, tmp_path)
    with pytest.raises(UserError, match=r"\Apythae fails"):
        loop()
