"""Pareto fronts: which runs are on one, the file that keeps it, and how the page and its figures show it."""

import json
import random
import re
from dataclasses import replace
from importlib.util import find_spec

import pytest
from matplotlib.figure import Figure
from reported import FAMILIES, FRONT

from genbalance.reporting import front
from genbalance.reporting.front import Metric, pareto, read_front
from genbalance.reporting.page import figures, page
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import DARK, LIGHT, png
from genbalance.runtime.errors import UserError

TABLE = [(1, 5), (2, 3), (2, 4), (3, 3), (4, 1), (4, 1), (5, 0.5), (6, 6)]
BEST = [(1, 5), (2, 3), (4, 1), (4, 1), (5, 0.5)]


def test_the_pareto_front_of_a_known_table():
    def front(rows, maximise):
        return [row for row, on in zip(rows, pareto(rows, maximise), strict=True) if on]

    assert front(TABLE, [False, False]) == BEST
    assert front([(-a, b) for a, b in TABLE], [True, False]) == [(-a, b) for a, b in BEST]
    assert front([(-a, -b) for a, b in TABLE], [True, True]) == [(-a, -b) for a, b in BEST]
    assert front(TABLE, [True, True]) == [(6, 6)]
    assert front([], [False]) == []


@pytest.mark.skipif(find_spec("optuna") is None, reason="no Optuna: pip install -r .ci/servers.txt")
def test_the_pareto_front_is_optuna_s():
    import optuna

    generator = random.Random(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = [tuple(generator.randint(0, 9) for _ in range(3)) for _ in range(60)]
    study = optuna.create_study(directions=["minimize", "maximize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=row) for row in rows])
    front = [number for number, on in enumerate(pareto(rows, [False, True, False])) if on]
    assert sorted(trial.number for trial in study.best_trials) == front


def test_a_front_s_sides_are_in_the_order_of_the_first_metric_whatever_that_of_the_runs():
    best, others = FRONT.sides
    assert [point.settings["vae.arch"] for point in best] == ["mlp"] * 6
    assert [point.settings["beta"] for point in best] == [8.0, 4.0, 2.0, 1.0, 0.5, 0.25]
    turned = replace(FRONT, points=FRONT.points[::-1])
    assert turned.sides == (best, others)
    up = replace(FRONT, metrics=(FRONT.metrics[0], Metric("evaluate_vae.fd_test", maximise=True)))
    assert up.sides[0][0].settings == {"beta": 8.0, "vae.arch": "conv"}
    assert len(up.sides[0]) == 1


def test_a_front_is_read_again_as_it_was_written(tmp_path):
    path = tmp_path / "front.json"
    path.write_text(json.dumps(FRONT.as_json()), encoding="utf-8")
    assert read_front(path) == FRONT


@pytest.mark.parametrize("text", ["", "[]", "3", "{", json.dumps({"parameter": "beta", "points": []})])
def test_a_file_of_something_else_is_no_front(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert read_front(tmp_path / "a.json") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"front": ["evaluate_vae.rate:min"]},
        {"front": ["evaluate_vae.rate:min", "evaluate_vae.fd_test"]},
        {"front": 3},
        {"labels": ["one"]},
        {"params": 3},
        {"points": []},
        {"points": [{"name": "a", "settings": {}, "values": [1.0, float("nan")]}]},
        {"points": [{"name": "a", "settings": {}, "values": [1.0, True]}]},
        {"points": [{"name": "a", "settings": {}, "values": [1.0]}]},
        {"points": [{"name": "a", "values": [1.0, 2.0]}]},
    ],
)
def test_a_broken_front_is_an_error_in_a_line_that_names_the_file(tmp_path, changes):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(FRONT.as_json() | changes), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(f"{path}: is no Pareto front; write it again with `genbalance")):
        read_front(path)


def test_a_command_has_what_differs_over_the_runs_and_what_differs_from_this_run():
    params = {"lambda": 1.0, "beta": 1.0, "vae.arch": "conv", "vae.epochs": 25, "data.path": "digits", "seed": 1}
    point = FRONT.points[0]
    assert FRONT.otherwise(params) == {"vae.epochs": ("5", "25")}  # λ has no part in a VAE's metrics
    assert FRONT.command(point, params) == "dvc exp run -S beta=0.25 -S vae.arch=mlp -S vae.epochs=5"
    assert FRONT.command(point, params | {"vae.epochs": 5.0}) == "dvc exp run -S beta=0.25 -S vae.arch=mlp"
    assert FRONT.command(point, params | {"data.path": "letters"}).endswith(" -S data.path=digits")


