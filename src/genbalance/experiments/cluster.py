"""`genbalance sweep run` and `resume`: each point of a sweep is a task of Ray, here or on a cluster.

The driver alone writes into the home repository. It hands a node the commit as a bundle of git through Ray's object
store, and gets a parcel back (:mod:`genbalance.experiments.clone_run`). On its own machine points use the repository's
cache of DVC; elsewhere a node has a cache of its own, into which a point's task brings what the home repository has of
its stages. Points that share a stage with equal params are ordered so that the first makes it and the others find it.
"""

import io
import logging
import os
import secrets
import shutil
import socket
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from genbalance.experiments.clone_run import Job, add_to_cache, cached, locked, run_point, work_folder
from genbalance.experiments.dvc_lock import LOCK
from genbalance.experiments.points import (
    Point,
    known_keys,
    parse_points,
    read_stages,
    stage_keys,
    startable,
    with_settings,
)
from genbalance.experiments.sweep_folder import Plan, SweepFolder, counts, states
from genbalance.experiments.verify import ended_by_signals
from genbalance.params import PARAMS_FILE, parse_yaml, read_params, validated
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.repository import committed, git, object_id, root
from genbalance.training.rendezvous import Rendezvous

STARTS = 3  # tries of a local Ray, which gives itself half a minute to start: too little where all cores are busy
RETRIES = 5  # times that a point is started again after its worker was lost
END = 45.0  # seconds that interrupted points have to end
CONTACT = 5.0  # seconds that a cluster has to answer
LOOK = 1.0  # seconds between two looks at a cluster where nothing happens
STACKED = 8  # points at a time that train together, unless --workers says another number
RAW = "data/raw"


def begin(
    name: str,
    settings: Sequence[str],
    workers: int,
    address: str,
    gpus: float,
    slurm: str | None = None,
    stacked: bool = False,
) -> SweepFolder:
    """Checks a sweep and writes its folder; nothing runs yet.

    Raises:
        UserError: the name, a setting or a point is refused; or tracked files are modified.
    """
    if stacked and (slurm is not None or address):
        other = "address" if address else "slurm"
        raise UserError(f"--stacked: is given with --{other}; allowed: without, on this machine")
    if slurm is None:
        import ray  # noqa: F401  missing, it is named before anything is written
    elif address:
        raise UserError("--slurm: is given with --address; allowed: one of them")
    check_address(address)
    folder = SweepFolder(name)
    base = read_params()
    points = parse_points(name, settings, base)
    if changed := git("status", "--porcelain", "--untracked-files=no", "--", ".").splitlines():
        raise UserError(
            f"{changed[0][3:]}: is modified ({len(changed)} such files); a sweep runs the commit: `git commit`, "
            "`git stash` or `git restore` them"
        )
    commit = object_id("HEAD")
    cpus = base.compute.threads * base.compute.processes
    plan = Plan(name, commit, tuple(points), address, workers, cpus, gpus, slurm, stacked)
    folder.begin(plan)
    return folder


@dataclass(frozen=True)
class Stages:
    """Ids of stages, which are equal where params and inputs are.

    Attributes:
        of: the ids of each point's stages, by its name.
        known: ids of those that the commit's own run has made, and DVC's cache has.
    """

    of: Mapping[str, frozenset[str]]
    known: frozenset[str]

    def __str__(self) -> str:
        """How many stages run, and how many would if each point ran alone and with an empty cache."""
        runs, every = len(frozenset().union(*self.of.values()) - self.known), sum(map(len, self.of.values()))
        return f"{len(self.of)} points: {runs} stage runs in place of {every}"


def stages_of(plan: Plan) -> Stages:
    """The stages of a sweep."""
    text = (committed(plan.commit, str(PARAMS_FILE)) or b"").decode()
    base, stages = validated(parse_yaml(text, str(PARAMS_FILE)), str(PARAMS_FILE)), read_stages(root())
    params = {point.name: with_settings(base, _pairs(point)).flat() for point in plan.points}
    keys = {name: frozenset(stage_keys(stages, flat).values()) for name, flat in params.items()}
    return Stages(keys, known_keys(stages, base.flat()))


def _pairs(point: Point) -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in point.settings)


