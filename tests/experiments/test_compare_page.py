"""The page of a comparison and what goes to MLflow, from a repository whose names and params are full of HTML."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from committed import PARAMS
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.experiments import compare_page
from genbalance.experiments.compare import compare_groups, find_groups
from genbalance.families.registry import family
from genbalance.reporting.sweep import columns

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert(1)</script>"
CURVES = b"epoch,val_distortion,val_rate\n1,80.5,%d.5\n2,78.5,%d.5\n"
TRAININGS = ("train_gan", "train_vae", "train_classifier")  # of the families that its runs have
METRICS = dict.fromkeys((key.split(".")[1] for key in columns(family("vae"))), 1.0)


def commit(name, beta, seed, arch):
    metrics = json.dumps(METRICS | {"rate": 20.0 - beta + seed, "distortion": 60.0 + beta + seed}).encode()
    files = {
        "params.yaml": f"beta: {beta}\nseed: {seed}\nvae: {{arch: '{arch}'}}\n".encode(),
        "metrics/evaluate_vae.json": metrics,
        **{f"metrics/{training}.json": b'{"epochs": 2}' for training in TRAININGS},
        "metrics/train_vae_samples.png": b"\x89PNG vae %d %d" % (beta, seed),
        "metrics/train_gan_samples.png": b"\x89PNG gan %d" % seed,
    }
    lines = [f"commit refs/exps/0a/{'1' * 38}/{name}\ncommitter a <a@b> 1700000000 +0000\ndata 1\nm\n".encode()]
    for path, content in files.items():
        lines.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    return b"".join(lines)


@pytest.fixture(autouse=True)
def _repository(tmp_path, monkeypatch):
    """Three betas with two seeds each, and one run of evil name and evil param; curves as if from DVC's cache."""
    monkeypatch.chdir(tmp_path)
    stream = b"".join(commit(f"b{beta}-{seed}", beta, seed, "mlp") for beta in (1, 2, 4) for seed in (1, 2))
    stream += commit(EVIL, 1, 1, EVIL)
    for arguments, text in ((["init", "-q"], b""), (["fast-import", "--quiet"], stream)):
        subprocess.run(["git", *arguments], input=text, check=True, capture_output=True)
    monkeypatch.setattr(compare_page, "curves", lambda commit: {"train_vae": CURVES % (1, 2), "train_gan": b"no table"})


def material(*texts):
    return compare_page.content(compare_groups(find_groups(texts), every=True))


def test_grids_stand_side_by_side_seed_by_seed():
    rows = material("b*").grids["VAE: samples"]
    assert list(rows) == ["seed 1", "seed 2"]
    assert [grid.of for grid in rows["seed 2"]] == [
        *("a: beta=1, seed 2", "b: beta=2, seed 2", "c: beta=4, seed 2"),
    ]
    assert [grid.image for grid in rows["seed 2"]] == [b"\x89PNG vae %d 2" % beta for beta in (1, 2, 4)]


def test_a_grid_that_is_the_same_in_all_groups_is_shown_once():
    (grid,) = material("b*").grids["GAN: samples"]["seed 1"]
    assert (grid.image, grid.of) == (b"\x89PNG gan 1", "the same in all: a, b, c")


def test_groups_of_other_seeds_stand_side_by_side_too():
    (title,) = material("b1-1", "b2-2").grids["VAE: samples"]
    assert title == "seeds 1, 2"


def test_curves_that_differ_are_overlaid_and_those_that_do_not_are_named(monkeypatch):
    assert material("b*").same_curves == ["GAN", "VAE"]
    found = iter(range(6))
    monkeypatch.setattr(compare_page, "curves", lambda commit: {"train_vae": CURVES % ((n := next(found)), n)})
    page = material("b*")
    assert [plot.name for plot in page.curves] == ["train_vae_curves"]
    assert page.same_curves == []


def test_curves_that_are_not_at_hand_are_named_and_no_error(monkeypatch):
    monkeypatch.setattr(compare_page, "curves", lambda commit: {})
    page = material("b1-1", "b2-1")
    assert page.missing == [f"{name}: {training}" for name in ("b1-1", "b2-1") for training in TRAININGS]
    assert (page.curves, page.same_curves) == ([], [])


def test_curves_of_which_some_are_missing_are_drawn_from_the_others(monkeypatch):
    found = iter([{"train_vae": CURVES % (1, 2)}, {}])
    monkeypatch.setattr(compare_page, "curves", lambda commit: next(found))
    page = material("b1-1", "b2-1")
    assert [plot.name for plot in page.curves] == ["train_vae_curves"]
    assert page.same_curves == []
    assert "train_vae" in " ".join(page.missing)


def test_what_is_no_table_is_no_curve(monkeypatch):
    texts = iter([b"", b"a,b\n1,2\n", b"epoch,val_rate\n1,x\n", b"epoch,val_rate\n"])
    monkeypatch.setattr(compare_page, "curves", lambda commit: {"train_vae": next(texts)})
    assert material("b1-1", "b2-1").curves == []
    assert material("b1-1", "b2-1").curves == []


def test_where_one_parameter_varies_its_sweep_is_drawn():
    assert [plot.name for plot in material("b*").sweeps] == ["beta_sweep"]
    assert material("b1-1", f"{EVIL}").sweeps == []


def test_the_page_obeys_no_html_in_names_and_params(tmp_path):
    result = CliRunner().invoke(app, ["compare", "b1-*", EVIL, "--html", str(tmp_path / "out/page.html"), "--all"])
    assert result.exit_code == 0, result.output
    html = (tmp_path / "out/page.html").read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert base64.b64encode(b"\x89PNG vae 1 1").decode() in html


def test_page_table_and_figures_go_to_mlflow(tmp_path, monkeypatch):
    kept = {}

    def keep(experiment, name, kind, folder):
        kept.update({file.name: file.read_bytes() for file in folder.iterdir()}, asked=(experiment, name, kind))
        return name

    monkeypatch.setattr(compare_page, "keep_folder", keep)
    shutil.copy(PARAMS, tmp_path)
    result = CliRunner().invoke(app, ["compare", "b*", "--mlflow"])
    assert result.exit_code == 0, result.output
    assert kept.pop("asked") == ("genbalance", "compare beta=1 | beta=2 | beta=4", "comparison")
    assert "In MLflow: compare beta=1" in result.stdout
    assert kept.keys() == {"comparison.html", "comparison.json", "table.csv", "beta_sweep.png"}
    (tmp_path / "table.csv").write_bytes(kept["table.csv"])
    table = pd.read_csv(tmp_path / "table.csv", index_col=["metric", "group"])
    assert table.loc[("evaluate_vae.rate", "beta=4"), "difference"] == pytest.approx(-3)
    assert json.loads(kept["comparison.json"])["compared_with"] == "beta=1"


def test_without_params_yaml_nothing_is_drawn_or_sent(monkeypatch):
    monkeypatch.setattr(compare_page, "content", lambda comparison: pytest.fail("drawn"))
    result = CliRunner().invoke(app, ["compare", "b*", "--mlflow"])
    assert result.exit_code == 1
    assert "params.yaml: cannot be read" in result.stderr
