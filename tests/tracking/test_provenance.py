"""The few parameters of a stage's run, which leave room for its pictures, and params.yaml beside them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from genbalance.params import read_params, read_yaml
from genbalance.tracking import tracked
from genbalance.tracking.provenance import DEFAULTS, shown

REPOSITORY = Path(__file__).parents[2]
COEFFICIENTS = {"train_gan": {"lambda"}, "train_vae": {"beta"}, "train_classifier": set(), "evaluate_vae": set()}
OTHERS = {"gan.epochs": "9", "vae.epochs": "7", "classifier.epochs": "5", "evaluate.samples": "3000"}


@pytest.fixture
def pipeline(repo: Path) -> Path:
    """The repository with this project's pipeline, of which one parameter of each section is not the default."""
    shutil.copy(REPOSITORY / "dvc.yaml", repo)
    (repo / "data/idx").mkdir(parents=True)
    subprocess.run(["dvc", "init", "-q"], cwd=repo, check=True)
    text = "\n".join((repo / "params.yaml").read_text().splitlines())
    for key, value in OTHERS.items():
        section, name = key.split(".")
        before, after = text.split(f"\n{section}:\n")
        after = after.replace(f"  {name}: ", f"  {name}: {value} # was: ", 1)
        text = f"{before}\n{section}:\n{after}"
    (repo / "params.yaml").write_text(text + "\n")
    return repo


@pytest.mark.parametrize("stage", COEFFICIENTS)
def test_a_stage_shows_its_coefficient_the_seed_and_what_it_reads_that_is_no_default(
    stage: str, pipeline: Path
) -> None:
    params = read_params(pipeline / "params.yaml")
    with tracked(stage, params) as run:
        pass
    client = MlflowClient(f"sqlite:///{pipeline / 'mlflow.db'}")
    child = client.get_run(run.run_id)
    section = stage.split("_")[1] if stage.startswith("train") else "evaluate"
    changed = {key for key in OTHERS if key.startswith(section)}
    flat = {key: str(value) for key, value in params.flat().items()}
    assert child.data.params == {key: flat[key] for key in COEFFICIENTS[stage] | {"seed"} | changed}
    kept = Path(child.info.artifact_uri.removeprefix("file://")) / "params.yaml"
    assert kept.read_bytes() == (pipeline / "params.yaml").read_bytes()
    assert client.get_run(run.parent_id).data.params == flat  # the table and the comparison of pipeline runs need all


def test_with_the_defaults_nothing_but_coefficients_and_seed_are_shown() -> None:
    assert set(shown(read_yaml(DEFAULTS) | {"tracking.experiment": "mine"})) == {"lambda", "beta", "seed"}
