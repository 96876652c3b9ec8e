"""Federated training: each image has one client, no client sees another's, and the server has their weighted mean."""

import numpy as np
import pytest
import torch
from killed_run import Killed, Run
from torch import nn
from torch.optim import Adam

from genbalance.data.prepared import Prepared, Split
from genbalance.params import read_params
from genbalance.runtime.device import generator
from genbalance.runtime.errors import UserError
from genbalance.training import gan, vae
from genbalance.training.federated import Client, Division, Federation, averaged, divided, parameters_of

CPU = torch.device("cpu")
PARAMS = read_params()
OF_FEDERATION = {"clients", "rounds", "fewest_images", "most_images", "bytes_sent"}


def federated(clients, rounds=2, split="iid", concentration=0.5):
    update = {"clients": clients, "rounds": rounds, "split": split, "concentration": concentration}
    return PARAMS.federated.model_copy(update=update)


# ── shares ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("split", ["iid", "classes"])
@pytest.mark.parametrize("clients", [1, 2, 7])
def test_each_image_has_one_client(split, clients):
    labels = np.arange(211) % 10
    shares = divided(labels, federated(clients, split=split), 0, 2)
    assert len(shares) == clients
    assert sorted(np.concatenate(shares)) == list(range(211))
    assert all((np.diff(rows) > 0).all() for rows in shares)
    again = divided(labels, federated(clients, split=split), 0, 2)
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in shares]
    if clients > 1:
        other = divided(labels, federated(clients, split=split), 1, 2)
        assert [rows.tolist() for rows in other] != [rows.tolist() for rows in shares]


def test_identically_distributed_shares_differ_by_one_image_at_most():
    sizes = [len(rows) for rows in divided(np.zeros(100, np.int64), federated(7), 3, 1)]
    assert sorted(sizes) == [14] * 5 + [15] * 2


def class_shares(concentration):
    labels = np.repeat(np.arange(10), 400)
    shares = divided(labels, federated(5, split="classes", concentration=concentration), 0, 1)
    return np.stack([np.bincount(labels[rows], minlength=10) for rows in shares]) / 400  # [clients, classes]


def test_a_class_is_shared_evenly_at_a_large_concentration_and_mostly_by_one_client_at_a_small_one():
    """The shares of a symmetric Dirichlet distribution of K clients have the mean 1/K and the variance
    (1/K)·(1 − 1/K)/(K·α + 1)."""
    assert class_shares(1000.0) == pytest.approx(0.2, abs=0.05)
    assert class_shares(0.01).max(axis=0).mean() > 0.9
    assert class_shares(0.5).var() == pytest.approx(0.16 / 3.5, rel=0.4)


def prepared(counts=(24, 8, 8), classes=3, seed=0, only=None):
    """Noise; with ``only``, the training images of these rows alone are as they were with the seed 0."""
    rng = np.random.default_rng(seed)
    splits = [Split(rng.integers(0, 256, (n, 8, 8)).astype(np.uint8), np.arange(n) % max(1, classes)) for n in counts]
    if only is not None:
        splits[0].images[only] = prepared(counts, classes).train.images[only]
    return Prepared(*splits, "made", "Noise", classes, 0.5, 0.5)


def params_of(family, config, **changes):
    section = {"epochs": 3, "batch_size": 4, "latents": 4} | changes
    return PARAMS.model_copy(
        update={
            family: getattr(PARAMS, family).model_copy(update=section),
            "federated": config,
            "checkpoint": PARAMS.checkpoint.model_copy(update={"seconds": 0.0}),
        }
    )


def test_a_share_without_a_batch_is_refused():
    with pytest.raises(UserError) as caught:
        Division("vae", params_of("vae", federated(5), batch_size=5), prepared(), CPU)
    assert str(caught.value) == (
        "federated.clients: found 5, of which one has 4 of 24 training images; allowed: as many as have 5 each, "
        "for a step of each network"
    )
    config = federated(5, split="classes", concentration=0.01)
    with pytest.raises(UserError, match=r"of each network, or a larger federated\.concentration$"):
        Division("vae", params_of("vae", config), prepared(), CPU)


@pytest.mark.parametrize(("classes", "found"), [(0, "no labels"), (1, "one class")])
def test_images_without_classes_are_not_divided_by_them(classes, found):
    with pytest.raises(UserError, match=rf"federated\.split: found classes, but the images have {found}; allowed: iid"):
        Division("gan", params_of("gan", federated(2, split="classes")), prepared(classes=classes), CPU)


def test_the_learning_rate_falls_over_a_client_s_own_steps():
    division = Division("vae", params_of("vae", federated(3), epochs=3), prepared((41, 8, 8)), CPU)
    for client, images in enumerate((14, 14, 13)):
        division.present = client
        assert division.images == images
        assert division.steps == 9
        assert [division.linear_fall(1.0)(done) for done in (0, 9)] == [1.0, 0.0]
    assert division.seen == 36


