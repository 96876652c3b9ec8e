"""data/prepared → models/vae.safetensors: encoder, decoder and prior of the epoch with the least validation loss.

L = L_recon + β·L_KL; validation takes it at one draw of z, whatever the training does. Also curves, KL per latent and
grids of samples and reconstructions every epoch (artifacts/train_vae), metrics/train_vae.json and the best epoch's
grids beside it.
"""

from pathlib import Path
from typing import Any

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/train_vae")
PICTURES = (Path("metrics/train_vae_samples.png"), Path("metrics/train_vae_reconstructions.png"))
GRID = 10  # rows and columns


def main(params: Params, run: Run) -> None:
    """Trains, keeps the best epoch by validation."""
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch.optim import Adam
    from torch.optim.lr_scheduler import LambdaLR

    from genbalance import pictures, training, weights
    from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
    from genbalance.autoencoding import account, pass_through
    from genbalance.averaging import MovingAverage
    from genbalance.compute import generator, initialised, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import UNIT
    from genbalance.evaluation.features import in_blocks
    from genbalance.evaluation.latents import active_units
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.machine import machine
    from genbalance.models.vae import Vae
    from genbalance.objectives.vae import warmed_up
    from genbalance.progress import EpochMeter
    from genbalance.tables import save_csv

    knobs, seed, beta = params.vae, params.seed, params.beta
    device = set_up(params.compute, seed, "train_vae")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    training.check_batch_size("vae.batch_size", knobs.batch_size, len(digits.train))
    train, val = (upload(split.images, UNIT, device) for split in (digits.train, digits.val))
    classes = digits.classes if knobs.conditional else 0
    labels, val_labels, shown_labels = (
        torch.from_numpy(given).to(device) if classes else None
        for given in (digits.train.labels, digits.val.labels, np.arange(GRID**2) % digits.classes)
    )

    config: dict[str, Any] = {
        "arch": knobs.arch,
        "likelihood": knobs.likelihood,
        "size": digits.height,
        "latents": knobs.latents,
        "width": knobs.width,
        "log_sigma_floor": knobs.log_sigma_floor,
        "prior": knobs.prior,
        "classes": classes,
    }
    model = initialised(lambda: Vae(**config), seed, "vae/init", device)
    average = MovingAverage(model, knobs.ema_decay)
    kept = average.module
    bf16 = uses_bf16(params.compute, device, model)
    run.log({"bf16": float(bf16)})
    compile_on_gpu(params.compute, device, model.encoder, model.decoder)
    steps = len(train) // knobs.batch_size
    noise = generator(seed, "vae/noise", device)
    order = generator(seed, "vae/order", device)
    shown = torch.randn(GRID**2, knobs.latents, generator=generator(seed, "vae/shown")).to(device)

    originals = digits.val.images[: GRID**2 // 2]
    columns = min(GRID, len(originals))

    def pictures_of(reconstructions: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A grid of samples, and rows of originals each above the row of their reconstructions."""
        samples = in_blocks(kept.sample, shown, shown_labels)
        rebuilt = UNIT.to_uint8(reconstructions[: len(originals)])
        return (
            pictures.grid(UNIT.to_uint8(samples)[:, 0].numpy(), GRID),
            pictures.grid(pictures.alternate_rows(originals, rebuilt, columns), columns),
        )

    def loss(batch: torch.Tensor) -> training.Scalars:
        told = labels[batch] if labels is not None else None
        terms = pass_through(model, train[batch], noise, told, knobs.importance_samples).terms
        done = (schedules[0].last_epoch + 1) / (knobs.kl_warmup * steps) if knobs.kl_warmup else 1.0
        return {
            "train_loss": terms.loss(warmed_up(beta, done), knobs.free_bits),
            "train_distortion": terms.distortion.mean(),
            "train_rate": terms.rate.mean(),
        }

    sides = (
        {"vae": model} if knobs.updates == "joint" else dict(zip(("encoder", "decoder"), model.sides(), strict=True))
    )
    phases = [
        training.Phase(
            name,
            side,
            Adam(side.parameters(), knobs.learning_rate, fused=True),
            "train_loss",
            lowered(loss, bf16, device),
        )
        for name, side in sides.items()
    ]
    fall = training.linear_fall(knobs.epochs * steps, knobs.lr_decay)
    schedules = [LambdaLR(phase.optimizer, fall) for phase in phases]
    history, best_loss = History(run), float("inf")
    with (
        whole_folder(OUT) as folder,
        EpochMeter("train_vae", knobs.epochs, training.seen(len(train), knobs.batch_size)) as meter,
    ):
        for epoch in range(1, knobs.epochs + 1):
            model.train()
            with meter.epoch(epoch):
                for scalars in training.steps(phases, training.batches(len(train), knobs.batch_size, order)):
                    for schedule in schedules:
                        schedule.step()
                    average.update(model)
                    meter.add(scalars, images=knobs.batch_size)
            # the same noise at each epoch, so that epochs differ by their weights alone
            valued = account(kept, val, generator(seed, "vae/validation", device), val_labels)
            validation = {
                "val_loss": valued.loss(beta),
                "val_distortion": float(valued.distortion.mean()),
                "val_rate": valued.rate,
                "active_units": active_units(valued.means),
            }
            means = meter.means()
            norms = {name: means.pop(name) for name in list(means) if name.startswith("grad_norm")}
            history.add(epoch, means | validation)
            run.log({"images_per_second": meter.images_per_second} | norms, step=epoch)
            meter.line(validation)
            samples, pairs = pictures_of(valued.reconstructions)
            for name, picture in (("samples", samples), ("reconstructions", pairs)):
                pictures.save_png(folder / name / f"epoch_{epoch:04d}.png", picture)
                run.image(name, picture, step=epoch)
            if validation["val_loss"] < best_loss:
                best_loss, best = validation["val_loss"], {"best_epoch": epoch} | validation
                weights_at_best, kl, best_pictures = weights.snapshot(kept), valued.kl, (samples, pairs)
        save_csv(folder / "kl_per_latent.csv", pd.DataFrame({"latent": range(len(kl)), "kl": kl}))
        history.save(folder / "curves.csv")

    weights.save(Path("models/vae.safetensors"), config, weights_at_best)
    for path, picture in zip(PICTURES, best_pictures, strict=True):
        pictures.save_png(path, picture)
    for path in (OUT / "curves.csv", OUT / "kl_per_latent.csv", *PICTURES):
        run.artifact(path)
    publish(
        run, "train_vae", best | {"parameters": sum(p.numel() for p in model.parameters()), "machine": machine(device)}
    )


if __name__ == "__main__":
    execute("train_vae", main)
