"""The network that is built for the data, and the epoch that is kept."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from killed_run import Killed, Run
from torch import nn

from genbalance.data.prepared import Prepared, Split
from genbalance.models.vae import Vae
from genbalance.models.weights import load, save
from genbalance.params import read_params
from genbalance.runtime.errors import UserError
from genbalance.training.vae import (
    WIDENED,
    BestEpoch,
    build_vae,
    draw_betas,
    shared_gaussian,
    train,
    widened,
)

CPU = torch.device("cpu")
PARAMS = read_params()
GREY, COLOUR = (8, 12), (8, 12, 3)


def prepared(*shape):
    split = Split(np.zeros((20, *shape), np.uint8), np.zeros(20, np.int64))
    return Prepared(split, split, split, "made", "Made", 1, 0.5, 0.5)


def vae_config(**changes):
    return PARAMS.vae.model_copy(update={"width": 16, "latents": 2} | changes)


@pytest.mark.parametrize(
    ("asked", "shape", "resolved"),
    [
        ("auto", GREY, "bernoulli"),
        ("auto", COLOUR, "gaussian_shared"),
        ("bernoulli", GREY, "bernoulli"),
        *(
            (name, shape, name)
            for name in ("gaussian", "gaussian_shared", "logistic_mixture")
            for shape in (GREY, COLOUR)
        ),
    ],
)
def test_a_network_has_the_datas_shape_and_the_likelihood_that_was_asked_for(asked, shape, resolved, tmp_path):
    model, arguments = build_vae(vae_config(likelihood=asked), prepared(*shape), 0, CPU)
    assert model.likelihood == arguments["likelihood"] == resolved
    assert model.shape == arguments["shape"] == [3 if shape == COLOUR else 1, 8, 12]
    save(tmp_path / "vae", arguments, model.state_dict())
    assert load(tmp_path / "vae", Vae, CPU).likelihood == resolved


def test_black_and_white_is_refused_for_colour_in_one_line_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr(nn.Module, "__init__", None)  # no network is made
    params = PARAMS.model_copy(update={"vae": vae_config(likelihood="bernoulli", batch_size=4)})
    with pytest.raises(UserError) as caught:
        train(params, prepared(*COLOUR), CPU, None)
    assert str(caught.value) == (
        "vae.likelihood: found bernoulli, which is of black and white, with images of 3 channels; "
        "allowed: gaussian_shared (auto), gaussian or logistic_mixture"
    )


def test_black_and_white_has_no_sigma_to_balance(monkeypatch):
    monkeypatch.setattr(nn.Module, "__init__", None)
    params = PARAMS.model_copy(update={"vae": vae_config(balance="sigma", batch_size=4)})
    with pytest.raises(UserError) as caught:
        train(params, prepared(*GREY), CPU, None)
    assert str(caught.value) == (
        "vae.likelihood: found auto, which is bernoulli for grey images, with vae.balance = sigma; "
        "allowed: gaussian_shared"
    )


def consider(best, losses, first=1):
    network = nn.Linear(1, 1)
    for epoch, loss in enumerate(losses, start=first):
        with torch.no_grad():
            network.weight.fill_(loss)
        best.consider(epoch, {"loss": loss, "rate": loss + 1}, network, np.array([loss]))
    return best


def kept(best):
    return best.epoch, best.metrics, best.weights["weight"].item(), best.kl.tolist()


def test_the_least_number_wins_and_of_equal_ones_the_first():
    assert kept(consider(BestEpoch("loss"), [3.0, 1.0, 2.0, 1.0])) == (2, {"loss": 1.0, "rate": 2.0}, 1.0, [1.0])


def test_without_a_number_the_last_one_stays():
    assert kept(consider(BestEpoch(None), [3.0, 1.0, 2.0])) == (3, {"loss": 2.0, "rate": 3.0}, 2.0, [2.0])


def test_a_restored_one_continues():
    for later in ([5.0], [0.5]):
        whole, resumed = consider(BestEpoch("loss"), [3.0, 1.0]), BestEpoch("loss")
        resumed.load_state_dict(deepcopy(whole.state_dict()))
        assert kept(consider(whole, later, first=3)) == kept(consider(resumed, later, first=3))


def test_every_part_of_a_range_has_its_beta_in_each_batch_and_the_ends_have_more():
    ends, count = (0.1, 10.0), 128
    found = draw_betas(count, *ends, torch.Generator().manual_seed(1))
    assert found.sort().indices.tolist() != list(range(count))
    place = found.log().sub(np.log(0.1)).div(np.log(100)).sort().values.numpy()
    assert (place > 0).all()
    assert (place < 1).all()
    uniform = np.linspace(0, 1, 10_001)
    edges = np.interp(np.arange(1, count) / count, uniform, (uniform + (1 - np.cos(np.pi * uniform)) / 2) / 2)
    assert (place[:-1] < edges + 1e-6).all()
    assert (place[1:] > edges - 1e-6).all()
    shares = np.histogram(place, 4, (0, 1))[0] / count
    assert shares[0] > 1.2 * shares[1]
    assert shares[3] > 1.2 * shares[2]


def test_a_range_opens_from_its_lesser_end_and_stays_open():
    assert widened([0.1, 10.0], 0.0) == (0.1, pytest.approx(0.1))
    assert widened([0.1, 10.0], WIDENED / 2) == (0.1, pytest.approx(1.0))
    for progress in (WIDENED, 0.9, 1.0):
        assert widened([0.1, 10.0], progress) == (0.1, pytest.approx(10.0))


# ── coefficients that find their value ───────────────────────────────────────────────────────────────────────────


def bars(count, seed, channels=1):
    """Each image a bright row and a bright column."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 40, (count, 8, 8))
    for image, (row, column) in zip(images, rng.integers(0, 8, (count, 2)), strict=True):
        image[row], image[:, column] = 230, 230
    images = images if channels == 1 else np.stack([images // (1 + c) for c in range(channels)], axis=-1)
    return Split(images.astype(np.uint8), np.zeros(count, np.int64))


def trained(run, beta=1.0, channels=1, images=320, **changes):
    splits = [bars(count, seed, channels) for seed, count in enumerate((images, 40, 40))]
    small = {"arch": "mlp", "width": 64, "latents": 8, "batch_size": 16, "prior": "normal", "learning_rate": 0.004}
    checkpoint = PARAMS.checkpoint.model_copy(update={"seconds": 0.0})
    vae = PARAMS.vae.model_copy(update=small | changes)
    params = PARAMS.model_copy(update={"beta": beta, "vae": vae, "checkpoint": checkpoint})
    return train(params, Prepared(*splits, "made", "Bars", 1, 0.5, 0.5), CPU, run)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("target", [22.0, 28.0])
def test_geco_holds_the_distortion_of_the_training_images(target):
    run = Run()
    found = trained(run, balance="geco", target_distortion=target, epochs=8, images=1600)
    curves, metrics = found.curves, found.metrics
    assert curves["train_distortion"].iloc[-1] == pytest.approx(target, abs=2)
    assert (found.kept_epoch, metrics["best_epoch"]) == (8, 8)
    assert "beta" not in metrics
    assert metrics["beta_reached"] == pytest.approx(curves["beta"].iloc[-1], rel=1e-5)
    weighed = curves["val_distortion"] + curves["beta"] * curves["val_rate"]
    assert curves["val_loss"].to_numpy() == pytest.approx(weighed.to_numpy(), rel=1e-5)
    assert run.best == {}


CHOICES = {
    "geco": {"balance": "geco", "target_distortion": 24.0},
    "geco, alternating": {"balance": "geco", "target_distortion": 24.0, "updates": "alternating"},
    "sigma": {"balance": "sigma", "likelihood": "gaussian_shared"},
    "sigma in colour": {"balance": "sigma", "channels": 3},
}


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("choice", CHOICES)
def test_a_training_that_adapts_beta_resumes_to_the_same_bytes(choice, capsys):
    given = {"epochs": 4, "images": 64} | CHOICES[choice]
    whole = trained(Run(), **given)
    with pytest.raises(Killed):
        trained(Run("a" * 64, killed_in=3), **given)
    resumed = trained(Run("a" * 64), **given)
    assert "train_vae: resuming after epoch 2" in capsys.readouterr().err
    assert resumed.curves.to_csv() == whole.curves.to_csv()
    assert resumed.metrics == whole.metrics
    assert "beta_reached" in whole.metrics
    for name, weight in whole.weights.items():
        assert torch.equal(resumed.weights[name], weight), name


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("updates", ["joint", "alternating"])
@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_sigma_is_the_error_of_the_batches_and_no_weight_of_the_optimizer(updates, beta):
    """With the whole split as the batch and a step size that moves nothing: σ² is its mean squared error."""
    given = {"epochs": 2, "images": 64, "batch_size": 64, "learning_rate": 1e-12, "ema_decay": 0.0}
    found = trained(Run(), beta=beta, balance="sigma", likelihood="gaussian_shared", updates=updates, **given)
    model = Vae(**found.arguments)
    model.load_state_dict(found.weights)
    model.requires_grad_(False)
    images = torch.from_numpy(bars(64, 0).images).float()[:, None] / 255
    posterior = model.encode(images)
    error = float((images - model.decode(posterior.mean).mean).square().mean())  # as good at one z as at another yet
    assert float(shared_gaussian(model).sigma) ** 2 == pytest.approx(error, rel=0.02)
    assert found.metrics["beta_reached"] == pytest.approx(beta * float(shared_gaussian(model).sigma) ** 2, rel=1e-5)
    assert found.curves["beta"].iloc[found.kept_epoch - 1] == pytest.approx(found.metrics["beta_reached"], rel=1e-5)


@pytest.mark.usefixtures("repository")
def test_a_fixed_beta_has_no_curve():
    found = trained(Run(), epochs=1, images=32)
    assert "beta" not in found.curves
    assert "beta_reached" not in found.metrics


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("beta", [1.0, 1000.0])
def test_a_beta_under_which_nothing_is_stored_is_called_a_posterior_collapse(beta):
    metrics = trained(Run(), beta=beta, epochs=12).metrics
    assert ("posterior_collapse" in metrics.get("alarms", {})) == (beta > 1)


@pytest.mark.usefixtures("repository")
def test_a_mixture_of_a_ladder_is_no_worse_on_held_out_images_than_the_prior_in_training():
    """Of few images and many latents: a mixture over all layers would take draws' chance for structure."""
    found = trained(Run(), arch="ladder", width=16, latents=10, prior="mixture", epochs=2)
    assert found.metrics["prior_gain"] > -0.05
    assert not found.weights["prior.means"][:, :-2].any()  # but of the highest of the layers 5, 3 and 2


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(("rebalance", "share"), [(False, 0.1), (True, 0.5)])
def test_a_mixture_is_fitted_to_classes_as_they_were_trained(rebalance, share):
    """Nine dark images to one bright one: how often is a sample bright?"""

    def levels(count, seed):
        labels = (np.arange(count) % 10 == 0).astype(np.int64)
        images = np.random.default_rng(seed).integers(0, 30, (count, 8, 8)) + 200 * labels[:, None, None]
        return Split(images.astype(np.uint8), labels)

    splits = [levels(count, seed) for seed, count in enumerate((400, 40, 40))]
    changes = {"arch": "mlp", "width": 32, "latents": 2, "batch_size": 16, "epochs": 6, "prior": "mixture"}
    vae = PARAMS.vae.model_copy(update=changes | {"learning_rate": 0.004, "rebalance": rebalance})
    params = PARAMS.model_copy(update={"vae": vae, "beta": 1.0})
    done = train(params, Prepared(*splits, "made", "Levels", 2, 0.5, 0.5), CPU, Run())
    model = Vae(**done.arguments)
    model.load_state_dict(done.weights)
    noise = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        bright = model.sample(noise).flatten(1).mean(dim=1) > 0.5
    assert float(bright.float().mean()) == pytest.approx(share, abs=0.06)
