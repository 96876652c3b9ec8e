"""The address of an MLflow store: parsed once, printed without a password."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import url2pathname

from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import root

URI = "MLFLOW_TRACKING_URI"
SERVERS = ("http", "https", "databricks", "databricks-uc", "uc")
DATABASES = ("postgresql", "mysql", "mssql")
ALLOWED = "http://HOST:PORT, https://…, postgresql://…, mysql://…, mssql://…, sqlite:///FILE or databricks"
HIDDEN = "…"  # in place of user and password
# variables that hold a secret for a store; no message prints their values
SECRETS = (
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "PGPASSWORD", "MYSQL_PWD"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING"),
)


@dataclass(frozen=True)
class StoreAddress:
    """Where an MLflow store is. Its text has no user, password or query; only the client gets ``raw``.

    Attributes:
        raw: the address for MLflow, secrets included.
        scheme: its first part, such as https or postgresql.
        file: of an SQLite store its absolute path, else None.
    """

    raw: str = field(repr=False)
    scheme: str
    file: Path | None = None

    @property
    def is_server(self) -> bool:
        """Whether it is that of an MLflow server, which keeps the artifacts too."""
        return self.scheme in SERVERS

    @property
    def is_database(self) -> bool:
        """Whether it is a database that others reach too, without an MLflow server in front of it."""
        return self.scheme in DATABASES

    @property
    def is_remote(self) -> bool:
        """Whether it can be away while this machine runs: everything but a file here."""
        return self.is_server or self.is_database

    @property
    def public(self) -> str:
        """The address of a server for a browser, which asks for user and password itself."""
        parts = urlsplit(self.raw)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def __str__(self) -> str:
        if self.file:
            return str(self.file)
        start, separator, rest = self.raw.partition("://")
        _, at, host = rest.rpartition("@")  # the last one: a password may hold any character
        place, query, _ = host.partition("?")
        return f"{start}{separator}{at and HIDDEN + at}{place}{query and query + HIDDEN}"

    def redacted(self, text: str) -> str:
        """A text, such as an error of a library, without this address's secrets."""
        text = text.replace(self.raw, str(self))
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return re.sub(r"://[^\s/@]*:[^\s@]*@", f"://{HIDDEN}@", text)

    def _secrets(self) -> set[str]:
        found = {os.environ.get(name, "") for name in SECRETS}
        if self.is_remote:
            userinfo, _, place = self.raw.partition("://")[2].rpartition("@")
            password = userinfo.partition(":")[2]
            found |= {password, unquote(password)}
            found |= {value for name, value in parse_qsl(urlsplit(place).query) if "timeout" not in name}
        return {secret for secret in found if len(secret) > 2}  # shorter ones would remove half of a sentence


def home_address() -> StoreAddress:
    """Where stages log: the file that ``MLFLOW_TRACKING_URI`` names, or ``mlflow.db`` at the root.

    Raises:
        UserError: the variable names no store.
    """
    named = store_address()
    return sqlite_address(root() / "mlflow.db") if named.is_remote else named


def store_address() -> StoreAddress:
    """That of ``MLFLOW_TRACKING_URI`` if it is set, else ``mlflow.db`` at the root.

    Raises:
        UserError: it names no store.
    """
    text = os.environ.get(URI, "").strip()
    return parse_address(text) if text else sqlite_address(root() / "mlflow.db")


def sqlite_address(file: Path) -> StoreAddress:
    """That of the store in an SQLite file, whatever characters its path has."""
    from sqlalchemy import URL

    # as plain text the address would mean another file where the path holds % or ?; and MLflow makes folders of what
    # follows sqlite:/// as it is, quoted, but not where the driver is named
    url = URL.create("sqlite+pysqlite", database=str(file))
    return StoreAddress(url.render_as_string(hide_password=False), "sqlite", file)


def parse_address(text: str) -> StoreAddress:
    """The address that a user wrote. A relative path means one at the root: in each of the copies that DVC runs it
    would mean another.

    Raises:
        UserError: it names no store; the text has no secret.
    """
    scheme, _, _ = text.partition(":")
    scheme = scheme.partition("+")[0].lower()
    if scheme == "sqlite":
        return _sqlite(text)
    if scheme == "file" or text.startswith(("/", ".", "~")):
        path = local_path(text) if scheme == "file" else Path(text).expanduser()
        return StoreAddress((root() / path).as_uri(), "file")
    if scheme in ("http", "https"):
        return _http(text, scheme)
    if "://" not in text and scheme not in SERVERS:
        raise UserError(f"{URI}: found {_plain(text)}, which has no scheme; did you mean http://{_plain(text)}?")
    if scheme not in (*SERVERS, *DATABASES):
        raise UserError(f"{URI}: found an address {scheme}://{HIDDEN}; allowed: {ALLOWED}")
    return StoreAddress(_with_timeout(text) if scheme == "postgresql" else text, scheme)


def local_path(uri: str) -> Path:
    """The path that a ``file:`` address means, or one without a scheme."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path) if parts.scheme else uri)  # without one nothing is quoted


def _sqlite(text: str) -> StoreAddress:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        file = make_url(text).database or ""
    except ArgumentError:
        file = ""
    if not file or file.startswith((":memory:", "file:")):
        raise UserError(f"{URI}: found {text}; allowed: sqlite:///FILE, the path of a file that outlives the process")
    return sqlite_address((root() / file).resolve())


def _http(text: str, scheme: str) -> StoreAddress:
    try:
        parts = urlsplit(text)
        whole = bool(parts.hostname) and (parts.port or 1) > 0 and "@" not in parts._replace(netloc="").geturl()
    except ValueError:
        whole = False
    if not whole:
        raise UserError(
            f"{URI}: found an address {scheme}://{HIDDEN} that names no host and port; allowed: http://HOST:PORT, with "
            "the special characters of a user or password quoted (%2F for /, %40 for @)"
        )
    return StoreAddress(text, scheme)


def _with_timeout(text: str) -> str:
    """The address of a PostgreSQL with 10 seconds for a connection, unless it names a time: a host that drops packets
    would block for minutes."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UserError(f"{URI}: found an address {text.partition(':')[0]}://{HIDDEN} that cannot be read; allowed: "
                        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None  # fmt: skip
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": "10"})
    return url.render_as_string(hide_password=False)


def _plain(text: str) -> str:
    """What a user wrote, without what may be a password."""
    if "@" in text:
        return f"{HIDDEN}@{text.rpartition('@')[2]}"
    return text if re.fullmatch(r"[\w.-]+(:\d+)?(/.*)?", text) else HIDDEN
