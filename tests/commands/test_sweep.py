"""`genbalance sweep`: runs of one parameter's values, grouped, told and drawn."""

import io
import json
import statistics
from dataclasses import replace

import pytest
from PIL import Image
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.commands import sweep
from genbalance.errors import UserError
from genbalance.experiments import Run
from genbalance.reporting.style import DARK, LIGHT, png
from genbalance.reporting.sweep import COLUMNS
from genbalance.reporting.sweep_curves import figure

BETAS, LAMBDAS, SEEDS = (0.1, 1.0, 10.0), (0.5, 2.0), (1, 2, 3)


def run(key, value, seed, **params):
    model = "vae" if key == "beta" else "gan"
    metrics = {name: 10.0 * i + value + 0.01 * seed for i, name in enumerate(COLUMNS[model], start=1)}
    own = {key: value, "vae.width": 16} | params
    return Run(f"{key}-{value}-{seed}", "c" * 40, seed, own, metrics | {f"seed_{seed}.only": 1.0}, {})


RUNS = {
    "beta": [run("beta", value, 1) for value in reversed(BETAS)],
    "lambda": [run("lambda", value, seed) for seed in SEEDS for value in LAMBDAS],
    "words": [run("vae.arch", word, 1) for word in (1.0, 2.0)],
    "flags": [run("beta", 1.0, 1, **{"vae.conditional": flag}) for flag in (True, False)],
    "both": [run("beta", 1.0, 1), run("beta", 2.0, 1, **{"vae.width": 32})],
    "one": [run("beta", 1.0, 1)],
    "twice": [run("beta", 1.0, 1), run("beta", 1.0, 1), run("beta", 2.0, 1)],
}
RUNS["words"][0].params["vae.arch"], RUNS["words"][1].params["vae.arch"] = "mlp", "conv"


@pytest.fixture(autouse=True)
def _experiments(monkeypatch):
    """Runs out of memory instead of out of git, which test_experiments.py reads them from."""
    monkeypatch.setattr(sweep, "find_commits", lambda text: {f"{i}": f"{text}/{i}" for i in range(len(RUNS[text]))})
    monkeypatch.setattr(sweep, "read_run", lambda name, _: RUNS[name.split("/")[0]][int(name.split("/")[1])])
    monkeypatch.setattr(sweep, "sample_grids", lambda commit, names: {})


def test_runs_are_put_in_the_order_of_their_values_with_the_metrics_that_all_have():
    found = sweep.find_sweep("beta")
    assert (found.key, found.values, found.seeds) == ("beta", BETAS, ((1,),) * 3)
    assert found.metrics["evaluate_vae.rate"] == tuple((10 + beta + 0.01,) for beta in BETAS)
    assert found.metrics.keys() == {*COLUMNS["vae"], "seed_1.only"}


def test_the_runs_of_a_value_are_put_in_the_order_of_their_seeds():
    found = sweep.find_sweep("lambda")
    assert found.seeds == (SEEDS, SEEDS)
    assert found.metrics["evaluate_gan.fd_test"] == tuple(tuple(10 + v + 0.01 * s for s in SEEDS) for v in LAMBDAS)
    assert found.metrics.keys() == COLUMNS["gan"].keys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("one", "exactly one parameter may vary .* here: none does"),
        ("both", "exactly one parameter may vary .* here: beta, vae.width"),
        ("words", "vae.arch varies over mlp, conv; allowed: numbers"),
        ("flags", "vae.conditional varies over True, False; allowed: numbers"),
        ("twice", "beta = 1 has a seed twice; allowed: each once"),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(text, told):
    with pytest.raises(UserError, match=told) as caught:
        sweep.find_sweep(text)
    assert "\n" not in str(caught.value)


def test_a_metric_that_a_run_did_not_measure_is_told(monkeypatch):
    less = run("beta", 2.0, 1)
    runs = [run("beta", 1.0, 1), Run(less.name, less.commit, 1, less.params, {"evaluate_vae.rate": 1.0}, {})]
    with pytest.raises(UserError, match=r"beta: not every run has measured evaluate_vae.distortion, .* its own params"):
        sweep.sweep_of(runs, "beta")


