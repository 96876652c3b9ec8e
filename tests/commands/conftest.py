"""A small repository with experiments, groups of runs made by hand, and models that draw stripes."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch
from committed import PARAMS
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from genbalance import weights
from genbalance.cli import app
from genbalance.commands.groups import Group
from genbalance.compute import initialised
from genbalance.data import prepared
from genbalance.experiments import Run
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

ROOT = Path(__file__).parents[2]

SEEDS = (1, 2, 3)
NELBO = {"base": (100.0, 104.0, 102.0), "beta4": (120.5, 124.0, 123.0)}  # far apart, paired or not
MSE = {"base": (0.02, 0.03, 0.01), "beta4": (0.03, 0.01, 0.02)}  # nothing but spread


def commit(ref, params, metrics, clock, code="1"):
    """A stream for git fast-import; metrics by file."""
    files = {"params.yaml": params, "src/a.py": code}
    files |= {f"metrics/{name}.json": json.dumps(values) for name, values in metrics.items()}
    lines = [f"commit {ref}\ncommitter a <a@example.org> {clock} +0000\ndata 1\nm\ndeleteall\n"]
    lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
    return "".join(lines)


def experiment(name):
    return f"refs/exps/0a/{'1' * 38}/{name}"


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """base-1 … base-3, beta4-1 … beta4-3 and odd ones; `main` is a run of seed 1."""
    path, stream = tmp_path_factory.mktemp("repository"), []
    for name, beta in (("base", 1.0), ("beta4", 4)):
        for i, seed in enumerate(SEEDS):
            params = f"beta: {beta}\nseed: {seed}\nvae: {{width: 16}}\ntracking: {{experiment: {name}{seed}}}\n"
            vae = {"nelbo": NELBO[name][i], "mse": MSE[name][i], "n": 1000, "own": seed, "ci95": {"nelbo": 1}}
            metrics = {"evaluate_vae": vae, "train_classifier": {"test_accuracy": 0.9 + seed / 100}}
            stream.append(commit(experiment(f"{name}-{seed}"), params, metrics, 1_700_000_000))
    one = {"evaluate_vae": {"nelbo": 110.0, "active_units": 8}}
    stream += [
        commit(experiment("twin"), "beta: 1.0\nseed: 2\nvae: {width: 16}", one, 1_700_000_000),
        commit(experiment("wide"), "beta: 1.0\nseed: 4\nvae: {width: 32, depth: 2}", one, 1_700_000_000),
        commit(experiment("changed"), "beta: 1.0\nseed: 4\nvae: {width: 16}", one, 1_700_000_000, code="2"),
        commit("refs/heads/main", "beta: 2.0\nseed: 1\nvae: {width: 16}", one, 1_700_000_000),
    ]
    for arguments, text in ((["init", "-q", "-b", "main"], ""), (["fast-import", "--quiet"], "".join(stream))):
        subprocess.run(["git", *arguments], cwd=path, input=text, check=True, capture_output=True, text=True)
    return path


@pytest.fixture
def told(repository, tmp_path, monkeypatch):
    """Runs the command and returns its result, and what it wrote as JSON."""

    def run(*arguments):
        monkeypatch.chdir(repository)
        out = tmp_path / "folder/out.json"
        result = CliRunner().invoke(app, ["compare", *arguments, "--json", str(out)])
        return result, json.loads(out.read_text()) if out.exists() else None

    return run


@pytest.fixture(scope="session")
def group():
    """A function that makes a group: metric → a value for each seed, or None where a run has none."""

    def make(name, metrics, seeds=SEEDS, params=None):
        rows = [{key: float(v[i]) for key, v in metrics.items() if v[i] is not None} for i in range(len(seeds))]
        runs = (Run(f"{name}-{s}", "c" * 40, s, params or {}, row, {}) for s, row in zip(seeds, rows, strict=True))
        return Group(name, tuple(runs))

    return make


SIDE, CLASSES, CPU = 8, 3, torch.device("cpu")
COMMON = {"arch": "mlp", "size": SIDE, "latents": 6}
MODELS = {
    "gan": (Gan, COMMON | {"width": 4, "conditions": 5}),
    "gan_of_classes": (Gan, COMMON | {"width": 4, "conditions": 6, "classes": CLASSES}),
    "vae": (Vae, COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0}),
    "vae_of_classes": (
        Vae,
        COMMON | {"likelihood": "gaussian", "width": 32, "log_sigma_floor": -6.0, "classes": CLASSES},
    ),
}


def stripes(levels):
    """Images in [0, 1] of three stripes, of these levels [n, 3]."""
    return levels[:, torch.arange(SIDE) * CLASSES // SIDE, None].expand(-1, -1, SIDE)


def draws_stripes(model, name):
    """Makes the last layer of an untrained network draw three stripes, each bright or dark by chance."""
    last, noise = model.generator.net[-3] if isinstance(model, Gan) else model.decoder[-2], torch.manual_seed(0)
    before = []
    hook = last.register_forward_hook(lambda _, inputs, __: before.append(inputs[0]))
    z, told = torch.randn(500, 6, generator=noise), torch.arange(500) % CLASSES if name.endswith("classes") else None
    model.generator(z, model.draw_conditions(500, noise, told)) if isinstance(model, Gan) else model.sample(z, told)
    hook.remove()
    levels = torch.randn(CLASSES, last.in_features, generator=noise)
    found = before[0] @ levels.T
    scale = 4 / found.std(dim=0)
    pixels = len(last.bias) // SIDE**2
    shown = stripes(torch.eye(CLASSES)).flatten(1).repeat(1, pixels)
    last.weight.copy_(shown.T @ (levels * scale[:, None]))
    last.bias.copy_(-(found.mean(dim=0) * scale) @ shown)


@pytest.fixture(scope="session")
def unlearned(tmp_path_factory):
    """A repository with params, stripes for digits (class k is bright in its third), a judge who learned these, and
    models that draw stripes without having learned it."""
    folder = tmp_path_factory.mktemp("unlearned")
    text = PARAMS.read_text(encoding="utf-8")
    for key, value in (("device", "cpu"), ("threads", "1")):
        text = re.sub(rf"^(  {key}: +)\w+", rf"\g<1>{value}", text, flags=re.MULTILINE)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    noise, labels = torch.Generator().manual_seed(0), torch.arange(90) % CLASSES
    levels = 0.3 * torch.rand(90, CLASSES, generator=noise)
    levels[torch.arange(90), labels] += 0.6
    images = stripes(levels) + 0.1 * torch.rand(90, SIDE, SIDE, generator=noise)
    split = prepared.Split((255 * images).byte().numpy(), labels.numpy())
    prepared.save(
        prepared.Prepared(split, split, split, "made", "Stripes", CLASSES, 0.5, 0.3), folder / "data/prepared"
    )

    config = {"size": SIDE, "classes": CLASSES, "width": 4}
    judge = initialised(lambda: Classifier(**config), 0, "judge", CPU)
    optimizer = torch.optim.AdamW(judge.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(judge((images[:, None] - 0.5) / 0.3), labels).backward()
        optimizer.step()
    weights.save(folder / "models/classifier.safetensors", config, judge.state_dict())
    for name, (build, config) in MODELS.items():
        model = initialised(lambda build=build, config=config: build(**config), 0, name, CPU).eval()
        with torch.no_grad():
            draws_stripes(model, name)
        weights.save(folder / f"models/{name}.safetensors", config, model.state_dict())
    return folder


@pytest.fixture
def settings(monkeypatch):
    """What set_up changes for the whole process is put back after the test."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    with threadpool_limits(1):  # two threads on small matrices take many times as long beside another program
        yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_rng_state(state)


@pytest.fixture
def studio(unlearned, settings, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(unlearned)
    return unlearned
