"""The figure of a sweep that a reader moves through."""

import io
import re
from dataclasses import replace

import pytest
from PIL import Image
from reported import FAMILIES

from genbalance.families.registry import known
from genbalance.reporting.page import environment
from genbalance.reporting.slider import slider
from genbalance.reporting.sweep import SCORES, Sweep, columns, marked

VALUES = (0.25, 0.5, 2.0, 4.0)


def image(shade):
    buffer = io.BytesIO()
    Image.new("L", (41, 17), shade).save(buffer, format="PNG")
    return buffer.getvalue()


def sweep(name="vae", values=VALUES, seeds=(1,), **more):
    """Each metric is the value; pictures of all values but the first."""
    family = known()[name]
    key = family.coefficients[0]
    metrics = {
        metric: tuple(tuple(value + seed / 10 for seed in seeds) for value in values)
        for metric in (*columns(family), *more.pop("scores", ()))
    }
    pictures = {value: {grid: image(int(value * 10)) for grid in family.grids} for value in values[1:]}
    return Sweep(key, {}, values, (seeds,) * len(values), metrics, key, pictures, **more)


def made(of, value=1.0, **options):
    (family,) = of.families
    return slider(of, family, value, options.pop("here", None), lambda at: f"run {at:g}", **options)


TEMPLATE = "{% from 'slider.html.j2' import slider %}{{ slider(it) }}"


@pytest.fixture(scope="module")
def html():
    """A function that gives the HTML of a slider."""
    return lambda it: environment().from_string(TEMPLATE).render(it=it)


@pytest.mark.parametrize(("value", "start"), [(0.5, 1), (4.0, 3), (9.0, 1), (1.0, 1)])
def test_it_starts_at_this_run_s_value_or_else_at_the_one_nearest_to_1(value, start):
    assert made(sweep(), value).start == start
    assert [stop.here for stop in made(sweep(), value).stops] == [each == value for each in VALUES]
    assert not any(stop.here for stop in made(sweep(), value, alike=False).stops)


def test_each_value_has_its_numbers_its_command_and_its_pictures():
    shown = made(sweep())
    assert shown.columns == ("rate", "distortion", "active", "FD samples", "FD rebuilt")
    assert [stop.numbers[0] for stop in shown.stops] == [("0.35", ""), ("0.6", ""), ("2.10", ""), ("4.10", "")]
    assert [stop.command for stop in shown.stops] == ["run 0.25", "run 0.5", "run 2", "run 4"]
    assert shown.stops[2].words == ("β = 2: rate 2.10, distortion 2.10, active 2.10, FD samples 2.10, FD rebuilt 2.10")
    assert shown.stops[0].pictures == {}
    assert {name: picture.alt for name, picture in shown.stops[1].pictures.items()} == {
        "samples": "Samples at β = 0.5",
        "reconstructions": "Reconstructions at β = 0.5",
    }
    assert shown.stops[1].pictures["samples"].size == (41, 17)


def test_of_several_seeds_the_numbers_are_means_with_their_deviation_and_the_curve_has_dots_and_a_band():
    shown = made(sweep("gan", seeds=(1, 3)))
    assert shown.columns == ("FD", "D on test", "D on generated", "precision", "recall")
    assert shown.stops[0].numbers[:2] == (("0.45", "± 0.14"), ("0.450", "± 0.14"))
    distance, accuracy, shares = shown.charts
    assert len(distance.curves[0].dots) == 2 * len(VALUES)
    assert len(distance.curves[0].band) == 2 * len(VALUES)
    assert [len(it.curves) for it in (accuracy, shares)] == [2, 2]
    assert accuracy.level
    alone = made(sweep("gan")).charts[0].curves[0]
    assert (alone.dots, alone.band) == ((), ())


