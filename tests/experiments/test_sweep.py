"""`genbalance sweep show`: runs of one parameter's values or of two parameters', grouped, printed and drawn."""

import io
import json
import math
import re
import statistics
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.data.pictures import arranged
from genbalance.experiments import sweep
from genbalance.experiments.runs import Run, find_runs
from genbalance.families import registry
from genbalance.families.registry import DISCRIMINATOR, ENCODER, family
from genbalance.reporting.sweep import columns, figure, read_sweep
from genbalance.reporting.theme import DARK, LIGHT, png
from genbalance.runtime.errors import UserError

BETAS, LAMBDAS, SEEDS = (0.1, 1.0, 10.0), (0.5, 2.0), (1, 2, 3)


def run(key, value, seed, **params):
    model = "vae" if key == "beta" else "gan"
    metrics = {name: 10.0 * i + value + 0.01 * seed for i, name in enumerate(columns(family(model)), start=1)}
    own = {key: value, "vae.width": 16} | params
    return Run(f"{key}-{value}-{seed}", "c" * 40, seed, own, metrics | {f"seed_{seed}.only": 1.0}, {})


RUNS = {
    "beta": [run("beta", value, 1) for value in reversed(BETAS)],
    "lambda": [run("lambda", value, seed) for seed in SEEDS for value in LAMBDAS],
    "words": [run("vae.arch", word, 1) for word in (1.0, 2.0)],
    "flags": [run("beta", 1.0, 1, **{"vae.conditional": flag}) for flag in (True, False)],
    "all": [run("beta", 1.0, 1), run("beta", 2.0, 1, **{"vae.width": 32, "vae.depth": 2})],
    "one": [run("beta", 1.0, 1)],
    "twice": [run("beta", 1.0, 1), run("beta", 1.0, 1), run("beta", 2.0, 1)],
}
RUNS["words"][0].params["vae.arch"], RUNS["words"][1].params["vae.arch"] = "mlp", "conv"


@pytest.fixture(autouse=True)
def _experiments(monkeypatch):
    """Those of RUNS out of memory instead of out of git, which test_runs.py reads runs from."""
    monkeypatch.setattr(sweep, "find_runs", lambda text: RUNS.get(text) or find_runs(text))
    monkeypatch.setattr(sweep, "sample_grids", lambda commit, names: {})


def test_runs_are_put_in_the_order_of_their_values_with_the_metrics_that_all_have():
    found = sweep.find_sweep("beta")
    assert (found.key, found.values, found.seeds) == ("beta", BETAS, ((1,),) * 3)
    assert found.metrics["evaluate_vae.rate"] == tuple((10 + beta + 0.01,) for beta in BETAS)
    assert found.metrics.keys() == {*columns(family("vae")), "seed_1.only"}


def test_the_runs_of_a_value_are_put_in_the_order_of_their_seeds():
    found = sweep.find_sweep("lambda")
    assert found.seeds == (SEEDS, SEEDS)
    assert found.metrics["evaluate_gan.fd_test"] == tuple(tuple(10 + v + 0.01 * s for s in SEEDS) for v in LAMBDAS)
    assert found.metrics.keys() == columns(family("gan")).keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one", "one or two parameters may vary .* here: none does"),
        ("all", "one or two parameters may vary .* here: beta, vae.width, vae.depth"),
        ("words", "vae.arch varies over mlp, conv; allowed: numbers"),
        ("flags", "vae.conditional varies over True, False; allowed: numbers"),
        ("twice", "beta = 1 has a seed twice; allowed: each once"),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        sweep.find_sweep(text)
    assert "\n" not in str(caught.value)


def test_a_metric_that_a_run_did_not_measure_is_shown(monkeypatch):
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


def test_the_table_tells_disentanglement_where_all_runs_measured_it(monkeypatch):
    factors = [replace(one, metrics=one.metrics | {"evaluate_vae.mig": 0.125}) for one in RUNS["beta"]]
    monkeypatch.setitem(RUNS, "factors", factors)
    head, *rows = sweep.as_text(sweep.find_sweep("factors")).splitlines()
    assert head.split()[-1] == "MIG"
    assert [row.split()[-1] for row in rows] == ["0.125"] * len(BETAS)
    monkeypatch.setitem(RUNS, "factors", [*factors[1:], RUNS["beta"][0]])
    assert "MIG" not in sweep.as_text(sweep.find_sweep("factors"))


