"""What goes wrong with a store that is away, wrong or broken, as one line: which store, the cause, what to do."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from genbalance.runtime.errors import UserError
from genbalance.tracking.address import URI, StoreAddress

# seconds instead of MLflow's minutes, unless the user's environment says otherwise: the run is copied later
SHORT_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
LONGEST_CAUSE = 300  # characters
# in the error of a database that answers; its type is that of a failed connection
REFUSED = re.compile("authentication failed|access denied|does not exist|pg_hba.conf|permission denied", re.IGNORECASE)
# packages whose errors come from a place where artifacts are kept
ARTIFACT_CLIENTS = ("botocore", "boto3", "s3transfer", "google", "azure", "paramiko")


class OutageError(UserError):
    """A remote store that does not answer, or not as a working one: what is logged meanwhile is copied to it later.

    Attributes:
        cause: what happened instead.
    """

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


@contextmanager
def store_errors(address: StoreAddress) -> Iterator[None]:
    """Turns what a store raises into one line with the innermost cause, without its password.

    Args:
        address: the store's.

    Raises:
        UserError: naming the store, the cause and what to do; an :class:`OutageError` of a remote one that is away.
    """
    outer = sys.exception()  # an error that is being handled already is no cause of this one
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        chain = _chain(error, outer)
        if not any(_is_the_stores(each) for each in chain):
            raise
        away = address.is_remote and _is_away(chain)
        if address.is_remote:
            advice = "start its server" if away else "mend it"
        else:
            advice = "make its place writable or move it away"
        cause = address.redacted(_cause(chain))
        line = f"{URI}: the tracking store {address} cannot be used: {cause}; {advice}, or set {URI} to another one"
        raise (OutageError(line, cause) if away else UserError(line)) from error


def _chain(error: BaseException, outer: BaseException | None) -> list[BaseException]:
    """An error and what it was raised from, up to ``outer``, the innermost last."""
    chain: list[BaseException] = []
    next_one: BaseException | None = error
    while next_one is not None and next_one is not outer and next_one not in chain:
        chain.append(next_one)
        next_one = next_one.__cause__ or next_one.__context__
    return chain


def _is_the_stores(error: BaseException) -> bool:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, OSError | sqlite3.Error | MlflowException | SQLAlchemyError) or _of_artifacts(error)


def _of_artifacts(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ARTIFACT_CLIENTS


def _of_artifacts_away(error: BaseException) -> bool:
    """Of S3's client: the errors of a connection, in distinction from an answer's."""
    names = {base.__name__ for base in type(error).__mro__}
    return _of_artifacts(error) and bool(names & {"ConnectionError", "HTTPClientError"})


def _is_away(chain: list[BaseException]) -> bool:
    """No answer; or one with 429, or 500 and more: of a proxy whose server is gone, of a server whose store is; or a
    page that is none of MLflow's."""
    from filelock import Timeout
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import InterfaceError, OperationalError

    for error in chain[::-1]:
        if isinstance(error, Timeout):  # another process has held the lock for minutes
            return True
        if isinstance(error, RequestException):
            return error.response is None or _is_outage(error.response.status_code)
        if isinstance(error, OperationalError | InterfaceError):
            return not REFUSED.search(str(error))
        if _of_artifacts_away(error):
            return True
        if isinstance(error, MlflowException):
            status = re.search(r"failed with error code (\d{3})", str(error))
            code = int(status[1]) if status else int(error.get_http_status_code())  # type: ignore[no-untyped-call]
            return _is_outage(code)
    return False


def _is_outage(status: int) -> bool:
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _cause(chain: list[BaseException]) -> str:
    """The text, in one line, of the innermost of these errors that comes from outside of Python."""
    from requests.exceptions import ProxyError
    from sqlalchemy.exc import DBAPIError
    from urllib3.exceptions import HTTPError

    outside = [e for e in chain if isinstance(e, OSError | ImportError | HTTPError | DBAPIError) or _of_artifacts(e)]
    innermost = outside[-1] if outside else chain[0]
    if isinstance(innermost, DBAPIError) and innermost.orig:
        innermost = innermost.orig
    text = _in_a_line(innermost)
    if any(isinstance(error, ProxyError) for error in chain):
        return f"the proxy does not answer: {text}"
    if any(isinstance(error, HTTPError) for error in chain):
        return text if text.startswith("it answers") else f"it does not answer: {text}"
    return text


def _in_a_line(error: BaseException) -> str:
    """An error's text in a line: of an answer over HTTP its status, of downloads what happened to each file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    text = " ".join(str(error).split()) or type(error).__name__
    if status := re.search(r"too many (\d{3}) error responses|failed with error code (\d{3}) !=", text):
        code = int(status[1] or status[2])
        return f"it answers {code} {HTTPStatus(code).phrase if code in set(HTTPStatus) else ''}".rstrip()
    if body := re.search(r"not in a valid JSON format\. Response body: '(.*)", text):
        return f"it answers, but not as MLflow does: {_short(body[1], 60)}"
    if "##### File " in text:
        text = re.sub("##### File (.+?) #####", r"\1:", text[text.index("##### File ") :])
    return _short(text, LONGEST_CAUSE)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
