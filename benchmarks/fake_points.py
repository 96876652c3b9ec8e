"""Points of a sweep that nobody trained: what a point over β leaves in git, in DVC's cache and in MLflow, with as many
files, bytes and numbers as the real ones have, and values drawn at random."""

import os
import random
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.programs import ROOT
from genbalance.experiments.clone_run import BUNDLE
from genbalance.experiments.points import Point
from genbalance.experiments.sweep_folder import Plan, SweepFolder
from genbalance.runtime.repository import environment
from genbalance.tracking.address import parse_address, sqlite_address
from genbalance.tracking.provenance import PARENT, STAGE
from genbalance.tracking.store import load_mlflow, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "fake"  # of the sweep
EXPERIMENT = "genbalance"
SEED = 7
STARTED = 120.0  # seconds that a client has to start


@dataclass(frozen=True)
class FakeRun:
    """What a stage's run leaves in MLflow.

    Attributes:
        stage: its name; "" is the parent.
        names: of metrics.
        values: of metrics, all steps together.
        batches: calls that send these.
        params: how many.
        tags: how many.
        files: artifacts, and their bytes.
        model: files of its logged model, and their bytes.
    """

    stage: str
    names: int
    values: int
    batches: int
    params: int
    tags: int
    files: tuple[int, int]
    model: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        """In a store's database: the run, its values and the last one of each metric, params and tags."""
        return 1 + self.values + self.names + self.params + self.tags


# counted in the store of the run of 7920bff7, 50 epochs of a VAE on 28 × 28 images: the runs of the stages that read β
RUNS = (
    FakeRun("", 32, 32, 1, 99, 11, (6, 160_875)),
    FakeRun("train_vae", 28, 734, 51, 2, 25, (211, 5_692_810), (239, 5_712_290)),
    FakeRun("evaluate_vae", 138, 170, 1, 1, 21, (9, 99_787)),
    FakeRun("report", 1, 1, 1, 3, 21, (26, 5_395_044)),
)
# their outs in its dvc.lock, beside those that git keeps: files and bytes of artifacts/ and models/, and reports/
OUTS = ((102, 3_981_299), (1, 4_345_576), (8, 86_301), (25, 5_381_517))
SECONDS = 210  # that these stages took, on one thread
# what else differs in the commit of an experiment over β
CHANGED = (
    *("params.yaml", "dvc.lock", "metrics/evaluate_vae.json", "metrics/summary.json", "metrics/train_vae.json"),
    *("metrics/train_vae_reconstructions.png", "metrics/train_vae_samples.png"),
)
KEPT = (".dvc/config", ".gitattributes", ".gitignore", "dvc.yaml", "params.yaml", "dvc.lock")


def call(folder: Path, *command: str, text: bytes = b"") -> str:
    """What a command prints in ``folder``; git commits as somebody.

    Raises:
        CalledProcessError: it fails.
    """
    who = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = {name: value for name, value in environment().items() if not name.startswith(("DVC_", "MLFLOW_"))} | who
    return subprocess.run(command, cwd=folder, env=own, input=text, capture_output=True, check=True).stdout.decode()


def make_repository(place: Path) -> Path:
    """A repository with this project's pipeline and its results, as git keeps them, in one commit."""
    for name in (*KEPT, *(path.relative_to(ROOT).as_posix() for path in (ROOT / "metrics").rglob("*.*"))):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    call(place, "git", "init", "-q", "-b", "main")
    call(place, "git", "add", "-A")
    call(place, "git", "commit", "-qm", "run")
    return place


def plan_of(home: Path, points: int) -> Plan:
    """A sweep with so many points."""
    commit = call(home, "git", "rev-parse", "HEAD").strip()
    every = tuple(Point(f"{NAME}-{number}", (f"beta={number / 1000:g}",)) for number in range(1, points + 1))
    return Plan(NAME, commit, every, "", 0, 1, 0)


def make_experiments(nodes: Path, folder: SweepFolder, plan: Plan) -> None:
    """The commits of all points, in the repository ``nodes``."""
    draws = random.Random(SEED)
    base = {name: (ROOT / name).read_bytes() for name in CHANGED}
    process = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=nodes, env=environment(), stdin=-1)
    assert process.stdin is not None
    with process.stdin as stream:
        for point in plan.points:
            ref, message = folder.ref(plan, point.name), b"fake"
            head = f"commit {ref}\ncommitter a <a@example.org> 1700000000 +0000\ndata {len(message)}\n"
            setting = point.settings[0].partition("=")[2].encode()
            stream.write(head.encode() + message + f"\nfrom {plan.commit}\n".encode())
            for name, content in base.items():
                drawn = _other(content, setting, draws)
                stream.write(f"M 100644 inline {name}\ndata {len(drawn)}\n".encode() + drawn + b"\n")
    if process.wait():
        raise RuntimeError("git fast-import fails")


def _other(content: bytes, setting: bytes, draws: random.Random) -> bytes:
    """Content of the same kind: of a picture any bytes; of a text another β and other decimals and hashes, of which
    equal ones stay equal."""
    if content.startswith(b"\x89PNG"):
        return draws.randbytes(len(content))
    if b"beta: " in content:  # params.yaml and dvc.lock, which have the same params
        others: dict[bytes, bytes] = {}
        text = re.sub(rb"\bbeta: \S+", b"beta: " + setting, content)
        return re.sub(
            rb"\b[0-9a-f]{32}\b", lambda md5: others.setdefault(md5[0], draws.randbytes(16).hex().encode()), text
        )

    def decimals(found: re.Match[bytes]) -> bytes:
        return found[1] + str(draws.randrange(10 ** len(found[2]))).zfill(len(found[2])).encode()

    return re.sub(rb"(\d\.)(\d+)", decimals, content)