def test_the_table_has_the_terms_of_the_kl_where_all_runs_measured_them(monkeypatch):
    terms = {"evaluate_vae.index_code_mi": 6.5, "evaluate_vae.total_correlation": 2.25}  # a flow has no third one
    runs = [replace(one, metrics=one.metrics | terms) for one in RUNS["beta"]]
    monkeypatch.setitem(RUNS, "terms", runs)
    head, *rows = sweep.as_text(sweep.find_sweep("terms")).splitlines()
    assert head.split()[-2:] == ["MI", "TC"]
    assert [row.split()[-2:] for row in rows] == [["6.5", "2.25"]] * len(BETAS)
    assert set(terms) <= set(sweep.find_sweep("terms").metrics)
    monkeypatch.setitem(RUNS, "terms", [*runs[1:], RUNS["beta"][0]])
    assert "MI" not in sweep.as_text(sweep.find_sweep("terms"))


@pytest.mark.parametrize("key", ["beta", "lambda"])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_figure_names_its_axes_and_is_the_same_bytes_each_time(key, theme):
    import matplotlib.figure

    found = sweep.find_sweep(key)
    plot = figure(found, *found.families)
    drawn = matplotlib.figure.Figure()
    plot.draw(drawn, theme)
    symbol = {"beta": "β", "lambda": "λ"}[key]
    assert all(panel.get_ylabel() for panel in drawn.axes)
    assert {panel.get_xlabel() for panel in drawn.axes} >= {symbol}
    assert plot.alt
    assert png(plot, theme) == png(plot, theme)


