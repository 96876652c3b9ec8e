"""The one reader of params.yaml: validates all of it, hands out frozen typed sections.

It has no defaults and changes no value, so it cannot alter a result: it can only refuse. That is why stages do not list
it among their deps in dvc.yaml; the values themselves are declared there as params.
"""

from genbalance.params.reader import PARAMS_FILE, read_params, read_yaml
from genbalance.params.schema import (
    INERT,
    Checkpoint,
    Classifier,
    Compute,
    Data,
    Evaluate,
    Gan,
    Params,
    Section,
    Tracking,
    Vae,
    flatten,
)

__all__ = [
    "INERT",
    "PARAMS_FILE",
    "Checkpoint",
    "Classifier",
    "Compute",
    "Data",
    "Evaluate",
    "Gan",
    "Params",
    "Section",
    "Tracking",
    "Vae",
    "flatten",
    "read_params",
    "read_yaml",
]