# ── the mean ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_mean_counts_each_client_by_its_images():
    one, other = np.float32([1, -2]), np.float32([5, 6])
    (found,) = averaged([([one], 30, {}), ([other], 10, {})])
    assert found.tolist() == [2.0, 0.0]
    assert found.dtype == np.float32


def test_the_mean_of_one_client_is_its_own_to_the_bit_and_that_of_equal_ones_theirs():
    array = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    array[:4] = 0.0, -0.0, 1e-45, np.float32(3e38)
    for counts in ((7,), (7, 5, 11)):
        (found,) = averaged([([array], count, {}) for count in counts])
        assert found.tobytes() == array.tobytes()


# ── a client ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def toy(clients, rounds, epochs=4):
    """A line through points, by Adam and with noise."""
    division = Division("vae", params := params_of("vae", federated(clients, rounds), epochs=epochs), prepared(), CPU)
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    optimizer, noise, order = Adam(network.parameters(), 0.1), generator(0, "noise"), generator(0, "order")
    points = torch.randn(24, 3, generator=generator(0, "points"))

    def a_pass():
        for batch in division.batches(order, rebalance=False):
            optimizer.zero_grad()
            given = points[batch] + torch.randn(4, 3, generator=noise)
            (network(nn.functional.dropout(given)) - 1).square().mean().backward()
            optimizer.step()

    parts = (network, optimizer, noise, order)
    return Federation("vae", params, division, (network,), parts, a_pass), network


