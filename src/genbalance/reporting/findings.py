"""What a sweep measured, in sentences: no more is said than its numbers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, stdev

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family
from genbalance.reporting.results import Results
from genbalance.reporting.sweep import Sweep, best_scores
from genbalance.reporting.text import listed, number, share

FLAT = 0.1  # relative to the larger of two numbers: a lesser difference is not mentioned
SEEDS_APART = 0.25  # of the least: what seeds alone do to a Fréchet distance (docs/results.md: one SD is 15% to 17%)
FAILS = 5.0  # times the least Fréchet distance: from here on a training has failed
APART = 0.005  # MMD² between codes and prior: below it, the part of the prior that no code reaches is not seen
WINS, LOSES = 0.9, 0.6  # mean accuracy of D on real and generated images: it separates them, or hardly does


@dataclass(frozen=True)
class Finding:
    """The ``answer`` in a sentence, and the numbers behind it."""

    answer: str
    numbers: str


def finding(sweep: Sweep, family: Family) -> Finding:
    """What the sweep's parameter does to a family: to its rate and distortion, or to the quality of its samples and, if
    it has a discriminator, to the balance of the two networks."""
    return (_trade if LIKELIHOOD in family.parts else _quality)(sweep, family)


def level_range(sweep: Sweep, metric: str) -> tuple[int, int]:
    """The first and last place of the values around the least mean whose means lie within a standard deviation over
    seeds of it, the larger one of the two; where a value has one seed, within :data:`SEEDS_APART`."""
    means = sweep.means(metric)
    groups = sweep.metrics[metric]
    best = means.index(min(means))

    def level(place: int) -> bool:
        both = (groups[place], groups[best])
        known = all(len(group) > 1 for group in both)
        return means[place] - means[best] <= (max(map(stdev, both)) if known else SEEDS_APART * means[best])

    low = high = best
    while low > 0 and level(low - 1):
        low -= 1
    while high + 1 < len(means) and level(high + 1):
        high += 1
    return low, high


def holes(results: Results, family: Family) -> str:
    """What is said of holes in the latent space: nothing unless codes of test images lie apart from the prior, and the
    samples reach fewer real images than real ones do."""
    distance, floor, reached, real = (
        results.number(f"evaluate_{family.name}", key)
        for key in ("prior_discrepancy", "prior_discrepancy_floor", "coverage", "coverage_real")
    )
    if distance - floor < APART or reached >= (1 - FLAT) * real:
        return ""
    return (
        "The latent space has holes: the codes of test images lie apart from the prior that samples are drawn from "
        f"(MMD² {number(distance, 3)}; two draws of the prior: {number(floor, 3)}), and coverage of the samples is "
        f"{share(reached)}, where real images have {share(real)}."
    )


def _trade(sweep: Sweep, family: Family) -> Finding:
    rate, distortion, fd = (sweep.means(f"evaluate_{family.name}.{key}") for key in ("rate", "distortion", "fd_test"))
    symbol, ends = sweep.symbol, f"{_value(sweep, 0)} to {_value(sweep, -1)}"
    stores = {
        "falls": "stores less in the latents",
        "rises": "stores more in the latents",
        "": "stores as much in the latents",
    }
    rebuilds = {"falls": "reconstructs better", "rises": "reconstructs worse", "": "reconstructs as well"}
    rates, distorts = _trend(rate), _trend(distortion)
    steady = _is_steady(rate) and _is_steady(distortion)
    change = f"A larger {symbol}" if steady else f"{symbol} = {_value(sweep, -1)}, compared with {_value(sweep, 0)},"
    if rates or distorts:
        answer = f"{change} {stores[rates]} and {rebuilds[distorts]}"
    else:
        answer = f"{symbol} hardly changes rate and distortion"
    low, high = level_range(sweep, f"evaluate_{family.name}.fd_test")
    last = len(fd) - 1
    if (low, high) == (0, last) or _is_flat(fd):
        samples = "the samples’ Fréchet distance hardly changes"
    elif high == 0:
        samples = f"samples are best at the smallest, {symbol} = {_value(sweep, 0)}"
    elif low == last:
        samples = f"samples are best at the largest, {symbol} = {_value(sweep, -1)}"
    elif low == high:
        samples = f"samples are best at {symbol} = {_value(sweep, low)}"
    else:
        samples = f"samples are best from {symbol} = {_value(sweep, low)} to {_value(sweep, high)}"
    numbers = [
        f"From {symbol} = {ends} the rate {_goes(rate)} and the distortion {_goes(distortion)} nats per image.",
        f"The samples’ Fréchet distance is {_listed(sweep, fd, {0, fd.index(min(fd)), last})}.",
    ]
    return Finding(f"{answer}; {samples}.", _together(sweep, family, numbers))


def _quality(sweep: Sweep, family: Family) -> Finding:
    metric = f"evaluate_{family.name}.fd_test"
    fd = sweep.means(metric)
    low, high = level_range(sweep, metric)
    symbol, last = sweep.symbol, len(fd) - 1
    even = (low, high) == (0, last) or _is_flat(fd)
    seeds = all(len(group) > 1 for group in sweep.metrics[metric])
    known = "within a standard deviation over the seeds" if seeds else "no more apart than two seeds may be"
    if even:
        low, high = 0, last
    level = f"From {symbol} = {_value(sweep, low)} to {_value(sweep, high)}"
    least, most = (number(end(fd[low : high + 1]), 3) for end in (min, max))
    if low < high:
        answer = f"{level} {symbol} makes no difference" if even else f"{level} the {family.title} trains equally well"
        numbers = [f"{level} the Fréchet distance is {least} to {most}, {known}."]
    else:
        answer = f"The {family.title} is best at {symbol} = {_value(sweep, low)}"
        numbers = [f"The Fréchet distance is {least} at {symbol} = {_value(sweep, low)}."]
    for side, edge in ((range(low - 1, -1, -1), low), (range(high + 1, last + 1), high)):
        if side:
            answer += f"; {_outside(sweep, family, fd, side)}"
            numbers.append(f"It is {_listed(sweep, fd, {side[0], side[-1]}, edge)}, {_there(sweep, family, side[-1])}.")
    if ENCODER in family.parts:
        numbers.append(f"The rate {_goes(sweep.means(f'evaluate_{family.name}.rate'))} nats per image.")
    return Finding(f"{answer}.", _together(sweep, family, numbers))


def _together(sweep: Sweep, family: Family, numbers: Sequence[str]) -> str:
    """The sentences, what was measured of known factors, and how many seeds there are."""
    return " ".join(filter(None, [*numbers, best_scores(sweep, family), _seeds(sweep)]))


def _there(sweep: Sweep, family: Family, place: int) -> str:
    """D's accuracies and the recall at a value."""
    shares = {
        key: share(sweep.means(f"evaluate_{family.name}.{key}")[place])
        for key in ("recall", *(("d_accuracy_test", "d_accuracy_generated") if DISCRIMINATOR in family.parts else ()))
    }
    if DISCRIMINATOR not in family.parts:
        return f"where recall is {shares['recall']}"
    return (
        f"where D is right on {shares['d_accuracy_test']} of the test and {shares['d_accuracy_generated']} of the "
        f"generated images, and recall is {shares['recall']}"
    )


