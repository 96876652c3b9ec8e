"""What is said of a sweep follows from its numbers."""

import itertools

import pytest

from genbalance.families.registry import known
from genbalance.reporting.findings import finding, level_range
from genbalance.reporting.sweep import Sweep, columns

FAMILIES = {"beta": known()["vae"], "lambda": known()["gan"]}
BETAS = (0.1, 1.0, 10.0)
LAMBDAS = (0.1, 0.5, 1.0, 4.0)


def sweep(key, values, seeds=1, **metrics):
    """Runs whose metrics are those given, a number a value or a list of one a seed, and 0.5 otherwise."""
    name = FAMILIES[key].name
    given = {metric: (0.5,) * len(values) for metric in columns(FAMILIES[key])}
    given |= {f"evaluate_{name}.{metric}": them for metric, them in metrics.items()}
    groups = {
        name: tuple(tuple(it) if isinstance(it, list) else (it,) * seeds for it in them) for name, them in given.items()
    }
    return Sweep(key, {}, values, (tuple(range(seeds)),) * len(values), groups, key)


def beta(rate, distortion, fd, **more):
    return sweep("beta", BETAS, rate=rate, distortion=distortion, fd_test=fd, **more)


FALLS, RISES, FLAT = (60.0, 20.0, 3.0), (70.0, 90.0, 150.0), (50.0, 51.0, 50.5)


@pytest.mark.parametrize(
    ("rate", "distortion", "answer"),
    [
        (FALLS, RISES, "A larger β stores less in the latents and reconstructs worse;"),
        (FALLS, FLAT, "A larger β stores less in the latents and reconstructs as well;"),
        (FALLS, FALLS, "A larger β stores less in the latents and reconstructs better;"),
        (RISES, FALLS, "A larger β stores more in the latents and reconstructs better;"),
        (FLAT, RISES, "A larger β stores as much in the latents and reconstructs worse;"),
        (FLAT, FLAT, "β hardly changes rate and distortion;"),
    ],
)
def test_rate_and_distortion_are_said_to_go_where_they_go(rate, distortion, answer):
    assert finding(beta(rate, distortion, FLAT), FAMILIES["beta"]).answer.startswith(answer)


@pytest.mark.parametrize(
    ("fd", "answer"),
    [
        ((16.0, 9.0, 43.0), "samples are best at β = 1."),
        ((4.0, 9.0, 43.0), "samples are best at the smallest, β = 0.1."),
        ((43.0, 9.0, 4.0), "samples are best at the largest, β = 10."),
        ((9.2, 9.0, 9.4), "the samples’ Fréchet distance hardly changes."),
        ((0.0, 0.0, 0.0), "the samples’ Fréchet distance hardly changes."),
    ],
)
def test_samples_are_said_to_be_best_where_they_are_best(fd, answer):
    assert finding(beta(FALLS, RISES, fd), FAMILIES["beta"]).answer.endswith(f"; {answer}")


def test_what_comes_and_goes_is_said_of_the_ends_alone():
    answer = finding(beta((60.0, 90.0, 3.0), RISES, FLAT), FAMILIES["beta"]).answer
    assert answer.startswith("β = 10, compared with 0.1, stores less in the latents and reconstructs worse;")


def test_the_numbers_behind_the_answer_are_given():
    assert finding(beta(FALLS, RISES, (16.04, 9.36, 43.06)), FAMILIES["beta"]).numbers == (
        "From β = 0.1 to 10 the rate falls from 60 to 3 and the distortion rises from 70 to 150 nats per image. "
        "The samples’ Fréchet distance is 16.0 at β = 0.1, 9.36 at β = 1 and 43.1 at β = 10. One seed each."
    )


def test_over_seeds_values_within_a_standard_deviation_are_a_range():
    close = sweep("beta", BETAS, 2, rate=FALLS, distortion=RISES, fd_test=([20.0, 21.0], [9.0, 10.0], [9.2, 10.6]))
    assert finding(close, FAMILIES["beta"]).answer.endswith("samples are best from β = 1 to 10.")
    assert finding(close, FAMILIES["beta"]).numbers.endswith("Means over 2 seeds.")


def weight(*fd, right=(0.5, 0.5), values=LAMBDAS, seeds=1):
    """``right``: D's accuracy, held out and generated, at every value."""
    held_out, generated = right
    both = {"d_accuracy_test": (held_out,) * len(values), "d_accuracy_generated": (generated,) * len(values)}
    return sweep("lambda", values, seeds, fd_test=fd, **both)


NEAR = [2.0, 2.4], [2.1, 2.5]


@pytest.mark.parametrize(
    ("right", "why"), [((0.97, 1.0), "D outpaces G and "), ((0.5, 0.6), "G outpaces D and "), ((0.9, 0.6), "")]
)
def test_where_training_fails_is_said_with_the_faster_network_where_d_s_accuracy_shows_it(right, why):
    found = finding(weight([90.0, 100.0], [19.0, 21.0], *NEAR, right=right, seeds=2), FAMILIES["lambda"])
    assert found.answer == f"From λ = 1 to 4 the GAN trains equally well; at λ = 0.5 and below, {why}training fails."
    assert "the Fréchet distance is 2.20 to 2.30, within a standard deviation over the seeds." in found.numbers
    assert "It is 20 at λ = 0.5 and 95 at λ = 0.1, where D is right on" in found.numbers


@pytest.mark.parametrize(
    ("fd", "answer"),
    [
        (([5.0, 5.1], [4.0, 4.1], *NEAR), "From λ = 1 to 4 the GAN trains equally well; below, samples are worse."),
        ((*NEAR, [4.0, 4.1], [5.0, 5.1]), "From λ = 0.1 to 0.5 the GAN trains equally well; above, samples are worse."),
        (
            (*NEAR, [4.0, 4.1], [50.0, 51.0]),
            "From λ = 0.1 to 0.5 the GAN trains equally well; at λ = 4, G outpaces D and training fails.",
        ),
        ((*NEAR, *NEAR), "From λ = 0.1 to 4 λ makes no difference."),
    ],
)
def test_each_end_is_described_for_itself(fd, answer):
    assert finding(weight(*fd, seeds=2), FAMILIES["lambda"]).answer == answer


@pytest.mark.parametrize(
    ("fd", "answer"),
    [
        ((5.0, 4.0, 2.0, 3.0), "The GAN is best at λ = 1; below, samples are worse; above, samples are worse."),
        ((2.7, 2.4, 2.0, 2.1), "From λ = 0.5 to 4 the GAN trains equally well; below, samples are worse."),
        ((2.4, 2.0, 2.1, 2.0), "From λ = 0.1 to 4 λ makes no difference."),
    ],
)
def test_with_one_seed_what_two_seeds_may_differ_by_is_called_equal(fd, answer):
    assert finding(weight(*fd), FAMILIES["lambda"]).answer == answer
    assert "standard deviation" not in finding(weight(*fd), FAMILIES["lambda"]).numbers


def test_the_level_range_ends_where_a_value_leaves_it():
    """A value beyond one that stands out is not in the range, be it level again."""
    groups = [[2.1, 2.5], [9.0, 9.1], [2.1, 2.3], [2.0, 2.5]]
    assert level_range(weight(*groups, seeds=2), "evaluate_gan.fd_test") == (2, 3)
    for order in itertools.permutations(groups):
        low, high = level_range(weight(*order, seeds=2), "evaluate_gan.fd_test")
        means = [sum(group) / 2 for group in order]
        assert low <= means.index(min(means)) <= high
        assert max(means[low : high + 1]) < 3
