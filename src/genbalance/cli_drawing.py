"""The commands that generate digits: names, options, help."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line

if TYPE_CHECKING:
    from genbalance.commands.studio import Studio


class Model(StrEnum):
    """The models that generate digits."""

    GAN = "gan"
    VAE = "vae"


ModelOption = Annotated[Model, typer.Option(help="Model to sample from.")]
WeightsOption = Annotated[Path | None, typer.Option(help="The model's weights.  [default: models/MODEL.safetensors]")]
DataOption = Annotated[Path, typer.Option(help="The prepared digits, from stage `prepare`.")]
ClassifierOption = Annotated[Path, typer.Option(help="The reference classifier, trained on these digits.")]
ParamsOption = Annotated[Path, typer.Option(help="The file with the parameters seed and compute.")]
SeedOption = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Random seed; overrides params.yaml.")]
TriesOption = Annotated[int, typer.Option(min=1, help="At most so many candidates are drawn per digit.")]
StepsOption = Annotated[int, typer.Option(min=2, max=200, help="Images per row.")]
OutOption = Annotated[Path, typer.Option(help="The file to write: .png, or .gif (an animation, forth and back).")]
DATA, CLASSIFIER, PARAMS, TRIES = (
    Path("data/prepared"),
    Path("models/classifier.safetensors"),
    Path("params.yaml"),
    50_000,
)


def _studio(
    model: Model, weights: Path | None, data: Path, classifier: Path, params: Path, seed: int | None, tries: int
) -> "Studio":
    from genbalance.commands.studio import Studio

    return Studio(model.value, weights, data, classifier, params, seed, tries)


def generate(
    model: ModelOption,
    digit: Annotated[int | None, typer.Option(help="The digit to generate.")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Number of images.  [default: 64]", show_default=False)
    ] = None,
    digits: Annotated[
        str | None, typer.Option(help="Generate a line such as 2026-11-23: digits, - . : / and spaces.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The output folder: new, empty, or created by this command.  [default: generated/MODEL-DIGITS]",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Take the first candidates without selection.")] = False,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Generate images of a digit, the best of many candidates.

    The command draws several times as many candidates as needed and keeps those that the reference classifier assigns
    to the digit with a probability of at least 0.9, without near-copies of training digits and of one another. It ranks
    the rest by that probability and by how typical they are of the training digits, and takes the most diverse of the
    best. A conditional model draws the digit directly; any other draws until enough candidates are found.

    The output folder has images/ (a PNG each, best first, or in the order of the line), grid.png or line.png, and
    generated.json: seed, MD5 of the files used, selection rules, and each image's scores.
    """
    with mistakes_in_a_line():
        from genbalance.commands.demand import Demand

        demand = Demand.of(digit, digits, count, raw)

        from genbalance.commands.generate import generate

        folder = out or Path("generated") / f"{model.value}-{demand.label}"
        typer.echo(generate(_studio(model, weights, data, classifier, params, seed, tries), demand, folder))


def interpolate(
    model: ModelOption,
    first: Annotated[int, typer.Option("--from", help="First digit.")],
    second: Annotated[int, typer.Option("--to", help="Last digit.")],
    out: OutOption,
    steps: StepsOption = 12,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Number of interpolations, one above another.")] = 1,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Interpolate between two digits, as a PNG or GIF.

    The endpoints are the best candidates of `generate`; their latents are interpolated spherically (White 2016,
    arXiv:1609.04468).
    """
    with mistakes_in_a_line():
        from genbalance.commands.ways import interpolate

        studio = _studio(model, weights, data, classifier, params, seed, tries)
        typer.echo(interpolate(studio, first, second, steps, rows, out))


def traverse(
    model: ModelOption,
    digit: Annotated[int, typer.Option(help="The digit to change: the best candidate of `generate`.")],
    out: OutOption,
    latent: Annotated[
        list[int] | None,
        typer.Option(help="Index of a latent, from 0; repeat it for more rows.  [default: the 8 with most effect]"),
    ] = None,
    span: Annotated[float, typer.Option(min=0.1, max=10, help="From -SPAN to SPAN standard deviations.")] = 3.0,
    steps: StepsOption = 12,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Vary single latents of a digit, a row each.

    `genbalance traverse --model vae --digit 3 --out latents.png` shows the eight latents that change the image most;
    with `--latent 21 --latent 3` it shows those two.
    """
    with mistakes_in_a_line():
        from genbalance.commands.ways import traverse

        studio = _studio(model, weights, data, classifier, params, seed, tries)
        typer.echo(traverse(studio, digit, latent or [], span, steps, out))
