"""The numbers that stand for a run: in the parent run, in metrics/summary.json, in the terminal."""

import re

import pytest
from reported import FAMILIES

from genbalance.reporting.headline import PRINTED, headline, headline_places, headline_table, summary
from genbalance.reporting.results import read_results
from genbalance.runtime.errors import UserError


def test_the_headline_has_every_number_that_the_parent_run_shows(finished):
    numbers = headline(read_results(finished, FAMILIES))
    assert set(numbers) == set(headline_places(FAMILIES.values()))
    assert numbers["test_accuracy"] == 0.978
    assert numbers["gan_fd_test"] == 22.81
    assert numbers["vae_fd_test"] == 61.37
    assert numbers["vae_active_units"] == 5


@pytest.mark.parametrize(("stage", "key"), sorted(set(headline_places(FAMILIES.values()).values())))
def test_a_headline_metric_that_is_missing_is_named(workspace, change, stage, key):
    root = workspace()
    change(root / f"metrics/{stage}.json", **{key: None})
    with pytest.raises(UserError, match=rf"metrics/{stage}\.json: {key}"):
        headline(read_results(root, FAMILIES))


def table_of(root):
    return headline_table(read_results(root, ["gan", "vae"]))


def test_the_table_shows_each_model_beside_real_digits_in_aligned_columns(finished):
    title, head, *rows = table_of(finished).splitlines()
    assert title == "some digits: 100 samples against 100 test images"
    assert len(rows) == len(PRINTED)
    assert max(map(len, (title, head, *rows))) <= 80
    cells = {re.split("  +", row)[0]: re.split("  +", row)[1:] for row in rows}
    assert cells["Fréchet distance"] == ["↓", "22.810", "61.370", "3.114"]
    assert cells["kernel distance (KID)"] == ["↓", "0.039", "0.148", "0.000"]
    assert cells["1-NN accuracy, real against generated"] == ["→½", "0.815", "0.858", "0.507"]
    ends = [head.index(name) + len(name) for name in ("GAN", "VAE", "real images")]
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


def test_of_the_default_families_the_summary_has_ten_numbers(finished):
    assert list(summary(read_results(finished, ["gan", "vae"]))) == [
        *("n", "accuracy", "fd_floor", "fd_ceiling", "gan_fd", "gan_recall", "vae_fd", "rate", "distortion", "nll")
    ]


def test_every_family_is_in_the_summary(finished):
    every = summary(read_results(finished, FAMILIES))
    assert {f"{name}_fd" for name in FAMILIES} <= every.keys()
    assert list(summary(read_results(finished, ["vae"]))) == [
        *("n", "accuracy", "fd_floor", "fd_ceiling", "vae_fd", "rate", "distortion", "nll")
    ]


def test_without_classes_the_rows_that_need_them_are_left_out(finished, workspace):
    whole, bare = read_results(finished, FAMILIES), read_results(workspace(classes=0), FAMILIES)
    assert {*headline(whole)} - {*headline(bare)} == {"gan_classifier_score", "vae_classifier_score"}
    assert summary(bare).keys() == summary(whole).keys()
    assert len(headline_table(whole).splitlines()) == 1 + len(headline_table(bare).splitlines())
