"""Training images/s of each model against a plain PyTorch loop, of the VAE also against pythae's trainer; and how much
of the machine's arithmetic that is.

On the prepared images, with the params of params.yaml but for what the plain loops do not have (``benchmarks.cases``:
R1 and the options of the objectives are off). Run as `python -m benchmarks.training`.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import plain_loops
from benchmarks.arithmetic import arithmetic, matrix_peak
from benchmarks.cases import CASES, IMAGES, MLP, Case, sized
from benchmarks.in_process import epochs_in_turn
from benchmarks.pairs import Pairs, Spread
from benchmarks.pythae_environment import interpreter
from benchmarks.pythae_trainer import epoch
from benchmarks.results import record, table
from genbalance.data import prepared
from genbalance.params import Params, read_params
from genbalance.runtime.device import set_up
from genbalance.runtime.errors import UserError

PAIRS, PYTHAE_PAIRS = 5, 3
HELD_OUT = 200  # images that are validated on between the epochs
TARGETS = {MLP.name: {"ratio": 4.0, "share_of_peak": 0.6}}


def speed(pairs: Pairs) -> dict[str, Any]:
    """Images/s of both sides and the ratio, out of seconds an image."""
    return {
        "ours_images_s": asdict(Spread.of([1 / taken for taken in pairs.ours])),
        "reference_images_s": asdict(Spread.of([1 / taken for taken in pairs.reference])),
        "ratio": asdict(pairs.speedup),
    }


def measured(case: Case, params: Params, dataset: prepared.Prepared, pairs: int) -> dict[str, Any]:
    """One model against its plain loop, and its arithmetic against the peak, which is measured right before."""
    device = set_up(params.compute, params.seed, "bench")
    peak = matrix_peak(device)
    with tempfile.TemporaryDirectory() as folder:
        loop = plain_loops.epoch(case, params, dataset, device, Path(folder))
        found = speed(epochs_in_turn(case, params, dataset, loop, pairs))
    work = arithmetic(case, params, dataset)
    achieved = work.flops * found["ours_images_s"]["median"]
    shares = {
        "flops_an_image": work.flops,
        "flop_s": achieved,
        "peak_flop_s": peak,
        "share_of_peak": achieved / peak,
        "products_alone": {
            "images_s": 1 / work.alone,
            "share_of_peak": work.flops / work.alone / peak,
            "ratio": 1 / work.alone / found["reference_images_s"]["median"],
        },
    }
    return {"model": case.name, "batch": batch(case, params)} | found | shares


def batch(case: Case, params: Params) -> int:
    """Images a step."""
    return int(getattr(case.params(params, 1), case.section).batch_size)


def against_pythae(params: Params, dataset: prepared.Prepared, pairs: int) -> dict[str, Any]:
    """The perceptron VAE against pythae's trainer; what was left out, and why, where pythae cannot be installed."""
    on_cpu = params.model_copy(update={"compute": params.compute.model_copy(update={"device": "cpu"})})
    try:
        python = interpreter()
        with tempfile.TemporaryDirectory() as folder:
            return speed(epochs_in_turn(MLP, on_cpu, dataset, epoch(python, on_cpu, dataset, Path(folder)), pairs))
    except UserError as error:
        return {"left_out": str(error)}


def rates(found: dict[str, Any]) -> list[str]:
    """The cells of both sides and of the ratio."""
    spreads = [Spread(**found[name]) for name in ("ours_images_s", "reference_images_s", "ratio")]
    return [f"{spreads[0]:.0f}", f"{spreads[1]:.0f}", f"{spreads[2]:.2f}"]


def speeds(found: list[dict[str, Any]], pythae: dict[str, Any]) -> str:
    """Images/s of each model and of its references."""
    rows = [["model", "batch", "reference", "ours, images/s", "reference's, images/s", "ratio", "target"]]
    for one in found:
        target = TARGETS.get(one["model"], {}).get("ratio")
        aim = f"≥ {target:g}" if target else ""
        rows.append([one["model"], str(one["batch"]), "DataLoader loop", *rates(one), aim])
    if "ratio" in pythae:
        rows.append([MLP.name, str(MLP.fixed["batch_size"]), "pythae's trainer", *rates(pythae), ""])
    return table(rows)


def shares(found: list[dict[str, Any]]) -> str:
    """FLOP/s of each model's training, and of the matrix product; and how far the step's own products, with nothing
    else to do, would come: a share, and a multiple of the reference's images/s."""
    heads = ["model", "MFLOP an image", "GFLOP/s", "fp32 peak, GFLOP/s", "share", "target"]
    rows = [[*heads, "its products alone: share", "ratio"]]
    for one in found:
        target = TARGETS.get(one["model"], {}).get("share_of_peak")
        cells = [f"{one[key] / unit:.1f}" for key, unit in (("flops_an_image", 1e6), ("flop_s", 1e9))]
        share = f"{one['share_of_peak']:.0%}"
        aim, alone = f"≥ {target:.0%}" if target else "", one["products_alone"]
        bounds = [f"{alone['share_of_peak']:.0%}", f"{alone['ratio']:.2f}"]
        rows.append([one["model"], *cells, f"{one['peak_flop_s'] / 1e9:.1f}", share, aim, *bounds])
    return table(rows)


def main() -> None:
    """Measures in pairs, prints, records."""
    params = read_params()
    dataset = sized(prepared.load(Path("data/prepared")), IMAGES, HELD_OUT, HELD_OUT)
    found = [measured(case, params, dataset, PAIRS) for case in CASES]
    pythae = against_pythae(params, dataset, PYTHAE_PAIRS)
    print(f"training, {IMAGES} images an epoch, {PAIRS} pairs of epochs, {params.compute.threads} threads")
    print(speeds(found, pythae))
    if "left_out" in pythae:
        print(f"pythae: left out: {pythae['left_out']}")
    print("\narithmetic of the training steps, forward and backward, against products of square matrices")
    print(shares(found))
    record("training", {"images": IMAGES, "compared": found, "pythae": pythae})


if __name__ == "__main__":
    main()
