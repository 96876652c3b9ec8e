"""`import genbalance as gb`: a small repository with models of its own, experiments, and the notebook in it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typed
from committed import params_with
from dvc.repo import Repo
from threadpoolctl import threadpool_info

import genbalance as gb
from genbalance import api
from genbalance.data import prepared
from genbalance.data.pixels import UNIT
from genbalance.evaluation.likelihood import importance_weighted_bound
from genbalance.experiments.runs import find_commits, read_run
from genbalance.families import registry
from genbalance.losses.vae import binarize
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.runtime.device import generator, initialised, upload
from genbalance.sampling.server import Request, Server

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "tour.ipynb"
PAGE = ROOT / "docs" / "api.md"
SIDE, CLASSES, TESTS, LATENTS, SEED, DRAWS = 8, 3, 36, 4, 42, 7
VAE = {
    "arch": "mlp",
    "likelihood": "bernoulli",
    "shape": [1, SIDE, SIDE],
    "latents": LATENTS,
    "width": 16,
    "log_sigma_floor": -3.0,
}
GAN = {"arch": "mlp", "shape": [1, SIDE, SIDE], "latents": LATENTS, "width": 4}
MODELS = {
    "vae": (Vae, VAE),
    "gan": (Gan, GAN | {"conditions": 5}),
    "gaussian": (Vae, VAE | {"likelihood": "gaussian", "prior": "flow"}),
    "vae_of_classes": (Vae, VAE | {"classes": CLASSES}),
    "gan_of_classes": (Gan, GAN | {"conditions": 6, "classes": CLASSES}),
    "classifier": (Classifier, {"shape": [1, SIDE, SIDE], "classes": CLASSES, "width": 4}),
}
CHEAP = {"device": "cpu", "threads": 1, "kid_subsets": 3, "resamples": 10, "importance_draws": DRAWS}
PIPELINE = """
stages:
  train_vae: {cmd: train, outs: [models/vae.safetensors]}
  train_classifier: {cmd: train, outs: [models/classifier.safetensors]}
