"""Servers and proxies that do not answer as MLflow does: the message has their answer."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from genbalance.runtime.errors import UserError
from genbalance.tracking.contact import OutageError
from genbalance.tracking.registry import download
from genbalance.tracking.store import reach

Answering = Callable[[int, str, str], str]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, repo: object) -> Iterator[Answering]:
    """Makes a server that answers everything the same, and names it as the store; its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, kind: str, text: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_PATCH = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        address = f"http://bob:s3cr3t@127.0.0.1:{servers[-1].server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        return address

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(function: Callable[[], object]) -> UserError:
    with pytest.raises(UserError) as refused:
        function()
    assert "\n" not in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    assert str(refused.value).startswith("MLFLOW_TRACKING_URI: ")
    return refused.value


@pytest.mark.parametrize("body", [{}, {"status": "ok"}, {"experiments": []}, {"experiment": {"name": "other"}}])
def test_other_json_is_not_taken_for_an_empty_store(answering: Answering, body: dict) -> None:
    answering(200, "application/json", json.dumps(body))
    assert "answers, but not as MLflow does" in str(refusal(lambda: reach("genbalance")))


def test_other_json_is_not_taken_for_an_empty_registry(answering: Answering, tmp_path: object) -> None:
    answering(200, "application/json", '{"status": "ok"}')
    assert "answers, but not as MLflow does" in str(refusal(lambda: download("models:/gan@champion", tmp_path)))


@pytest.mark.parametrize(
    ("status", "kind", "text", "cause", "away"),
    [
        (
            200,
            "text/html",
            "<html>Please log in</html>",
            "it answers, but not as MLflow does: <html>Please log in",
            True,
        ),
        (401, "text/html", "<html>no</html>", "it answers 401 Unauthorized", False),
        (
            403,
            "application/json",
            '{"error_code": "PERMISSION_DENIED", "message": "no"}',
            "PERMISSION_DENIED: no",
            False,
        ),
        (404, "text/html", "<html>no</html>", "it answers 404 Not Found", False),
        (429, "text/plain", "slow down", "it answers 429 Too Many Requests", True),
        (502, "text/html", "<html>nginx</html>", "it answers 502 Bad Gateway", True),
        (503, "text/html", "<html>nginx</html>", "it answers 503 Service Unavailable", True),
    ],
)
def test_the_answer_is_in_the_message(
    answering: Answering, status: int, kind: str, text: str, cause: str, away: bool
) -> None:
    answering(status, kind, text)
    error = refusal(lambda: reach("genbalance"))
    assert cause in str(error)
    assert isinstance(error, OutageError) is away


def test_a_dead_proxy_is_named(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.invalid:5000")
    error = refusal(lambda: reach("genbalance"))
    assert "the proxy does not answer: Connection refused" in str(error)
    assert isinstance(error, OutageError)


def test_a_host_that_is_none_is_named(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.invalid:5000")
    error = refusal(lambda: reach("genbalance"))
    assert "http://mlflow.invalid:5000 cannot be used: it does not answer: " in str(error)
    assert isinstance(error, OutageError)
