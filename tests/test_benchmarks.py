"""The benchmarks on a small scale: what they compare agrees, and what they tell is what they measured."""

import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torchvision.transforms.functional import to_tensor

from genbalance import training
from genbalance.adversarial import Digits, Game
from genbalance.autoencoding import pass_through
from genbalance.data import prepared
from genbalance.data.pixels import UNIT
from genbalance.errors import UserError
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import read_params

ROOT = Path(__file__).parents[1]
SEED = 7


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def knobs():
    small = {"kid_subsets": 4, "kid_subset_size": 100, "resamples": 10}
    return read_params(ROOT / "params.yaml").evaluate.model_copy(update=small)


def test_ours_and_the_libraries_make_the_same_numbers(load, knobs):
    matches = load("matches").matches(400, knobs, SEED, np.float64)
    assert {match.library for match in matches} == {"torch-fidelity", "torchmetrics", "prdc"}
    for match in matches:
        assert match.difference() < 1e-6, (match.name, match.library)


def test_the_numbers_compared_are_not_about_zero(load, knobs):
    for match in load("matches").matches(400, knobs, SEED):
        assert (match.ours() > 0.01).all(), match.name


def test_a_match_is_measured_in_pairs(load, knobs):
    match = load("matches").matches(200, knobs, SEED)[0]
    told = load("evaluation").measured(match, pairs=3, threads=1)
    assert told["largest_relative_difference"] == match.difference() < 1e-5
    for name in ("ours_s", "library_s", "ratio"):
        assert 0 < told[name]["least"] <= told[name]["median"] <= told[name]["largest"], name


def test_each_call_of_the_suite_starts_anew(load, knobs, monkeypatch):
    evaluation, measured = load("evaluation"), []

    class Counted(evaluation.Bench):
        def measure(self, generated):
            assert not {"test_to_train", "_reference"} & (vars(self.real).keys() | vars(self).keys())
            measured.append(super().measure(generated).metrics)

    monkeypatch.setattr(evaluation, "Bench", Counted)
    told = evaluation.suite(200, knobs, SEED, repeats=2)
    assert measured[0] == measured[1]
    assert measured[0]["n"] == told["n"] == 200
    assert 0 < told["seconds"]["least"] <= told["seconds"]["largest"]
    assert 0 < told["peak_before_mib"] <= told["peak_mib"]


def test_the_two_sides_take_turns_and_the_ratio_is_that_of_each_pair(load):
    calls = []
    ours, reference = iter([1.0, 2.0, 4.0]), iter([3.0, 2.0, 16.0])
    pairs = load("pairs").in_turn(
        lambda: calls.append("ours") or next(ours), lambda: calls.append("reference") or next(reference), 3
    )
    assert calls == ["ours", "reference"] * 3
    assert f"{pairs.speedup:.1f}" == "3.0 (1.0 … 4.0)"


def test_results_stand_beside_those_of_the_other_benchmarks(load, tmp_path):
    record, path = load("results").record, tmp_path / "new" / "results.json"
    record("training", {"ratio": 1.0}, path)
    record("evaluation", {"n": 3}, path)
    record("training", {"ratio": 2.0}, path)
    told = json.loads(path.read_text())
    assert (told["training"]["ratio"], told["evaluation"]["n"]) == (2.0, 3)
    assert told["training"]["machine"]["threads"] == torch.get_num_threads()


