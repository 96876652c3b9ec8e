"""data/prepared → models/vae.safetensors: encoder, decoder and prior of the epoch with the least validation loss.

L = L_recon + β·L_KL; validation takes it at one draw of z, whatever the training does. Also curves, KL per latent and
grids of samples and reconstructions every epoch (artifacts/train_vae), metrics/train_vae.json and the best epoch's
grids beside it.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/train_vae")
WEIGHTS = Path("models/vae.safetensors")
PICTURES = {name: Path(f"metrics/train_vae_{name}.png") for name in ("samples", "reconstructions")}
GRID = 10  # columns
# of the validation images, as L = L_recon + β·L_KL
SHOWN = {"loss": "val_loss", "KL": "val_rate"}
PRINTED = {"best epoch": "best_epoch"} | SHOWN | {"distortion": "val_distortion", "active units": "active_units"}
ADVICE = "a smaller vae.learning_rate"


def main(params: Params, run: Run) -> None:
    """Trains, keeps the best epoch by validation."""
    import numpy as np
    import pandas as pd
    import torch
    from torch.optim import Adam
    from torch.optim.lr_scheduler import LambdaLR

    from genbalance import training, weights
    from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
    from genbalance.album import Album
    from genbalance.autoencoding import account
    from genbalance.averaging import MovingAverage
    from genbalance.best_epoch import BestEpoch
    from genbalance.checkpoint import Checkpoint, Part
    from genbalance.compute import generator, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import UNIT
    from genbalance.divergence import until_diverged
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.machine import machine
    from genbalance.progress import EpochMeter
    from genbalance.showcase.vae import Showcase
    from genbalance.tables import save_csv
    from genbalance.variational import Lesson, examined, fresh

    knobs, seed, beta = params.vae, params.seed, params.beta
    device = set_up(params.compute, seed, "train_vae")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    count, size = len(digits.train), knobs.batch_size
    training.check_batch_size("vae.batch_size", size, count)
    train, val = (upload(split.images, UNIT, device) for split in (digits.train, digits.val))
    classes = digits.classes if knobs.conditional else 0
    labels, val_labels, shown_labels = (
        torch.from_numpy(given).to(device) if classes else None
        for given in (digits.train.labels, digits.val.labels, np.arange(GRID**2) % digits.classes)
    )

    model, config = fresh(knobs, digits, seed, device)
    average = MovingAverage(model, knobs.ema_decay)
    bf16 = uses_bf16(params.compute, device, model)
    run.log({"bf16": float(bf16)})
    compile_on_gpu(params.compute, device, model.encoder, model.decoder)
    noise, order = (generator(seed, f"vae/{name}", device) for name in ("noise", "order"))
    shown = torch.randn(GRID**2, knobs.latents, generator=generator(seed, "vae/shown")).to(device)
    showcase = Showcase(shown, shown_labels, digits.val.images[: GRID**2 // 2], GRID)

    lesson = Lesson(model, train, labels, beta, knobs, noise, steps=lambda: schedules[0].last_epoch)
    loss = lowered(lesson.loss, bf16, device)
    sides = (
        {"vae": model} if knobs.updates == "joint" else dict(zip(("encoder", "decoder"), model.sides(), strict=True))
    )
    phases = [
        training.Phase(name, side, Adam(side.parameters(), knobs.learning_rate, fused=True), "train_loss", loss)
        for name, side in sides.items()
    ]
    fall = training.linear_fall(knobs.epochs * (count // size), knobs.lr_decay)
    schedules = [LambdaLR(phase.optimizer, fall) for phase in phases]
    history, best = History(run), BestEpoch("val_loss")
    parts: tuple[Part, ...] = (
        model,
        average,
        *(phase.optimizer for phase in phases),
        *schedules,
        noise,
        order,
        history,
        best,
    )
    with (
        Checkpoint("train_vae", run, params.checkpoint.seconds, *parts) as checkpoint,
        EpochMeter("train_vae", knobs.epochs, training.seen(count, size), SHOWN) as meter,
    ):
        album = Album(run, checkpoint.folder)
        for epoch in checkpoint.epochs(knobs.epochs):
            if epoch == 1:  # the untrained network, in the run alone: the UI shows step 0 first
                valued = account(average.module, val, generator(seed, "vae/validation", device), val_labels)
                run.image("samples", showcase.samples(average.module), step=0)
                run.image("reconstructions", showcase.reconstructions(valued.reconstructions), step=0)
            model.train()
            with meter.epoch(epoch):
                taken = training.steps(phases, training.batches(count, size, order))
                for scalars in until_diverged(taken, epoch, ADVICE):
                    for schedule in schedules:
                        schedule.step()
                    average.update(model)
                    meter.add(scalars, images=size)
            # the same noise at each epoch, so that epochs differ by their weights alone
            valued = account(average.module, val, generator(seed, "vae/validation", device), val_labels)
            validation = examined(valued, beta)
            means = meter.means()
            norms = {name: means.pop(name) for name in list(means) if name.startswith("grad_norm")}
            history.add(epoch, means | validation)
            run.log({"images_per_second": meter.images_per_second} | norms, step=epoch)
            meter.line(validation)
            album.add("samples", epoch, showcase.samples(average.module))
            album.add("reconstructions", epoch, showcase.reconstructions(valued.reconstructions))
            best.consider(epoch, validation, average.module, valued.kl)
        with whole_folder(OUT) as folder:
            album.copy_all(folder)
            save_csv(folder / "kl_per_latent.csv", pd.DataFrame({"latent": range(len(best.kl)), "kl": best.kl}))
            history.save(folder / "curves.csv")
        for name, path in PICTURES.items():
            album.copy(name, best.epoch, path)

    history.tell_best(val_loss=min, val_distortion=min)
    weights.save(WEIGHTS, config, best.state)
    for path in (OUT / "curves.csv", OUT / "kl_per_latent.csv", *PICTURES.values()):
        run.artifact(path)
    run.model("vae", WEIGHTS, digits.profile)
    told = {"parameters": sum(p.numel() for p in model.parameters()), "machine": machine(device)}
    publish(run, "train_vae", {"best_epoch": best.epoch} | best.numbers | told, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_vae", main)
