"""10,000 points of a sweep on 100 nodes, by a slice of fake ones (:mod:`benchmarks.fake_points`): what the MLflow store
takes, what git and the disk hold, and what the driver spends on each point that comes home.

It trains nothing. Run as `python -m benchmarks.scale [--points 1000] [--logged 100] [--store postgresql://…]`; without
a store it starts a PostgreSQL in a temporary folder where one is installed, and else takes SQLite. Seconds of CPU are
those of the program, with its children: other programs on the machine lengthen the seconds of the clock, and not these.
"""

import argparse
import os
import re
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.fake_points import (
    EXPERIMENT,
    NAME,
    RUNS,
    SECONDS,
    Clients,
    Packer,
    call,
    make_experiments,
    plan_of,
    tables,
)
from benchmarks.fake_points import make_repository as make_home
from benchmarks.postgres import Postgres, installed
from benchmarks.results import record, table
from genbalance.experiments.runs import find_runs
from genbalance.experiments.sweep_folder import Plan, SweepFolder, as_text
from genbalance.tracking.address import parse_address, sqlite_address
from genbalance.tracking.store import ARTIFACT_ROOT, load_mlflow, open_store

WHOLE, NODES = 10_000, 100
CLIENTS = (1, 4, 8)
WARM = 3  # points after which the driver has loaded all that it needs
HOME = 8  # points that come home, to an empty repository and again to one with all the others
FETCHED = 10  # experiments at once: so few that git keeps their objects as it does those of one
READ = 10  # experiments that are read one by one
NEEDED = NODES / SECONDS  # points that end in a second, where each node runs one at a time on a thread


@dataclass(frozen=True)
class Line:
    """A quantity: measured on the slice, at 10,000 points, and what it meets there."""

    quantity: str
    measured: str
    whole: str
    limit: str


