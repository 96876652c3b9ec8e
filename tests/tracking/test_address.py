"""Addresses of stores: what they mean, and that no text of theirs has a secret."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from genbalance.runtime.errors import UserError
from genbalance.tracking.address import StoreAddress, parse_address, sqlite_address, store_address

SECRET = "s3cr3t"
ODD = ["q%20q", "per%20cent", "100%25", "50%", "a?b", "a#b", "a@b:c", "a b", "ü", "x+y", "a;b", "{x}"]


@pytest.fixture
def root(empty_repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(empty_repo))
    monkeypatch.chdir(empty_repo / "src")
    return empty_repo


def test_without_a_variable_the_store_is_a_file_at_the_root(root: Path) -> None:
    assert store_address() == sqlite_address(root / "mlflow.db")
    assert str(store_address()) == str(root / "mlflow.db")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///other.db", "{root}/other.db"),
        ("sqlite:///a%20b/other.db", "{root}/a b/other.db"),
        ("sqlite:////elsewhere/other.db", "/elsewhere/other.db"),
        ("sqlite+pysqlite:///../other.db", "{root}/../other.db"),
    ],
)
def test_a_relative_sqlite_address_means_the_root(root: Path, text: str, path: str) -> None:
    assert parse_address(text).file == Path(path.format(root=root)).resolve()


@pytest.mark.parametrize("text", ["./mlruns", "file:mlruns", "file:./mlruns"])
def test_a_relative_folder_means_the_root(root: Path, text: str) -> None:
    assert parse_address(text).raw == (root / "mlruns").as_uri()


def test_an_absolute_folder_stays_where_it_is(root: Path) -> None:
    assert parse_address("file:///a/b%20c").raw == parse_address("/a/b c").raw == "file:///a/b%20c"


@pytest.mark.parametrize("name", ODD)
def test_a_store_lies_where_its_path_says_whatever_signs_that_has(name: str, tmp_path: Path, tables: Path) -> None:
    """Nothing appears beside it, as it does where % or ? of a path are taken for an address's."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "mlflow.db").write_bytes(tables.read_bytes())
    client = MlflowClient(sqlite_address(tmp_path / name / "mlflow.db").raw)
    client.create_experiment("mine")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    other = MlflowClient(sqlite_address(tmp_path / name / "mlflow.db").raw)
    assert other.get_experiment_by_name("mine") is not None


@pytest.mark.parametrize(
    "text",
    [
        f"http://bob:{SECRET}@127.0.0.1:5000",
        f"https://bob:{SECRET}%40{SECRET}%2F@host/prefix",
        f"postgresql://bob:{SECRET}@host:5432/db",
        f"postgresql+psycopg2://bob:{SECRET}/x@host/db?sslpassword={SECRET}",
        f"mysql://bob:{SECRET}?x#y@host/db",
        f"mssql+pyodbc://host/db?password={SECRET}",
        f"postgresql://bob:{SECRET}@{SECRET}@host/db",
        f"postgresql://host/db?password={SECRET}",
    ],
)
def test_no_text_of_an_address_has_its_password(root: Path, text: str) -> None:
    address = parse_address(text)
    assert SECRET in address.raw
    assert SECRET not in str(address)
    assert SECRET not in repr(address)
    assert "host" in str(address) or "127.0.0.1:5000" in str(address)
    assert SECRET not in address.redacted(f"cannot connect to {address.raw}: bob, {address.raw!r}, host")


@pytest.mark.parametrize("text", ["http://bob:{}@host:5000", "postgresql://bob:{}@host/db"])
def test_a_library_s_error_loses_the_password_in_every_form(root: Path, text: str) -> None:
    address = parse_address(text.format("a%40b%2Fc"))
    error = "role bob:a@b/c failed, as did a%40b%2Fc and http://eve:other@elsewhere/x"
    assert address.redacted(error) == "role bob:… failed, as did … and http://…@elsewhere/x"


def test_a_password_in_a_query_is_printed_nowhere(root: Path) -> None:
    assert SECRET not in parse_address(f"postgresql://host/db?password={SECRET}").redacted(f"no {SECRET} for host")


def test_a_token_of_the_environment_is_printed_nowhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    assert SECRET not in parse_address("http://host").redacted(f"401 for Bearer {SECRET}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost:5000", "found localhost:5000, which has no scheme; did you mean http://localhost:5000?"),
        ("mlflow.example.org", "did you mean http://mlflow.example.org?"),
        (f"bob:{SECRET}@host:5000", "did you mean http://…@host:5000?"),
        (f"http://bob:{SECRET}/x@host:5000", "%2F for /"),
        (f"http://bob/{SECRET}@host", "%2F for /"),
        ("http://", "names no host"),
        (f"https://u:1?{SECRET}@host/", "%2F for /"),
        (f"https://u:1#{SECRET}@host/", "%2F for /"),
        (f"postgres://bob:{SECRET}@host/db", "found an address postgres://…; allowed: http://HOST:PORT"),
        (f"user:{SECRET}", "did you mean http://…?"),
        ("http://host:port", "names no host and port"),
        ("sqlite://", "allowed: sqlite:///FILE"),
        ("sqlite:///:memory:", "outlives the process"),
        (f"postgresql://bob:{SECRET}@host:x/db", "allowed: postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
    ],
)
def test_what_names_no_store_is_refused_in_one_line(root: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_address(text)
    assert message in str(refused.value)
    assert str(refused.value).startswith("MLFLOW_TRACKING_URI: ")
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "remote"),
    [("http://host", True), ("postgresql://host/db", True), ("databricks", True), ("sqlite:///x.db", False)],
)
def test_all_but_a_file_here_is_remote(root: Path, text: str, remote: bool) -> None:
    assert parse_address(text).is_remote is remote


def test_a_browser_is_given_no_password(root: Path) -> None:
    address = parse_address(f"https://bob:{SECRET}@host:5000/prefix/")
    assert address.public == "https://host:5000/prefix/"
    assert isinstance(address, StoreAddress)