def run(folder: SweepFolder) -> bool:
    """Runs the points whose experiment git does not have; returns whether all of the sweep's are done.

    It reports on stderr: a line for each point that ends, or on a terminal a bar.

    Raises:
        UserError: the sweep runs already, or the cluster cannot be used.
        SystemExit: on Ctrl-C with 130, on SIGTERM with 143.
    """
    plan = folder.plan()
    check_address(plan.address)
    with folder.driving():
        for point in plan.points:
            folder.forget(point.name)
        stages = stages_of(plan)
        note(f"{plan.name}: {stages}")
        cache = cache_here()
        folder.collect(plan, cache)  # what a driver that was killed had not brought home
        if not (left := [point for point in plan.points if point.name not in folder.done(plan)]):
            return True
        received: list[int] = []
        try:
            # after Ray's start, which has a handler of its own
            meets = Rendezvous() if plan.stacked and not plan.address else nullcontext()
            with _ray(plan) as cluster, ended_by_signals() as received, meets as meeting:
                Driver(folder, plan, stages, cache, cluster, meeting).run(left)
        except (KeyboardInterrupt, SystemExit):  # Ray makes another exit code of the signal's
            note(f"interrupted; `genbalance sweep resume {plan.name}` goes on from there")
            raise SystemExit(128 + received[0] if received else 1) from None
        return len(folder.done(plan)) == len(plan.points)


def note(line: str) -> None:
    """Prints a line on stderr, above a bar."""
    tqdm.write(f"sweep: {line}", file=sys.stderr)
    sys.stderr.flush()


def cache_here() -> Path:
    """The home repository's cache of DVC."""
    from dvc.repo import Repo

    with Repo(str(root())) as repository:
        return Path(repository.cache.local_cache_dir)


def check_address(address: str) -> None:
    """Refuses the address of a cluster where nobody listens: Ray would try for minutes.

    Raises:
        UserError: it is refused.
    """
    if not address or address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--address {address}: allowed: HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONTACT).close()
    except OSError as error:
        raise UserError(f"--address {address}: no cluster answers: {error.strerror or error}") from None


@contextmanager
def _ray(plan: Plan) -> Iterator[Any]:
    """Ray, connected; a local one ends with the block.

    Raises:
        UserError: no cluster answers, or a point finds no room in it.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    logging.getLogger("ray").setLevel(logging.ERROR)
    if not plan.address:
        options |= {"num_cpus": _workers(plan), "include_dashboard": False}
    starts = 1 if plan.address else STARTS
    while True:
        starts -= 1
        try:
            ray.init(address=plan.address or "local", **options)
            break
        except Exception as error:  # Ray raises a plain one where it could not start
            if not starts:
                reason = in_a_line((str(error) or type(error).__name__).splitlines()[0])
                raise UserError(f"--address {plan.address or 'local'}: {reason}") from None
    try:
        for resource, wanted in (("CPU", _cpus(plan)), ("GPU", plan.gpus)):
            most = max(node["Resources"].get(resource, 0) for node in _nodes(ray))
            if wanted > most:
                raise UserError(f"a point takes {wanted:g} {resource}s; found {most:g} on the largest node")
        yield ray
    finally:
        ray.shutdown()


def _nodes(ray: Any) -> list[dict[str, Any]]:
    """The nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def _cpus(plan: Plan) -> int:
    """CPUs of a point as Ray counts them: a local Ray has one for each worker, and starts a process for each CPU."""
    return plan.cpus if plan.address else 1


