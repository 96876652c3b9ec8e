"""What MLflow's UI shows of our experiment: a shared view, which is a tag of the experiment that an address names.

MLflow opens an experiment on its page for language models otherwise, and its table of runs without a parameter or a
metric. A shared view is JSON: name, times and, as JSON in it, the state of the table and of the charts.
"""

import json
from collections.abc import Mapping
from typing import Any

from genbalance.tracking.pictures import SECTION

KEY = "coefficients"
TAG = f"mlflow.sharedViewState.{KEY}"
CHANGED = 1764028800000  # ms since 1970: increase it with a change of the view, and older ones are replaced
PARAMS = {"lambda": 75, "beta": 65}  # pixels of a column
METRICS = {
    "gan_fd_test": 105,
    "vae_fd_test": 105,
    "gan_recall": 100,
    "vae_recall": 100,
    "vae_nelbo": 100,
    "vae_rate": 90,
    "vae_distortion": 120,
    "test_accuracy": 120,
}
SCATTERS = (  # what is drawn over what, in the view of charts
    (("lambda", "PARAM"), "gan_fd_test"),
    (("beta", "PARAM"), "vae_fd_test"),
    (("vae_rate", "METRIC"), "vae_distortion"),
)
PICTURES = ("gan_samples", "vae_samples", "vae_reconstructions")
OTHERS = {"attributes.`Source`": 110, "attributes.`Dataset`": 150}
NAME, CREATED = "attributes.`Run Name`", "runDateAndNestInfo"


def page_address(server: str, experiment_id: str) -> str:
    """Where a server shows the table of an experiment's runs, as our view has it.

    Args:
        server: its address, with or without a slash at the end.
        experiment_id: the experiment's.
    """
    place = f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs"
    return f"{place}?workflowType=machine_learning&viewStateShareKey={KEY}"


def view() -> str:
    """The text of the tag."""
    columns = {f"params.`{name}`": width for name, width in PARAMS.items()}
    columns |= {f"metrics.`{name}`": width for name, width in METRICS.items()} | OTHERS
    state = {
        "selectedColumns": [*columns],
        "columnOrder": [NAME, CREATED, *columns, "duration"],
        "columnWidths": {NAME: 165, CREATED: 145, **columns, "duration": 85},
        "compareRunSections": [_section("effects"), _section(SECTION)],
        "compareRunCharts": [*(_scatter(*axes) for axes in SCATTERS), *(_picture(name) for name in PICTURES)],
    }
    told = {"name": "λ and β", "createdAt": CHANGED, "updatedAt": CHANGED, "state": json.dumps(state)}
    return json.dumps(told, ensure_ascii=False)


def _section(name: str) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}


def _chart(kind: str, name: str, section: str) -> dict[str, Any]:
    common = {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    return {"uuid": name, "type": kind, "displayName": name, "metricSectionId": section, **common}


def _scatter(x: tuple[str, str], y: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": x[0], "type": x[1]}, "yaxis": {"key": y, "type": "METRIC"}}
    return _chart("SCATTER", f"{y} over {x[0]}", "effects") | axes


def _picture(name: str) -> dict[str, Any]:
    # without the parameters, which would take the room of the picture: the names of runs tell what differs
    return _chart("IMAGE", name, SECTION) | {"imageKeys": [f"{SECTION}/{name}"], "step": 0, "showRunParams": False}


def is_current(tags: Mapping[str, str]) -> bool:
    """Whether an experiment with these tags has the view, or one that somebody changed later."""
    try:
        found: Any = json.loads(tags[TAG])
        return bool(found["updatedAt"] >= CHANGED)
    except (KeyError, ValueError, TypeError):
        return False
