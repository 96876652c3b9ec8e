"""The evaluation of 10,000 samples: seconds and memory of the whole suite, and its parts against the libraries'.

Run as `python -m benchmarks.evaluation`; needs no data.
"""

import resource
from dataclasses import asdict, replace
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks import features
from benchmarks.matches import Match, matches
from benchmarks.memory import peak_mib
from benchmarks.pairs import Spread, in_turn, seconds
from benchmarks.results import record, table
from genbalance.evaluation.suite import EvaluationSuite
from genbalance.params import EvaluateConfig, read_params
from genbalance.runtime.device import set_up

N = 10_000
PAIRS = 5
REPEATS = 3  # of the suite


def suite(n: int, config: EvaluateConfig, seed: int, repeats: int) -> dict[str, Any]:
    """Seconds of every metric of n samples, real images' included, and the process's peak memory in MiB."""
    real, generated = features.real(n, seed), features.reading(n, seed, "generated", features.GENERATED)
    before = _peak()
    # a copy has none of the real side's numbers cached
    took = [seconds(lambda: EvaluationSuite(replace(real), config, seed).measure(generated)) for _ in range(repeats)]
    return {"n": n, "seconds": asdict(Spread.of(took)), "peak_mib": _peak(), "peak_before_mib": before}


def _peak() -> float:
    return peak_mib(resource.getrusage(resource.RUSAGE_SELF))


def measured(match: Match, pairs: int, threads: int) -> dict[str, Any]:
    """Seconds of both, the ratio, and the largest difference. The library's NumPy has its threads: ours gets one."""

    def theirs() -> float:
        with threadpool_limits(threads, "blas"):
            return seconds(match.theirs)

    taken = in_turn(lambda: seconds(match.ours), theirs, pairs)
    return {
        "metric": match.name,
        "library": match.library,
        "ours_s": asdict(Spread.of(taken.ours)),
        "library_s": asdict(Spread.of(taken.reference)),
        "ratio": asdict(taken.speedup),
        "largest_relative_difference": match.difference(),
    }


def main() -> None:
    """Measures the suite before any library can raise the peak, then the pairs; prints, records."""
    params = read_params()
    set_up(params.compute, params.seed, "bench")
    threads = params.compute.threads
    config = params.evaluate.model_copy(update={"samples": N})
    whole = suite(N, config, params.seed, REPEATS)
    print(f"evaluation of {N} samples against {N} real images, d = {features.DIMENSIONS}, {threads} threads")
    print(f"the whole suite: {Spread(**whole['seconds']):.1f} s over {REPEATS} calls")
    print(f"resident memory: at most {whole['peak_mib']:.0f} MiB, {whole['peak_before_mib']:.0f} MiB before it")
    found = [measured(match, PAIRS, threads) for match in matches(N, config, params.seed)]
    rows = [["metric", "library", "ours, s", "library's, s", "ratio", "largest difference"]]
    for match in found:
        spreads = [Spread(**match[name]) for name in ("ours_s", "library_s", "ratio")]
        rows.append(
            [
                match["metric"],
                match["library"],
                *(f"{spread:.3f}" for spread in spreads[:2]),
                f"{spreads[2]:.2f}",
                f"{match['largest_relative_difference']:.0e}",
            ]
        )
    print(table(rows))
    record("evaluation", {"suite": whole, "compared": found})


if __name__ == "__main__":
    main()