def _workers(plan: Plan) -> int:
    if plan.stacked and not plan.workers:
        return min(STACKED, len(plan.points))
    return plan.workers or max(1, (os.cpu_count() or 1) // plan.cpus)


@dataclass(frozen=True)
class Pack:
    """Files of the home repository's cache, for the caches of other machines.

    Attributes:
        names: of the files.
        tar: an object of Ray that holds them.
    """

    names: frozenset[str]
    tar: Any


def _task(job: Job, home: Mapping[str, str], bundle: Sequence[Any], packs: Sequence[Pack], raw: Sequence[Any]) -> Any:
    """What a worker runs. The objects of Ray stand in lists, so that they are fetched only where they are needed.

    Returns:
        The last line of a point that failed or "", and the bytes of its parcel or log.
    """
    import ray

    try:
        here = Path(home["token"]).read_text(encoding="utf-8") == home["secret"]
    except OSError:
        here = False
    here = here and ray.get_runtime_context().get_node_id() == home["node"]

    def bring(cache: Path) -> None:
        for pack in () if here else packs:
            if not all((cache / name).exists() for name in pack.names):
                place = cache / f".{job.name}"
                _extract(ray.get(pack.tar), place)
                add_to_cache(place, cache)
                shutil.rmtree(place)

    def lend(folder: Path) -> None:
        folder.mkdir()
        for each in raw:
            _extract(ray.get(each), folder)

    if here:
        job = replace(job, cache=home["cache"], log=home["log"])
    else:
        job = replace(job, known=frozenset().union(*(pack.names for pack in packs)))
    failure, result = run_point(job, lambda: ray.get(bundle[0]), bring, lend)
    content = b"" if failure and here else result.read_bytes()
    if failure and not here:
        result.unlink()
    return failure, content


def _tar(folder: Path, names: Sequence[str]) -> bytes:
    """Files of a folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in names:
            tar.add(folder / name, name)
    return content.getvalue()


def _extract(content: bytes, place: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(place, filter="data")


def _clean(repository: str, names: Sequence[str]) -> None:
    """Removes points from a node, once their results are home."""
    for name in names:
        place = work_folder() / repository / name
        with suppress(FileNotFoundError), locked(place / "lock"):
            shutil.rmtree(place, ignore_errors=True)


class Driver:
    """Starts the points of a sweep in their order, and brings home what they made.

    Args:
        folder: of the sweep.
        plan: of the sweep.
        stages: of its points.
        cache: of the home repository.
        ray: connected.
        meeting: where the trainings of points that run side by side meet; None: each trains alone.
    """

    def __init__(
        self, folder: SweepFolder, plan: Plan, stages: Stages, cache: Path, ray: Any, meeting: Rendezvous | None
    ) -> None:
        self._folder, self._plan, self._stages, self._cache, self._ray = folder, plan, stages, cache, ray
        self._meeting = meeting
        ray.cloudpickle.register_pickle_by_value(sys.modules["genbalance"])  # a node need not have this version
        options = {"num_cpus": _cpus(plan), "num_gpus": plan.gpus}
        # interrupted tasks and failed points are ends; a lost worker is none
        self._task = ray.remote(num_returns=2, max_retries=RETRIES, **options)(_task)
        self._clean = ray.remote(num_cpus=0)(_clean)
        self._is_client = "://" in plan.address
        self._token = folder.path / "token"
        secret = secrets.token_hex(8)
        self._token.write_text(secret, encoding="utf-8")
        self._home = {
            "token": str(self._token),
            "secret": secret,
            "node": ray.get_runtime_context().get_node_id(),
            "cache": str(cache),
        }
        self._bundle = [ray.put((folder.path / "commit.bundle").read_bytes())]
        self._raw = [ray.put(_tar(root() / RAW, ["."]))] if (root() / RAW).is_dir() else []
        self._packs: dict[str, Pack] = {}  # by point; "" is the commit that the sweep runs on
        self._seen: dict[str, set[str]] = {}
        self._home_again: list[str] = []  # points that ended well
        self._cleaning: dict[str, tuple[Any, int]] = {}  # by node: its last task, which has so many of these
        self._running: dict[Any, tuple[Point, Any]] = {}

    def run(self, left: Sequence[Point]) -> None:
        """Runs the points ``left``."""
        waiting, by_name = [point.name for point in left], {point.name: point for point in left}
        done = self._folder.done(self._plan)
        limit = self._limit()
        try:
            with Progress(self._folder, self._plan, len(left)) as progress:
                while waiting or self._running:
                    made = self._stages.known.union(*(self._stages.of[name] for name in done))
                    running = [point.name for point, _ in self._running.values()]
                    while len(running) < limit and (name := startable(waiting, self._stages.of, running, made)):
                        waiting.remove(name)
                        running.append(name)
                        self._start(by_name[name], done)
                    for size in self._meeting.release(len(self._running)) if self._meeting else ():
                        note(f"{self._plan.name}: {size} {'trainings' if size > 1 else 'training'} in one process")
                    progress.show()
                    ready, _ = self._ray.wait(list(self._running), timeout=LOOK, fetch_local=False)
                    for reference in ready:
                        point, content = self._running.pop(reference)
                        failure = self._ended(point, reference, content)
                        if not failure:
                            done.add(point.name)
                        progress.ended(point, failure)
        finally:
            self._interrupt()
            self._token.unlink(missing_ok=True)

    def _limit(self) -> int:
        """How many points run at once."""
        if self._plan.workers and not self._meeting:
            return self._plan.workers
        found = self._ray.cluster_resources()  # where points wait for those that run, none may wait for room
        room = [found.get("CPU", 0) / _cpus(self._plan)]
        room += [found.get("GPU", 0) / self._plan.gpus] if self._plan.gpus else []
        return max(1, int(min(room)))

    def _start(self, point: Point, done: set[str]) -> None:
        """Hands a point to Ray."""
        job = self._folder.job(self._plan, point)
        if self._meeting:
            job = replace(job, variables={**job.variables, **self._meeting.variables})
        home = {**self._home, "log": str(self._folder.log(point.name))}
        packs = self._packs_of(point.name, done) if self._is_wide() else []
        reference, content = self._task.remote(job, home, self._bundle, packs, self._raw)
        self._running[reference] = point, content
        self._folder.start(point.name, self._plan.address or "local")

    def _is_wide(self) -> bool:
        """Whether there are other machines than the driver's."""
        return {node["NodeID"] for node in _nodes(self._ray)} != {self._home["node"]} or self._is_client

    def _packs_of(self, name: str, done: set[str]) -> list[Pack]:
        """What the home repository's cache has of a point's stages."""
        made, keys = set(self._stages.known), self._stages.of
        needed = [""]
        for other in sorted(done):
            if keys[other] & keys[name] - made:
                made |= keys[other]
                needed.append(other)
        for each in needed:
            if each not in self._packs:
                commit = object_id(self._folder.ref(self._plan, each)) if each else self._plan.commit
                names = cached(self._cache, (committed(commit, LOCK) or b"").decode(), self._seen)
                names -= self._packs[""].names if each else set()
                self._packs[each] = Pack(frozenset(names), self._ray.put(_tar(self._cache, sorted(names))))
        return [self._packs[each] for each in needed]

    def _ended(self, point: Point, reference: Any, content: Any) -> str:
        """Brings home what a point made; its failure, or ""."""
        from ray.exceptions import RayError

        failure: str
        result: bytes
        try:
            failure = self._ray.get(reference)
            result = self._ray.get(content)
        except RayError as error:
            failure = f"{type(error).__name__}: {in_a_line(str(error).strip().splitlines()[0])}"
            result = b""
        if failure:
            with self._folder.log(point.name).open("ab") as log:
                log.write(result)
        else:
            parcel = self._folder.parcel(point.name)
            part = parcel.with_suffix(".part")
            part.write_bytes(result)
            part.replace(parcel)
            self._folder.unpack(self._plan, point.name, self._cache)
            self._home_again.append(point.name)
            self._remove()
        self._folder.end(point.name, failure)
        return failure

    def _remove(self) -> None:
        """Removes what is left on the nodes of points that are home; one that was lost and came back may have some,
        too. A node has one such task at a time: one for each point would be a million for 10,000 points on 100 nodes,
        and Ray keeps each of them in the driver's memory."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        names = self._home_again
        for node in (each["NodeID"] for each in _nodes(self._ray)):
            last, handed = self._cleaning.get(node, (None, 0))
            if handed == len(names) or (last and not self._ray.wait([last], timeout=0, fetch_local=False)[0]):
                continue
            clean = self._clean.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
            self._cleaning[node] = clean.remote(self._folder.repository(), names[handed:]), len(names)

    def _interrupt(self) -> None:
        """Ends what runs, and waits for that."""
        for reference in self._running:
            self._ray.cancel(reference)
        self._await([*self._running, *(task for task, _ in self._cleaning.values())])
        self._remove()  # of those that came home meanwhile
        self._await([task for task, _ in self._cleaning.values()])

    def _await(self, tasks: Sequence[Any]) -> None:
        if tasks:
            self._ray.wait(tasks, num_returns=len(tasks), timeout=END, fetch_local=False)


class Progress:
    """The line of a sweep: done, running, failed, left, time left. On a terminal it is a bar, elsewhere a line for each
    point that ends."""

    def __init__(self, folder: SweepFolder, plan: Plan, left: int) -> None:
        self._folder, self._plan, self._left = folder, plan, left
        self._begun, self._ended = time.monotonic(), 0
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            total = len(self._plan.points)
            bar = "{desc}  {bar}"
            self._bar = tqdm(total=total, initial=total - self._left, bar_format=bar, dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self) -> None:
        """Refreshes the bar."""
        if self._bar is not None:
            self._bar.set_description_str(self._text())

    def ended(self, point: Point, failure: str) -> None:
        """Shows a point that has ended."""
        self._ended += 1
        if self._bar is not None:
            self._bar.update()
        if self._bar is None or failure:
            outcome = f"failed: {failure}" if failure else "done"
            note(f"{point.name}  {' '.join(point.settings)}  {outcome}  {self._text()}")
        self.show()

    def _text(self) -> str:
        seconds = (time.monotonic() - self._begun) / self._ended * (self._left - self._ended) if self._ended else None
        left = "–" if seconds is None else str(timedelta(seconds=round(seconds)))
        return f"{self._plan.name}: {counts(states(self._folder, self._plan))}  {left} left"
