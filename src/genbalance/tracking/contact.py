"""Talking to a store that may be away, wrong or broken."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from genbalance.errors import UserError

URI = "MLFLOW_TRACKING_URI"
SERVERS = ("http://", "https://", "databricks")
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turns what a store raises into one line.

    Args:
        uri: the store's; a password in it is not told.

    Raises:
        UserError: naming the store, what it said and what to do.
    """
    try:
        yield
    except Exception as error:
        if not _is_the_stores(error):
            raise
        server = uri.startswith(SERVERS)
        said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        if server and isinstance(error.__context__, OSError):
            said = "it does not answer"
        advice = "start its server" if server else "make its place writable or move it away"
        raise UserError(
            f"{URI}: the tracking store {re.sub('//[^/@]*@', '//…@', uri)} cannot be used: {said}; "
            f"{advice}, or set {URI} to another one"
        ) from error


@contextmanager
def impatient() -> Iterator[None]:
    """Gives a server seconds instead of minutes to answer, unless the user's environment says how long."""
    mine = {name: value for name, value in QUICK.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            del os.environ[name]


def _is_the_stores(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, MlflowException | SQLAlchemyError)
