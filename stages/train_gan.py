"""data/prepared → models/gan.safetensors: the generator's moving average, which is what samples, and the discriminator.

L = L_D + λ·L_G, D's step and G's step in turn. Also curves and a grid from the same latents every epoch
(artifacts/train_gan), metrics/train_gan.json and the last grid beside it.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/train_gan")
WEIGHTS = Path("models/gan.safetensors")
SAMPLES = Path("metrics/train_gan_samples.png")
GRID = 10  # rows and columns
SHOWN = {"loss": "loss_total", "D on held-out": "d_accuracy_held_out"}
PRINTED = {"epochs": "epochs"} | SHOWN | {"AUC of D on held-out": "d_ranking_held_out"}
ADVICE = "a smaller gan.learning_rate, or a lambda nearer 1"


def main(params: Params, run: Run) -> None:
    """Trains both networks and keeps the generator's moving average."""
    from torch.optim import Adam
    from torch.optim.lr_scheduler import LambdaLR

    from genbalance import training, weights
    from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
    from genbalance.adversarial import Game
    from genbalance.album import Album
    from genbalance.averaging import MovingAverage
    from genbalance.checkpoint import Checkpoint, Part
    from genbalance.compute import generator, set_up
    from genbalance.conditioning import conditioned
    from genbalance.data import prepared
    from genbalance.divergence import until_diverged
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.machine import machine
    from genbalance.objectives import gan as objective
    from genbalance.progress import EpochMeter
    from genbalance.showcase.gan import Showcase

    knobs, seed = params.gan, params.seed
    device = set_up(params.compute, seed, "train_gan")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    count, size = len(digits.train), knobs.batch_size
    training.check_batch_size("gan.batch_size", size, count)
    training.check_turns("gan.d_steps", knobs.d_steps, count // size)

    gan, config, real, unseen = conditioned(knobs, digits, seed, device)
    average = MovingAverage(gan.generator, knobs.ema_decay)
    bf16 = uses_bf16(params.compute, device, gan)
    run.log({"bf16": float(bf16)})
    # torch.compile has no second derivatives, which penalties need of D
    compile_on_gpu(params.compute, device, gan.generator)
    noise, penalty, chance, order, showing = (
        generator(seed, f"gan/{name}", device) for name in ("noise", "penalty", "chance", "order", "shown")
    )
    game = Game(gan.generator, gan.discriminator, real, unseen, knobs, noise, penalty, chance)
    betas = (knobs.adam_beta1, knobs.adam_beta2)
    lr_d, lr_g = objective.step_sizes(knobs.learning_rate, params.lambda_)
    d_optimizer = Adam(gan.discriminator.parameters(), lr_d, betas, fused=True)
    g_optimizer = Adam(gan.generator.parameters(), lr_g, betas, fused=True)
    phases = [
        training.Phase("d", gan.discriminator, d_optimizer, "objective_d", lowered(game.loss_d, bf16, device)),
        training.Phase("g", gan.generator, g_optimizer, "loss_g", lowered(game.loss_g, bf16, device), knobs.d_steps),
    ]
    steps = knobs.epochs * (count // size)
    schedules = [LambdaLR(p.optimizer, training.linear_fall(steps // p.every, knobs.lr_decay)) for p in phases]

    showcase, history, rankings = Showcase(gan, GRID, showing), History(run), list[float]()
    streams = (noise, penalty, chance, order)
    parts: tuple[Part, ...] = (gan, average, game, d_optimizer, g_optimizer, *schedules, *streams, history, rankings)
    with (
        Checkpoint("train_gan", run, params.checkpoint.seconds, *parts) as checkpoint,
        EpochMeter("train_gan", knobs.epochs, training.seen(count, size), SHOWN) as meter,
    ):
        album = Album(run, checkpoint.folder)
        for epoch in checkpoint.epochs(knobs.epochs):
            if epoch == 1:  # the untrained network, in the run alone: the UI shows step 0 first
                run.image("samples", showcase.samples(average.module), step=0)
            with meter.epoch(epoch):
                taken = training.steps(phases, training.batches(count, size, order))
                for scalars in until_diverged(taken, epoch, ADVICE):
                    for phase, schedule in zip(phases, schedules, strict=True):
                        if phase.objective in scalars:
                            schedule.step()
                    if "loss_g" in scalars:
                        average.update(gan.generator)
                    meter.add(scalars, images=size)
            row = meter.means()
            row["loss_total"] = objective.total(row["loss_d"], row["loss_g"], params.lambda_)
            history.add(epoch, row)
            run.log({"images_per_second": meter.images_per_second}, step=epoch)
            meter.line({"loss_total": row["loss_total"]})
            album.add("samples", epoch, showcase.samples(average.module))
            rankings.append(row["d_ranking_held_out"])
            if knobs.stop_when_balanced and objective.balanced(rankings):
                break
        with whole_folder(OUT) as folder:
            album.copy_all(folder)
            history.save(folder / "curves.csv")
        album.copy("samples", epoch, SAMPLES)

    history.tell_best(d_ranking_held_out=objective.nearest_to_balance)
    gan.generator = average.module
    weights.save(WEIGHTS, config, gan.state_dict())
    for path in (OUT / "curves.csv", SAMPLES):
        run.artifact(path)
    run.model("gan", WEIGHTS, digits.profile)
    sizes = {
        f"{name}_parameters": sum(p.numel() for p in network.parameters())
        for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator))
    }
    publish(run, "train_gan", {"epochs": epoch} | sizes | row | {"machine": machine(device)}, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_gan", main)
