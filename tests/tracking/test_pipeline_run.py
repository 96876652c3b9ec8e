"""How a pipeline's run is named and described, so that experiments differ at a glance."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as Entity

from genbalance.params import read_params
from genbalance.tracking import tracked


@pytest.fixture
def parent(repo: Path, monkeypatch: pytest.MonkeyPatch):
    """The parent's run, once params.yaml has been changed and a stage has run as a member of an experiment."""

    def ran(experiment: str, **changes: str) -> Entity:
        text = (repo / "params.yaml").read_text()
        for old, new in changes.items():
            assert text.count(f"\n{old}: ") == 1
            text = text.replace(f"\n{old}: ", f"\n{old}: {new}  # was: ")
        (repo / "params.yaml").write_text(text)
        monkeypatch.setenv("DVC_EXP_NAME", experiment)
        with tracked("report", read_params(repo / "params.yaml")) as run:
            pass
        return MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_run(run.parent_id)

    return ran


def test_the_name_says_what_differs_from_the_commit(parent) -> None:
    run = parent("bold-eagle", beta="4", seed="7")
    assert run.info.run_name == "bold-eagle beta=4 seed=7"
    assert run.data.tags["genbalance.varies"] == "beta=4 seed=7"


def test_a_run_of_the_commit_itself_is_named_by_it(parent) -> None:
    run = parent("")
    assert run.info.run_name == run.data.tags["mlflow.source.git.commit"][:8]
    assert "genbalance.varies" not in run.data.tags


def test_the_description_has_the_commands_that_reproduce_the_run(parent) -> None:
    run = parent("sweep-2", **{"lambda": "0.5"})
    commit = run.data.tags["mlflow.source.git.commit"][:8]
    again = f"git checkout {commit}\ndvc exp run -S lambda=0.5"
    assert run.data.tags["mlflow.note.content"] == f"Reproduce:\n\n```sh\n{again}\n```"


@pytest.mark.parametrize(("name", "sweep"), [("beta-12", "beta"), ("a-b-3", "a-b"), ("bold-eagle", None), ("", None)])
def test_the_members_of_a_sweep_share_a_tag(parent, name: str, sweep: str | None) -> None:
    assert parent(name).data.tags.get("genbalance.sweep") == sweep