def test_the_table_tells_means_and_spread_over_seeds():
    head, low, high = sweep.as_text(sweep.find_sweep("lambda")).splitlines()
    assert head.split()[:3] == ["lambda", "seeds", "FD"]
    for text, value in ((low, 0.5), (high, 2.0)):
        values = [10 + value + 0.01 * seed for seed in SEEDS]
        assert text.split()[:2] == [str(value), "3"]
        assert text.split()[2:5] == [f"{statistics.mean(values):.4g}", "±", f"{statistics.stdev(values):.2g}"]
    assert "±" not in sweep.as_text(sweep.find_sweep("beta"))


@pytest.mark.parametrize("key", ["beta", "lambda"])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_figure_names_its_axes_and_is_the_same_bytes_each_time(key, theme):
    import matplotlib.figure

    plot = figure(sweep.find_sweep(key))
    drawn = matplotlib.figure.Figure()
    plot.draw(drawn, theme)
    symbol = {"beta": "β", "lambda": "λ"}[key]
    assert all(panel.get_ylabel() for panel in drawn.axes)
    assert {panel.get_xlabel() for panel in drawn.axes} >= {symbol}
    assert plot.alt
    assert png(plot, theme) == png(plot, theme)


def test_the_command_prints_the_table_and_writes_both_files(tmp_path):
    picture, numbers = tmp_path / "a/curves.png", tmp_path / "a/curves.json"
    result = CliRunner().invoke(app, ["sweep", "lambda", "--figure", str(picture), "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("lambda")
    assert Image.open(io.BytesIO(picture.read_bytes())).width > 1000
    written = json.loads(numbers.read_text())
    assert written["seeds"] == list(SEEDS)
    assert [point["lambda"] for point in written["points"]] == list(LAMBDAS)
    assert written["points"][1]["metrics"]["evaluate_gan.recall"] == pytest.approx([42.01, 42.02, 42.03])


def grid(shade, rows=10):
    buffer = io.BytesIO()
    picture = Image.new("L", (10 * 9 + 1, rows * 9 + 1), shade)
    picture.putpixel((5, 5), shade + 1)
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def grids(monkeypatch):
    """Every run's commit has its grids, in shades of its own."""
    for name, runs in RUNS.items():
        monkeypatch.setitem(RUNS, name, [replace(one, commit=str(place)) for place, one in enumerate(runs)])
    monkeypatch.setattr(sweep, "sample_grids", lambda commit, names: {name: grid(10 * int(commit)) for name in names})


def written(folder):
    """The grids of a folder: their shades and sizes by their names."""
    found = {}
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            found[path.name] = picture.getpixel((5, 5)) - 1, picture.size
    return found


@pytest.mark.usefixtures("grids")
def test_grids_are_written_beside_the_numbers_by_value(tmp_path):
    """Of the VAE its samples and reconstructions, of the GAN the samples of the least seed; those of an earlier sweep
    go, and what else lies there stays."""
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves/samples_7.png").write_bytes(b"old")
    (tmp_path / "curves/mine.txt").write_bytes(grid(0))
    for text, expected in (
        ("beta", {f"{name}_{value}.png" for name in ("samples", "reconstructions") for value in ("0.1", "1", "10")}),
        ("lambda", {"samples_0.5.png", "samples_2.png"}),
    ):
        result = CliRunner().invoke(app, ["sweep", text, "--json", str(tmp_path / "curves.json")])
        assert result.exit_code == 0, result.output
        assert written(tmp_path / "curves").keys() == expected
    size = 10 * 9 + 1, 4 * 9 + 1
    assert written(tmp_path / "curves") == {
        "samples_0.5.png": (0, size),
        "samples_2.png": (10, size),
    }  # of seed 1
    assert (tmp_path / "curves/mine.txt").is_file()


@pytest.mark.usefixtures("grids")
def test_no_grids_are_written_of_runs_without_a_common_seed_or_of_other_columns(monkeypatch, tmp_path):
    alone = [run("beta", 1.0, 1), run("beta", 2.0, 2)]
    monkeypatch.setitem(RUNS, "alone", alone)
    assert sweep.find_sweep("alone", pictures=True).pictures == {}
    monkeypatch.setattr(sweep, "sample_grids", lambda commit, names: dict.fromkeys(names, grid(0, rows=3)))
    assert sweep.find_sweep("beta", pictures=True).pictures == {}


def test_what_cannot_be_written_is_told_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["sweep", "beta", "--figure", str(tmp_path / "file/curves.png")])
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr
