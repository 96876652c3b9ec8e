"""A small repository with experiments, and groups of runs made by hand."""

import json
import subprocess

import pytest
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments.compare import Group
from genbalance.experiments.runs import Run

SECTIONS, WIDE = (f"gan: {{width: 8}}\nvae: {{{keys}}}" for keys in ("width: 16", "width: 32, depth: 2"))
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
            params = f"beta: {beta}\nseed: {seed}\n{SECTIONS}\ntracking: {{experiment: {name}{seed}}}\n"
            vae = {"nelbo": NELBO[name][i], "mse": MSE[name][i], "n": 1000, "own": seed, "ci95": {"nelbo": 1}}
            metrics = {"evaluate_vae": vae, "train_classifier": {"test_accuracy": 0.9 + seed / 100}}
            stream.append(commit(experiment(f"{name}-{seed}"), params, metrics, 1_700_000_000))
    one = {"evaluate_vae": {"nelbo": 110.0, "active_units": 8}}
    stream += [
        commit(experiment("twin"), f"beta: 1.0\nseed: 2\n{SECTIONS}", one, 1_700_000_000),
        commit(experiment("wide"), f"beta: 1.0\nseed: 4\n{WIDE}", one, 1_700_000_000),
        commit(experiment("changed"), f"beta: 1.0\nseed: 4\n{SECTIONS}", one, 1_700_000_000, code="2"),
        commit("refs/heads/main", f"beta: 2.0\nseed: 1\n{SECTIONS}", one, 1_700_000_000),
    ]
    return imported(path, stream)


def imported(path, stream):
    """A repository of these commits in the folder."""
    for arguments, text in ((["init", "-q", "-b", "main"], ""), (["fast-import", "--quiet"], "".join(stream))):
        subprocess.run(["git", *arguments], cwd=path, input=text, check=True, capture_output=True, text=True)
    return path


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """A function that makes a repository, the working directory from then on, of runs map-1, map-2, …: each given as
    its params by dotted key, its seed and its metrics by file."""

    def make(*runs):
        stream = []
        for place, (params, seed, metrics) in enumerate(runs, start=1):
            text = "".join(f"{json.dumps(key)}: {json.dumps(value)}\n" for key, value in params.items())
            stream.append(commit(experiment(f"map-{place}"), f"{text}seed: {seed}\n", metrics, 1_700_000_000))
        (tmp_path / "mapped").mkdir()
        monkeypatch.chdir(imported(tmp_path / "mapped", stream))

    return make


@pytest.fixture
def compared(repository, tmp_path, monkeypatch):
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
