"""A trained model's generator or decoder as a file for other programs."""

from pathlib import Path

from genbalance.errors import UserError


def export(kind: str, weights_file: Path, out: Path) -> str:
    """Writes the ONNX file of a model, gan or vae.

    Returns:
        What it takes, a line.

    Raises:
        UserError: there are no such weights, or the file cannot be written.
    """
    if not weights_file.is_file():
        raise UserError(f"{weights_file}: is not there; run `dvc repro`")

    import torch

    from genbalance import exporting, weights
    from genbalance.models.gan import Gan
    from genbalance.models.vae import Vae

    cpu = torch.device("cpu")
    if kind == "gan":
        drawing = exporting.of_gan(weights.load(weights_file, Gan, cpu))
    else:
        drawing = exporting.of_vae(weights.load(weights_file, Vae, cpu))
    try:
        exporting.save_onnx(out, drawing)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    taken = ", ".join(f"{name} {['batch', *tensor.shape[1:]]}" for name, tensor in drawing.inputs.items())
    return f"{out}: {taken.replace(chr(39), '')} → images [batch, 1, S, S] in [0, 1]"
