"""data/prepared → models/classifier.safetensors: the judge, whose penultimate layer the evaluation measures with.

Also curves, the confusion matrix (artifacts/train_classifier) and metrics/train_classifier.json.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/train_classifier")
WEIGHTS = Path("models/classifier.safetensors")
# of the validation images
SHOWN = {"loss": "val_loss", "accuracy": "val_accuracy"}
PRINTED = {"epochs": "epochs", "test accuracy": "test_accuracy", "calibration error": "ece"}
ADVICE = "a smaller classifier.learning_rate"


def main(params: Params, run: Run) -> None:
    """Trains with augmentation, keeps the last epoch and tests it.

    The schedule ends with steps of almost zero; a choice among epochs by few validation images would be one by chance.
    """
    import pandas as pd
    import torch
    from torch.nn.functional import cross_entropy

    from genbalance import training, weights
    from genbalance.acceleration import compile_on_gpu, lowered, uses_bf16
    from genbalance.augmentation import shift_and_rotate
    from genbalance.checkpoint import Checkpoint
    from genbalance.compute import generator, initialised, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import standardized
    from genbalance.divergence import until_diverged
    from genbalance.evaluation.calibration import reading_quality
    from genbalance.evaluation.features import in_blocks
    from genbalance.files import whole_folder
    from genbalance.history import History
    from genbalance.machine import machine
    from genbalance.models.classifier import Classifier
    from genbalance.progress import EpochMeter
    from genbalance.tables import save_csv

    knobs = params.classifier
    device = set_up(params.compute, params.seed, "train_classifier")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    training.check_batch_size("classifier.batch_size", knobs.batch_size, len(digits.train))
    pixels = standardized(digits.mean, digits.std)
    train, val, test = (upload(s.images, pixels, device) for s in (digits.train, digits.val, digits.test))
    labels = torch.from_numpy(digits.train.labels).to(device)
    val_labels = torch.from_numpy(digits.val.labels)

    config = {"size": digits.height, "classes": digits.classes, "width": knobs.width}
    model = initialised(lambda: Classifier(**config), params.seed, "classifier/init", device)
    optimizer = torch.optim.AdamW(model.parameters(), knobs.learning_rate, weight_decay=knobs.weight_decay, fused=True)
    updates = knobs.epochs * (len(train) // knobs.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, knobs.learning_rate, total_steps=updates + 1)
    order = generator(params.seed, "classifier/order", device)
    noise = generator(params.seed, "classifier/augmentation", device)

    def loss(batch: torch.Tensor) -> training.Scalars:
        images = shift_and_rotate(train[batch], knobs.shift, knobs.rotation, noise)
        return {"train_loss": cross_entropy(read(images).float(), labels[batch])}

    compile_on_gpu(params.compute, device, model)
    bf16 = uses_bf16(params.compute, device, model)
    run.log({"bf16": float(bf16)})
    read = lowered(model, bf16, device)  # the network alone: augmentation places pixels exactly
    phases = [training.Phase("classifier", model, optimizer, "train_loss", loss)]
    history = History(run)
    parts = (model, optimizer, schedule, order, noise, history)
    with (
        Checkpoint("train_classifier", run, params.checkpoint.seconds, *parts) as checkpoint,
        EpochMeter("train_classifier", knobs.epochs, training.seen(len(train), knobs.batch_size), SHOWN) as meter,
    ):
        for epoch in checkpoint.epochs(knobs.epochs):
            model.train()
            with meter.epoch(epoch):
                steps = training.steps(phases, training.batches(len(train), knobs.batch_size, order))
                for scalars in until_diverged(steps, epoch, ADVICE):
                    schedule.step()
                    meter.add(scalars, images=knobs.batch_size)
            model.eval()
            logits = in_blocks(model, val)
            val_loss = cross_entropy(logits, val_labels).item()
            val_accuracy = (logits.argmax(dim=1) == val_labels).double().mean().item()
            row = {"train_loss": meter.means()["train_loss"], "val_loss": val_loss, "val_accuracy": val_accuracy}
            history.add(epoch, row)
            grad_norm = meter.means()["grad_norm_classifier"]
            run.log({"images_per_second": meter.images_per_second, "grad_norm": grad_norm}, step=epoch)
            meter.line({"val_loss": val_loss, "val_accuracy": val_accuracy})

    history.tell_best(val_loss=min, val_accuracy=max)
    quality, predicted = reading_quality(in_blocks(model, test), digits.test.labels)
    weights.save(WEIGHTS, config, model.state_dict())
    with whole_folder(OUT) as folder:
        history.save(folder / "curves.csv")
        confusion = pd.DataFrame({"actual": digits.test.labels, "predicted": predicted})
        save_csv(folder / "confusion.csv", confusion)
    run.artifact(OUT)
    run.model("classifier", WEIGHTS, digits.profile)
    metrics = {"epochs": epoch, "val_accuracy": val_accuracy} | quality | {"machine": machine(device)}
    publish(run, "train_classifier", metrics, WEIGHTS, PRINTED)


if __name__ == "__main__":
    execute("train_classifier", main)
