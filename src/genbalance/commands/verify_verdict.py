"""What a fresh run of a commit says about the commit: identical bytes, or which metrics moved and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from genbalance.commands.verify_state import Stage

IDENTICAL, WITHIN, BEYOND = "identical", "within tolerance", "beyond tolerance"
NOT_RUN, NOT_TOLD = "did not run", "is not in the commit's dvc.lock"
WIDTHS, SHARE, LEAST, DEVIATIONS = 2.0, 0.5, 0.05, 4.0  # measured: docs/reproducibility.md
AS = {"fd_infinity": "fd_test", "fd_infinity_floor": "fd_test"}  # extrapolations, at most as sure as what they are of
Z_VALUES = ("copying_z", "copying_z_real")  # about zero, with the standard deviation 1 where there is nothing to find
TOLERANCE = (
    f"{WIDTHS:g} times the width of the metric's 95% interval here (ci95); where there is none, "
    f"{LEAST:g} + {SHARE:.0%} of the larger of both numbers, and {DEVIATIONS:g} for z values"
)


@dataclass(frozen=True)
class Moved:
    """A number or text of the metrics that is not the same: in the commit, and here; None where it is not there.

    ``tolerance`` is None for what no tolerance is for: texts, and what one side lacks.
    """

    name: str
    was: Any
    now: Any
    tolerance: float | None

    @property
    def difference(self) -> float | None:
        """Of two numbers."""
        return None if self.tolerance is None else float(self.now) - float(self.was)

    @property
    def within(self) -> bool:
        """Whether it moved no more than another kind of machine may move it."""
        return self.share <= 1

    @property
    def share(self) -> float:
        """How far it moved, in tolerances."""
        if self.tolerance is None or self.difference is None:
            return float("inf")
        return abs(self.difference) / self.tolerance


@dataclass(frozen=True)
class StageVerdict:
    """One stage.

    Attributes:
        outs: how many both sides have.
        differing: the outs without equal hashes, each with that of the commit and that of the run; "" where not there.
        moved: numbers and texts of its metrics, those that moved farthest first.
        inputs: what dvc.lock of the commit tells of deps, command and params that is not so in the commit itself: its
            outs were made by something else.
        word: IDENTICAL, WITHIN, BEYOND, NOT_RUN or NOT_TOLD.
    """

    outs: int
    differing: Mapping[str, tuple[str, str]]
    moved: tuple[Moved, ...]
    inputs: tuple[str, ...]
    word: str


@dataclass(frozen=True)
class Verdict:
    """All stages by name, and the kinds of machine that the metrics tell of, in the commit and here: one each."""

    stages: Mapping[str, StageVerdict]
    machines: tuple[str, ...]
    here: tuple[str, ...]

    @property
    def same_machine(self) -> bool | None:
        """Whether the commit was computed on this kind of machine; None where it does not tell."""
        return self.machines == self.here if self.machines and self.here else None

    @property
    def word(self) -> str:
        """The worst of the stages' words."""
        found = {stage.word for stage in self.stages.values()}
        return next((word for word in (NOT_RUN, NOT_TOLD, BEYOND, WITHIN) if word in found), IDENTICAL)

    @property
    def holds(self) -> bool:
        """Whether the commit keeps its promise: identical bytes on its kind of machine, else numbers in tolerance."""
        return self.word == IDENTICAL or (self.word == WITHIN and self.same_machine is False)


def compare(committed: Mapping[str, Stage], fresh: Mapping[str, Stage]) -> Verdict:
    """The verdict on what a commit tells, by what a fresh run of it left."""
    names = dict.fromkeys((*committed, *fresh))
    stages = {name: _stage(committed.get(name), fresh.get(name)) for name in names}
    return Verdict(stages, _machines(committed), _machines(fresh))


def tolerance(name: str, was: Any, now: Any, fresh: Mapping[str, Any]) -> float | None:
    """How far another kind of machine may move a metric; None for what no machine may change.

    Rounding in another order makes another draw of a training. Two draws differ by more than the intervals of their
    samples tell, hence twice their width; by how much is measured. The interval is that of the fresh run: a commit
    cannot widen what it is judged by.

    Args:
        name: dotted; the ends of an interval (``ci95.<metric>.low``) are judged as the metric itself.
        was: in the commit.
        now: in the fresh run.
        fresh: all metrics of the stage there.
    """
    if not (_is_number(was) and _is_number(now)):
        return None
    metric = name.removeprefix("ci95.").removesuffix(".low").removesuffix(".high") if "ci95." in name else name
    low, high = (fresh.get(f"ci95.{AS.get(metric, metric)}.{end}") for end in ("low", "high"))
    if _is_number(low) and _is_number(high) and high > low:
        return float(WIDTHS * (high - low))
    return DEVIATIONS if metric in Z_VALUES else LEAST + SHARE * max(abs(was), abs(now))


def _stage(committed: Stage | None, fresh: Stage | None) -> StageVerdict:
    was, now = (stage.outs if stage else {} for stage in (committed, fresh))
    differing = {p: (was.get(p, ""), now.get(p, "")) for p in dict.fromkeys((*was, *now)) if was.get(p) != now.get(p)}
    outs = len(was.keys() & now.keys())
    if committed is None or fresh is None:
        return StageVerdict(outs, differing, (), (), NOT_TOLD if committed is None else NOT_RUN)
    names = dict.fromkeys((*committed.metrics, *fresh.metrics))
    pairs = {name: (committed.metrics.get(name), fresh.metrics.get(name)) for name in names}
    moved = sorted(
        (Moved(name, a, b, tolerance(name, a, b, fresh.metrics)) for name, (a, b) in pairs.items() if a != b),
        key=lambda move: -move.share,
    )
    keys = dict.fromkeys((*committed.inputs, *fresh.inputs))
    inputs = tuple(key for key in keys if committed.inputs.get(key) != fresh.inputs.get(key))
    word = WITHIN if differing else IDENTICAL
    if any(not move.within for move in moved) or not all(all(hashes) for hashes in differing.values()):
        word = BEYOND
    return StageVerdict(outs, differing, tuple(moved), inputs, word)


def _machines(stages: Mapping[str, Stage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage.machine for stage in stages.values() if stage.machine))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