def log_point(client: "MlflowClient", experiment: str, point: str, files: Path | None = None) -> None:
    """The runs of a point, with the calls by which stages log.

    Args:
        client: of a store.
        experiment: its id there.
        point: its name.
        files: a folder for the artifacts, on their way; without one there are none.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param

    draws, parent, now = random.Random(f"{SEED} {point}"), "", time.time_ns() // 1_000_000
    for run in RUNS:
        tags = {STAGE: run.stage, PARENT: parent} if parent else {}
        drawn = run.tags - len(tags) - 1  # MLflow adds the name
        tags |= {f"genbalance.tag.{number}": draws.randbytes(16).hex() for number in range(drawn)}
        made = client.create_run(experiment, run_name=run.stage or point, tags=tags).info.run_id
        parent = parent or made
        client.log_batch(made, params=[Param(f"section.key_{n}", f"{draws.random():g}") for n in range(run.params)])
        values = [Metric(f"metric_{n % run.names}", draws.random(), now, n // run.names) for n in range(run.values)]
        size = -(-len(values) // run.batches)
        for start in range(0, len(values), size):
            client.log_batch(made, metrics=values[start : start + size])
        if files:
            client.log_artifacts(made, str(_files(files / made, *run.files, draws)))
            if run.model[0]:
                model = client.create_logged_model(experiment, run.stage, made)
                client.log_model_artifacts(model.model_id, str(_files(files / model.model_id, *run.model, draws)))
                client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
                client.log_outputs(made, [LoggedModelOutput(model.model_id, 0)])
        client.set_terminated(made)


def _files(folder: Path, count: int, size: int, draws: random.Random) -> Path:
    """A folder with files of so many bytes together."""
    for number in range(count):
        path = folder / f"{number % 10}" / f"{draws.randbytes(15).hex()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draws.randbytes(size // count))
    return folder


def make_parcel(nodes: Path, folder: SweepFolder, plan: Plan, point: str) -> Path:
    """The file as which a point's results come home (:mod:`genbalance.experiments.clone_run`)."""
    place = folder.path / f"{point}.packing"
    place.mkdir(parents=True)
    call(nodes, "git", "bundle", "create", "--quiet", str(place / BUNDLE), folder.ref(plan, point), f"^{plan.commit}")
    draws = random.Random(f"{SEED} {point} outs")
    for count, size in OUTS:
        for _ in range(count):
            name = draws.randbytes(16).hex()
            path = place / "cache/files/md5" / name[:2] / name[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(draws.randbytes(size // count))
    (place / "store").mkdir()
    shutil.copy(tables(folder.path), place / "store")
    store = open_store(sqlite_address(place / "store/mlflow.db"), EXPERIMENT)
    log_point(store.client, store.experiment_id, point, place / "files")
    parcel = folder.parcel(point)
    with tarfile.open(parcel, "w") as tar:
        for name in (BUNDLE, "cache", "store"):
            tar.add(place / name, name)
    shutil.rmtree(place)
    return parcel


def tables(folder: Path) -> Path:
    """An MLflow store in an SQLite file with nothing in its tables: to make them takes MLflow seconds."""
    path = folder / "tables" / "mlflow.db"
    load_mlflow()
    if not path.exists():
        path.parent.mkdir(parents=True)
        from mlflow import MlflowClient

        MlflowClient(sqlite_address(path).raw).search_experiments()
    return path


# Several processes at once


def _context() -> ForkServerContext:
    """Processes that find MLflow loaded: each of its own would take seconds for it."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store"])
    return context


class Clients:
    """Processes that log to one store at a time.

    Args:
        count: of them.
        address: of the store, as ``MLFLOW_TRACKING_URI`` has it.
        experiment: its id there.
    """

    def __init__(self, count: int, address: str, experiment: str) -> None:
        context = _context()
        arguments = (address, experiment, context.Barrier(count))
        self._pool = ProcessPoolExecutor(count, context, _connect, arguments)
        list(self._pool.map(_wait, range(count)))

    def log(self, points: Sequence[str]) -> float:
        """Logs points; seconds that it took all of them."""
        begun = time.perf_counter()
        list(self._pool.map(_log, points))
        return time.perf_counter() - begun

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


_own: dict[str, Any] = {}  # of a process: its client and the like


def _connect(address: str, experiment: str, everybody: Barrier) -> None:
    load_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(parse_address(address).raw)
    client.get_experiment(experiment)
    _own.update(client=client, experiment=experiment, everybody=everybody)


def _wait(_: int) -> None:
    _own["everybody"].wait(STARTED)


def _log(point: str) -> None:
    log_point(_own["client"], _own["experiment"], point)


class Packer:
    """A process beside the driver that makes parcels, as nodes do: what it keeps in memory is not the driver's.

    Args:
        home: the repository.
        nodes: a repository with the experiments.
        plan: of the sweep.
    """

    def __init__(self, home: Path, nodes: Path, plan: Plan) -> None:
        self._pool = ProcessPoolExecutor(1, _context(), os.chdir, (home,))
        self._nodes, self._plan = nodes, plan

    def pack(self, point: str) -> int:
        """Makes the parcel of a point; its bytes."""
        return self._pool.submit(_pack, self._nodes, self._plan, point).result()

    def __enter__(self) -> "Packer":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def _pack(nodes: Path, plan: Plan, point: str) -> int:
    return make_parcel(nodes, SweepFolder(plan.name), plan, point).stat().st_size
