"""The key of what goes into a stage, and what a lock file's entry says of it."""

from copy import deepcopy

import pytest

from genbalance.locks import hashes
from genbalance.tracking.lineage import key_of, lineage

ENTRY = {
    "cmd": "python stages/train_vae.py",
    "deps": [{"path": "data", "md5": "a.dir"}, {"path": "src/x.py", "md5": "b"}],
    "params": {"params.yaml": {"beta": 1.0, "vae": {"epochs": 3, "prior": "normal", "widths": [1.0, 2]}}},
    "outs": [{"path": "models/vae", "md5": "c"}],
}


def changed(*path: object, value: object) -> dict:
    entry = deepcopy(ENTRY)
    inner = entry
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return entry


@pytest.mark.parametrize(
    "other",
    [
        changed("cmd", value="python stages/train_gan.py"),
        changed("deps", 1, "md5", value="d"),
        changed("deps", 1, "path", value="src/y.py"),
        changed("params", "params.yaml", "beta", value=1.5),
        changed("params", "params.yaml", "vae", "prior", value="flow"),
        changed("params", "params.yaml", "vae", "epochs", value=True),
    ],
)
def test_another_command_dep_or_param_is_another_key(other: dict) -> None:
    assert key_of(other) != key_of(ENTRY)


@pytest.mark.parametrize(
    "same",
    [
        changed("outs", 0, "md5", value="d"),  # what comes out is no part of what goes in
        changed("deps", value=ENTRY["deps"][::-1]),
        changed("params", "params.yaml", "beta", value=1),  # DVC takes 1 and 1.0 for equal, and keeps the older
        changed("params", "params.yaml", "vae", "widths", value=[1, 2.0]),
    ],
)
def test_what_dvc_takes_for_equal_has_the_same_key(same: dict) -> None:
    assert key_of(same) == key_of(ENTRY)


def test_hashes_are_told_by_path() -> None:
    assert hashes(ENTRY["outs"]) == {"models/vae": "c"}


def test_outside_of_dvc_there_is_no_key(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ends = lineage("train_vae")
    assert (ends.key, ends.outs()) == ("", {})
