"""The text above and below a comparison's table: what is compared, how, and how differences are judged."""

from collections.abc import Sequence
from itertools import islice

from genbalance.commands.compare import LEVEL, Comparison, Contrast
from genbalance.commands.groups import Group
from genbalance.reporting.text import letters

LEFT_OUT = "Left out, since some run measured them with other params or has no finite value:"
MACHINES = (
    "The runs come from different kinds of machine, so a difference may come from the machine and not from the params. "
    "`make baseline` commits this machine's own results to compare with."
)
JUDGE = ("data.", "classifier.")  # what decides the digits and the network that the samples are read by
YARDSTICK = (*JUDGE, "evaluate.")  # what measures the samples, and not what is measured


def groups(comparison: Comparison) -> list[str]:
    """A line for each group: its letter, its name, its seeds and its runs."""
    return [_group(letter, group) for letter, group in zip(letters(), comparison.groups, strict=False)]


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know before reading the numbers: what else differs, and how groups are held together."""
    lines = [] if comparison.params else ["params that differ: none"]
    if comparison.code:
        lines.append(f"The code differs between runs ({', '.join(comparison.code)}): a difference may come from that.")
    if comparison.machines:
        lines.append(MACHINES)
        lines += [
            f"  {letter}: {' and '.join(machine or 'not recorded' for machine in machines)}"
            for letter, machines in zip(letters(), comparison.machines.values(), strict=False)
        ]
    if measures := [key for key in comparison.params if key.startswith(YARDSTICK)]:
        lines.append(f"Params of the measurement differ ({', '.join(measures)}): metrics may not be comparable.")
    return [*lines, *_methods(comparison)]


def _methods(comparison: Comparison) -> list[str]:
    found: dict[str, list[str]] = {}
    for letter, contrast in zip(islice(letters(), 1, None), comparison.contrasts, strict=False):
        found.setdefault(_method(comparison, contrast), []).append(letter)
    return [text if len(found) == 1 else f"{', '.join(who)}: {text}" for text, who in found.items()]


def _method(comparison: Comparison, contrast: Contrast) -> str:
    if min(len(comparison.first.runs), len(contrast.group.runs)) == 1:
        return "One side has one seed, so its variation over seeds is unknown and no difference can be judged."
    if contrast.paired:
        fixed = "" if any(key.startswith(JUDGE) for key in comparison.params) else ", with equal split and classifier"
        return f"Paired by seed{fixed}: Student's t interval of the differences."
    return "Not paired, since the seeds are not the same: Welch's t interval of the difference of the means."


def foot(comparison: Comparison) -> list[str]:
    """How verdicts come about, and which metrics have none."""
    parts = []
    several = len(comparison.contrasts) > 1
    if comparison.judged:
        of = f"metrics × groups, each against a ({comparison.first.name})" if several else "metrics"
        correction = f"Verdicts: Holm's correction over {comparison.judged} {of}, family level {LEVEL}"
        parts.append(f"{correction}{'' if several else '; intervals: each alone'}.")
    if comparison.same:
        where = "in all groups" if several else "on both sides"
        parts.append("\n".join([f"The same {where}, so not judged:", *by_file(comparison.same)]))
    if comparison.left_out:
        parts.append("\n".join([LEFT_OUT, *by_file(comparison.left_out)]))
    return parts


def by_file(names: Sequence[str]) -> list[str]:
    """Metrics by the file in metrics/ that has them, a line for each file."""
    files: dict[str, list[str]] = {}
    for file, _, key in (name.partition(".") for name in names):
        files.setdefault(file, []).append(key)
    return [f"  {file}: {', '.join(keys)}" for file, keys in files.items()]


def _group(letter: str, group: Group) -> str:
    return f"{letter}: {seeds_and_runs(group)}"


def seeds_and_runs(group: Group) -> str:
    """The group's name, its seeds, its runs with their commits."""
    runs = ", ".join(f"{run.name} ({run.commit[:8]})" for run in group.runs)
    seeds = f"seed{'s' * (len(group.runs) > 1)} {', '.join(map(str, group.seeds))}"
    return f"{group.name}, {seeds}: {runs}"
