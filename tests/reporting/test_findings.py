"""What is said of a sweep follows from its numbers."""

import itertools

import pytest

from genbalance.reporting.effects import effects
from genbalance.reporting.findings import finding, level_range
from genbalance.reporting.sweep import COLUMNS, Sweep
from genbalance.reporting.sweep_context import Context
from genbalance.reporting.sweep_curves import figure, glance

BETAS = (0.1, 1.0, 10.0)
LAMBDAS = (0.1, 0.5, 1.0, 4.0)


def sweep(key, values, seeds=1, **metrics):
    """Runs whose metrics are those given, a number a value or a list of one a seed, and 0.5 otherwise."""
    model = {"beta": "vae", "lambda": "gan"}[key]
    told = {name: (0.5,) * len(values) for name in COLUMNS[model]}
    told |= {f"evaluate_{model}.{name}": given for name, given in metrics.items()}
    groups = {
        name: tuple(tuple(it) if isinstance(it, list) else (it,) * seeds for it in given)
        for name, given in told.items()
    }
    return Sweep(key, {}, values, (tuple(range(seeds)),) * len(values), groups, key)


def beta(rate, distortion, fd, **more):
    return sweep("beta", BETAS, rate=rate, distortion=distortion, fd_test=fd, **more)


FALLS, RISES, FLAT = (60.0, 20.0, 3.0), (70.0, 90.0, 150.0), (50.0, 51.0, 50.5)


@pytest.mark.parametrize(
    ("rate", "distortion", "told"),
    [
        (FALLS, RISES, "A larger β stores less in the latents and reconstructs worse;"),
        (FALLS, FLAT, "A larger β stores less in the latents and reconstructs as well;"),
        (FALLS, FALLS, "A larger β stores less in the latents and reconstructs better;"),
        (RISES, FALLS, "A larger β stores more in the latents and reconstructs better;"),
        (FLAT, RISES, "A larger β stores as much in the latents and reconstructs worse;"),
        (FLAT, FLAT, "β hardly changes rate and distortion;"),
    ],
)
def test_rate_and_distortion_are_said_to_go_where_they_go(rate, distortion, told):
    assert finding(beta(rate, distortion, FLAT)).answer.startswith(told)


@pytest.mark.parametrize(
    ("fd", "told"),
    [
        ((16.0, 9.0, 43.0), "samples are best at β = 1."),
        ((4.0, 9.0, 43.0), "samples are best at the smallest, β = 0.1."),
        ((43.0, 9.0, 4.0), "samples are best at the largest, β = 10."),
        ((9.2, 9.0, 9.4), "the samples’ Fréchet distance hardly changes."),
        ((0.0, 0.0, 0.0), "the samples’ Fréchet distance hardly changes."),
    ],
)
def test_samples_are_said_to_be_best_where_they_are_best(fd, told):
    assert finding(beta(FALLS, RISES, fd)).answer.endswith(f"; {told}")


def test_what_comes_and_goes_is_told_of_the_ends_alone():
    told = finding(beta((60.0, 90.0, 3.0), RISES, FLAT)).answer
    assert told.startswith("β = 10, compared with 0.1, stores less in the latents and reconstructs worse;")


def test_the_numbers_behind_the_answer_are_told():
    assert finding(beta(FALLS, RISES, (16.04, 9.36, 43.06))).numbers == (
        "From β = 0.1 to 10 the rate falls from 60 to 3 and the distortion rises from 70 to 150 nats per image. "
        "The samples’ Fréchet distance is 16.0 at β = 0.1, 9.36 at β = 1 and 43.1 at β = 10. One seed each."
    )


def test_over_seeds_values_within_a_standard_deviation_are_told_as_a_range():
    close = sweep("beta", BETAS, 2, rate=FALLS, distortion=RISES, fd_test=([20.0, 21.0], [9.0, 10.0], [9.2, 10.6]))
    assert finding(close).answer.endswith("samples are best from β = 1 to 10.")
    assert finding(close).numbers.endswith("Means over 2 seeds.")


def weight(*fd, right=(0.5, 0.5), values=LAMBDAS, seeds=1):
    """``right``: D's accuracy, held out and generated, at every value."""
    held_out, generated = right
    both = {"d_accuracy_test": (held_out,) * len(values), "d_accuracy_generated": (generated,) * len(values)}
    return sweep("lambda", values, seeds, fd_test=fd, **both)


NEAR = [2.0, 2.4], [2.1, 2.5]


@pytest.mark.parametrize(
    ("right", "why"), [((0.97, 1.0), "D outpaces G and "), ((0.5, 0.6), "G outpaces D and "), ((0.9, 0.6), "")]
)
def test_where_training_fails_is_told_and_who_outpaces_whom_as_far_as_d_s_accuracy_tells(right, why):
    told = finding(weight([90.0, 100.0], [19.0, 21.0], *NEAR, right=right, seeds=2))
    assert told.answer == f"From λ = 1 to 4 the GAN trains equally well; at λ = 0.5 and below, {why}training fails."
    assert "the Fréchet distance is 2.20 to 2.30, within a standard deviation over the seeds." in told.numbers
    assert "It is 20 at λ = 0.5 and 95 at λ = 0.1, where D is right on" in told.numbers


@pytest.mark.parametrize(
    ("fd", "told"),
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
def test_each_end_is_told_for_itself(fd, told):
    assert finding(weight(*fd, seeds=2)).answer == told


@pytest.mark.parametrize(
    ("fd", "told"),
    [
        ((5.0, 4.0, 2.0, 3.0), "The GAN is best at λ = 1; below, samples are worse; above, samples are worse."),
        ((2.7, 2.4, 2.0, 2.1), "From λ = 0.5 to 4 the GAN trains equally well; below, samples are worse."),
        ((2.4, 2.0, 2.1, 2.0), "From λ = 0.1 to 4 λ makes no difference."),
    ],
)
def test_with_one_seed_what_two_seeds_may_differ_by_is_called_equal(fd, told):
    assert finding(weight(*fd)).answer == told
    assert "standard deviation" not in finding(weight(*fd)).numbers


def test_the_level_range_ends_where_a_value_leaves_it():
    """A value beyond one that stands out is not in the range, be it level again."""
    groups = [[2.1, 2.5], [9.0, 9.1], [2.1, 2.3], [2.0, 2.5]]
    assert level_range(weight(*groups, seeds=2), "evaluate_gan.fd_test") == (2, 3)
    for order in itertools.permutations(groups):
        low, high = level_range(weight(*order, seeds=2), "evaluate_gan.fd_test")
        means = [sum(group) / 2 for group in order]
        assert low <= means.index(min(means)) <= high
        assert max(means[low : high + 1]) < 3


def context(of, **otherwise):
    return Context(of, figure(of), glance(of, None), "", "", otherwise)


def test_of_several_sweeps_the_one_most_like_this_run_answers():
    far, near = beta(FALLS, RISES, FLAT), beta(RISES, FALLS, FLAT)
    shown = effects([context(far, **{"vae.epochs": "8"}), context(near)], {"beta": 1.0, "lambda": 1.0})
    assert [it.key for it in shown] == ["beta", "lambda"]
    assert shown[0].context.sweep is near
    assert shown[0].finding == finding(near)
    assert (shown[1].context, shown[1].finding, shown[1].pictures) == (None, None, {})


def test_a_sweep_of_one_value_answers_nothing():
    one = sweep("beta", (1.0,))
    assert effects([context(one)], {"beta": 1.0, "lambda": 1.0})[0].finding is None
