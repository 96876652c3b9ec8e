"""Reading what the stages left behind."""

import json
import re

import pytest

from genbalance.errors import UserError
from genbalance.reporting.headline import HEADLINE, PRINTED, headline, headline_table
from genbalance.reporting.results import FILMS, METRICS, PICTURES, TABLES, read_results

FILES = [
    *[f"metrics/{name}.json" for name in METRICS],
    *[f"artifacts/{name}.csv" for name in TABLES],
    *[f"{name}.png" for name in PICTURES],
]


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named_in_one_line_that_says_what_to_do(workspace, file):
    root = workspace()
    (root / file).unlink()
    with pytest.raises(UserError) as told:
        read_results(root)
    assert file in str(told.value)
    assert "dvc repro" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("folder", FILMS)
def test_a_film_without_frames_is_named(workspace, folder):
    root = workspace()
    for frame in (root / "artifacts" / folder).iterdir():
        frame.unlink()
    with pytest.raises(UserError, match=folder):
        read_results(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [("latent\n1\n", "no column 'kl'"), ("latent,kl\n", "no rows"), ("latent,kl\n1\n", "not a number")],
)
def test_a_table_that_lacks_something_is_named(workspace, text, told):
    root = workspace()
    (root / "artifacts/train_vae/kl_per_latent.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"kl_per_latent\.csv: .*{told}"):
        read_results(root)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_metrics_that_are_no_object_are_named(workspace, text):
    root = workspace()
    (root / "metrics/train_gan.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics/train_gan\.json"):
        read_results(root)


def test_the_headline_has_every_number_that_the_parent_run_shows(finished):
    numbers = headline(read_results(finished))
    assert set(numbers) == set(HEADLINE)
    assert numbers["test_accuracy"] == 0.978
    assert numbers["gan_fd_test"] == 22.81
    assert numbers["vae_fd_test"] == 61.37
    assert numbers["vae_active_units"] == 5


@pytest.mark.parametrize(("stage", "key"), sorted(set(HEADLINE.values())))
def test_a_headline_metric_that_is_missing_is_named(workspace, change, stage, key):
    root = workspace()
    change(root / f"metrics/{stage}.json", **{key: None})
    with pytest.raises(UserError, match=rf"metrics/{stage}\.json: {key}"):
        headline(read_results(root))


def table_of(root):
    stages = ("prepare", "evaluate_gan", "evaluate_vae")
    return headline_table({stage: json.loads((root / f"metrics/{stage}.json").read_text()) for stage in stages})


def test_the_table_shows_each_model_beside_real_digits_in_aligned_columns(finished):
    title, head, *rows = table_of(finished).splitlines()
    assert title == "some digits: 100 samples against 100 test digits"
    assert len(rows) == len(PRINTED)
    assert max(map(len, (title, head, *rows))) <= 80
    cells = {re.split("  +", row)[0]: re.split("  +", row)[1:] for row in rows}
    assert cells["Fréchet distance"] == ["↓", "22.810", "61.370", "3.114"]
    assert cells["kernel distance (KID)"] == ["↓", "0.039", "0.148", "0.000"]
    assert cells["1-NN accuracy, real against generated"] == ["→½", "0.815", "0.858", "0.507"]
    ends = [head.index(name) + len(name) for name in ("GAN", "VAE", "real digits")]
    for row in rows:
        found = [match.end() for match in re.finditer(r"[−\d.,]+(?=\s|$)", row[44:])]
        assert {44 + end for end in found} <= set(ends), row
    (nelbo,) = [row for row in rows if row.startswith("−ELBO")]
    assert nelbo.endswith("101.300")
    assert len(nelbo) == ends[1]  # the VAE's alone


@pytest.mark.parametrize("model", ["gan", "vae"])
@pytest.mark.parametrize("key", ["fd_test", "precision_real", "nll"])
def test_a_number_that_the_table_lacks_is_named(workspace, change, model, key):
    root = workspace()
    change(root / f"metrics/evaluate_{model}.json", **{key: None})
    if (model, key) in {("gan", "precision_real"), ("gan", "nll")}:  # not shown
        table_of(root)
    else:
        with pytest.raises(UserError, match=rf"metrics/evaluate_{model}\.json: {key}"):
            table_of(root)


def test_an_interval_is_a_pair_where_there_is_one(finished):
    results = read_results(finished)
    assert results.interval("evaluate_gan", "precision") == pytest.approx((0.6741, 0.8239))
    assert results.interval("evaluate_gan", "vendi") is None


@pytest.mark.parametrize(
    ("intervals", "told"),
    [
        (None, "ci95: found None"),
        ([1, 2], r"ci95: found \[1, 2\]"),
        ({"fd_test": {"low": 1}}, r"ci95\.fd_test\.high: found None"),
        ({"fd_test": [1, 2]}, r"ci95\.fd_test\.low: found None"),
        ({"fd_test": {"low": "1", "high": 2}}, r"ci95\.fd_test\.low: found '1'"),
    ],
)
def test_an_interval_that_is_none_is_named(workspace, change, intervals, told):
    root = workspace()
    change(root / "metrics/evaluate_gan.json", ci95=intervals)
    with pytest.raises(UserError, match=rf"metrics/evaluate_gan\.json: {told}.*dvc repro"):
        read_results(root).interval("evaluate_gan", "fd_test")
