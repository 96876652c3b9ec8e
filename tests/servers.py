"""Real servers for the tests, where they can be had: PostgreSQL and SLURM (`.ci/run` installs them), S3 by moto
(`.ci/servers.txt` pins it and the drivers), and a team's MLflow on both, as deploy/compose.yaml starts it."""

import contextlib
import os
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from committed import ROOT
from ruamel.yaml import YAML
from signals import LIMIT

from benchmarks.postgres import Postgres, free_port, installed

PASSWORD = "s3cr3t/@:"  # an address quotes it
COMPOSE = ROOT / "deploy/compose.yaml"


def composed() -> dict[str, Any]:
    """What deploy/compose.yaml says."""
    return YAML(typ="safe").load(COMPOSE)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install -r .ci/servers.txt")
    if not (programs := installed()):
        pytest.skip("no PostgreSQL here: .ci/debian postgresql initdb")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        made = Postgres(folder, programs, PASSWORD, "-c fsync=off")
        yield made
        with contextlib.suppress(RuntimeError):
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


@dataclass(frozen=True)
class Team:
    """A team's MLflow on loopback, with PostgreSQL and S3 behind it.

    Attributes:
        url: of the server.
        admin: user and password of the first user.
        folder: the server's working directory.
    """

    url: str
    admin: tuple[str, str]
    folder: Path

    def login(self, user: str, password: str) -> dict[str, str]:
        """The environment of a member of the team: the server's address and a password, and no key of S3's."""
        names = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        return dict(zip(names, (self.url, user, password), strict=True))


@pytest.fixture
def team(postgres: Postgres, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """The command and the environment of deploy/compose.yaml's `mlflow`, but for the addresses of the servers."""
    pytest.importorskip("flask_wtf", reason="no MLflow with passwords: pip install -r .ci/servers.txt")
    service, folder, port = composed()["services"]["mlflow"], tmp_path / "team", free_port()
    folder.mkdir()
    (folder / "auth.ini").write_text(composed()["configs"]["auth"]["content"])
    secrets = {"POSTGRES_PASSWORD": PASSWORD, "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "s3cr3t"}
    secrets |= {"MLFLOW_ADMIN": "ann", "MLFLOW_ADMIN_PASSWORD": "p: a/s@s w%rd", "MLFLOW_SECRET_KEY": "of the forms"}
    own = {key: _filled(value, secrets) for key, value in service["environment"].items()}
    own |= {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "bob", "PGDATABASE": "postgres"}
    own |= {"MLFLOW_S3_ENDPOINT_URL": os.environ["MLFLOW_S3_ENDPOINT_URL"]}
    own |= {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini")}
    here = {"--host": "127.0.0.1", "--port": str(port), "--workers": "1"}
    command = [_with(argument, here) for argument in service["command"]]
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=os.environ | own,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(process, f"{url}/health", folder / "log")
        yield Team(url, ("ann", secrets["MLFLOW_ADMIN_PASSWORD"]), folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


SLURM = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=1
ReturnToService=2
PartitionName=all Nodes=one,two Default=YES State=UP
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=2
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=2
"""


@dataclass(frozen=True)
class Slurm:
    """A cluster of SLURM: a controller and two nodes of two CPUs each, on this machine.

    Attributes:
        environment: with which SLURM's commands find it.
        node: the process of one of its nodes, which does not end before the cluster does.
    """

    environment: dict[str, str]
    node: subprocess.Popen[str]

    def call(self, *command: str) -> str:
        """What one of SLURM's commands prints."""
        own = os.environ | self.environment
        return subprocess.run(command, env=own, check=True, capture_output=True, text=True, timeout=LIMIT).stdout

    def wait(self, *jobs: str) -> None:
        """Returns once these jobs have ended, however they did."""
        self.call("srun", "--quiet", f"--dependency=afterany:{':'.join(jobs)}", "true")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    daemons = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "slurmd")]
    if None in daemons:
        pytest.skip("no SLURM here: .ci/debian slurm-wlm slurmctld")
    folder = Path(tempfile.mkdtemp())
    (folder / "state").mkdir()
    port, one, two = (free_port() for _ in range(3))
    user, host = pwd.getpwuid(os.geteuid()).pw_name, platform.node().partition(".")[0]
    config = SLURM.format(folder=folder, user=user, host=host, port=port, one=one, two=two)
    (folder / "slurm.conf").write_text(config)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    with contextlib.ExitStack() as running:
        running.callback(shutil.rmtree, folder, ignore_errors=True)

        def start(*command: str) -> subprocess.Popen[str]:
            log = running.enter_context((folder / f"{command[-1]}.log").open("w"))
            process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log, text=True)
            running.callback(process.wait)
            running.callback(process.kill)
            return process

        controller = start(daemons[0], "-D", "-c")
        nodes = [start(daemons[1], "-D", "-N", name) for name in ("one", "two")]
        cluster = Slurm(environment, nodes[0])
        try:
            cluster.call("srun", "--nodes=2", "--quiet", "true")
        except subprocess.CalledProcessError as error:
            logs = "".join(path.read_text() for path in sorted(folder.glob("*.log")))
            pytest.fail(f"{error.stderr}\n{logs}")
        yield cluster
        cluster.call("scancel", "--full", f"--user={user}")
        cluster.call("scontrol", "shutdown")
        for process in (*nodes, controller):
            process.wait(LIMIT)


def _filled(value: str, secrets: dict[str, str]) -> str:
    """As compose fills in ${NAME:?message} and ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):(?:-([^}]*)|\?[^}]*)\}", lambda found: secrets.get(found[1], found[2] or ""), str(value))


def _with(argument: str, here: dict[str, str]) -> str:
    name, _, value = argument.partition("=")
    return f"{name}={here.get(name, value)}" if value else argument


def wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Returns once a server answers there; fails with its log if it ends or does not answer for two minutes."""
    for _ in range(600):
        try:
            process.wait(timeout=0.2)  # ends at once only if the server has died
            pytest.fail(log.read_text())
        except subprocess.TimeoutExpired:
            pass
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            continue
    pytest.fail(log.read_text())