def test_columns_are_as_wide_as_their_widest_cell(load):
    assert load("results").table([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"


def test_training_lowers_the_bound_that_is_timed(load):
    likelihood, bounds = load("likelihood"), load("bounds")
    digits = (torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    found = []
    for steps in (0, 40):
        model, config = likelihood.trained(digits, SEED, steps)
        ours = bounds.Ours(model, digits, 5, torch.Generator().manual_seed(1))
        assert ours() > 0
        assert ours.nll.shape == (64,)
        found.append(ours.nll.mean())
    assert config["size"] == 8
    assert found[1] < 0.7 * found[0]


def test_agreement_is_the_mean_difference_and_its_standard_error(load):
    ours = np.array([1.0, 2.0, 3.0, 6.0])
    assert load("bounds").agreement(ours, np.zeros(4)) == pytest.approx((3.0, np.sqrt(14 / 3 / 4)))


@pytest.fixture
def params():
    return read_params(ROOT / "params.yaml")


@pytest.fixture
def digits():
    rng = np.random.default_rng(SEED)
    train, val, test = (
        prepared.Split(rng.integers(0, 256, (n, 12, 12), dtype=np.uint8), rng.integers(0, 10, n)) for n in (40, 30, 20)
    )
    return prepared.Prepared(train, val, test, "made", "made up", 10, 0.5, 0.3)


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
    model = Vae(arch, "bernoulli", 12, 5, 16, 0.0)
    pixels = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    ours = pass_through(model, pixels, torch.Generator().manual_seed(1)).terms.loss(2.0)
    plain = load("plain_losses").negative_elbo(model, pixels, 2.0, torch.Generator().manual_seed(1))
    assert plain.item() == pytest.approx(ours.item(), rel=1e-5)
    for mine, theirs in zip(*(torch.autograd.grad(loss, model.parameters()) for loss in (ours, plain)), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-5)


def test_the_plain_gan_has_the_same_losses_on_the_same_batch(load, params):
    losses = load("plain_losses")
    gan = Gan("dcgan", 12, 5, 4, conditions=3)
    images = torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    told = Digits(images, torch.arange(8) % 3)
    knobs = params.gan.model_copy(update=load("cases").GAME)
    for side in ("d", "g"):
        noise, chance = (torch.Generator().manual_seed(1) for _ in range(2))
        game = Game(gan.generator, gan.discriminator, told, told, knobs, noise, chance)
        scalars = getattr(game, f"loss_{side}")(torch.arange(8))
        ours = scalars["objective_d" if side == "d" else "loss_g"]
        fake = gan.generator(gan.generator.draw(8, torch.Generator().manual_seed(1)), told.conditions)
        if side == "d":
            plain = losses.discriminator_loss(gan, images, fake, told.conditions)
        else:
            plain = losses.generator_loss(gan, fake, told.conditions)
        assert plain.item() == pytest.approx(ours.item(), rel=1e-5)


@pytest.mark.parametrize("section", ["vae", "gan", "classifier"])
def test_both_sides_train_networks_of_the_same_size(load, small, digits, section, tmp_path, monkeypatch):
    cases, loops = load("cases"), load("plain_loops")
    case = next(case for case in cases.CASES if case.section == section and "width" not in case.fixed)
    trained = []

    class Watched(training.Phase):
        def __post_init__(self):
            super().__post_init__()
            trained.append([p.shape for p in self.parameters])

    plain = {name: [] for name in ("Adam", "AdamW")}
    for name, kind in (("Adam", loops.Adam), ("AdamW", loops.AdamW)):
        monkeypatch.setattr(
            loops, name, lambda given, *a, kind=kind, name=name, **k: kind(_kept(given, plain[name]), *a, **k)
        )
    monkeypatch.setattr(training, "Phase", Watched)
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
    flops = load("arithmetic").flops_an_image(case, small, digits)
    pixels, width, latents = 12 * 12, 16, small.vae.latents
    weights = pixels * width + width**2 + width * 2 * latents + latents * width + width**2 + width * pixels
    # forward, the gradients of weights and of inputs; the first layer's input needs none
    assert flops == 2 * (3 * weights - pixels * width)


def test_the_peak_is_that_of_the_best_size(load, monkeypatch):
    arithmetic, took = load("arithmetic"), iter([1.0, 9.0, 1.0, 0.5, 0.5, 9.0])
    monkeypatch.setattr(arithmetic, "seconds", lambda work: next(took))
    assert arithmetic.matrix_peak(torch.device("cpu"), (8, 16), 3) == 2 * 16**3 / 0.5


def test_a_program_s_course_adds_up(load):
    told = load("programs").course(20.0, [(10.0, 50.0), (13.0, 100.0), (15.0, 100.0)], 100, 7.0)
    assert told.training == 2 + 1 + 1
    assert told.an_epoch == 1.5  # of 2 and 1
    assert told.fixed + 3 * told.an_epoch + told.training == told.seconds == 20
    assert (told.images_per_second, told.peak_mib) == (100, 7)


@pytest.fixture
def project(load, tmp_path, monkeypatch):
    """A project whose one stage is the program that is given."""
    folder = tmp_path / "project"
    for name in ("src", "stages"):
        (folder / name).mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    (folder / "params.yaml").write_text("vae:\n  epochs: 50 # passes\n  kl_epochs: 7\n")
    monkeypatch.setattr(load("programs"), "ROOT", folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    return lambda program: (folder / "stages" / "train_vae.py").write_text(f"import os, sys\n{program}\n")


def test_a_stage_runs_as_a_program_in_a_folder_of_its_own(load, project, tmp_path):
    project("""
assert "epochs: 2 #" in open("params.yaml").read() and "kl_epochs: 7" in open("params.yaml").read()
assert os.environ["DVC_ROOT"] == os.getcwd() and "MLFLOW_TRACKING_URI" not in os.environ
for epoch in ("1/2: loss 3, 400", "2/2: loss 2, 100"):
    print(f"train_vae {epoch} images/s, 0:00 left", file=sys.stderr, flush=True)
""")
    (tmp_path / "run").mkdir()
    told = load("programs").ran(tmp_path / "run", "vae", 2, 100)
    assert told.training == 1.25
    assert told.images_per_second == 250
    assert told.seconds > 0
    assert told.peak_mib > 1


def test_a_stage_that_fails_is_told_in_one_line(load, project, tmp_path):
    project("sys.exit('train_vae: no digits')")
    with pytest.raises(UserError, match=r"\Atrain_vae fails: train_vae: no digits\Z"):
        load("programs").ran(tmp_path, "vae", 2, 100)


def test_tables_hold_what_was_measured(load):
    bench, cost = load("training"), load("overhead")
    told = bench.told(load("pairs").Pairs([0.001, 0.002], [0.004, 0.004]))
    assert told["ratio"] == {"median": 3.0, "least": 2.0, "largest": 4.0}
    assert told["reference_images_s"]["median"] == 250
    one = {"model": "VAE, mlp", "batch": 128, "flops_an_image": 7.5e6, "flop_s": 3e10, "peak_flop_s": 6e10}
    speeds = bench.speeds([one | told | {"share_of_peak": 0.5}], told).splitlines()
    assert re.split(r"  +", speeds[1])[3:] == ["750 (500 … 1000)", "250 (250 … 250)", "3.00 (2.00 … 4.00)", "≥ 4"]
    assert speeds[2].startswith("VAE, mlp")
    assert "pythae" in speeds[2]
    (row,) = bench.shares([one | {"share_of_peak": 0.5}]).splitlines()[1:]
    assert re.split(r"  +", row) == ["VAE, mlp", "7.5", "30.0", "60.0", "50%", "≥ 60%"]
    mnist = {"beside_s": 12.34, "share_beside": 0.25, "peak_mib": 900.0}
    course = {"seconds": 9.0, "training": 5.0, "an_epoch": 0.5, "fixed": 2.5, "peak_mib": 700.0, "on_mnist": mnist}
    cells = [re.split(r"  +", line)[1] for line in cost.told({"vae": course}).splitlines()]
    assert cells == ["train_vae", "9.0", "5.0", "4.0", "0.5", "12.3", "25%", "700", "900"]


def test_all_of_mnist_is_reckoned_from_what_a_few_epochs_took(load, params):
    course = load("programs").Course(20.0, 4.0, 1.5, 11.5, 100.0, 500.0)
    told = load("overhead").on_mnist("vae", params, course, 784)
    beside, trains = 11.5 + 1.5 * params.vae.epochs, params.vae.epochs * 54_000 // 128 * 128 / 100
    assert told["beside_s"] == beside
    assert told["share_beside"] == pytest.approx(beside / (beside + trains), rel=1e-2)
    assert told["peak_mib"] > 500


def test_pythaes_failure_to_train_is_told_in_one_line(load, params, digits, tmp_path):
    loop = load("pythae_trainer").epoch(Path(shutil.which("false")), params, digits, tmp_path)
    with pytest.raises(UserError, match=r"\Apythae fails"):
        loop()


@pytest.fixture
def no_index(monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_pythaes_environment_sees_the_projects_packages_and_is_made_once(load, no_index, tmp_path):
    nothing = tmp_path / "requirements.txt"
    nothing.write_text("# nothing\n")
    interpreter = load("pythae_environment").interpreter
    python = interpreter(tmp_path / "environment", nothing)
    code = "import safetensors, sys; print(sys.prefix)"
    told = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == str(tmp_path / "environment")
    kept = tmp_path / "environment" / "kept"
    kept.touch()
    assert interpreter(tmp_path / "environment", nothing) == python
    assert kept.exists()
    nothing.write_text("# something else\n")
    interpreter(tmp_path / "environment", nothing)
    assert not kept.exists()


def test_without_an_index_the_likelihood_is_left_out_in_one_line(load, no_index, tmp_path, monkeypatch, capsys):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    likelihood = load("likelihood")
    monkeypatch.setattr(likelihood, "set_up", lambda *_: torch.device("cpu"))
    likelihood.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("likelihood: left out: pip cannot install pythae: ")
    assert json.loads(Path(".bench/results.json").read_text())["likelihood"]["left_out"] in line


def test_a_failure_of_pythae_is_told_in_one_line(load, tmp_path):
    bounds = load("bounds")
    python = Path(shutil.which("false"))
    with pytest.raises(UserError, match=r"\Apythae fails"):
        bounds.Pythae(python, tmp_path / "w", tmp_path / "x", 1, 1)()
