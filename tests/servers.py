"""Real servers for the tests, where they can be had: PostgreSQL (`.ci/postgres` installs it) and S3 by moto
(`.ci/servers.txt` pins it and the drivers)."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "s3cr3t/@:"  # as an address quotes it below
QUOTED = "s3cr3t%2F%40%3A"


class Postgres:
    """A PostgreSQL of its own on loopback, which can be killed and started again at the same address."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        # it refuses to run as root
        self.user = "nobody" if os.geteuid() == 0 else None
        if self.user:
            folder.chmod(0o777)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://bob:{QUOTED}@127.0.0.1:{self.port}/postgres"
        (folder / "password").write_text(PASSWORD)
        self._run("initdb", "-D", f"{folder}/data", "-U", "bob", "-A", "scram-sha-256", "--no-sync",
                  f"--pwfile={folder}/password", "--locale=C", "-E", "UTF8")  # fmt: skip
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start")

    def kill(self) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        # pg_ctl's server keeps whatever it inherits open
        done = subprocess.run(command, cwd=self.folder, user=self.user, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
                              check=False)  # fmt: skip
        log = self.folder / "log"
        assert done.returncode == 0, (done.stderr, log.read_text() if log.exists() else "")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install -r .ci/servers.txt")
    found = shutil.which("initdb") or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))), "")
    if not found:
        pytest.skip("no PostgreSQL here: .ci/postgres installs it")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        made = Postgres(folder, Path(found).resolve().parent)
        yield made
        with contextlib.suppress(AssertionError):
            made.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Bucket:
    """A place in an S3 server on loopback, and how to stop that."""

    url: str
    stop: Callable[[], None]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; the environment names its server."""
    boto3 = pytest.importorskip("boto3", reason="no client for S3: pip install -r .ci/servers.txt")
    moto = pytest.importorskip("moto.server", reason="no S3 server: pip install -r .ci/servers.txt")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="genbalance")
    yield Bucket("s3://genbalance/runs", server.stop)
    server.stop()