def test_the_command_prints_the_table_and_writes_both_files(tmp_path):
    picture, numbers = tmp_path / "a/curves.png", tmp_path / "a/curves.json"
    result = CliRunner().invoke(app, ["sweep", "show", "lambda", "--figure", str(picture), "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{sweep.as_text(sweep.find_sweep('lambda'))}\n\nWritten: {picture}, {numbers}\n"
    assert Image.open(io.BytesIO(picture.read_bytes())).width > 1000
    written = json.loads(numbers.read_text())
    assert written["seeds"] == list(SEEDS)
    assert [point["lambda"] for point in written["points"]] == list(LAMBDAS)
    assert written["points"][1]["metrics"]["evaluate_gan.recall"] == pytest.approx([42.01, 42.02, 42.03])


def grid(shade, rows=10):
    buffer = io.BytesIO()
    tiles = np.full((10 * rows, 8, 8), shade, np.uint8)
    tiles[0, 4, 4] = shade + 1
    Image.fromarray(arranged(tiles, 10)).save(buffer, format="PNG")
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
        result = CliRunner().invoke(app, ["sweep", "show", text, "--json", str(tmp_path / "curves.json")])
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


@pytest.fixture
def third(monkeypatch):
    """Another family that lambda and beta weigh, and runs of lambda that measured it beside the GAN."""
    made = replace(
        family("gan"),
        name="vae_gan",
        title="VAE-GAN",
        coefficients=("lambda", "beta"),
        parts=frozenset({ENCODER, DISCRIMINATOR}),
    )
    every = dict(registry.known()) | {made.name: made}
    monkeypatch.setattr(registry, "known", lambda: every)
    monkeypatch.setattr(sweep, "known", lambda: every)
    own = {name: float(place) for place, name in enumerate(columns(made), start=1)}
    runs = [replace(one, metrics=one.metrics | own) for one in RUNS["lambda"]]
    monkeypatch.setitem(RUNS, "three", runs)
    return made


@pytest.mark.usefixtures("grids")
def test_a_parameter_of_several_families_has_a_table_a_figure_and_grids_of_each(third, tmp_path):
    command = ["sweep", "show", "three", "--figure", str(tmp_path / "a.png"), "--json", str(tmp_path / "b.json")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    tables = result.stdout.rstrip().split("\n\n")
    assert tables[0].removeprefix("GAN\n") == sweep.as_text(sweep.find_sweep("lambda"))
    title, head, *rows = tables[1].splitlines()
    assert (title, head.split()[:3], len(rows)) == ("VAE-GAN", ["lambda", "seeds", "rate"], len(LAMBDAS))
    files = [tmp_path / name for name in ("a_gan.png", "a_vae_gan.png", "b.json")]
    assert tables[2:] == [f"Written: {', '.join(map(str, files))}"]
    assert {*tmp_path.glob("*.*")} == {*files}
    names = {"gan_samples", "vae_gan_samples", "vae_gan_reconstructions"}
    assert written(tmp_path / "b").keys() == {f"{name}_{value:g}.png" for name in names for value in LAMBDAS}
    assert read_sweep(tmp_path / "b.json").families == (family("gan"), third)


def test_a_family_that_no_run_measured_is_left_out(third):
    assert [each.name for each in sweep.find_sweep("lambda").families] == ["gan"]
    assert [each.name for each in sweep.find_sweep("beta").families] == ["vae"]


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["sweep", "show", "beta", "--figure", str(tmp_path / "file/curves.png")])
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def point(lambda_, beta, seed=1, families=("gan", "vae"), **params):
    """A run of a map, whose distances say where it stands: λ.β and the seed; of the VAE a thousand more."""
    distance = 100 * lambda_ + 10 * beta + seed
    metrics = {f"evaluate_{name}": {"fd_test": distance + 1000 * (name == "vae")} for name in families}
    return {"beta": beta, "lambda": lambda_, "gan.arch": "mlp"} | params, seed, metrics | {"train_classifier": {"n": 1}}


def shown(text="map-*"):
    """The tables by their captions: rows of cells."""
    tables = (table.splitlines() for table in sweep.as_text(sweep.find_sweep(text)).split("\n\n"))
    return {caption: [re.split("  +", row.strip()) for row in rows] for caption, *rows in tables}


def test_two_parameters_are_a_map_with_each_run_s_distance_in_the_cell_of_its_values(mapped):
    """In the order of numbers, not of runs or of texts, λ in rows although β stands first."""
    pairs = [(10, 2), (2, 2), (0.5, 10), (10, 10), (2, 10), (0.5, 2), (10, 0.5), (0.5, 0.5), (2, 0.5)]
    mapped(*(point(*pair) for pair in pairs))
    gan, vae = (
        [
            ["λ", "β = 0.5", "β = 2", "β = 10"],
            *([f"{y:g}", *(f"{more + 100 * y + 10 * x + 1:.4g}" for x in (0.5, 2, 10))] for y in (0.5, 2, 10)),
        ]
        for more in (0, 1000)
    )
    assert shown() == {
        "GAN: Fréchet distance (fd_test), lower is better": gan,
        "VAE: Fréchet distance (fd_test), lower is better": vae,
    }


def test_a_cell_without_a_run_that_was_measured_is_a_dash(mapped):
    mapped(point(1, 1), point(1, 2), point(2, 2, families=["gan"]))
    gan, vae = shown().items()
    assert gan[0] == "GAN: Fréchet distance (fd_test), lower is better; –: not measured"
    assert gan[1][1:] == [["1", "111", "121"], ["2", "–", "221"]]
    assert vae[1][1:] == [["1", "1111", "1121"], ["2", "–", "–"]]


def test_a_cell_has_the_mean_and_the_spread_of_its_seeds(mapped):
    seeds = {(1, 3): (4, 1, 2), (1, 4): (7, 1), (2, 3): (3, 2), (2, 4): (9, 5, 1)}
    mapped(*(point(*at, seed) for at, group in seeds.items() for seed in group))
    caption, rows = next(iter(shown().items()))
    assert caption == "GAN: Fréchet distance (fd_test), lower is better; mean ± SD over 2 to 3 seeds"
    for y, *cells in rows[1:]:
        for x, cell in zip((3, 4), cells, strict=True):
            values = [100 * int(y) + 10 * x + seed for seed in seeds[int(y), x]]
            assert cell == f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}"


def test_parameters_of_one_family_are_a_map_of_it_and_of_those_that_the_other_belongs_to(mapped):
    mapped(*(point(1, x, **{"gan.width": width}) for x in (1, 2) for width in (8, 16)))
    assert {caption.partition(":")[0]: rows[0] for caption, rows in shown().items()} == {
        name: ["β", "gan.width = 8", "gan.width = 16"] for name in ("GAN", "VAE")
    }


def test_a_switch_of_a_family_does_not_vary(mapped):
    """Neither as a third parameter nor as a second."""
    mapped(*(point(y, x, **{"families.vae": x == y, "families.gan": y == 1}) for y in (1, 2) for x in (1, 2)))
    assert sweep.find_sweep("map-*").axes == ([1, 2], [1, 2])
    with pytest.raises(UserError, match="not every run has measured"):  # of a sweep, of λ alone
        sweep.find_sweep("map-1,map-3")


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([point(1, 1), point(2, 2, **{"gan.width": 8})], "one or two parameters .* here: beta, lambda, gan.width"),
        ([point(1, 1), point(2, 1, **{"gan.arch": "dcgan"})], "gan.arch varies over mlp, dcgan; allowed: numbers"),
        ([point(1, 1, **{"data.limit": 1}), point(2, 1, **{"data.limit": 2})], "data.limit varies; allowed: lambda"),
        ([point(1, 1), point(1, 1, n=1), point(2, 1)], "n varies; allowed: lambda, beta"),
        ([point(1, 2), point(1, 2, **{"tracking.a": 1}), point(2, 1)], "lambda = 1, beta = 2 has a seed twice"),
        ([point(1, 1, families=()), point(2, 2, families=())], "no run has measured evaluate_gan.fd_test, .* with its"),
    ],
)
def test_what_is_no_map_is_refused_in_one_line(mapped, runs, message):
    mapped(*runs)
    with pytest.raises(UserError, match=rf"^map-\*: {message}") as caught:
        sweep.find_sweep("map-*")
    assert "\n" not in str(caught.value)


