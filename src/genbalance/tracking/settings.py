"""Which parameters the run of a stage shows: MLflow prints all of them above each picture, so few leave it room."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import genbalance
from genbalance.params import INERT, read_yaml

ALWAYS = ("lambda", "beta", "seed")
DEFAULTS = Path(genbalance.__file__).parent / "reporting" / "defaults.yaml"  # params.yaml as it is released


def shown(values: Mapping[str, Any], declared: Collection[str] = ()) -> dict[str, str]:
    """The coefficients, the seed, and what differs from the defaults.

    Args:
        values: parameters by dotted key.
        declared: the keys and sections that the stage reads, as dvc.yaml lists them; empty: all.
    """
    defaults = read_yaml(DEFAULTS)
    return {
        key: str(value)
        for key, value in values.items()
        if (not declared or key in declared or key.partition(".")[0] in declared)
        and not key.startswith(INERT)
        and (key in ALWAYS or value != defaults.get(key))
    }