def test_the_main_curve_of_a_likelihood_is_distortion_over_rate():
    of = sweep()
    rate = tuple((10 / value,) for value in VALUES)
    of = replace(of, metrics=of.metrics | {"evaluate_vae.rate": rate})
    points = made(of).charts[0].curves[0].points
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs, reverse=True)  # the rate falls
    assert list(ys) == sorted(ys, reverse=True)  # the distortion rises, and y counts from the top


def test_this_run_has_a_ring_on_its_own_point():
    of = sweep()
    here = {"beta": 0.5} | dict.fromkeys(marked(FAMILIES["vae"]), 0.6)
    chart = made(of, 0.5, here=here).charts[0]
    assert chart.ring == chart.curves[0].points[1]
    assert not chart.dashed
    assert made(of, 0.5, here=here, alike=False).charts[0].dashed
    far = here | dict.fromkeys(marked(FAMILIES["vae"]), 100.0)
    assert made(of, 0.5, here=far, alike=False).charts[0].ring is None


def test_scores_of_known_factors_have_columns_and_a_chart_with_intervals():
    names = [f"evaluate_vae.{key}" for key in SCORES]
    shown = made(sweep(seeds=(1, 2, 3), scores=names))
    assert shown.columns[-4:] == tuple(SCORES.values())
    last = shown.charts[-1]
    assert last.title == "Disentanglement over β"
    assert [len(curve.bars) for curve in last.curves] == [len(VALUES)] * 4


def test_kl_terms_are_bars_from_the_largest_on_and_on_the_same_axis_at_each_value(html):
    assert made(sweep()).bars is None
    assert 'class="bar' not in html(made(sweep()))
    shown = made(sweep(kl_per_latent={0.5: [1.0, 3.0, 2.0], 2.0: [1.0, 0.0, 1.0]}))
    tops = [[float(top) for top in re.findall(r"V([\d.]+)h", stop.bars)] for stop in shown.stops]
    assert [len(it) for it in tops] == [0, 3, 3, 0]
    assert tops[1] == sorted(tops[1])
    assert tops[1][2] == tops[2][0] == tops[2][1]  # 1 nat
    assert html(shown).count('<path class="bar') == len(VALUES)


def test_a_further_family_has_the_charts_of_its_parts(a_third):
    assert [it.title for it in made(sweep(a_third)).charts] == [
        *("Fréchet distance over λ", "D’s accuracy over λ", "Precision and recall over λ")
    ]


def test_everything_of_a_value_is_marked_with_its_place_and_the_first_shown_is_chosen(html, parse):
    shown = made(sweep(), 2.0)
    seen = parse(html(shown))
    assert seen.open == []
    (control,) = seen.all("input")
    assert (control["type"], control["min"], control["max"], control["value"]) == ("range", "0", "3", "2")
    rows = [it for it in seen.all("tr") if "data-place" in it]
    assert [it["data-place"] for it in rows] == ["0", "1", "2", "3"]
    chosen = {it["data-place"] for _, it in seen.elements if "at" in (it.get("class") or "").split()}
    assert chosen == {"2"}
    assert len(seen.all("img")) == 2 * (len(VALUES) - 1)
    assert seen.text.count("keeps no picture") == 2  # the first value's


def test_a_sweep_of_one_value_has_nothing_to_move(html, parse):
    seen = parse(html(made(sweep(values=(1.0,)))))
    assert not seen.all("input")
    assert len(seen.all("tr")) == 2


def test_html_in_a_name_is_shown_and_not_obeyed(html, parse):
    evil = '"><script>alert(1)</script>'
    of = replace(sweep(), key=evil)
    shown = slider(of, FAMILIES["vae"], 0.5, None, lambda at: evil, note=evil)
    seen = parse(html(replace(shown, columns=(evil,) * 5, title=evil)))
    assert seen.open == []
    assert not seen.all("script")
    assert seen.text.count(evil) > 10
    assert seen.all("figure")[0]["aria-label"] == f"{evil}, {shown.name.replace('_', ' ')}"
