"""The shared view: a tag that MLflow's UI can read, written once and not over what somebody changed."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from genbalance.reporting.headline import HEADLINE, PICTURES
from genbalance.tracking import view
from genbalance.tracking.store import reach


@pytest.fixture
def tags(repo: Path):
    """The tags of the experiment, as they are once it has been opened with the tag given."""

    def opened(before: str | None) -> dict[str, str]:
        client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
        if before is not None:
            client.create_experiment("mine", tags={view.TAG: before} if before else {})
        reach("mine")
        return client.get_experiment_by_name("mine").tags

    return opened


def changed(**values: object) -> str:
    return json.dumps(json.loads(view.view()) | values)


def test_a_new_experiment_has_the_view_and_a_description(tags) -> None:
    told = tags(None)
    assert told[view.TAG] == view.view()
    assert "What does λ do in a GAN" in told["mlflow.note.content"]
    assert "what does β do in a VAE" in told["mlflow.note.content"]


@pytest.mark.parametrize("before", ["", "nonsense", "[]", "{}", changed(updatedAt=view.CHANGED - 1)])
def test_an_experiment_without_the_view_or_with_an_older_one_gets_it(tags, before: str) -> None:
    assert tags(before)[view.TAG] == view.view()


def test_a_view_that_somebody_changed_stays(tags) -> None:
    theirs = changed(updatedAt=view.CHANGED + 1, state="{}")
    assert tags(theirs)[view.TAG] == theirs


def test_the_view_names_what_pipeline_runs_have() -> None:
    state = json.loads(json.loads(view.view())["state"])
    assert set(view.METRICS) <= set(HEADLINE)
    assert {chart["imageKeys"][0] for chart in state["compareRunCharts"] if chart["type"] == "IMAGE"} == {
        f"grids/{name}" for name in PICTURES
    }
    axes = {
        chart[axis]["key"] for chart in state["compareRunCharts"] if "xaxis" in chart for axis in ("xaxis", "yaxis")
    }
    assert axes <= {*HEADLINE, *view.PARAMS}
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    assert not [name for name in HEADLINE if name.endswith(("_floor", "_ceiling", "_real"))]