@dataclass
class Spent:
    """Seconds of the clock, and of CPU of this process and of its children that have ended."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """What the block takes."""
    found = Spent(time.perf_counter(), _cpu())
    yield found
    found.wall, found.cpu = time.perf_counter() - found.wall, _cpu() - found.cpu


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def note(line: str) -> None:
    """Says on stderr what is measured."""
    print(f"scale: {line}", file=sys.stderr, flush=True)


def growing(empty: float, full: float, points: int) -> float:
    """The sum over 10,000 points of what costs ``empty`` at the first and ``full`` after so many, and grows evenly."""
    return WHOLE * (empty + (full - empty) / points * WHOLE / 2)


# The store


@dataclass(frozen=True)
class Writes:
    """Points that so many clients logged at a time: a second, and milliseconds of the server's CPU for each; nan where
    the server is not ours."""

    clients: int
    points_per_second: float
    server_ms: float


def writes(address: str, points: int, clients: int, server_cpu: Callable[[], float]) -> Writes:
    """Logs points to a store that is there."""
    load_mlflow()
    store = open_store(parse_address(address), EXPERIMENT)
    names = [f"{NAME}-{clients}-{number}" for number in range(points)]
    with Clients(clients, address, store.experiment_id) as logging:
        before = server_cpu()
        seconds = logging.log(names)
        used = server_cpu() - before
    note(f"{clients} clients: {points} points in {seconds:.0f} s")
    return Writes(clients, points / seconds, used / points * 1000)


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """The address of a PostgreSQL of our own, and a function for its seconds of CPU; an SQLite where there is none."""
    folder.mkdir()
    if not (programs := installed()):
        yield sqlite_address(tables(folder)).raw, lambda: float("nan")
        return
    folder.parent.chmod(0o755)  # it runs as another user
    postgres = Postgres(folder, programs, "secret")
    main = psutil.Process(int((folder / "data/postmaster.pid").read_text().split()[0]))

    def cpu() -> float:
        processes = [main, *main.children(recursive=True)]
        return float(sum(each.cpu_times().user + each.cpu_times().system for each in processes))

    try:
        yield postgres.url, cpu
    finally:
        postgres.kill()


def size_of_store(address: str) -> int:
    """Bytes of a store's database."""
    found = parse_address(address)
    if found.file:
        return found.file.stat().st_size
    from sqlalchemy import create_engine, text

    with create_engine(found.raw).connect() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def stored(folder: Path, points: int, named: str) -> tuple[list[Writes], int]:
    """The writes of each number of clients, a share of the points each; and bytes of the database for a point."""
    os.environ[ARTIFACT_ROOT] = str(folder / "artifacts")
    (folder / "artifacts").mkdir()
    share = max(1, points // len(CLIENTS))
    unknown = (named, lambda: float("nan"))
    with nullcontext(unknown) if named else server(folder / "server") as (address, cpu):
        writes(address, 1, 1, cpu)  # makes the tables
        before = size_of_store(address)
        found = [writes(address, share, clients, cpu) for clients in CLIENTS]
        return found, (size_of_store(address) - before) // (share * len(CLIENTS))


# The driver


@dataclass(frozen=True)
class Homecoming:
    """What the driver spends on a point.

    Attributes:
        wall: seconds of the clock.
        cpu: seconds.
        bytes: of the parcel.
        memory: bytes by which the driver grows.
        files: by which what it holds open grows.
    """

    wall: float
    cpu: float
    bytes: float
    memory: float
    files: float


def come_home(folder: SweepFolder, plan: Plan, cache: Path, packer: Packer, first: int, count: int) -> Homecoming:
    """Brings points home, from the one of that place on; files of the cache and artifacts are removed afterwards."""
    me, size, total = psutil.Process(), 0, Spent()
    memory = files = 0
    warm = min(WARM, count - 1)
    for place, point in enumerate(plan.points[first : first + count]):
        size += packer.pack(point.name)
        if place == warm:
            memory, files = me.memory_info().rss, me.num_fds()
        with spent() as one:
            folder.unpack(plan, point.name, cache)
        note(f"{point.name} is home: {one.cpu:.2f} s of CPU in {one.wall:.1f} s")
        if place >= warm:
            total.wall, total.cpu = total.wall + one.wall, total.cpu + one.cpu
        for each in (cache, Path("mlartifacts")):
            shutil.rmtree(each, ignore_errors=True)
    counted = count - warm
    memory, files = me.memory_info().rss - memory, me.num_fds() - files
    return Homecoming(total.wall / counted, total.cpu / counted, size / count, memory / counted, files / counted)


def fill(store: Path, points: int, own: int) -> None:
    """Lets an SQLite store that has the runs of ``own`` points have those of ``points``: copies of them."""
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("CREATE TEMPORARY TABLE own AS SELECT run_uuid AS id FROM runs")
        for name in ("runs", "metrics", "latest_metrics", "params", "tags"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            chosen = ", ".join("substr(run_uuid, 1, 24) || ?" if each == "run_uuid" else each for each in columns)
            copied = f"INSERT INTO {name} SELECT {chosen} FROM {name} WHERE run_uuid IN own"
            for copy in range(1, points // own):
                database.execute(copied, (f"{copy:08x}",))


def bytes_below(folder: Path) -> int:
    """Of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def lines_of_home(folder: Path, points: int) -> list[Line]:
    """The driver, git and the disk."""
    home = make_home(folder / "home")
    with chdir(home):
        return _lines_of_home(folder, home, points)


def _lines_of_home(folder: Path, home: Path, points: int) -> list[Line]:
    plan, sweep, nodes = plan_of(home, points), SweepFolder(NAME), folder / "nodes"
    with spent() as beginning:
        sweep.begin(plan)
    call(folder, "git", "clone", "-q", str(home), str(nodes))
    make_experiments(nodes, sweep, plan)
    shutil.copy(tables(folder), home)
    count = max(1, min(HOME, points // 2))
    before = bytes_below(home / ".git")
    with Packer(home, nodes, plan) as packer:
        empty = come_home(sweep, plan, folder / "cache", packer, 0, count)
        size = (bytes_below(home / ".git") - before) / count
        fill(home / "mlflow.db", points, count)
        for start in range(
            count, points - count, count
        ):  # as small as a point's, so that git keeps them as it does those
            refs = [
                f"{ref}:{ref}" for ref in (sweep.ref(plan, each.name) for each in plan.points[start : start + count])
            ]
            call(home, "git", "fetch", "--quiet", "--no-write-fetch-head", str(nodes), *refs[: points - count - start])
        full = come_home(sweep, plan, folder / "cache", packer, points - count, count)
    note("the refs")
    with spent() as listing:
        done = sweep.done(plan)
    with spent() as status:
        as_text(sweep, plan)
    with spent() as reading:
        read = find_runs(",".join(point.name for point in plan.points[:READ]))
    with spent() as showing:
        call(home, sys.executable, "-m", "dvc", "exp", "list", "--name-only", "--all-commits")
    if len(done) != points or len(read) != min(READ, points):
        raise RuntimeError(f"{len(done)} of {points} points are home, {len(read)} are read")
    return [
        _driver("driver's CPU", empty.cpu, full.cpu, points),
        Line(
            "driver's memory", f"{full.memory / 2**20:.2f} MiB a point", f"{full.memory * WHOLE / 2**30:.1f} GiB", "RAM"
        ),
        Line("driver's open files", f"{full.files:.2f} a point", f"{full.files * WHOLE:,.0f}", "1,024 (ulimit -n)"),
        Line(
            "begin: folder, refs that are taken",
            _seconds(beginning.cpu),
            _seconds(beginning.cpu * WHOLE / points),
            "once a sweep",
        ),
        Line("git: objects and refs", f"{size / 1024:.0f} KiB a point", _gib(size * WHOLE), "disk"),
        _grows("git: reading all refs", listing.cpu, points, "once a second"),
        _grows("sweep status", status.cpu, points, "patience"),
        _grows("dvc exp list", showing.cpu, points, "patience"),
        Line(
            "sweep show: reading a run",
            f"{reading.cpu / len(read) * 1000:.0f} ms",
            _seconds(reading.cpu / len(read) * WHOLE),
            "patience",
        ),
        Line(
            "parcel (home, or DVC's remote and S3)",
            f"{full.bytes / 2**20:.1f} MiB a point",
            _gib(full.bytes * WHOLE),
            "disk",
        ),
    ]


def _driver(name: str, empty: float, full: float, points: int) -> Line:
    whole = growing(empty, full, points)
    measured = f"{empty * 1000:.0f} ms a point, {full * 1000:.0f} ms after {points}"
    return Line(name, measured, f"{whole / 3600:.1f} h", f"{NEEDED:.2f} points a second: {1000 / NEEDED:.0f} ms each")


def _grows(name: str, seconds: float, points: int, limit: str) -> Line:
    return Line(name, f"{seconds * 1000:.0f} ms for {points}", _seconds(seconds * WHOLE / points), limit)


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def lines_of_store(found: list[Writes], size: int) -> list[Line]:
    """The store."""
    values, calls = sum(run.values for run in RUNS), sum(run.batches + 3 for run in RUNS)
    lines = [
        Line(
            f"store: {each.clients} client{'s' * (each.clients > 1)}",
            f"{each.points_per_second:.2f} points a second, {each.points_per_second * values:,.0f} values",
            f"{WHOLE / each.points_per_second / 3600:.1f} h",
            f"{NEEDED:.2f} points a second",
        )
        for each in found
    ]
    server = found[-1].server_ms
    return [
        *lines,
        Line(
            f"store: the server's CPU, {calls} calls",
            f"{server:.0f} ms a point",
            _seconds(server * WHOLE / 1000),
            "a core",
        ),
        Line("store: its database", f"{size / 1024:.0f} KiB a point", _gib(size * WHOLE), "disk"),
    ]


def measured(points: int, logged: int, store: str, folder: Path) -> list[Line]:
    """All quantities, on a slice of so many points.

    Args:
        points: at least 4, which git and the driver's store have in the end.
        logged: of these are logged to the store.
        store: its address; "" for one of our own.
        folder: an empty one.
    """
    return [*lines_of_store(*stored(folder, logged, store)), *lines_of_home(folder, points)]


def main() -> None:
    """Measures, prints, records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--points", type=int, default=1000, help="of the slice")
    parser.add_argument("--logged", type=int, default=0, help="of these are logged to the store (all)")
    parser.add_argument("--store", default="", help="an MLflow store, such as postgresql://USER:PASSWORD@HOST/DATABASE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lines = measured(given.points, given.logged or given.points, given.store, Path(name))
    head = Line(f"{given.points} fake points", "measured", f"{WHOLE:,} points", f"limit, {NODES} nodes")
    print(table([list(asdict(line).values()) for line in (head, *lines)]))
    named = re.sub("//.*@", "//", given.store)
    record("scale", {"points": given.points, "store": named, "lines": [asdict(line) for line in lines]})


if __name__ == "__main__":
    main()
