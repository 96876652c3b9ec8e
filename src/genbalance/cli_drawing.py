"""The commands that draw digits: names, options, help."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line

if TYPE_CHECKING:
    from genbalance.commands.studio import Studio


class Model(StrEnum):
    """The models that draw digits."""

    GAN = "gan"
    VAE = "vae"


ModelOption = Annotated[Model, typer.Option(help="Model to sample from.")]
WeightsOption = Annotated[Path | None, typer.Option(help="Its weights.  [default: models/MODEL.safetensors]")]
DataOption = Annotated[Path, typer.Option(help="The digits that it was trained on, as `prepare` writes them.")]
JudgeOption = Annotated[Path, typer.Option(help="The classifier that was trained on these digits.")]
ParamsOption = Annotated[Path, typer.Option(help="Where seed and compute are read.")]
SeedOption = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Overrides params.yaml.")]
TriesOption = Annotated[int, typer.Option(min=1, help="Candidates drawn for a digit, at most.")]
StepsOption = Annotated[int, typer.Option(min=2, max=200, help="Images of a way.")]
OutOption = Annotated[Path, typer.Option(help="The picture: .png, or .gif, which moves there and back again.")]
DATA, JUDGE, PARAMS, TRIES = Path("data/prepared"), Path("models/classifier.safetensors"), Path("params.yaml"), 50_000


def _studio(
    model: Model, weights: Path | None, data: Path, judge: Path, params: Path, seed: int | None, tries: int
) -> "Studio":
    from genbalance.commands.studio import Studio

    return Studio(model.value, weights, data, judge, params, seed, tries)


def generate(
    model: ModelOption,
    digit: Annotated[int | None, typer.Option(help="The digit to draw: a class of the data.")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many of it.  [default: 64]", show_default=False)
    ] = None,
    digits: Annotated[
        str | None, typer.Option(help="Draw a line, as 2026-11-23: digits, and - . : / and spaces between them.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write: a new or an empty one, or one that this command wrote.  "
            "[default: generated/MODEL-DIGITS]",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Take the first candidates as they come, not the best.")] = False,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    judge: JudgeOption = JUDGE,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Draw digits on demand, the best of what a model draws.

    Of several times as many candidates, those are kept that the judge reads as the digit with confidence; near-copies
    of training digits and of one another are dropped; the rest is ranked by confidence and by how typical it is of the
    training digits, and out of the best those that differ most are taken. A model that cannot be asked for a digit
    draws until enough are found.

    It leaves a folder with images/ (a PNG each, best first, or in the order of the line), grid.png or line.png, and
    generated.json: seed, files by their md5, how they were chosen, and the scores of each.
    """
    with mistakes_in_a_line():
        from genbalance.commands.demand import Demand

        demand = Demand.of(digit, digits, count, raw)

        from genbalance.commands.generate import generate

        folder = out or Path("generated") / f"{model.value}-{demand.label}"
        typer.echo(generate(_studio(model, weights, data, judge, params, seed, tries), demand, folder))


def interpolate(
    model: ModelOption,
    first: Annotated[int, typer.Option("--from", help="The digit to start from.")],
    second: Annotated[int, typer.Option("--to", help="The digit to end with.")],
    out: OutOption,
    steps: StepsOption = 12,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Ways, one above another.")] = 1,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    judge: JudgeOption = JUDGE,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Draw the way from one digit to another as a PNG or GIF.

    The ends are the best that `generate` finds. Between them the way follows the sphere near which normal noise lies
    (White 2016, arXiv:1609.04468).
    """
    with mistakes_in_a_line():
        from genbalance.commands.ways import interpolate

        studio = _studio(model, weights, data, judge, params, seed, tries)
        typer.echo(interpolate(studio, first, second, steps, rows, out))


def traverse(
    model: ModelOption,
    digit: Annotated[int, typer.Option(help="The digit that is changed: the best one that `generate` finds.")],
    out: OutOption,
    latent: Annotated[
        list[int] | None,
        typer.Option(help="A latent, from 0; again for another row.  [default: the 8 that change it most]"),
    ] = None,
    span: Annotated[float, typer.Option(min=0.1, max=10, help="From -SPAN to SPAN standard deviations.")] = 3.0,
    steps: StepsOption = 12,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    judge: JudgeOption = JUDGE,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
    tries: TriesOption = TRIES,
) -> None:
    """Draw what single latents do to a digit, a row each.

    `genbalance traverse --model vae --digit 3 --out latents.png` shows the eight that change it most; `--latent 21
    --latent 3` shows those two.
    """
    with mistakes_in_a_line():
        from genbalance.commands.ways import traverse

        studio = _studio(model, weights, data, judge, params, seed, tries)
        typer.echo(traverse(studio, digit, latent or [], span, steps, out))
