"""A sweep's folder, ``sweeps/NAME/``, which git ignores: what is run, what has happened, and results on their way home.

``sweep.json`` is what was asked for; ``commit.bundle`` the commit, for git; ``POINT.log`` what a point printed,
``POINT.running`` where one runs, and ``POINT.failed`` the last line of one that failed. ``POINT.tar`` holds results
that are not yet in the repository (:mod:`genbalance.experiments.clone_run`). Whoever runs the sweep holds ``lock``. A
point is done exactly if git has its experiment.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from genbalance.experiments.clone_run import BUNDLE, LOG, Job, add_to_cache
from genbalance.experiments.dvc_lock import LOCK, Stages, lock_of
from genbalance.experiments.points import Point, check_name
from genbalance.reporting.text import aligned
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.io import write_json
from genbalance.runtime.repository import committed, git, root, top

FOLDER = "sweeps"
DONE, RUNNING, FAILED, LEFT = "done", "running", "failed", "left"
HANDED = ("MLFLOW_", "OMP_NUM_THREADS", "AWS_")  # variables that a node takes from the driver
PATIENCE = 60.0  # seconds that a driver has to end with its points


@dataclass(frozen=True)
class Plan:
    """What a sweep is begun with.

    Attributes:
        name: of the sweep.
        commit: that its points run on, 40 hex digits.
        points: in their order.
        address: of the Ray cluster; "" for a local one.
        workers: points at a time; 0: as many as there is room for.
        cpus: of a point.
        gpus: of a point.
        slurm: arguments of ``sbatch``; None: it runs on Ray.
        stacked: whether points that run side by side train together.
    """

    name: str
    commit: str
    points: tuple[Point, ...]
    address: str
    workers: int
    cpus: int
    gpus: float
    slurm: str | None = None
    stacked: bool = False

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Self:
        """The plan as it was stored."""
        points = tuple(Point(each["name"], tuple(each["settings"])) for each in values["points"])
        return cls(**{**values, "points": points})


class SweepFolder:
    """The folder of the sweep ``name``.

    Raises:
        UserError: the name is refused.
    """

    def __init__(self, name: str) -> None:
        check_name(name)
        self.name = name
        self.path = root() / FOLDER / name
        self._locks: dict[str, Stages] = {}

    def begin(self, plan: Plan) -> None:
        """Writes the plan and the commit.

        Raises:
            UserError: there is a sweep of that name, or an experiment of a point's name on the same commit.
        """
        if (self.path / "sweep.json").exists():
            raise UserError(
                f"-n {self.name}: is a sweep already; allowed: another name, or `genbalance sweep resume {self.name}`"
            )
        done = self.done(plan)
        if taken := next((point.name for point in plan.points if point.name in done), ""):
            raise UserError(
                f"-n {self.name}: {taken} is an experiment already; allowed: another name, or `dvc exp remove {taken}`"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        git("bundle", "create", "--quiet", str(self.path / "commit.bundle"), "HEAD")
        write_json(self.path / "sweep.json", asdict(plan))

    def plan(self) -> Plan:
        """The plan.

        Raises:
            UserError: there is no such sweep.
        """
        try:
            text = (self.path / "sweep.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            others = ", ".join(sorted(each.parent.name for each in self.path.parent.glob("*/sweep.json")))
            raise UserError(f"{self.name}: is no sweep here; allowed: {others or 'one that was begun'}") from None
        return Plan.of_json(json.loads(text))

    def amend(self, **changed: Any) -> None:
        """Changes attributes of the plan, such as the cluster that it runs on.

        Raises:
            UserError: there is no such sweep, or it is running.
        """
        plan = self.plan()
        with self.driving():
            write_json(self.path / "sweep.json", asdict(replace(plan, **changed)))

    def ref(self, plan: Plan, point: str) -> str:
        """The ref of a point's experiment."""
        return f"refs/exps/{plan.commit[:2]}/{plan.commit[2:]}/{point}"

    def log(self, point: str) -> Path:
        """A point's log."""
        return self.path / f"{point}.log"

    def read_log(self, plan: Plan, point: str) -> str:
        """What a point has printed; it may be named by its number.

        Raises:
            UserError: there is no such point, or it has not run yet.
        """
        name = f"{self.name}-{point}" if point.isdigit() else point
        if name not in {each.name for each in plan.points}:
            raise UserError(f"{in_a_line(point)}: is no point; allowed: 1 … {len(plan.points)}")
        try:
            return self.log(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            raise UserError(f"{name}: has no log yet") from None

    def done(self, plan: Plan) -> set[str]:
        """The names of the points whose experiment git has."""
        prefix = self.ref(plan, "")
        listed = git("for-each-ref", "--format=%(refname)", prefix).split()
        return {ref.removeprefix(prefix) for ref in listed} & {point.name for point in plan.points}

    def failed(self) -> dict[str, str]:
        """The last lines of the points that failed, by name."""
        return {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(self.path.glob("*.failed"))}

    def running(self) -> set[str]:
        """The names of the points that run."""
        found = {path.stem for path in self.path.glob("*.running")}
        return found if found and (self.driver() or (self.path / "jobs").exists()) else set()

    def start(self, point: str, place: str) -> None:
        """Keeps that a point runs."""
        (self.path / f"{point}.running").write_text(f"{place}\n", encoding="utf-8")

    def end(self, point: str, failure: str = "") -> None:
        """Keeps that a point has ended."""
        if failure:
            (self.path / f"{point}.failed").write_text(f"{failure}\n", encoding="utf-8")
        (self.path / f"{point}.running").unlink(missing_ok=True)

    def forget(self, point: str) -> None:
        """Lets a point be run again that failed, or ran as its driver was killed."""
        for suffix in ("failed", "running"):
            (self.path / f"{point}.{suffix}").unlink(missing_ok=True)

    def parcel(self, point: str) -> Path:
        """Where a point's results wait."""
        return self.path / f"{point}.tar"

    def repository(self) -> str:
        """A name for this repository on nodes."""
        here = root()
        return f"{here.name}-{hashlib.sha256(f'{platform.node()}:{here}'.encode()).hexdigest()[:8]}"

    def job(self, plan: Plan, point: Point) -> Job:
        """What a node needs to know of a point."""
        author, _, address = git("var", "GIT_COMMITTER_IDENT").rpartition(">")[0].partition(" <")
        return Job(
            self.repository(),
            point.name,
            point.settings,
            plan.commit,
            self.ref(plan, point.name),
            root().relative_to(top(root())).as_posix(),
            (author, address),
            {name: value for name, value in os.environ.items() if name.startswith(HANDED)},
        )

    # Results come home

    def collect(self, plan: Plan, cache: Path) -> None:
        """Brings home the results of all points that wait in the folder.

        Raises:
            UserError: as :meth:`unpack`.
        """
        for point in plan.points:
            if self.parcel(point.name).exists():
                self.unpack(plan, point.name, cache)

    def unpack(self, plan: Plan, point: str, cache: Path) -> None:
        """Brings a parcel's results into the repository: files of DVC's cache, MLflow runs, in the end the experiment.
        Done again, it changes nothing.

        Args:
            plan: of the sweep.
            point: whose parcel it is.
            cache: of the repository.

        Raises:
            UserError: the MLflow store cannot be used.
        """
        place = self.path / f"{point}.unpacked"
        shutil.rmtree(place, ignore_errors=True)
        with tarfile.open(self.parcel(point)) as tar:
            tar.extractall(place, filter="data")
        if (place / "cache").is_dir():
            add_to_cache(place / "cache", cache)
        if (place / LOG).exists():
            with self.log(point).open("ab") as log:
                log.write((place / LOG).read_bytes())
        if (store := place / "store" / "mlflow.db").exists():
            from genbalance.tracking.address import home_address, sqlite_address
            from genbalance.tracking.cached_stages import compare_restored
            from genbalance.tracking.store import disconnect, load_mlflow
            from genbalance.tracking.sync import copy_all

            load_mlflow()
            try:
                compare_restored(sqlite_address(store), home_address(), self._baseline(plan))
                copy_all(sqlite_address(store), home_address(), mark=False)
            finally:
                disconnect(sqlite_address(store))
        ref = self.ref(plan, point)
        git("fetch", "--quiet", "--no-write-fetch-head", str(place / BUNDLE), f"+{ref}:{ref}")
        shutil.rmtree(place)
        self.parcel(point).unlink()

    def _baseline(self, plan: Plan) -> Stages:
        """The dvc.lock of the sweep's commit, read once: that takes DVC's parser longer than git's part of a point."""
        if plan.commit not in self._locks:
            self._locks[plan.commit] = lock_of(plan.commit, plan.name) if committed(plan.commit, LOCK) else {}
        return self._locks[plan.commit]

    # The driver

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Holds the sweep's lock.

        Raises:
            UserError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.name}: is running already ({self.driver()}); `genbalance sweep cancel {self.name}` stops it"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()} {platform.node()}")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def driver(self) -> str:
        """The process that runs the sweep, in words; "" where none does."""
        try:
            with (self.path / "lock").open("a+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    number, host = self._driver()
                    return f"process {number} on {host}"
        except FileNotFoundError:
            pass
        return ""

    def _driver(self) -> tuple[int, str]:
        number, _, host = (self.path / "lock").read_text(encoding="utf-8").partition(" ")
        return int(number or 0), host

    def cancel(self) -> bool:
        """Stops whoever runs the sweep, and its points; returns whether there was one.

        Raises:
            UserError: it runs on another machine, or does not end.
        """
        if not self.driver():
            return False
        number, host = self._driver()
        if host != platform.node():
            raise UserError(f"{self.name}: runs on {host}; call `genbalance sweep cancel {self.name}` there")
        for how, seconds in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, PATIENCE)):
            with suppress(ProcessLookupError):
                os.kill(number, how)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if not self.driver():
                    return True
                time.sleep(0.1)
        raise UserError(f"{self.name}: process {number} does not end")


# What is printed


def states(folder: SweepFolder, plan: Plan) -> dict[str, str]:
    """The state of each point by its name."""
    done, running, failed = folder.done(plan), folder.running(), folder.failed()

    def state(name: str) -> str:
        return DONE if name in done else RUNNING if name in running else FAILED if name in failed else LEFT

    return {point.name: state(point.name) for point in plan.points}


def counts(found: Mapping[str, str]) -> str:
    """How many points are in which state."""
    values = list(found.values())
    return ", ".join(f"{values.count(state)} {state}" for state in (DONE, RUNNING, FAILED, LEFT))


def as_text(folder: SweepFolder, plan: Plan) -> str:
    """The sweep as it stands: counts, and a line for each point."""
    found, failed, driver = states(folder, plan), folder.failed(), folder.driver()
    head = f"{plan.name}: {len(plan.points)} points of {plan.commit[:8]}: {counts(found)}"
    rows = [("point", "settings", "state", "")]
    for point in plan.points:
        state = found[point.name]
        rows.append((point.name, " ".join(point.settings), state, failed.get(point.name, "") * (state == FAILED)))
    return f"{head}{f'; run by {driver}' * bool(driver)}\n\n{aligned(rows, texts=True)}"
