"""MLflow's pages on our runs: a server on this machine, or the address at the one that keeps them."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from genbalance.errors import UserError
from genbalance.params import read_params
from genbalance.tracking.address import StoreAddress
from genbalance.tracking.store import reach
from genbalance.tracking.view import page_address

HOST = "127.0.0.1"
PATIENCE = 180.0  # seconds for a server to answer: it takes 5 to 20
# what the server would start beside, of no use for runs
LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def serve(port: int, tell: Callable[[str], None]) -> None:
    """Starts MLflow's server on this machine, tells the address of the table of runs and opens it in a browser where
    somebody sits at a screen; returns when Ctrl-C has ended it.

    Where ``MLFLOW_TRACKING_URI`` names a server, the address is that one's: nothing is started, and nothing waits.

    Args:
        port: of the server on this machine; 0: any that is free.
        tell: is given the address.

    Raises:
        UserError: the store cannot be used, the port is taken, or the server did not start or has ended.
        SystemExit: on SIGTERM, with the server ended.
    """
    store = reach(read_params().tracking.experiment, change=False)
    if store.address.is_server:
        page = page_address(store.address.public, store.experiment_id)  # a browser asks for the password
        tell(page)
        _open(page)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    server = f"http://{HOST}:{_free(port)}"
    page = page_address(server, store.experiment_id)
    print("MLflow's server is starting; Ctrl-C ends it", file=sys.stderr, flush=True)
    with suppress(KeyboardInterrupt), _served(store.address, server) as process:
        tell(page)
        _open(page)
        process.wait()
        raise UserError("mlflow server: has ended")


def _open(page: str) -> None:
    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and sys.stdout.isatty():
        webbrowser.open(page)


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port: {port} cannot be used ({error.strerror}); give another, or 0 for any") from None
        return int(probe.getsockname()[1])


@contextmanager
def _served(address: StoreAddress, server: str) -> Iterator[psutil.Popen]:
    """MLflow's server, from its first answer on; it and what it started end with the block."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", server.rpartition(":")[2]]
    command += ["--workers", "1"]
    environment = os.environ | LEAN | {"MLFLOW_BACKEND_STORE_URI": address.raw}  # others see a command, and its secrets
    with tempfile.TemporaryFile("w+") as log:
        # in a session of its own: a terminal's Ctrl-C is for this process, which ends the server
        process = psutil.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not _answers(process, f"{server}/health"):
                log.seek(0)
                said = [line for line in log.read().splitlines() if line.strip()] or ["nothing"]
                raise UserError(f"mlflow server: did not start; it said: {address.redacted(said[-1][:300])}")
            yield process
        finally:
            _end(process)


def _answers(process: psutil.Popen, url: str) -> bool:
    """Whether it does, before it has ended and within :data:`PATIENCE`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows no loopback of ours
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < PATIENCE:
        try:
            with opener.open(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _end(process: psutil.Popen) -> None:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in family:
        try:
            each.terminate()
        except psutil.NoSuchProcess:
            continue
    for left in psutil.wait_procs(family, timeout=5)[1]:
        left.kill()
