"""data/prepared → models/gan.safetensors: the generator's moving average, which is what samples, and the discriminator.

L = L_D + λ·L_G, D's step and G's step in turn. Also curves and a grid from the same latents every epoch
(artifacts/train_gan), metrics/train_gan.json and the last grid beside it.
"""

from pathlib import Path
from typing import Any

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/train_gan")
SAMPLES = Path("metrics/train_gan_samples.png")
GRID = 10  # rows and columns


def main(params: Params, run: Run) -> None:
    """Trains both networks and keeps the generator's moving average."""
    import torch
    from torch.optim import Adam
    from torch.optim.lr_scheduler import LambdaLR

    from genbalance import pictures, training, weights
    from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
    from genbalance.adversarial import Digits, Game
    from genbalance.averaging import MovingAverage
    from genbalance.clustering import clusters
    from genbalance.compute import generator, initialised, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import SIGNED
    from genbalance.evaluation.features import in_blocks
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.machine import machine
    from genbalance.models.gan import Gan
    from genbalance.objectives import gan as objective
    from genbalance.progress import EpochMeter
    from genbalance.rng import stream_seed

    knobs, seed = params.gan, params.seed
    device = set_up(params.compute, seed, "train_gan")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    training.check_batch_size("gan.batch_size", knobs.batch_size, len(digits.train))
    training.check_turns("gan.d_steps", knobs.d_steps, len(digits.train) // knobs.batch_size)
    real, unseen = (upload(split.images, SIGNED, device) for split in (digits.train, digits.val))

    classes = digits.classes if knobs.conditional else 0
    config: dict[str, Any] = {
        "arch": knobs.arch,
        "size": digits.height,
        "latents": knobs.latents,
        "width": knobs.width,
        "conditions": 0,
        "classes": classes,
        "spectral": knobs.spectral_norm,
        "truncation": knobs.truncation,
    }
    if knobs.clusters or classes:
        labels = digits.train.labels if classes else None
        pixels = real.flatten(1).cpu().numpy()
        found = clusters(pixels, labels, classes, knobs.clusters, stream_seed(seed, "gan/clusters"))
        config["conditions"] = len(found[0])
    gan = initialised(lambda: Gan(**config), seed, "gan/init", device)
    if gan.conditions:
        gan.conditions.set(*map(torch.from_numpy, found))
    known, unseen_known = (
        gan.conditions_of(images, torch.from_numpy(split.labels).to(device))
        for images, split in ((real, digits.train), (unseen, digits.val))
    )

    average = MovingAverage(gan.generator, knobs.ema_decay)
    bf16 = uses_bf16(params.compute, device, gan)
    run.log({"bf16": float(bf16)})
    # torch.compile has no second derivatives, which penalties need of D
    compile_on_gpu(params.compute, device, gan.generator)
    streams = {name: generator(seed, f"gan/{name}", device) for name in ("noise", "penalty", "chance")}
    order = generator(seed, "gan/order", device)
    game = Game(gan.generator, gan.discriminator, Digits(real, known), Digits(unseen, unseen_known), knobs, **streams)
    betas = (knobs.adam_beta1, knobs.adam_beta2)
    lr_d, lr_g = objective.step_sizes(knobs.learning_rate, params.lambda_)
    d_optimizer = Adam(gan.discriminator.parameters(), lr_d, betas, fused=True)
    g_optimizer = Adam(gan.generator.parameters(), lr_g, betas, fused=True)
    phases = [
        training.Phase("d", gan.discriminator, d_optimizer, "objective_d", lowered(game.loss_d, bf16, device)),
        training.Phase("g", gan.generator, g_optimizer, "loss_g", lowered(game.loss_g, bf16, device), knobs.d_steps),
    ]
    steps = knobs.epochs * (len(real) // knobs.batch_size)
    schedules = [LambdaLR(p.optimizer, training.linear_fall(steps // p.every, knobs.lr_decay)) for p in phases]

    showing = generator(seed, "gan/shown", device)
    wanted = torch.arange(GRID**2, device=device) % classes if classes else None
    shown = gan.draw_latents(GRID**2, showing), gan.draw_conditions(GRID**2, showing, wanted)
    history, rankings = History(run), list[float]()
    with (
        whole_folder(OUT) as folder,
        EpochMeter("train_gan", knobs.epochs, training.seen(len(real), knobs.batch_size)) as meter,
    ):
        for epoch in range(1, knobs.epochs + 1):
            with meter.epoch(epoch):
                for scalars in training.steps(phases, training.batches(len(real), knobs.batch_size, order)):
                    for phase, schedule in zip(phases, schedules, strict=True):
                        if phase.objective in scalars:
                            schedule.step()
                    if "loss_g" in scalars:
                        average.update(gan.generator)
                    meter.add(scalars, images=knobs.batch_size)
            row = meter.means()
            row["loss_total"] = objective.total(row["loss_d"], row["loss_g"], params.lambda_)
            history.add(epoch, row)
            run.log({"images_per_second": meter.images_per_second}, step=epoch)
            meter.line({"loss_total": row["loss_total"]})
            picture = pictures.grid(SIGNED.to_uint8(in_blocks(average.module, *shown))[:, 0].numpy(), GRID)
            pictures.save_png(folder / "samples" / f"epoch_{epoch:04d}.png", picture)
            run.image("samples", picture, step=epoch)
            rankings.append(row["d_ranking_held_out"])
            if knobs.stop_when_balanced and objective.balanced(rankings):
                break
        history.save(folder / "curves.csv")

    gan.generator = average.module
    weights.save(Path("models/gan.safetensors"), config, gan.state_dict())
    pictures.save_png(SAMPLES, picture)
    for path in (OUT / "curves.csv", SAMPLES):
        run.artifact(path)
    sizes = {
        f"{name}_parameters": sum(p.numel() for p in network.parameters())
        for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator))
    }
    publish(run, "train_gan", {"epochs": epoch} | sizes | row | {"machine": machine(device)})


if __name__ == "__main__":
    execute("train_gan", main)
