"""The two models side by side."""

import itertools

import pytest

from genbalance.errors import UserError
from genbalance.reporting.comparison import NONE, comparison
from genbalance.reporting.measures import GROUPS
from genbalance.reporting.results import read_results

MEASURES = list(itertools.chain(*GROUPS.values()))
SETTINGS = {"n", "kid_std", "nll_draws", "reconstructed", "class_histogram", "ci95"}
"""Of the evaluation's metrics those that are told elsewhere on the page."""


@pytest.fixture(scope="module")
def results(finished):
    return read_results(finished)


def line(results, label):
    return next(line for lines in comparison(results).values() for line in lines if line.label == label)


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_every_metric_of_the_evaluation_has_its_place(results, model):
    ours = [measure for measure in MEASURES if model in measure.models]
    sources = [source for m in ours for source in (m.key, m.real, m.mean_image) if isinstance(source, str)]
    assert len(sources) == len(set(sources))
    assert set(sources) == set(results.metrics[f"evaluate_{model}"]) - SETTINGS


def test_no_two_rows_have_one_name():
    assert len({measure.label for measure in MEASURES}) == len(MEASURES)


def test_a_number_stands_beside_its_interval_and_what_real_images_get(results):
    found = line(results, "precision")
    assert (found.gan.text, found.gan.span) == ("0.749", "0.67 … 0.82")
    assert (found.vae.text, found.vae.span) == ("0.693", "0.62 … 0.76")
    assert (found.real, found.mean_image, found.better) == ("0.951", NONE, "higher is better")


def test_a_distance_stands_between_its_floor_and_its_ceiling(results):
    found = line(results, "Fréchet distance")
    assert (found.real, found.gan.text, found.mean_image) == ("3.114", "22.81", "1,210")


def test_a_share_and_its_interval_are_told_as_fractions(results):
    found = line(results, "D’s accuracy on test images")
    assert (found.gan.text, found.gan.span) == ("0.284", "0.256 … 0.312")


def test_a_model_without_a_metric_has_no_number(results):
    assert line(results, "D’s accuracy on test images").vae.text == NONE
    assert line(results, "rate [nats]").gan.text == NONE
    assert line(results, "rate [nats]").vae.text == "25.20"


@pytest.mark.parametrize(
    ("key", "label", "better"),
    [("nn_accuracy", "1-NN accuracy, real against generated", "½"), ("copying_z", "copying z-score", "0")],
)
def test_the_best_value_is_told_where_it_is_neither_high_nor_low(results, key, label, better):
    assert line(results, label).better == f"best at {better}"


def test_real_images_are_told_twice_only_where_they_were_measured_unlike(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", coverage_real=0.5)
    assert line(read_results(root), "coverage").real == "0.972 / 0.500"


def test_the_floor_within_classes_leaves_out_those_that_were_not_measured(workspace):
    root = workspace(classes=3)
    head = "class,generated,real,n,fd,fd_floor,confidence"
    for model in ("gan", "vae"):
        path = root / f"artifacts/evaluate_{model}/classes.csv"
        path.write_text(f"{head}\n0,0.5,0.6,9,30,3,1\n1,0.5,0.4,8,40,5,1\n2,0,0,0,0,0,0\n", encoding="utf-8")
    results = read_results(root)
    assert line(results, "Fréchet distance within a class, mean").real == "4"
    assert line(results, "Fréchet distance within a class, worst").real == "5"
    assert line(results, "share of the rarest class").real == "0.000"
    assert line(results, "share of the commonest class").real == "0.600"


def test_where_no_class_was_measured_the_floor_is_that_of_all_images(workspace):
    root = workspace(classes=2)
    for model in ("gan", "vae"):
        path = root / f"artifacts/evaluate_{model}/classes.csv"
        path.write_text("class,generated,real,n,fd,fd_floor\n0,1,1,0,0,0\n1,0,0,0,0,0\n", encoding="utf-8")
    assert line(read_results(root), "Fréchet distance within a class, mean").real == "3.114"


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
def test_a_missing_metric_is_named(workspace, change, measure):
    root = workspace()
    change(root / f"metrics/evaluate_{measure.models[0]}.json", **{measure.key: None})
    with pytest.raises(UserError, match=rf"metrics/evaluate_{measure.models[0]}\.json: {measure.key}: .*dvc repro"):
        comparison(read_results(root))
