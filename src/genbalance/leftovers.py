"""What a partial run leaves as an earlier one had made it: `dvc exp run -S seed=4 evaluate@gan` keeps the VAE's metrics
of the commit that it hangs on, beside params that they were not made with."""

from collections.abc import Mapping
from typing import Any

from genbalance.dotted import leaves
from genbalance.errors import UserError
from genbalance.locks import LOCK, MALFORMED, Stages
from genbalance.params.reader import PARAMS_FILE


def leftovers(stages: Stages, params: Mapping[str, Any], name: str) -> set[str]:
    """The paths of the outs that were not made with ``params``, by dotted key, or out of outs that were not, or out of
    others than those of the commit. (Whether the code is the commit's is not asked: git's ids tell that.)

    Args:
        stages: of the commit's dvc.lock.
        params: of its params.yaml.
        name: what a refusal calls the commit.

    Raises:
        UserError: dvc.lock is not what DVC writes.
    """
    try:
        made = {out["path"]: out.get("md5") for entry in stages.values() for out in entry.get("outs", ())}
        old: set[str] = set()
        while True:
            found = {
                out["path"]
                for entry in stages.values()
                if _with_others(entry, params) or any(_is_other(given, made, old) for given in entry.get("deps", ()))
                for out in entry.get("outs", ())
            }
            if found == old:
                return old
            old = found
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{name}: {LOCK}: {MALFORMED}") from None


def _with_others(entry: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    recorded = entry.get("params", {}).get(PARAMS_FILE.name, {})
    own = {key: value for key, value in params.items() if any(f"{key}.".startswith(f"{part}.") for part in recorded)}
    return dict(leaves(recorded)) != own


def _is_other(given: Mapping[str, Any], made: Mapping[str, Any], old: set[str]) -> bool:
    path = given["path"]
    return path in old or made.get(path, given.get("md5")) != given.get("md5")
