"""Talking to a store that may be away, wrong or broken."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from genbalance.errors import UserError

URI = "MLFLOW_TRACKING_URI"
SERVERS = ("http://", "https://", "databricks")
# seconds instead of MLflow's minutes, unless the user's environment says otherwise: a run waits in the spool then
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


class OutageError(UserError):
    """A tracking server that does not answer, or not as servers do that work."""


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turns what a store raises into one line.

    Args:
        uri: the store's; a password in it is not told.

    Raises:
        UserError: naming the store, what it said and what to do; an :class:`OutageError` of a server that is away.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_the_stores(error):
            raise
        said = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        if away := uri.startswith(SERVERS) and _is_away(error):
            said = "it does not answer"
        advice = "start its server" if uri.startswith(SERVERS) else "make its place writable or move it away"
        raise (OutageError if away else UserError)(
            f"{URI}: the tracking store {without_password(uri)} cannot be used: {said}; "
            f"{advice}, or set {URI} to another one"
        ) from error


def without_password(uri: str) -> str:
    """The address as people may see it."""
    return re.sub("//[^/@]*@", "//…@", uri)


def _is_the_stores(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, MlflowException | SQLAlchemyError)


def _is_away(error: Exception) -> bool:
    """Nobody answers, or somebody with 500 and more: a proxy whose server is gone, a server whose store is."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    behind = error.__context__ if isinstance(error, MlflowException) and error.__context__ else error
    if isinstance(behind, RequestException):
        return behind.response is None or behind.response.status_code >= 500
    return isinstance(behind, MlflowException) and int(behind.get_http_status_code()) >= 500  # type: ignore[no-untyped-call]
