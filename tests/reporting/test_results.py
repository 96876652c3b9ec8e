"""Reading what the stages before the report wrote."""

import shutil

import pytest
from reported import FAMILIES

from genbalance.reporting.results import files, read_results
from genbalance.runtime.errors import UserError

WANTED = files([*FAMILIES.values()])
FILES = [
    *[f"metrics/{name}.json" for name in WANTED.metrics],
    *[f"artifacts/{name}.csv" for name in WANTED.tables],
    *[f"{name}.png" for name in WANTED.pictures],
    *map(str, WANTED.weights),
]


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named_in_one_line_that_says_what_to_do(workspace, file):
    root = workspace()
    (root / file).unlink()
    with pytest.raises(UserError) as caught:
        read_results(root, FAMILIES)
    assert file in str(caught.value)
    assert "dvc repro" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_a_run_of_fewer_families_no_file_of_another_is_read(workspace):
    root = workspace()
    for path in root.rglob("*vae*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    results = read_results(root, ["gan"])
    assert [family.name for family in results.families] == ["gan"]
    assert not [name for name in (*results.metrics, *results.tables, *results.pictures) if "vae" in name]


@pytest.mark.parametrize("folder", WANTED.films)
def test_a_training_without_grids_is_named(workspace, folder):
    root = workspace()
    for frame in (root / "artifacts" / folder).iterdir():
        frame.unlink()
    with pytest.raises(UserError, match=folder):
        read_results(root, FAMILIES)


@pytest.mark.parametrize(
    ("text", "message"),
    [("latent\n1\n", "no column 'kl'"), ("latent,kl\n", "no rows"), ("latent,kl\n1\n", "not a number")],
)
def test_a_table_that_lacks_something_is_named(workspace, text, message):
    root = workspace()
    (root / "artifacts/train_vae/kl_per_latent.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"kl_per_latent\.csv: .*{message}"):
        read_results(root, FAMILIES)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_metrics_that_are_no_object_are_named(workspace, text):
    root = workspace()
    (root / "metrics/train_gan.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics/train_gan\.json"):
        read_results(root, FAMILIES)


def test_an_interval_is_a_pair_where_there_is_one(finished):
    results = read_results(finished, FAMILIES)
    assert results.interval("evaluate_gan", "precision") == pytest.approx((0.6741, 0.8239))
    assert results.interval("evaluate_gan", "vendi") is None


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        (None, "ci95: found None"),
        ([1, 2], r"ci95: found \[1, 2\]"),
        ({"fd_test": {"low": 1}}, r"ci95\.fd_test\.high: found None"),
        ({"fd_test": [1, 2]}, r"ci95\.fd_test\.low: found None"),
        ({"fd_test": {"low": "1", "high": 2}}, r"ci95\.fd_test\.low: found '1'"),
    ],
)
def test_an_interval_that_is_none_is_named(workspace, change, intervals, message):
    root = workspace()
    change(root / "metrics/evaluate_gan.json", ci95=intervals)
    with pytest.raises(UserError, match=rf"metrics/evaluate_gan\.json: {message}.*dvc repro"):
        read_results(root, FAMILIES).interval("evaluate_gan", "fd_test")