def _outside(sweep: Sweep, family: Family, fd: Sequence[float], side: range) -> str:
    """What happens at the values on one side of the level range, the nearest first."""
    ward = "above" if side.step > 0 else "below"
    failed = [place for place in side if fd[place] >= FAILS * min(fd)]
    if not failed:
        return f"{ward}, samples are worse"
    why = ""
    if DISCRIMINATOR in family.parts:
        accuracy = mean(
            sweep.means(f"evaluate_{family.name}.d_accuracy_{of}")[failed[-1]] for of in ("test", "generated")
        )
        why = "D outpaces G and " if accuracy >= WINS else "G outpaces D and " if accuracy <= LOSES else ""
    also = f" and {ward}" if failed == list(side[-len(failed) :]) and len(failed) > 1 else ""
    return f"at {sweep.symbol} = {_value(sweep, failed[0])}{also}, {why}training fails"


def _is_flat(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= FLAT * max(map(abs, values))


def _is_steady(values: Sequence[float]) -> bool:
    """Whether they go one way only, but for steps back of less than :data:`FLAT` of their range, or hardly move."""
    back = FLAT * (max(values) - min(values))
    steps = [after - before for before, after in pairwise(values)]
    return _is_flat(values) or all(step >= -back for step in steps) or all(step <= back for step in steps)


def _trend(values: Sequence[float]) -> str:
    first, last = values[0], values[-1]
    if abs(last - first) <= FLAT * max(abs(first), abs(last)):
        return ""
    return "falls" if last < first else "rises"


def _goes(values: Sequence[float]) -> str:
    first, last = number(values[0], 3), number(values[-1], 3)
    return f"{_trend(values) or 'goes'} from {first} to {last}"


def _listed(sweep: Sweep, values: Sequence[float], places: set[int], near: int = 0) -> str:
    """Numbers with where they were measured, from the place ``near`` on outwards."""
    return listed(
        f"{number(values[place], 3)} at {sweep.symbol} = {_value(sweep, place)}"
        for place in sorted(places, key=lambda place: abs(place - near))
    )


def _seeds(sweep: Sweep) -> str:
    counts = {len(seeds) for seeds in sweep.seeds}
    return "One seed each." if counts == {1} else f"Means over {' to '.join(map(str, sorted(counts)))} seeds."


def _value(sweep: Sweep, place: int) -> str:
    return number(sweep.values[place])