def test_the_axes_are_logarithmic_where_a_metric_spans_a_decade_above_zero():
    middle = replace(
        FRONT, points=tuple(replace(p, values=(v, v)) for p, v in zip(FRONT.points, (1, 10, 100), strict=False))
    )
    places = [row.at for row in front.drawn(middle, {}).best + front.drawn(middle, {}).others]
    xs = sorted(x for x, _ in places)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    linear = replace(
        FRONT, points=tuple(replace(p, values=(v, v)) for p, v in zip(FRONT.points, (-1, 10, 100), strict=False))
    )
    xs = sorted(row.at[0] for row in front.drawn(linear, {}).best + front.drawn(linear, {}).others)
    assert xs[2] - xs[1] == pytest.approx(90 / 11 * (xs[1] - xs[0]), abs=1)


def test_the_figure_is_the_same_bytes_each_time_also_of_one_run_with_an_odd_name():
    one = replace(FRONT, points=(replace(FRONT.points[0], name="a$b$" * 10),))
    for it in (FRONT, one):
        assert png(it.figure(), LIGHT) == png(it.figure(), LIGHT) != png(it.figure(), DARK)
        assert it.figure().alt
    assert FRONT.title == "VAE: Fréchet distance over rate [nats]"
    assert FRONT.alt.endswith("On the Pareto front: 6 of 12 runs, front-011 at (3.33, 8) to front-001 at (24, 0.25).")


def test_of_names_that_would_overlap_in_the_figure_the_first_is_written():
    places = {f"run-{n}": (1 + n / 100, 2 - n / 100) for n in range(5)} | {"far": (9.0, 0.5)}
    points = tuple(replace(FRONT.points[0], name=name, values=values) for name, values in places.items())
    drawn_on = Figure(figsize=(6, 4.4))
    replace(FRONT, points=points).figure().draw(drawn_on, LIGHT)
    assert [text.get_text() for text in drawn_on.axes[0].texts] == ["run-0", "far"]


def test_the_page_has_the_command_of_each_run_of_a_front_in_a_table_and_on_its_point(finished, settings, drawn, parse):
    html = page(read_results(finished, FAMILIES), settings(finished), drawn)
    section = html[html.index('<section id="fronts"') :].split("</section>")[0]
    assert '<a href="#fronts">' in html
    table, others = section.split("<details>")
    for place, point in enumerate(FRONT.points):
        command = FRONT.command(point, settings(finished).params)
        row = (others if place % 2 else table).split(f">{point.name}</th>")[1].split("</code>")[0]
        assert re.sub(r"</?span.*?>", "", row).endswith(f"<code>{command}")
        titles = re.findall(r"<title>(.*?)</title>", section)
        assert len([title for title in titles if title.startswith(f"{point.name}: ") and title.endswith(command)]) == 1
    assert section.count("<polyline") == 1
    assert len(re.findall(r"\d", re.search(r'<polyline points="(.*?)"', section)[1].replace(",", " "))) > 6
    assert {"front_front.png", "front_front_dark.png"} <= drawn.keys()
    assert parse(html).open == []


@pytest.mark.usefixtures("undrawn")
def test_a_page_without_fronts_has_no_place_for_them(workspace, settings, drawn):
    root = workspace()
    (root / "metrics/sweeps/front.json").unlink()
    results = read_results(root, FAMILIES)
    assert results.fronts == ()
    assert "fronts" not in page(results, settings(root), drawn)
    assert not [name for name in figures(results, settings(root)) if "front" in name]


def test_a_front_s_names_are_text_and_nothing_else(finished, settings, drawn):
    evil = replace(FRONT, name="a<b>", points=(replace(FRONT.points[0], name="<script>alert(1)</script>"),))
    results = replace(read_results(finished, FAMILIES), fronts=(evil,))
    html = page(results, settings(finished), drawn)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
