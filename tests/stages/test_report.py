"""The report stage, without the tracker."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from reported import write

from genbalance.errors import UserError
from genbalance.params import read_params
from genbalance.reporting.headline import HEADLINE, NEXT, headline_table

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


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_report_is_a_page_and_its_figures_and_completes_the_parent_run(workspace):
    run = Recorder()
    load("stages/report.py").main(read_params(), run)
    files = {str(path.relative_to(workspace / "reports")) for path in (workspace / "reports").rglob("*.*")}
    assert "index.html" in files
    assert {"figures/gan_losses.png", "figures/vae_terms_dark.png"} <= files
    assert run.artifacts == [(Path("reports"), "report", True)]
    assert [set(values) for values in run.headlines] == [set(HEADLINE)]
    assert set(run.pictures) == {"gan_samples", "vae_samples", "vae_reconstructions"}
    assert all(path.is_file() for path in run.pictures.values())
    assert re.search(
        r"torch 2\.\d+\.\d+, torchvision 0\.\d+\.\d+, numpy", (workspace / "reports/index.html").read_text("utf-8")
    )


def test_the_last_thing_on_stdout_is_the_headline_table_the_page_and_what_to_try_next(workspace, capsys):
    load("stages/report.py").main(read_params(), Recorder())
    metrics = {path.stem: json.loads(path.read_text()) for path in (workspace / "metrics").glob("*.json")}
    assert capsys.readouterr().out == f"\n{headline_table(metrics)}\n\n{NEXT}\n"
    assert (workspace / re.search(r"The page: (\S+)", NEXT)[1]).is_file()


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
