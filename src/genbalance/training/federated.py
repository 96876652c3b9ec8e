"""Federated training: clients that never share images train in turn, and a server averages their weights.

FedAvg (McMahan et al. 2017, arXiv:1602.05629, algorithm 1): in a round each client takes the server's weights, trains
on its own images alone and gives its weights back. The server's next ones are their mean, in which each client counts
by its images. Here the clients of a process train one after another, and an epoch is a pass of each over its images;
after one that ends no round each goes on from its own weights. A client is trained by the same steps as a model of all
images: with one client the bytes are the same. On several processes (`compute.processes`) each has every so many-th
client, and gets the weights and the state of all others: whatever their number, the bytes are the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genbalance.data.prepared import Prepared
from genbalance.params import FederatedConfig, Params
from genbalance.runtime.errors import UserError
from genbalance.runtime.rng import stream_seed
from genbalance.training import loop, shares
from genbalance.training.checkpoint import Part, restore, states, unnamed

DRAWS = 1000  # of shares, until each client has images enough

Parameters = list[NDArray[np.float32]]
Fitted = tuple[Parameters, int, dict[str, float]]
"""What a client gives back: weights, the number of its images, and metrics."""


def divided(labels: NDArray[np.int64], config: FederatedConfig, seed: int, least: int) -> list[NDArray[np.int64]]:
    """The rows of each client's images, in order; each of the images with ``labels`` [n] has one client.

    ``iid``: at random, in numbers that differ by one at most. ``classes``: the images of each class by shares drawn
    from a symmetric Dirichlet distribution (Yurochkin et al. 2019, arXiv:1905.12022, section 4), all of them anew until
    no client has fewer than ``least``.

    Raises:
        UserError: a client has fewer than ``least`` images, for ``classes`` in 1,000 draws.
    """
    clients, rng = config.count or 1, np.random.default_rng(stream_seed(seed, "federated/split"))
    owners = np.empty(len(labels), np.int64)
    for _ in range(DRAWS):
        if config.split == "iid":
            owners[rng.permutation(len(labels))] = np.arange(len(labels)) % clients
        else:
            for label in np.unique(labels):
                rows = rng.permutation(np.flatnonzero(labels == label))
                ends = rng.dirichlet(np.full(clients, config.concentration)).cumsum() * len(rows)
                owners[rows] = np.searchsorted(ends[:-1].round(), np.arange(len(rows)), side="right")
        fewest = int(np.bincount(owners, minlength=clients).min())
        if fewest >= least:
            return [np.flatnonzero(owners == client) for client in range(clients)]
        if config.split == "iid":
            break
    raise UserError(
        f"federated.clients: found {clients}, of which one has {fewest} of {len(labels)} training images; allowed: "
        f"as many as have {least} each, for a step of each network"
        + ("" if config.split == "iid" else ", or a larger federated.concentration")
    )


class Division:
    """Which training images each client has, and how long it trains on them. One client has all where there are none.

    Args:
        family: whose section of ``params`` says how long, and in which batches.
        params: with ``federated``.
        dataset: whose training images are divided.
        device: of the indices.
        steps: of a pass, at least.

    Raises:
        UserError: the images have no classes to divide them by, or a client would have too few for these steps.

    Attributes:
        several: whether there are two clients at least.
        fewest: images of a client.
        most: images of a client.
        seen: images that all clients together see in an epoch.
        present: the client whose turn it is, counted from 0.
    """

    def __init__(self, family: str, params: Params, dataset: Prepared, device: torch.device, steps: int = 1) -> None:
        config, section = params.federated, getattr(params, family)
        self._epochs: int = section.epochs
        self._size: int = section.batch_size
        self._labels = dataset.train.labels
        if config.count and config.split == "classes" and dataset.classes < 2:
            raise UserError(
                "federated.split: found classes, but the images have "
                f"{'one class' if dataset.classes else 'no labels'}; allowed: iid"
            )
        if config.count:
            self._rows = divided(self._labels, config, params.seed, self._size * steps)
        else:
            self._rows = [np.arange(len(dataset.train))]
        self._indices = [torch.from_numpy(rows).to(device) for rows in self._rows]
        sizes = [len(rows) for rows in self._rows]
        self.several, self.fewest, self.most = len(sizes) > 1, min(sizes), max(sizes)
        self.seen = sum(loop.seen(size, self._size) for size in sizes)
        self.present = 0

    @property
    def images(self) -> int:
        """How many the present client has."""
        return len(self._rows[self.present])

    @property
    def steps_of_a_pass(self) -> int:
        """Of the present client."""
        return self.images // self._size

    @property
    def steps(self) -> int:
        """Of the present client in the whole training."""
        return self._epochs * self.steps_of_a_pass

    def linear_fall(self, share: float, every: int = 1) -> Callable[[int], float]:
        """:func:`genbalance.training.loop.linear_fall` over each ``every``-th of the present client's steps."""
        return lambda done: loop.linear_fall(self.steps // every, share)(done)

    def batches(self, order: torch.Generator, rebalance: bool) -> Iterator[Tensor]:
        """Index vectors of a pass over the present client's images, see :func:`genbalance.training.loop.batches`, where
        ``rebalance`` evens out the classes among them."""
        indices = self._indices[self.present]
        labels = self._labels[self._rows[self.present]] if rebalance else None
        for batch in loop.batches(len(indices), self._size, order, labels):
            yield indices[batch]


class Client:
    """A client in the shape of Flower's NumPyClient: weights go in and come out as NumPy arrays.

    Between its turns it keeps the ``parts`` as it left them: optimizers with their moments, schedules, random streams,
    the number of updates of moving averages. Moments that started anew each round would need many steps to be of use,
    and averaged ones twice the bytes. The streams of all clients but the first have seeds of their own.

    Args:
        number: counted from 0.
        family: the name of its streams.
        seed: `seed`.
        division: its images, and whose turn it is.
        networks: whose weights and running statistics go to the server.
        parts: what it keeps.
        a_pass: trains ``networks`` for one pass over the present client's images.
    """

    def __init__(
        self,
        number: int,
        family: str,
        seed: int,
        division: Division,
        networks: Sequence[nn.Module],
        parts: Sequence[Part],
        a_pass: Callable[[], None],
    ) -> None:
        self._number, self._division, self._networks, self._a_pass = number, division, networks, a_pass
        self._parts = [*parts, *unnamed()]
        self.state = deepcopy(states(self._parts))
        for place, part in enumerate(self._parts):
            if number and isinstance(part, torch.Generator):
                chance = stream_seed(seed, f"{family}/client {number}/{place}")
                self.state[place] = torch.Generator(part.device).manual_seed(chance).get_state()

    def resume(self) -> None:
        """Makes all that it keeps as it has left it."""
        self._division.present = self._number
        restore(self._parts, self.state)

    def get_parameters(self, config: Mapping[str, Any]) -> Parameters:  # noqa: ARG002 (Flower's)
        """Its own weights, as its last pass left them."""
        self.resume()
        return parameters_of(self._networks)

    def fit(self, parameters: Parameters, config: Mapping[str, Any]) -> Fitted:
        """Trains from ``parameters`` on for ``config["passes"]`` passes over its own images.

        Returns:
            The weights, the number of its images, and ``steps``, how many it took.
        """
        self.resume()
        put(parameters, self._networks)
        for _ in range(config["passes"]):
            self._a_pass()
        self.state = deepcopy(states(self._parts))
        images = self._division.images
        steps = config["passes"] * self._division.steps_of_a_pass
        return parameters_of(self._networks), images, {"steps": steps}


class Federation:
    """The server and its clients, or, where ``federated.clients`` is none, a plain training.

    Args:
        family: the name of the clients' streams.
        params: with ``federated``.
        division: the clients' images.
        networks: whose weights and running statistics are averaged.
        parts: what a client's training depends on beside its images and the server's weights; ``networks`` are in them.
        a_pass: trains ``networks`` for one pass over the present client's images.
    """

    def __init__(
        self,
        family: str,
        params: Params,
        division: Division,
        networks: Sequence[nn.Module],
        parts: Sequence[Part],
        a_pass: Callable[[], None],
    ) -> None:
        self._rounds = params.federated.rounds
        self._epochs: int = getattr(params, family).epochs
        self._division, self._networks, self._a_pass = division, networks, a_pass
        self._clients = [
            Client(number, family, params.seed, division, networks, parts, a_pass)
            for number in range(params.federated.count)
        ]

    def train(self, epoch: int, add_others: Callable[[], None] = lambda: None) -> None:
        """A pass of each client over its images, counted from 1; then the networks have the mean of the clients'
        weights. In the last epoch of a round the server has it as well, and the clients go on from it.

        Args:
            epoch: its number.
            add_others: is called where other processes have trained some of the clients.
        """
        if not self._clients:
            self._a_pass()
            return
        server = parameters_of(self._networks)
        begins = epoch == 1 or self._rounds_after(epoch - 1) > self._rounds_after(epoch - 2)
        fitted: dict[int, Fitted] = {}
        with shares.whole_batches():
            for number in shares.own(len(self._clients)):
                client = self._clients[number]
                fitted[number] = client.fit(server if begins else client.get_parameters({}), {"passes": 1})
        if shares.are_several():
            own = [
                (number, [*map(torch.from_numpy, each[0])], *each[1:], self._clients[number].state)
                for number, each in fitted.items()
            ]
            for number, tensors, images, metrics, state in chain.from_iterable(shares.of_all(own)):
                fitted[number] = [tensor.numpy() for tensor in tensors], images, metrics
                self._clients[number].state = state
            self._clients[-1].resume()  # all that is not averaged is as the last client left it
            add_others()
        put(averaged([each for _, each in sorted(fitted.items())]), self._networks)

    def has(self, epoch: int) -> bool:
        """Whether the server has the weights of this epoch: those of a client alone are its own."""
        return not self._division.several or self._rounds_after(epoch) > self._rounds_after(epoch - 1)

    def metrics(self, epoch: int) -> dict[str, float]:
        """After that epoch: the clients, the rounds, the images of the smallest and of the largest client, and the
        bytes that went from the server to the clients and back; none where the training is not federated."""
        if not self._clients:
            return {}
        rounds = self._rounds_after(epoch)
        size = sum(array.nbytes for array in parameters_of(self._networks))
        return {
            "clients": len(self._clients),
            "rounds": rounds,
            "fewest_images": self._division.fewest,
            "most_images": self._division.most,
            "bytes_sent": 2 * rounds * len(self._clients) * size,
        }

    def state_dict(self) -> dict[str, Any]:
        """What each client keeps."""
        return {"clients": [client.state for client in self._clients]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        for client, state in zip(self._clients, state_dict["clients"], strict=True):
            client.state = state

    def _rounds_after(self, epoch: int) -> int:
        """How many rounds have ended: they are spread evenly over the epochs."""
        return epoch * self._rounds // self._epochs


def averaged(fitted: Sequence[Fitted]) -> Parameters:
    """The mean of the clients' weights by their numbers of images, taken in float64."""
    images = sum(count for _, count, _ in fitted)
    means = [array.astype(np.float64) * (fitted[0][1] / images) for array in fitted[0][0]]
    for parameters, count, _ in fitted[1:]:
        for mean, array in zip(means, parameters, strict=True):
            mean += array * np.float64(count / images)
    return [mean.astype(np.float32) for mean in means]


def parameters_of(networks: Sequence[nn.Module]) -> Parameters:
    """Copies of the weights and running statistics of networks; whole numbers, such as counts, are left out."""
    return [tensor.detach().cpu().numpy().copy() for tensor in _tensors(networks)]


def put(parameters: Parameters, networks: Sequence[nn.Module]) -> None:
    """Puts such arrays into networks."""
    for tensor, array in zip(_tensors(networks), parameters, strict=True):
        tensor.copy_(torch.from_numpy(array))


def _tensors(networks: Sequence[nn.Module]) -> list[Tensor]:
    return [t for network in networks for t in network.state_dict().values() if t.is_floating_point()]