"""
NELBO = {"base": (100.0, 104.0, 102.0), "beta4": (120.5, 124.0, 123.0)}
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # DVC's own


def git(folder, *arguments, text=None):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, input=text, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def save(path, name, seed=1):
    build, config = MODELS[name]
    weights.save(path, config, initialised(lambda: build(**config), seed, name, torch.device("cpu")).state_dict())


def split(n, seed):
    """Class k is bright in its third of the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    images = rng.integers(0, 120, (n, SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        image[label * SIDE // CLASSES : (label + 1) * SIDE // CLASSES] += rng.integers(60, 130)
    return prepared.Split(images.astype(np.uint8), labels)


def experiment(name, beta, seed, nelbo):
    """A commit for git fast-import."""
    numbers = {"nelbo": nelbo, "mse": nelbo / 5000, "rate": 20.0 / beta, "distortion": nelbo - 20, "own": nelbo / 7}
    files = {
        "params.yaml": f"beta: {beta}\nlambda: 1.0\nseed: {seed}\nvae: {{width: 16}}\n",
        "metrics/evaluate_vae.json": json.dumps(numbers),
    }
    ref = f"refs/exps/0a/{'1' * 38}/{name}"
    lines = [f"commit {ref}\ncommitter a <a@example.org> 1700000000 +0000\ndata 1\nm\ndeleteall\n"]
    lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
    return "".join(lines)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """The repository: HEAD's VAE lies in DVC's cache, that of models/ is another one."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "params.yaml").write_text(params_with(CHEAP), encoding="utf-8")
    parts = (split(n, seed) for seed, n in enumerate((90, 12, TESTS)))
    prepared.save(prepared.Prepared(*parts, "made", "Stripes", CLASSES, 0.3, 0.25), folder / "data/prepared")
    for name in MODELS:
        save(folder / f"models/{name}.safetensors", name)
    (folder / "metrics").mkdir()
    numbers = {"rate": 20.0, "distortion": 80.0, "nelbo": 100.0}
    (folder / "metrics/evaluate_vae.json").write_text(json.dumps(numbers))
    (folder / "dvc.yaml").write_text(PIPELINE)
    git(folder, "init", "-q", "-b", "main")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        repo = Repo.init()
        repo.commit(force=True)
        repo.close()
    git(folder, "add", "-A", ".dvc", "dvc.yaml", "dvc.lock", "params.yaml", "metrics")
    git(folder, "commit", "-qm", "run")
    save(folder / "models/vae.safetensors", "vae", seed=2)
    runs = [(name, beta, i + 1, NELBO[name][i]) for name, beta in (("base", 1.0), ("beta4", 4.0)) for i in range(3)]
    stream = [experiment(f"{name}-{seed}", beta, seed, nelbo) for name, beta, seed, nelbo in runs]
    stream += [experiment(f"beta-{beta}", beta, 1, 100.0 + beta) for beta in (0.5, 2.0)]
    git(folder, "fast-import", "--quiet", text="".join(stream))
    return folder


@pytest.fixture
def here(original, monkeypatch):
    """The working directory of the test, and the settings of the process as they were."""
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(original)
    with api._restored():
        torch.set_num_threads(1)
        yield original


def refusal(function, *arguments, **options):
    with pytest.raises(gb.UserError) as caught:
        function(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def images():
    return gb.load_data("test")[0]


# the package


def test_importing_the_package_loads_nothing_and_its_names_load_no_torch_before_they_compute():
    program = "import sys; old = set(sys.modules); import genbalance; print(*set(sys.modules) - old - {'typing'}); "
    program += "genbalance.load, genbalance.UserError; print('torch' in sys.modules, 'pandas' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    loaded, rest = done.stdout.splitlines()
    assert [name for name in loaded.split() if name.startswith("genbalance")] == ["genbalance"]
    assert not {"numpy", "torch", "pandas", "mlflow"} & set(loaded.split())
    assert rest == "False False"


def test_every_public_name_is_there_described_and_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for name in gb.__all__:
        assert getattr(gb, name).__doc__, name
        assert name in dir(gb)
        assert f"gb.{name}" in page, name
    methods = [name for name in vars(gb.Model) if not name.startswith("_")]
    assert {"sample", "encode", "decode", "reconstruct", "log_likelihood"} == set(methods)
    for name in methods:
        assert f".{name}(" in page, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gb.nothing  # noqa: B018


# load


def test_a_family_is_what_the_pipeline_trained_from_any_folder_of_the_repository(here, monkeypatch):
    expected = gb.load("vae").sample(3)
    (here / "notebooks").mkdir(exist_ok=True)
    monkeypatch.chdir(here / "notebooks")
    assert np.array_equal(gb.load("vae").sample(3), expected)
    assert np.array_equal(gb.load("../models/vae.safetensors").sample(3), expected)
    assert repr(gb.load("gan")) == "<gan: 8 × 8 grey pixels, 4 latents, not conditional>"
    assert "nowhere.safetensors: is not there" in refusal(gb.load, "nowhere.safetensors")


def test_outside_of_a_repository_paths_are_given(here, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    model = gb.load(here / "models/gan_of_classes.safetensors")
    assert (model.family, model.classes, model.shape, model.latents) == ("gan", CLASSES, [1, SIDE, SIDE], LATENTS)
    files = {"classifier": here / "models/classifier.safetensors", "data": here / "data/prepared"}
    assert gb.features(model.sample(5), **files).shape == (5, 128)
    assert refusal(gb.load, "vae") == "models/vae.safetensors: is not there; run `dvc repro`"
    assert refusal(gb.load_data) == "data/prepared/stats.json: not there; run `dvc repro prepare`"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vea", {}, f"name: found 'vea'; allowed: {', '.join(registry.known())}, a path"),
        ("models/classifier.safetensors", {}, "is a network of none of the families; allowed: gan, vae"),
        ("params.yaml", {}, "name: found 'params.yaml'"),
        ("vae", {"device": "tpu"}, "device: found 'tpu'; allowed: cpu, cuda or auto"),
        ("vae", {"rev": "nothing"}, "'nothing': is no experiment and no revision"),
        ("vae", {"rev": "base-*"}, "rev: found 'base-*', which stands for base-"),
        (
            "gan",
            {"rev": "HEAD"},
            "HEAD: made no models/gan.safetensors; allowed: models/classifier.safetensors, models/vae",
        ),
        ("models:/x@y", {"rev": "HEAD"}, "rev: found 'HEAD' beside models:/x@y"),
        ("models:/x@y", {}, "there is no store at /"),
        ("models:/x", {}, "names no version; allowed: models:/NAME@champion"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(here, name, options, message):
    assert message in refusal(gb.load, name, **options)


def test_a_revision_is_read_out_of_dvcs_cache_without_a_checkout(here, tmp_path):
    before = (here / "models/vae.safetensors").read_bytes()
    save(tmp_path / "old.safetensors", "vae", seed=1)
    old = gb.load(tmp_path / "old.safetensors").sample(3)
    assert np.array_equal(gb.load("vae", rev="HEAD").sample(3), old)
    assert np.array_equal(gb.load("models/vae.safetensors", rev="main").sample(3), old)
    assert not np.array_equal(gb.load("vae").sample(3), old)
    assert (here / "models/vae.safetensors").read_bytes() == before


def test_what_dvcs_cache_does_not_have_is_refused(here, tmp_path):
    cache = here / ".dvc/cache"
    cache.rename(tmp_path / "cache")
    try:
        assert "HEAD: models/vae.safetensors: is not in DVC's cache" in refusal(gb.load, "vae", rev="HEAD")
    finally:
        (tmp_path / "cache").rename(cache)


# the model


@pytest.mark.parametrize("name", [name for name in MODELS if name != "classifier"])
def test_samples_are_images_and_come_again_and_begin_with_the_fewer(here, name):
    model = gb.load(f"models/{name}.safetensors")
    many = model.sample(150, seed=3)
    assert (many.dtype, many.shape) == (np.float32, (150, SIDE, SIDE))
    assert 0 <= many.min() < many.max() <= 1
    assert np.array_equal(many * 255, np.round(many * 255))
    for count in (1, 5, 64, 65):
        assert np.array_equal(gb.load(f"models/{name}.safetensors").sample(count, seed=3), many[:count])
    assert not np.array_equal(model.sample(5, seed=4), many[:5])
    if model.classes:
        assert not np.array_equal(model.sample(20, digit=0), model.sample(20, digit=2))
    else:
        assert "digit: found 1, but this" in refusal(model.sample, 3, digit=1)


def test_samples_are_those_of_a_served_model(here):
    server = Server.load("gan", here / "models/gan.safetensors", here / "models/classifier.safetensors", 0.3, 0.25)
    served = server.draw(Request(None, 5, 9)).images
    assert np.array_equal(gb.load("gan").sample(9, seed=5), UNIT.encode(served))


@pytest.mark.parametrize("name", ["vae", "gaussian", "vae_of_classes"])
def test_a_reconstruction_is_the_decoded_mean_of_the_posterior(here, name):
    vae = gb.load(f"models/{name}.safetensors")
    x, labels = gb.load_data("test")
    known = {"labels": labels} if vae.classes else {}
    posterior = vae.encode(x, seed=2, **known)
    assert posterior.mean.shape == posterior.std.shape == (TESTS, LATENTS)
    assert (posterior.std > 0).all()
    rebuilt = vae.reconstruct(x, seed=2, **known)
    assert (rebuilt.dtype, rebuilt.shape) == (np.float32, x.shape)
    assert 0 <= rebuilt.min() < rebuilt.max() <= 1
    assert np.array_equal(rebuilt, vae.decode(posterior.mean, **known))
    assert np.array_equal(rebuilt, vae.reconstruct(x, seed=2, **known))
    is_binary = vae.network.likelihood == "bernoulli"
    assert np.array_equal(rebuilt, vae.reconstruct(x, seed=3, **known)) is not is_binary


@pytest.mark.parametrize("form", ["tensor", "channels", "bytes", "list", "file"])
def test_images_may_come_in_any_of_the_usual_forms(here, form, tmp_path):
    x, vae = images(), gb.load("vae")
    np.save(tmp_path / "x.npy", x)
    forms = {
        "tensor": torch.from_numpy(x.copy()).requires_grad_(),
        "channels": torch.from_numpy(x)[:, None],
        "bytes": (x * 255).round().astype(np.uint8),
        "list": [*x],
        "file": tmp_path / "x.npy",
    }
    assert np.array_equal(vae.encode(forms[form]).mean, vae.encode(x).mean)


@pytest.fixture
def in_colour(here, tmp_path):
    """A VAE of colour, and the test images in colour as prepared, with a classifier of theirs."""
    MODELS["colour"] = (Vae, VAE | {"shape": [3, SIDE, SIDE], "likelihood": "gaussian_shared"})
    MODELS["of colour"] = (Classifier, MODELS["classifier"][1] | {"shape": [3, SIDE, SIDE]})
    try:
        for name in ("colour", "of colour"):
            save(tmp_path / f"{name}.safetensors", name)
    finally:
        del MODELS["colour"], MODELS["of colour"]
    rng = np.random.default_rng(0)
    parts = [prepared.Split(rng.integers(0, 256, (n, SIDE, SIDE, 3), np.uint8), np.arange(n) % 3) for n in (90, 12, 36)]
    prepared.save(prepared.Prepared(*parts, "made", "Noise", CLASSES, 0.5, 0.3), tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("form", ["three channels", "one channel", "file"])
def test_images_of_a_colour_model_may_all_be_grey(in_colour, form):
    grey = np.arange(4 * SIDE * SIDE, dtype=np.uint8).reshape(4, SIDE, SIDE)
    grey[0] = 0
    three = np.stack([grey] * 3, axis=-1)
    np.save(in_colour / "x.npy", three)
    given = {"three channels": three, "one channel": grey, "file": in_colour / "x.npy"}[form]
    vae = gb.load(in_colour / "colour.safetensors")
    reddish = three.copy()
    reddish[-1, 0, 0, 0] ^= 1  # one pixel makes all of them images in colour
    others = vae.encode(reddish).mean
    assert np.array_equal(vae.encode(given).mean[:-1], others[:-1])
    assert vae.reconstruct(given).shape == (4, SIDE, SIDE, 3)
    assert np.array_equal(vae.log_likelihood(given, draws=2)[:-1], vae.log_likelihood(reddish, draws=2)[:-1])
    files = {"classifier": in_colour / "of colour.safetensors", "data": in_colour / "data"}
    assert np.array_equal(gb.features(given, **files)[:-1], gb.features(reddish, **files)[:-1])
    assert gb.frechet_distance(given, three, **files) == pytest.approx(0, abs=1e-6)
    assert "images: found 8 × 8 colour pixels, but the vae has 8 × 8 grey" in refusal(gb.load("vae").encode, reddish)


def test_the_bound_rises_with_the_draws_and_is_above_the_elbo_on_average(here):
    vae, x = gb.load("vae"), images()
    bounds = [np.mean([vae.log_likelihood(x, draws=draws, seed=seed) for seed in range(8)]) for draws in (1, 5, 100)]
    assert bounds == sorted(bounds)
    assert vae.log_likelihood(x).shape == (TESTS,)


@pytest.mark.parametrize("name", ["vae", "gaussian", "vae_of_classes"])
def test_the_bound_is_the_evaluation_stages_under_the_same_seed(here, name):
    """As stages/evaluate_vae.py computes `nll`."""
    x, labels = gb.load_data("test")
    vae, model = gb.load(f"models/{name}.safetensors"), gb.load(f"models/{name}.safetensors").network
    pixels = upload(prepared.load(Path("data/prepared")).test.images, UNIT, torch.device("cpu"))
    seen = pixels
    if model.likelihood == "bernoulli":
        seen = binarize(pixels, torch.rand(pixels.shape, generator=generator(SEED, "evaluate/vae/binary")))
    known = torch.from_numpy(labels) if model.classes else None
    nll = importance_weighted_bound(model, seen, DRAWS, generator(SEED, "evaluate/vae/draws"), known)
    found = vae.log_likelihood(x, draws=DRAWS, seed=SEED, labels=labels if model.classes else None)
    assert np.allclose(found, -nll, rtol=1e-6)


def test_what_a_model_cannot_do_is_refused_before_it_computes(here, monkeypatch):
    gan, vae, of_classes = (gb.load(f"models/{name}.safetensors") for name in ("gan", "vae", "vae_of_classes"))
    x, labels = gb.load_data("test")
    monkeypatch.setattr(api, "_set_up", None)
    for method in ("encode", "reconstruct", "log_likelihood"):
        assert refusal(getattr(gan, method), x).endswith(
            "a gan has no encoder; allowed: a model that has one, such as the vae"
        )
    assert "decode: a gan has no encoder" in refusal(gan.decode, [[0.0] * LATENTS])
    for count in (0, 1.5, True, "3"):
        assert "count: found" in refusal(vae.sample, count)
    assert "seed: found -1; allowed: a whole number of 0 … 4294967295" in refusal(vae.sample, 3, seed=-1)
    assert "digit: found 3; allowed: a whole number of 0 … 2" in refusal(of_classes.sample, 3, digit=3)
    assert "draws: found 0" in refusal(vae.log_likelihood, x, draws=0)
    assert "images: found 6 × 6 grey pixels, but the vae has 8 × 8" in refusal(vae.encode, x[:, :6, :6])
    assert "images: found floats of -1 … " in refusal(vae.encode, x * 2 - 1)
    assert "images: found NaN or infinite values" in refusal(vae.encode, np.where(x > 0.5, np.nan, x))
    assert "images: found the shape [8, 8]" in refusal(vae.encode, x[0])
    assert "images: is no array" in refusal(vae.encode, [x[0], x[0, :2]])
    assert "labels: found some, but this vae is not conditional" in refusal(vae.encode, x, labels=labels)
    assert "labels: found None; this vae is conditional" in refusal(of_classes.encode, x)
    assert f"allowed: whole numbers [{TESTS}]" in refusal(of_classes.encode, x, labels=labels[:3])
    assert "labels: found 1 … 3; allowed: 0 … 2" in refusal(of_classes.encode, x, labels=labels + 1)
    assert "latents: found the shape [1, 3]; allowed: [n, 4], n ≥ 1" in refusal(vae.decode, [[0.0] * 3])
    assert "latents: found NaN" in refusal(vae.decode, [[np.nan] * LATENTS])


# measuring


def test_the_distance_is_symmetric_and_zero_to_oneself_and_takes_features(here):
    x, samples = images(), gb.load("gan").sample(30)
    features = gb.features(samples)
    assert (features.shape, features.dtype) == ((30, 128), np.float32)
    assert (features >= 0).all()
    distance = gb.frechet_distance(x, samples)
    assert distance > 0
    assert gb.frechet_distance(samples, x) == pytest.approx(distance, rel=1e-6)
    assert gb.frechet_distance(x, features) == gb.frechet_distance(x, torch.from_numpy(features)) == distance
    assert gb.frechet_distance(x, x) == pytest.approx(0, abs=1e-6 * distance)
    assert "a: found 1; allowed: at least 2" in refusal(gb.frechet_distance, x[:1], x)
    assert "b: found 5 features, but a has 128" in refusal(gb.frechet_distance, x, features[:, :5])
    assert "b: found 6 × 6 grey pixels" in refusal(gb.frechet_distance, features, x[:, :6, :6])
    assert "b: found NaN" in refusal(gb.frechet_distance, x, features * np.nan)


def test_what_was_not_prepared_or_trained_is_refused(here, tmp_path):
    assert "split: found 'tests'; allowed: train, val, test" in refusal(gb.load_data, "tests")
    assert "other.safetensors: is not there; run `dvc repro`" in refusal(
        gb.features, images(), classifier=tmp_path / "other.safetensors"
    )
    assert "params.yaml: cannot be read" in refusal(gb.evaluate, images(), params=tmp_path / "params.yaml")


def test_evaluate_tells_the_json_of_the_command(here, tmp_path):
    samples = gb.load("vae").sample(TESTS + 5)
    np.save(tmp_path / "samples.npy", samples)
    result = typed.genbalance("evaluate", tmp_path / "samples.npy", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert gb.evaluate(tmp_path / "samples.npy") == written
    assert written.pop("samples") == "samples.npy"
    assert gb.evaluate(samples) == written


def test_compare_tells_the_json_of_the_command(here, tmp_path):
    result = typed.genbalance("compare", "base-*", "beta4-*", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    table = gb.compare("base-*", "beta4-*")
    assert [*table.index.get_level_values("metric").unique()] == [*written["metrics"]]
    assert "evaluate_vae.nelbo" in written["metrics"]
    for name, metric in written["metrics"].items():
        row = table.loc[name, "beta4-*"]
        for key, value in metric["differences"]["beta4-*"].items():
            mine = {"mean_a": table.loc[name, "base-*"]["mean"], "sd_a": table.loc[name, "base-*"]["sd"]}
            mine |= {"mean_b": row["mean"], "sd_b": row["sd"]}
            found = mine[key] if key in mine else row[key]
            assert found == value or (value is None and not np.isfinite(found)), key
    assert json.loads(json.dumps(table.attrs)) == {key: written[key] for key in table.attrs}
    assert len(gb.compare("base-*", "beta4-*", every=True)) > len(table)
    assert "groups: found none" in refusal(gb.compare)


def test_runs_are_the_commits_at_hand(here):
    table = gb.list_experiments()
    assert table["name"].iloc[0] == "HEAD"
    assert {*table["name"]} == {"HEAD", *find_commits("*").values()}
    everything = gb.list_experiments("base-*", "main", every=True).set_index("name")
    assert [*everything.index[-1:]] == ["main"]
    for commit, name in find_commits("base-*,main").items():
        run, row = read_run(name, commit), everything.loc[name]
        assert (row["commit"], row["seed"]) == (commit, run.seed)
        assert all(row[key] == value for key, value in run.metrics.items())
        assert all(row[key] == value for key, value in run.params.items() if value is not None)
    assert [*gb.list_experiments("base-*").columns] == [
        *("name", "commit", "machine", "seed", "beta", "lambda", "evaluate_vae.nelbo", "evaluate_vae.rate"),
        *("evaluate_vae.distortion", "evaluate_vae.mse"),
    ]
    assert "'nothing': is no experiment" in refusal(gb.list_experiments, "nothing")


# the caller's own


def settings():
    """What `compute.set_up` changes for the process, as far as a process can see."""
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "flushes": torch.tensor(1e-310, dtype=torch.float64).mul(1).item() == 0,
        "state": hashlib.md5(torch.get_rng_state().numpy().tobytes()).hexdigest(),
        "numpy": hashlib.md5(repr(np.random.get_state()).encode()).hexdigest(),
        "blas": [pool["num_threads"] for pool in threadpool_info()],
        "cublas": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "grad": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize("deterministic", [True, False])
def test_nothing_changes_torchs_settings_or_random_state(here, deterministic, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_flush_denormal(deterministic)
    x, z = images(), np.zeros((2, LATENTS))
    torch.set_num_threads(2)
    torch.manual_seed(1)
    before = settings()
    vae = gb.load("vae")
    calls = {
        "load": lambda: gb.load("gan"),
        "sample": lambda: vae.sample(3),
        "encode": lambda: vae.encode(x),
        "decode": lambda: vae.decode(z),
        "bound": lambda: vae.log_likelihood(x, draws=2),
        "distance": lambda: gb.frechet_distance(x, x),
        "evaluate": lambda: gb.evaluate(x),
        "refused": lambda: refusal(gb.evaluate, x[:3]),
        "none": lambda: refusal(gb.load, "models/classifier.safetensors"),
    }
    for name, call in calls.items():
        call()
        assert settings() == before, name


# the notebook

WALK = """
import ast, json, sys
import matplotlib.pyplot as plt
names = {}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        tree = ast.parse("".join(cell["source"]))
        exec(compile(ast.Interactive(tree.body), cell["id"], "single"), names)  # which prints what stands alone
        print(cell["id"], "drew", sum(len(plt.figure(number).axes) for number in plt.get_fignums()))
        plt.close("all")
"""


def test_the_notebook_runs_from_top_to_bottom(here):
    (here / "notebooks").mkdir(exist_ok=True)
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WALK, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=here / "notebooks", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = [int(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if " drew " in line]
    assert sum(count > 0 for count in drawn) >= 6
    assert "evaluate_vae.nelbo" in done.stdout  # the comparison of beta-0.5 and beta-2.0


def test_the_notebook_is_kept_without_outputs():
    """Their last digits are those of a machine."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], [*notebook["metadata"]]) == (4, ["kernelspec", "language_info"])
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
