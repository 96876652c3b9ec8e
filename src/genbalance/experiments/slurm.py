"""`genbalance sweep run --slurm`: the points of a sweep as job arrays of SLURM, on a file system that all nodes share.

``POINT.sh`` in the sweep's folder runs a point; ``array-N.sh`` is an array over such scripts, and waits for the array
before it, whose points make what its own share. The ids of the jobs are in ``jobs``. A point leaves its parcel in the
folder; `genbalance sweep status` and `resume` bring it home. `python -m genbalance.experiments.slurm` is what a script
calls on its node.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import genbalance
from genbalance.experiments.clone_run import run_point, work_folder
from genbalance.experiments.cluster import Stages, cache_here, note, stages_of
from genbalance.experiments.points import Point, startable
from genbalance.experiments.sweep_folder import Plan, SweepFolder
from genbalance.runtime.errors import UserError, in_a_line
from genbalance.runtime.repository import root

JOBS = "jobs"  # the file with the ids of the sweep's jobs, a line each


def waves(points: Sequence[Point], stages: Stages, done: Sequence[str]) -> list[list[Point]]:
    """The points in groups: none of a group makes a stage that another of it makes, and each group finds what those
    before it made."""
    made = set(stages.known).union(*(stages.of[name] for name in done))
    waiting, by_name = [point.name for point in points], {point.name: point for point in points}
    found: list[list[Point]] = []
    while waiting:
        wave: list[str] = []
        while name := startable(waiting, stages.of, wave, made):
            waiting.remove(name)
            wave.append(name)
        made |= frozenset().union(*(stages.of[name] for name in wave))
        found.append([by_name[name] for name in wave])
    return found


def submit(folder: SweepFolder) -> None:
    """Brings home what has ended, then writes and submits the scripts of the points that are neither done nor queued.

    Raises:
        UserError: another process does that; `sbatch` is missing or refuses.
    """
    plan = folder.plan()
    cache = cache_here()
    with folder.driving():
        folder.collect(plan, cache)
        done, queued = folder.done(plan), _queued(folder)
        left = [point for point in plan.points if point.name not in done | queued]
        for point in left:
            folder.forget(point.name)
        if not left:
            note(f"{plan.name}: {len(done)} of {len(plan.points)} points done, {len(queued)} queued")
            return
        stages = stages_of(plan)
        note(f"{plan.name}: {stages}")
        job = ""
        for number, wave in enumerate(waves(left, stages, sorted(done | queued)), start=1):
            for point in wave:
                (folder.path / f"{point.name}.sh").write_text(_script(folder, point, cache), encoding="utf-8")
            array = folder.path / f"array-{number}.sh"
            array.write_text(_array(folder, plan, wave), encoding="utf-8")
            job = _sbatch([*shlex.split(plan.slurm or ""), *([f"--dependency=afterany:{job}"] if job else [])], array)
            with (folder.path / JOBS).open("a", encoding="utf-8") as jobs:
                jobs.write(f"{job}\n")
            note(f"job {job}: {', '.join(point.name for point in wave)}")
        note(f"`genbalance sweep status {plan.name}` brings home what has ended")


def collect(folder: SweepFolder, plan: Plan) -> None:
    """Brings home what has ended, and forgets which points run where SLURM knows of none.

    Raises:
        UserError: another process does that.
    """
    with folder.driving():
        folder.collect(plan, cache_here())
    if shutil.which("squeue"):
        queued = _queued(folder)  # asked first: a point that ends meanwhile runs no longer, and has said how it ended
        for point in folder.running() - queued:
            folder.end(point, "" if folder.parcel(point).exists() else "SLURM ended it; see its log")


def cancel(folder: SweepFolder) -> bool:
    """Cancels the sweep's jobs; returns whether there were any.

    Raises:
        UserError: `scancel` is missing or refuses.
    """
    jobs = _jobs(folder)
    if jobs:
        _call(["scancel", *jobs])
        (folder.path / JOBS).unlink()
        for point in folder.running():
            folder.end(point)
    return bool(jobs)


def _script(folder: SweepFolder, point: Point, cache: Path) -> str:
    source = Path(genbalance.__file__).parents[1]
    command = [sys.executable, "-m", "genbalance.experiments.slurm", folder.name, point.name, str(cache)]
    return (
        f"#!/bin/sh\n# {point.name}: {' '.join(point.settings)}\n"
        f"cd {shlex.quote(str(root()))} || exit 1\n"
        f"export PYTHONPATH={shlex.quote(str(source))}\nexec {shlex.join(command)}\n"
    )


def _array(folder: SweepFolder, plan: Plan, points: Sequence[Point]) -> str:
    numbers = ",".join(point.name.rpartition("-")[2] for point in points)
    options = [
        f"--job-name={plan.name}",
        f"--array={numbers}{f'%{plan.workers}' * bool(plan.workers)}",
        f"--cpus-per-task={plan.cpus}",
        *([f"--gpus-per-task={plan.gpus:g}"] if plan.gpus else []),
        "--output=/dev/null",
    ]
    lines = "".join(f"#SBATCH {option}\n" for option in options)
    scripts = shlex.quote(f"{folder.path}/{plan.name}-")
    return f'#!/bin/sh\n{lines}exec sh {scripts}"$SLURM_ARRAY_TASK_ID".sh\n'


def _sbatch(options: Sequence[str], script: Path) -> str:
    return _call(["sbatch", "--parsable", *options, str(script)]).strip().partition(";")[0]


def _call(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{command[0]}: is not on the PATH; SLURM's login node has it") from None
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise UserError(f"{command[0]}: {in_a_line(reason.removeprefix(f'{command[0]}: '))}")
    return done.stdout


def _jobs(folder: SweepFolder) -> list[str]:
    try:
        return (folder.path / JOBS).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []


def _queued(folder: SweepFolder) -> set[str]:
    """The points that wait or run, as SLURM says; where there is no `squeue`, those that have begun and not ended."""
    jobs = _jobs(folder)
    if not jobs or not shutil.which("squeue"):
        return folder.running()
    # of jobs that have ended long ago SLURM knows nothing, and says so
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(jobs)}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return {f"{folder.name}-{each.rpartition('_')[2]}" for each in listed}


def main(name: str, point: str, cache: str) -> int:
    """Runs a point on a node; returns the exit code."""
    folder = SweepFolder(name)
    plan = folder.plan()
    job = folder.job(plan, next(each for each in plan.points if each.name == point))
    job = replace(job, cache=cache, log=str(folder.log(point)))
    folder.start(point, f"job {os.environ.get('SLURM_JOB_ID', '')}")

    def raw(place: Path) -> None:
        if (root() / "data/raw").is_dir():
            shutil.copytree(root() / "data/raw", place)

    failure, parcel = run_point(job, (folder.path / "commit.bundle").read_bytes, lambda _: None, raw)
    if not failure:
        part = folder.parcel(point).with_suffix(".part")
        shutil.copyfile(parcel, part)
        part.replace(folder.parcel(point))
        shutil.rmtree(work_folder() / job.repository / point)
    folder.end(point, failure)
    return int(bool(failure))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
