"""Training images/s of two processes with a thread each against one process with two threads: of a training whose
batches they share, and of a federated one, whose clients they share.

On images of noise, with the params of params.yaml but for clusters; needs no data. What starting the processes takes is
not measured. Run as `python -m benchmarks.processes`.
"""

import statistics
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.in_process import train
from benchmarks.pairs import Pairs, Spread, in_turn
from benchmarks.results import record, table
from genbalance.data.prepared import Prepared, Split
from genbalance.params import Params, read_params

STAGES = {"train_gan": "gan", "train_vae": "vae"}
CLIENTS, OF_CLIENT = 4, 4096  # images; after an epoch processes exchange weights and states, however few there are
IMAGES, PAIRS, EPOCHS = 1024, 2, 3  # of which the first epoch, in which memory is taken, is not measured


def noise(images: int, shape: tuple[int, int] = (28, 28)) -> Prepared:
    """So many images to train on, and as many as a grid takes to validate and to test on."""
    rng = np.random.default_rng(0)
    train, val, test = (
        Split(rng.integers(0, 256, (n, *shape), np.uint8), np.zeros(n, np.int64)) for n in (images, 100, 100)
    )
    return Prepared(train, val, test, "noise", "Noise", 0, 0.5, 0.29)


def with_processes(params: Params, section: str, processes: int, threads: int, epochs: int) -> Params:
    """The params of a training on so many processes, each with so many threads."""
    compute = {"processes": processes, "threads": threads}
    config = {"epochs": epochs} | ({"clusters": 0} if section == "gan" else {})
    update = {
        "compute": params.compute.model_copy(update=compute),
        section: getattr(params, section).model_copy(update=config),
    }
    return params.model_copy(update=update)


def with_clients(params: Params) -> Params:
    """The params of a federated training of the VAE, with a round after each epoch."""
    update = {
        "vae": params.vae.model_copy(update={"prior": "normal"}),
        "federated": params.federated.model_copy(update={"clients": CLIENTS, "rounds": EPOCHS}),
    }
    return params.model_copy(update=update)


def compared(stage: str, params: Params, dataset: Prepared, pairs: int, epochs: int) -> dict[str, Any]:
    """Images/s of both, and how many times as fast the two processes are."""

    def seconds_an_image(processes: int, threads: int) -> float:
        speeds: list[float] = []
        train(stage, with_processes(params, STAGES[stage], processes, threads, epochs), dataset, speeds.append)
        return 1 / statistics.median(speeds[1:])

    taken: Pairs = in_turn(lambda: seconds_an_image(2, 1), lambda: seconds_an_image(1, 2), pairs)
    return {
        "stage": stage,
        "two_processes_images_s": asdict(Spread.of([1 / each for each in taken.ours])),
        "two_threads_images_s": asdict(Spread.of([1 / each for each in taken.reference])),
        "ratio": asdict(taken.speedup),
    }


def main() -> None:
    """Measures both families and the federated training; prints, records."""
    params, dataset = read_params(), noise(IMAGES)
    found = [compared(stage, params, dataset, PAIRS, EPOCHS) for stage in STAGES]
    federated = compared("train_vae", with_clients(params), noise(CLIENTS * OF_CLIENT), PAIRS, EPOCHS)
    found.append(federated | {"stage": f"train_vae, {CLIENTS} clients of {OF_CLIENT:,} images"})
    rows = [["stage", "2 processes × 1 thread, images/s", "1 process × 2 threads, images/s", "ratio"]]
    for each in found:
        two, one, ratio = (Spread(**each[key]) for key in ("two_processes_images_s", "two_threads_images_s", "ratio"))
        rows.append([each["stage"], f"{two:.0f}", f"{one:.0f}", f"{ratio:.2f}"])
    print(f"{IMAGES} images an epoch, {EPOCHS - 1} epochs, {PAIRS} pairs")
    print(table(rows))
    record("processes", {"compared": found})


if __name__ == "__main__":
    main()
