"""The report stage, without the tracker."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from reported import FAMILIES, write

from genbalance.data import prepared
from genbalance.families.registry import family
from genbalance.models import weights
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.reporting.headline import NEXT, headline_pictures, headline_places, headline_table
from genbalance.reporting.results import read_results
from genbalance.runtime.device import initialised
from genbalance.runtime.errors import UserError
from tests.conftest import kept_settings

REPOSITORY = Path(__file__).parents[2]


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), REPOSITORY / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Stands for the tracked run."""

    def __init__(self):
        self.artifacts, self.headlines, self.pictures = [], [], {}

    def artifact(self, path, folder=""):
        self.artifacts.append((path, folder, path.exists()))

    def restored(self):
        pass

    def headline(self, values, pictures):
        self.headlines.append(dict(values))
        self.pictures |= pictures


def with_networks(root):
    """Test images that are mapped, and the networks that encode and decode them."""
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8), dtype=np.uint8)
    split = prepared.Split(images, np.arange(100) % 10)
    prepared.save(prepared.Prepared(split, split, split, "made", "Noise", 10, 0.5, 0.3), root / "data/prepared")
    config = {"arch": "mlp", "shape": [1, 8, 8], "latents": 6, "width": 32, "likelihood": "gaussian"}
    config["log_sigma_floor"] = -6.0
    state = initialised(lambda: Vae(**config), 0, "vae", torch.device("cpu")).state_dict()
    weights.save(root / "models/vae.safetensors", config, state)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The workspace after the stage, what its run got, and what it printed. Its files are of all known families."""
    root, run, printed = tmp_path_factory.mktemp("reported"), Recorder(), io.StringIO()
    write(root)
    with_networks(root)
    with contextlib.chdir(root), contextlib.redirect_stdout(printed), kept_settings():
        load("stages/report.py").main(read_params(), run)
    return root, run, printed.getvalue()


def test_the_report_is_a_page_and_its_figures_and_completes_the_parent_run(reported):
    root, run, _ = reported
    files = {str(path.relative_to(root / "reports")) for path in (root / "reports").rglob("*.*")}
    assert "index.html" in files
    assert {"figures/gan_losses.png", "figures/vae_terms_dark.png"} <= files
    assert run.artifacts == [(Path("reports"), "report", True)]
    families = [family(name) for name in FAMILIES]
    assert [values.keys() for values in run.headlines] == [headline_places(families).keys()]
    assert run.pictures == headline_pictures(families)
    assert all((root / path).is_file() for path in run.pictures.values())
    assert re.search(
        r"torch 2\.\d+\.\d+, torchvision 0\.\d+\.\d+, numpy", (root / "reports/index.html").read_text("utf-8")
    )


def test_the_map_of_the_codes_has_an_image_and_its_reconstruction_for_each(reported):
    root, _, _ = reported
    html = (root / "reports/index.html").read_text("utf-8")
    (places,) = re.findall(r'data-places="([^"]+)"', html)
    assert len(places.split()) == len(read_results(root, FAMILIES).tables["evaluate_vae/codes"]["x"]) == 100
    assert html.count("<canvas") == 2


def test_the_last_thing_on_stdout_is_the_headline_table_the_page_and_what_to_try_next(reported):
    root, _, printed = reported
    assert printed == f"\n{headline_table(read_results(root, FAMILIES))}\n\n{NEXT}\n"
    assert (root / re.search(r"The page: (\S+)", NEXT)[1]).is_file()


def test_missing_metrics_leave_the_former_report_as_it_was(workspace):
    (workspace / "reports").mkdir()
    (workspace / "reports" / "index.html").write_text("former", encoding="utf-8")
    (workspace / "metrics" / "evaluate_vae.json").unlink()
    run = Recorder()
    with pytest.raises(UserError, match=r"metrics/evaluate_vae\.json: .*dvc repro"):
        load("stages/report.py").main(read_params(), run)
    assert [path.name for path in (workspace / "reports").iterdir()] == ["index.html"]
    assert (workspace / "reports" / "index.html").read_text(encoding="utf-8") == "former"
    assert run.artifacts == run.headlines == []
