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
    from torch.optim.swa_utils import AveragedModel

    from genbalance import pictures, training, weights
    from genbalance.averaging import moving_average
    from genbalance.compute import generator, initialised, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import SIGNED
    from genbalance.evaluation.features import in_blocks
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.models.gan import build_discriminator, build_generator
    from genbalance.objectives import gan as objective
    from genbalance.progress import EpochMeter

    knobs, seed = params.gan, params.seed
    device = set_up(params.compute, seed, "train_gan")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    training.check_batch_size("gan.batch_size", knobs.batch_size, len(digits.train))
    real, held_out = (upload(split.images, SIGNED, device) for split in (digits.train, digits.val))

    config: dict[str, Any] = {"arch": knobs.arch, "size": digits.height, "latents": knobs.latents, "width": knobs.width}
    g = initialised(lambda: build_generator(**config), seed, "gan/generator", device)
    d = initialised(lambda: build_discriminator(knobs.arch, digits.height, knobs.width), seed, "gan/critic", device)
    average = AveragedModel(g, multi_avg_fn=moving_average(knobs.ema_decay), use_buffers=True).eval()
    lr_d, lr_g = objective.step_sizes(knobs.learning_rate, params.lambda_)
    betas = (knobs.adam_beta1, knobs.adam_beta2)
    noise = generator(seed, "gan/noise", device)
    order = generator(seed, "gan/order", device)
    unseen = generator(seed, "gan/held_out", device)
    shown = torch.randn(GRID**2, knobs.latents, generator=generator(seed, "gan/shown")).to(device)

    def fake(count: int) -> torch.Tensor:
        images: torch.Tensor = g(torch.randn(count, knobs.latents, generator=noise, device=device))
        return images

    def loss_d(batch: torch.Tensor) -> training.Scalars:
        with torch.no_grad():
            generated = fake(len(batch))
            chance = torch.randint(len(held_out), batch.shape, generator=unseen, device=device)
            on_held_out = d(held_out[chance])
        on_real, on_generated = d(real[batch]), d(generated)
        return {
            "loss_d": objective.discriminator_loss(on_real, on_generated),
            "d_accuracy_real": (on_real > 0).float().mean(),
            "d_accuracy_generated": (on_generated < 0).float().mean(),
            "d_accuracy_held_out": (on_held_out > 0).float().mean(),
        }

    def loss_g(batch: torch.Tensor) -> training.Scalars:
        return {"loss_g": objective.generator_loss(d(fake(len(batch))))}

    phases = [
        training.Phase("d", d, Adam(d.parameters(), lr_d, betas), "loss_d", loss_d),
        training.Phase("g", g, Adam(g.parameters(), lr_g, betas), "loss_g", loss_g),
    ]
    history = History(run)
    with (
        whole_folder(OUT) as folder,
        EpochMeter("train_gan", knobs.epochs, training.seen(len(real), knobs.batch_size)) as meter,
    ):
        for epoch in range(1, knobs.epochs + 1):
            with meter.epoch(epoch):
                for scalars in training.steps(phases, training.batches(len(real), knobs.batch_size, order)):
                    average.update_parameters(g)
                    meter.add(scalars, images=knobs.batch_size)
            row = meter.means()
            row["loss_total"] = objective.total(row["loss_d"], row["loss_g"], params.lambda_)
            history.add(epoch, row)
            run.log({"images_per_second": meter.images_per_second}, step=epoch)
            meter.line({"loss_total": row["loss_total"]})
            picture = pictures.grid(SIGNED.to_uint8(in_blocks(average, shown))[:, 0].numpy(), GRID)
            pictures.save_png(folder / "samples" / f"epoch_{epoch:04d}.png", picture)
            run.image("samples", picture, step=epoch)
        history.save(folder / "curves.csv")

    trained = torch.nn.ModuleDict({"generator": average.module, "discriminator": d})
    weights.save(Path("models/gan.safetensors"), config, trained.state_dict())
    pictures.save_png(SAMPLES, picture)
    for path in (OUT / "curves.csv", SAMPLES):
        run.artifact(path)
    sizes = {
        "generator_parameters": sum(p.numel() for p in g.parameters()),
        "discriminator_parameters": sum(p.numel() for p in d.parameters()),
    }
    publish(run, "train_gan", {"epochs": knobs.epochs} | sizes | row)


if __name__ == "__main__":
    execute("train_gan", main)