def same(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_a_client_that_fits_two_passes_has_the_weights_of_two_that_it_fits_one_by_one():
    (federation, network), (other, _) = toy(2, 2), toy(2, 2)
    start = parameters_of([network])
    for one, two in zip(federation._clients, other._clients, strict=True):
        at_once, images, metrics = one.fit(start, {"passes": 2})
        two.fit(start, {"passes": 1})
        assert same(at_once, two.fit(two.get_parameters({}), {"passes": 1})[0])
        assert (images, metrics) == (12, {"steps": 6})
        assert not same(at_once, start)


def test_what_a_client_gives_does_not_depend_on_which_others_had_their_turn_before():
    (federation, network), (other, _) = toy(3, 1), toy(3, 1)
    start = parameters_of([network])
    found = [client.fit(start, {"passes": 1})[0] for client in federation._clients]
    backwards = [client.fit(start, {"passes": 1})[0] for client in other._clients[::-1]][::-1]
    assert all(same(one, two) for one, two in zip(found, backwards, strict=True))


@pytest.fixture
def fits(monkeypatch):
    """What every client was given and gave, in order: number, given, (weights, images, metrics)."""
    seen, fit = [], Client.fit

    def watched(client, parameters, config):
        seen.append((client._number, parameters, found := fit(client, parameters, config)))
        return found

    monkeypatch.setattr(Client, "fit", watched)
    return seen


def test_a_round_starts_from_the_mean_and_each_of_its_further_passes_from_a_client_s_own_weights(fits):
    federation, network = toy(2, 2, epochs=5)  # rounds end with the epochs 3 and 5
    start = parameters_of([network])
    for epoch in range(1, 6):
        federation.train(epoch)
        both = [found for _, _, found in fits[-2:]]
        assert same(parameters_of([network]), averaged(both))
    given = {(epoch, n): fits[2 * epoch + n][1] for epoch in range(5) for n in range(2)}
    gave = {(epoch, n): fits[2 * epoch + n][2] for epoch in range(5) for n in range(2)}
    for n in range(2):
        assert same(given[0, n], start)
        assert same(given[3, n], averaged([gave[2, 0], gave[2, 1]]))
        for epoch in (1, 2, 4):
            assert same(given[epoch, n], gave[epoch - 1, n][0])
    assert [federation.has(epoch) for epoch in range(1, 6)] == [False, False, True, False, True]


# ── whole trainings ──────────────────────────────────────────────────────────────────────────────────────────────────

SEVERAL = {
    "vae": ("vae", {"width": 16, "prior": "normal", "kl_warmup": 2}),
    "flow vae of classes": ("vae", {"arch": "mlp", "width": 16, "prior": "flow", "conditional": True}),
    "gan": ("gan", {"width": 4, "clusters": 0}),
    "gan of classes": (
        "gan",
        {"arch": "mlp", "width": 4, "clusters": 0, "conditional": True, "d_steps": 2, "rebalance": True},
    ),
}
ANY = SEVERAL | {
    "vae with a mixture": ("vae", {"arch": "mlp", "width": 16, "balance": "geco"}),
    "vae of a range": ("vae", {"arch": "mlp", "width": 16, "beta_range": [0.1, 2.0], "rebalance": True}),
    "gan of clusters": ("gan", {"arch": "mlp", "width": 4, "clusters": 4, "balance": "accuracy"}),
    "gan that looks ahead": ("gan", {"width": 4, "clusters": 3, "unrolled_steps": 2, "optimizer": "sgd"}),
}


def trained(case, config, run=None, dataset=None):
    family, changes = ANY[case]
    torch.manual_seed(0)  # of what draws without being named, as a stage has it
    train = {"vae": vae.train, "gan": gan.train}[family]
    return train(params_of(family, config, **changes), dataset or prepared(), CPU, run or Run())


def assert_equal(one, other, apart=frozenset()):
    assert one.arguments == other.arguments
    assert one.curves.to_csv() == other.curves.to_csv()
    assert {k: v for k, v in one.metrics.items() if k not in apart} == other.metrics
    assert one.grids == other.grids
    assert list(one.weights) == list(other.weights)
    for name, weight in one.weights.items():
        assert weight.numpy().tobytes() == other.weights[name].numpy().tobytes(), name


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("case", ANY)
def test_one_client_is_central_training_to_the_byte(case):
    central = trained(case, federated("none"))
    assert not central.metrics.keys() & OF_FEDERATION
    alone = trained(case, federated(1, 2, "classes"))
    assert_equal(alone, central, OF_FEDERATION)
    assert alone.metrics.keys() >= OF_FEDERATION


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("case", SEVERAL)
def test_a_training_of_several_clients_resumes_to_the_same_bytes(case, capsys):
    config = federated(3, 2, "classes", 1.0)
    whole = trained(case, config)
    with pytest.raises(Killed):
        trained(case, config, Run("a" * 64, killed_in=2))
    resumed = trained(case, config, Run("a" * 64))  # amid a round
    assert "resuming after epoch 1" in capsys.readouterr().err
    assert_equal(resumed, whole)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("case", SEVERAL)
def test_no_client_s_training_depends_on_another_s_images(case, fits):
    config = federated(2, 2)
    trained(case, config)
    first = fits[:2]
    rows = divided(prepared().train.labels, config, PARAMS.seed, 4)
    for client in range(2):
        fits.clear()
        trained(case, config, dataset=prepared(seed=1, only=rows[client]))
        assert same(fits[client][2][0], first[client][2][0])
        assert not same(fits[1 - client][2][0], first[1 - client][2][0])


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("case", SEVERAL)
def test_the_model_is_the_weighted_mean_of_what_the_clients_gave_last(case, fits):
    dataset = prepared((25, 8, 8))
    found = trained(case, federated(2, 1), dataset=dataset)
    last = [given for _, _, given in fits[-2:]]
    assert sorted(images for _, images, _ in last) == [12, 13]
    means = {np.ascontiguousarray(array).tobytes() for array in averaged(last)}
    weights = {name: w for name, w in found.weights.items() if w.is_floating_point() and "conditions." not in name}
    assert {w.contiguous().numpy().tobytes() for w in weights.values()} <= means
    assert {array.tobytes() for array in last[0][0]}.isdisjoint(
        {w.numpy().tobytes() for w in weights.values() if w.any()}
    )
    assert found.metrics.get("best_epoch", 3) == 3  # the server has no other


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("case", SEVERAL)
def test_what_is_sent_is_each_weight_once_to_and_from_each_client_in_each_round(case, fits):
    found = trained(case, federated(3, 2)).metrics
    size = sum(array.size for array in fits[0][1])
    assert {name: found[name] for name in OF_FEDERATION} == {
        **{"clients": 3, "rounds": 2, "fewest_images": 8, "most_images": 8},
        "bytes_sent": 4 * size * 3 * 2 * 2,
    }
    weights = found["parameters"] if case.startswith(("vae", "flow")) else found["discriminator_parameters"]
    averages = found["parameters"] if case.startswith(("vae", "flow")) else 2 * found["generator_parameters"]
    assert size >= weights + averages


@pytest.mark.usefixtures("repository")
def test_clients_of_equal_images_draw_noise_of_their_own(fits):
    dataset = prepared()
    dataset.train.images[:] = dataset.train.images[0]
    trained("vae", federated(2, 1), dataset=dataset)
    (_, start, (one, _, _)), (_, also, (other, _, _)) = fits[:2]
    assert same(start, also)
    assert not same(one, other)


@pytest.mark.usefixtures("repository")
def test_a_gan_of_classes_keeps_no_mean_of_images_that_only_clients_have():
    weights = trained("gan of classes", federated(2, 1)).weights
    assert not weights["conditions.centroids"].any()
    assert weights["conditions.shares"].equal(torch.eye(3))
    assert trained("gan of classes", federated(1, 1)).weights["conditions.centroids"].any()


@pytest.mark.usefixtures("repository")
def test_no_step_of_a_client_has_a_negative_size(monkeypatch):
    """Of shares of different lengths, where G has every second turn of a client's own."""
    made = []
    monkeypatch.setattr(gan, "Federation", lambda *given: made.append(Federation(*given)) or made[0])
    trained("gan of classes", federated(3, 2, "classes", 1.0))
    for client in made[0]._clients:
        schedules = [state for state in client.state if isinstance(state, dict) and "_last_lr" in state]
        rates = [rate for state in schedules for rate in state["_last_lr"]]
        assert rates[0] == 0
        assert len(rates) == 2
        assert rates[1] >= 0