def test_the_heat_map_has_the_table_s_cells_and_the_darkest_is_the_largest(mapped):
    import matplotlib.figure

    mapped(*(point(y, x, seed) for y, x in ((1.0, 1), (1, 2.0), (10, 1)) for seed in (1, 2)))
    found = sweep.find_sweep("map-*")
    drawn = matplotlib.figure.Figure()
    found.figure(found.families[0]).draw(drawn, LIGHT)
    (panel,) = drawn.axes
    assert (panel.get_ylabel(), panel.get_xlabel()) == ("λ", "β")
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["1", "10"]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "2"]
    cells = {(text.get_position()[::-1]): " ".join(text.get_text().split()) for text in panel.texts}
    assert cells == {(0, 0): "111.5 ± 0.71", (0, 1): "121.5 ± 0.71", (1, 0): "1012 ± 0.71", (1, 1): "–"}
    shades = panel.images[0].get_array()
    assert shades[0, 0] == 0
    assert shades[1, 0] == 1
    assert shades[0, 1] == pytest.approx(math.log(121.5 / 111.5) / math.log(1011.5 / 111.5))


def test_a_distance_of_zero_has_a_colour(mapped):
    mapped(*(({"lambda": y, "beta": 1 - y}, 1, {"evaluate_gan": {"fd_test": 0.0}}) for y in (0, 1)))
    found = sweep.find_sweep("map-*")
    assert png(found.figure(*found.families), LIGHT) == png(found.figure(*found.families), LIGHT)


def test_the_command_draws_each_family_s_map_and_writes_its_points(mapped, tmp_path):
    mapped(*(point(y, x, seed) for y, x in ((2, 1), (1, 2), (1, 1)) for seed in (2, 1)))
    command = ["sweep", "show", "map-*", "--figure", str(tmp_path / "a.png"), "--json", str(tmp_path / "b.json")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.glob("*.png")} == {"a_gan.png", "a_vae.png"}
    written = json.loads((tmp_path / "b.json").read_text())
    assert (written["parameters"], written["seeds"]) == (["lambda", "beta"], [1, 2])
    assert written["params"] == {"gan.arch": "mlp"}
    assert [(at["lambda"], at["beta"], at["seeds"]) for at in written["points"]] == [
        (1, 1, [1, 2]),
        (1, 2, [1, 2]),
        (2, 1, [1, 2]),
    ]
    assert written["points"][2]["metrics"] == {
        "evaluate_gan.fd_test": [211, 212],
        "evaluate_vae.fd_test": [1211, 1212],
    }


def test_the_points_of_a_map_are_not_written_where_the_report_reads_sweeps(mapped, tmp_path):
    mapped(point(1, 1), point(2, 2))
    (tmp_path / "mapped/metrics/sweeps").mkdir(parents=True)
    result = CliRunner().invoke(app, ["sweep", "show", "map-*", "--json", "metrics/sweeps/map.json"])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "the report reads sweeps of one parameter in metrics/sweeps" in result.stderr
    assert not any((tmp_path / "mapped/metrics/sweeps").iterdir())
