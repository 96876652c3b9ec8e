"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from genbalance import cli_comparing, cli_drawing, cli_provenance
from genbalance.cli_drawing import Model
from genbalance.mistakes import mistakes_in_a_line as _mistakes_in_a_line

app = typer.Typer(
    name="genbalance",
    help="What do the balancing coefficients do, λ in a GAN and β in a VAE? `dvc repro` and `dvc exp run` run the "
    "experiments; these commands compare them, draw digits and serve the models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain text: rich would take longer to load than all the rest
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"genbalance {version('genbalance')}")
        except PackageNotFoundError:  # run from the sources
            typer.echo("genbalance, not installed")
        raise typer.Exit


@app.callback()
def genbalance(
    _: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of all commands."""


@app.command()
def check() -> None:
    """Check params.yaml and show its values.

    Run it at the repository's root. It lists every parameter under the name that `dvc exp run -S` takes. Where
    something is wrong it says what is allowed, a line for each thing, and ends with exit code 1.
    """
    from genbalance.params import read_params

    with _mistakes_in_a_line():
        flat = read_params().flat()
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(f"{name:{width}}  {'null' if value is None else value}")


@app.command()
def evaluate(
    file: Annotated[
        Path, typer.Argument(help="The samples: a folder of images, or a file .npy, .npz or .safetensors.")
    ],
    data: Annotated[Path, typer.Option(help="The digits to hold them against, as `prepare` writes them.")] = Path(
        "data/prepared"
    ),
    judge: Annotated[Path, typer.Option(help="The classifier that was trained on these digits.")] = Path(
        "models/classifier.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="Where seed, compute and evaluate are read.")] = Path("params.yaml"),
    json: Annotated[Path | None, typer.Option(help="Write the metrics here.")] = None,
    copies: Annotated[
        Path | None,
        typer.Option(help="Draw here, as a PNG, the most copied-looking samples above their nearest digits."),
    ] = None,
) -> None:
    """Measure any model's samples with the suite of the pipeline.

    Samples are grey and square, as large as the digits: 0 ... 255 as uint8, or [0, 1] as floats; white on black, as the
    digits are. A folder holds PNG, JPEG, WebP, BMP, TIFF or GIF files; hidden files, text and labels are left out, any
    other file is refused by name. Of more samples than there are test digits, or than `evaluate.samples` in
    params.yaml, as many are drawn by its seed.

    What makes the numbers doubtful (few images, lossy files, inverted ones) is a warning on stderr, in the heading and
    in the JSON. Where something is wrong it says so in a line and ends with exit code 1.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.evaluate import evaluate

        evaluation = evaluate(file, data, judge, params)
        typer.echo(evaluation)
        evaluation.save(json, copies)


for command in (
    *(cli_drawing.generate, cli_drawing.interpolate, cli_drawing.traverse),
    *(cli_comparing.compare, cli_comparing.sweep, cli_comparing.seeds),
    *(cli_provenance.runs, cli_provenance.commits, cli_provenance.sync, cli_provenance.verify),
    *(cli_provenance.status, cli_provenance.baseline),
):
    app.command()(command)


@app.command()
def register(
    model: Annotated[Model | None, typer.Option(help="Only this one.  [default: both]", show_default=False)] = None,
) -> None:
    """Register the trained models in MLflow, to be served.

    Run it at the root after `dvc repro`. It makes a version of genbalance-gan and of genbalance-vae, with the model's
    card as its description, unless a version has the same weights. The alias `champion` moves to it if it beats the
    present champion: the GAN's fd_test, the VAE's nelbo, if both were measured on the same digits.

    Then `mlflow models serve -m models:/genbalance-gan@champion --env-manager local` answers with digits.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.register import register_models

        typer.echo(register_models([model.value] if model else [each.value for each in Model]))


@app.command()
def export(
    model: Annotated[Model, typer.Option(help="Whose generator or decoder.")],
    out: Annotated[Path, typer.Option(help="The file to write: .onnx.")],
    weights: Annotated[
        Path | None, typer.Option(help="Its weights.  [default: models/MODEL.safetensors]", show_default=False)
    ] = None,
) -> None:
    """Write a generator or decoder as an ONNX file.

    Other programs and languages can draw with it.

    It draws a batch of any size, pixels in [0, 1]: the GAN's out of `latents` (and `conditions`), the VAE's out of
    `noise` (and `labels`), its prior included. The file says what to draw each input from (dtype, shape, distribution
    and its parameters), as JSON under the metadata key `genbalance`.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.export import export

        typer.echo(export(model.value, weights or Path("models") / f"{model.value}.safetensors", out))
