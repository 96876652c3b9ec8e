"""What `genbalance tune` gains over random search with the same budget: the best value after so many trials, over
repeats.

A repeat is two studies of the same seed, so that the first ten trials, which are random in both, are the same ones: DVC
restores those of the second from its cache. Run as `python -m benchmarks.tuning`: it prints the command of each study
that lacks trials, and the table of the repeats that are whole. A command that was interrupted goes on when it is given
again.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import mean, stdev
from typing import Any

from benchmarks.results import record, table
from genbalance.experiments.tune import Trial, read_study
from genbalance.reporting.sweep import half_interval
from genbalance.runtime.errors import UserError

SAMPLERS = ("tpe", "random")
REPEATS = 5
TRIALS = 20
AFTER = (1, 5, 10, 12, 15, 20)  # trials
METRIC = "train_vae.val_loss"
TARGETS = ("train_vae",)
SPACE = (
    *("vae.learning_rate=0.0001..0.05", "vae.batch_size=16..512", "vae.lr_decay=0..1"),
    *("vae.width=16..512", "vae.latents=2..64"),
)
FIXED = ("compute.threads=1", "vae.arch=mlp", "vae.prior=normal", "vae.epochs=10")

Values = Mapping[str, Sequence[Sequence[float]]]
"""By sampler, for each repeat the best value after one trial, two trials …"""


def command(sampler: str, seed: int) -> str:
    """The shell command that runs a study, or what is missing of it."""
    settings = " ".join(f"-S {setting}" for setting in (*SPACE, *FIXED))
    options = f"--metric {METRIC} --trials {TRIALS} --sampler {sampler} --seed {seed}"
    return f"genbalance tune -n {sampler}-{seed} {settings} {options} {' '.join(TARGETS)}"


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    """The least value of the first trial, of the first two …; infinity where none of them has ended well."""
    return list(accumulate((trial.values[0] if trial.values else float("inf") for trial in trials), min))


def as_text(values: Values) -> str:
    """Mean ± standard deviation over the repeats after so many trials, and the difference of the samplers with its 95%
    interval, repeat by repeat."""
    first, second = values
    rows = [["after", first, second, f"{first} less {second}, 95% interval"]]
    for count in AFTER:
        found = {sampler: [repeat[count - 1] for repeat in repeats] for sampler, repeats in values.items()}
        differences = [a - b for a, b in zip(found[first], found[second], strict=True)]
        spread = f" ± {half_interval(differences):.3g}" if len(differences) > 1 else ""
        rows.append([f"{count} trials", *map(_mean_sd, found.values()), f"{mean(differences):+.3g}{spread}"])
    return table(rows)


def _mean_sd(values: Sequence[float]) -> str:
    return f"{mean(values):.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def main() -> None:
    """Reads the studies, prints, records."""
    values: dict[str, list[list[float]]] = {sampler: [] for sampler in SAMPLERS}
    for seed in range(1, REPEATS + 1):
        repeat: dict[str, list[float]] = {}
        for sampler in SAMPLERS:
            try:
                _, trials = read_study(f"{sampler}-{seed}")
            except UserError:
                trials = []
            if len(trials) < TRIALS:
                print(command(sampler, seed))
            elif trials[0].values is None:
                raise UserError(f"{trials[0].name} failed, so that there is no best value after one trial")
            else:
                repeat[sampler] = best_so_far(trials[:TRIALS])
        if len(repeat) == len(SAMPLERS):
            for sampler, found in repeat.items():
                values[sampler].append(found)
    repeats = len(values[SAMPLERS[0]])
    if repeats:
        print(f"\n{METRIC}, the best so far; {repeats} repeats")
        print(as_text(values))
        measured: dict[str, Any] = {"metric": METRIC, "trials": TRIALS, "repeats": repeats, "best_so_far": values}
        record("tuning", measured)


if __name__ == "__main__":
    main()
