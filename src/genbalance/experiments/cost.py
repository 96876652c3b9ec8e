"""What the results of commits cost, in Wh and g CO₂, by the MLflow runs that made them: `genbalance cost`, and the part
of a comparison's page that says it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from genbalance.experiments.compare import Comparison, Group
from genbalance.experiments.dvc_lock import Stages, hashes, is_off, lock_of
from genbalance.experiments.runs import Run, find_commits, read_run
from genbalance.families.registry import LIKELIHOOD, known
from genbalance.params import PARAMS_FILE, read_params
from genbalance.reporting.comparison_page import CostRow, CostTable
from genbalance.reporting.spread import NONE
from genbalance.reporting.text import aligned, letters, mean_sd, number
from genbalance.runtime.errors import UserError
from genbalance.tracking.address import store_address
from genbalance.tracking.energy import CO2, WH
from genbalance.tracking.lineage import StageRun, key_of, runs_behind
from genbalance.tracking.store import Store, reach

BOUND = "nelbo"  # of metrics/evaluate_NAME.json: −ELBO in nats per image
MEASURED = "Mean ± standard deviation over seeds, of the MLflow runs that made these results"
ABSENT = f"{NONE}: this MLflow store has no run that measured it"
PER_NAT = "Wh per nat: what the training takes more than that of a, for each nat by which its bound is better"


@dataclass(frozen=True)
class Cost:
    """What the stages of a commit cost.

    Attributes:
        runs: by stage, with ``@`` as ``_``, the run that made its outs and measured it; None where there is none.
        drawn: how many samples a stage draws, by stage.
    """

    runs: Mapping[str, StageRun | None]
    drawn: Mapping[str, float]

    def of(self, stage: str, name: str = WH) -> float | None:
        """Of one stage, in Wh or g CO₂; None where that is not known."""
        run = self.runs.get(stage)
        return run.cost.get(name) if run else None

    def whole(self, name: str = WH) -> float | None:
        """Of all stages; None where one is not known."""
        values = [self.of(stage, name) for stage in self.runs]
        found = [value for value in values if value is not None]
        return sum(found) if found and len(found) == len(values) else None

    def per_thousand(self, stage: str) -> float | None:
        """Wh of a stage for 1,000 samples that it draws and measures."""
        value, drawn = self.of(stage), self.drawn.get(stage)
        return value * 1000 / drawn if value is not None and drawn else None

    @property
    def counted(self) -> list[str]:
        """What is in it, in words, each once."""
        return list(dict.fromkeys(run.counted for run in self.runs.values() if run and run.counted))


def cost(revision: str) -> str:
    """A line for each stage of a commit, their sum, and what is counted.

    Raises:
        UserError: the revision stands for no commit or several, it has no dvc.lock or metrics, or the store cannot be
            used.
    """
    commits = find_commits(revision)
    if len(commits) > 1:
        raise UserError(f"{revision}: stands for {len(commits)} commits; allowed: one")
    run = read_run(revision, next(iter(commits)))
    stages = lock_of(run.commit, revision)
    found = _Finder(reach(read_params().tracking.experiment, change=False)).of(run, stages)
    rows: list[tuple[str, ...]] = [("stage", "Wh", "g CO₂", "Wh per 1,000 samples", "run")]
    for stage, made in found.runs.items():
        numbers = (found.of(stage), found.of(stage, CO2), found.per_thousand(stage))
        rows.append((stage, *map(_text, numbers), made.run_id if made else NONE))
    rows.append(("all", _text(found.whole()), _text(found.whole(CO2)), "", ""))
    notes = [ABSENT] if None in found.runs.values() else []
    return "\n".join([aligned(rows), "", *found.counted, *notes])


def cost_table(comparison: Comparison) -> CostTable | None:
    """What the groups of a comparison cost; None where no run in the store says it, or there is no store."""
    address = store_address()
    if not PARAMS_FILE.exists() or (address.file and not address.file.exists()):
        return None
    try:
        finder = _Finder(reach(read_params().tracking.experiment, change=False))
        costs = {run.commit: finder.of(run, _lock(run)) for group in comparison.groups for run in group.runs}
    except UserError as error:  # the comparison itself needs no store
        return CostTable((), (f"Not known: {error}",))
    if not any(run for each in costs.values() for run in each.runs.values()):
        return None
    groups = [(group, [costs[run.commit] for run in group.runs]) for group in comparison.groups]
    counted: dict[str, list[str]] = {}
    for letter, (_, of) in zip(letters(), groups, strict=False):
        for text in dict.fromkeys(text for each in of for text in each.counted):
            counted.setdefault(text, []).append(letter)
    every = len(groups)
    words = [text if len(of) == every else f"{', '.join(of)}: {text}" for text, of in counted.items()]
    return CostTable(tuple(_rows(groups)), (f"{MEASURED}. {ABSENT}. {PER_NAT}.", *words))


def _rows(groups: Sequence[tuple[Group, Sequence[Cost]]]) -> Iterator[CostRow]:
    stages = list(dict.fromkeys(stage for _, costs in groups for each in costs for stage in each.runs))
    for stage in stages:
        yield CostRow(stage, "Wh", [_mean(each.of(stage) for each in costs) for _, costs in groups])
    yield CostRow("all stages", "Wh", [_mean(each.whole() for each in costs) for _, costs in groups])
    yield CostRow("all stages", "g CO₂", [_mean(each.whole(CO2) for each in costs) for _, costs in groups])
    for stage in stages:
        if any(stage in each.drawn for _, costs in groups for each in costs):
            unit = "Wh per 1,000 samples drawn and measured"
            yield CostRow(stage, unit, [_mean(each.per_thousand(stage) for each in costs) for _, costs in groups])
    for family in known().values():
        training, bound = f"train_{family.name}", f"evaluate_{family.name}.{BOUND}"
        if LIKELIHOOD in family.parts and training in stages:
            nats = [mean(group.values(bound)) if group.values(bound) else None for group, _ in groups]
            wh = [_known(each.of(training) for each in costs) for _, costs in groups]
            yield CostRow(bound, "nats per image", [NONE if n is None else f"{n:.4g}" for n in nats])
            yield CostRow(training, "more Wh per nat gained over a", ["reference", *_per_nat(wh, nats)])


def _per_nat(wh: Sequence[Sequence[float]], nats: Sequence[float | None]) -> Iterator[str]:
    """Of each group but the first: its training's Wh more than the first's, by the nats that its bound is lower."""
    for own, bound in zip(wh[1:], nats[1:], strict=True):
        gained = nats[0] - bound if nats[0] is not None and bound is not None else 0.0
        yield _text((mean(own) - mean(wh[0])) / gained if own and wh[0] and gained > 0 else None)


def _lock(run: Run) -> Stages:
    """The entries of the dvc.lock of a run's commit; none where it has no such file."""
    try:
        return lock_of(run.commit, run.name)
    except UserError:
        return {}


class _Finder:
    """Finds what commits cost in a store; stages that several of them share are looked for once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, StageRun | None] = {}

    def of(self, run: Run, stages: Stages) -> Cost:
        """Of a run with these entries in its dvc.lock.

        Raises:
            UserError: the store refused.
        """
        runs = {name.replace("@", "_"): self._measured(entry) for name, entry in stages.items() if not is_off(entry)}
        return Cost(runs, {stage: run.metrics[f"{stage}.n"] for stage in runs if f"{stage}.n" in run.metrics})

    def _measured(self, entry: Mapping[str, Any]) -> StageRun | None:
        """The newest run that measured what it cost, with the commit's own inputs if there is one."""
        key = f"{key_of(entry)} {sorted(hashes(entry['outs']).items())}"
        if key not in self._found:
            known = (run for run in runs_behind(self._store, entry) if run.cost)
            self._found[key] = min(known, key=lambda run: not run.same_inputs, default=None)
        return self._found[key]


def _known(values: Iterator[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterator[float | None]) -> str:
    found = _known(values)
    return mean_sd(found) if found else NONE


def _text(value: float | None) -> str:
    return NONE if value is None else number(value)
