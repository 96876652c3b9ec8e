"""The runs that git keeps as a pandas table."""

from collections.abc import Sequence

import pandas as pd

from genbalance.errors import UserError
from genbalance.experiments import Run, differing, find_commits, read_run
from genbalance.reporting.headline import HEADLINE

COEFFICIENTS = ("lambda", "beta")


def frame(names: Sequence[str], every: bool) -> pd.DataFrame:
    """A row for each run that ``names`` stand for (:func:`genbalance.experiments.find_commits`); without any, for HEAD
    and each experiment that has numbers.

    Columns: name, commit, machine, seed, params by dotted key, metrics by file and key; of these all or, without
    ``every``, the coefficients and what differs, and the headline.

    Raises:
        UserError: a name stands for nothing, or for a commit that holds no run.
    """
    found = _named(names) if names else _at_hand()
    params = list(dict.fromkeys(key for run in found for key in run.params))
    metrics = list(dict.fromkeys(key for run in found for key in run.metrics))
    if not every:
        varying, headline = differing(*(run.params for run in found)), [".".join(key) for key in HEADLINE.values()]
        params = [key for key in params if key in COEFFICIENTS or key in varying]
        metrics = [key for key in headline if key in metrics]
    own = ["name", "commit", "machine", "seed"]
    rows = [{key: getattr(run, key) for key in own} | {**run.params, **run.metrics} for run in found]
    return pd.DataFrame(rows, columns=[*own, *params, *metrics])


def _named(names: Sequence[str]) -> list[Run]:
    return [read_run(name, commit) for commit, name in find_commits(",".join(names)).items()]


def _at_hand() -> list[Run]:
    found: list[Run] = []
    commits: dict[str, str] = {}
    for text in ("HEAD", "*"):
        try:
            commits |= {commit: name for commit, name in find_commits(text).items() if commit not in commits}
        except UserError:  # no commit yet, or no experiments
            continue
    for commit, name in commits.items():
        try:
            found.append(read_run(name, commit))
        except UserError:  # it failed, or was never run
            continue
    return found
