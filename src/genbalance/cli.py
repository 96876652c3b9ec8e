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
    help="Effect of the balancing coefficients, λ in a GAN and β in a VAE. `dvc repro` and `dvc exp run` run the "
    "experiments; these commands compare them, generate digits and publish the models.",
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

    Run it at the repository's root. It lists every parameter under the name that `dvc exp run -S` takes. For each
    invalid value it prints one line with the allowed range, and exits with code 1.
    """
    from genbalance.params import read_params

    with _mistakes_in_a_line():
        flat = read_params().flat()
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(f"{name:{width}}  {'null' if value is None else value}")


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="A folder of images, or a .npy, .npz or .safetensors file.")],
    data: Annotated[Path, typer.Option(help="The prepared digits to compare with, from stage `prepare`.")] = Path(
        "data/prepared"
    ),
    classifier: Annotated[Path, typer.Option(help="The reference classifier, trained on these digits.")] = Path(
        "models/classifier.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="The file with seed, compute and evaluate.")] = Path("params.yaml"),
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this JSON file.")] = None,
    copies: Annotated[
        Path | None,
        typer.Option(help="Write a PNG of the most copied-looking samples above their nearest digits."),
    ] = None,
) -> None:
    """Evaluate your own images with the pipeline's metrics.

    The images are grey, square, white on black, and as large as the digits: uint8 in 0 ... 255, or floats in [0, 1]. A
    folder may hold PNG, JPEG, WebP, BMP, TIFF and GIF files; hidden files, texts and labels are skipped, and any other
    file is an error that names it. If there are more images than test digits, or than `evaluate.samples` in
    params.yaml, a random subset of that size is measured (by the seed of params.yaml).

    Few, lossy or inverted images make the numbers unreliable: the command then prints a warning on stderr and writes it
    into the heading and the JSON file. Invalid input is one line on stderr and exit code 1.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.evaluate import evaluate

        evaluation = evaluate(file, data, classifier, params)
        typer.echo(evaluation)
        evaluation.save(json, copies)


for command in (
    *(cli_drawing.generate, cli_drawing.interpolate, cli_drawing.traverse),
    *(cli_comparing.compare, cli_comparing.sweep, cli_comparing.seeds),
    *(cli_provenance.ui, cli_provenance.runs, cli_provenance.commits, cli_provenance.sync, cli_provenance.verify),
    *(cli_provenance.status, cli_provenance.baseline),
):
    app.command()(command)


@app.command()
def register(
    model: Annotated[Model | None, typer.Option(help="Only this one.  [default: both]", show_default=False)] = None,
) -> None:
    """Register the trained models in MLflow's model registry.

    Run it at the repository's root after `dvc repro`. It creates a version of genbalance-gan and of genbalance-vae,
    unless a version with the same weights exists; the description of a version is its model card. The alias `champion`
    moves to the new version if that is better than the present champion (GAN: lower fd_test, VAE: lower nelbo) and
    both were measured on the same digits.

    To serve a model: `mlflow models serve -m models:/genbalance-gan@champion --env-manager local`.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.register import register_models

        typer.echo(register_models([model.value] if model else [each.value for each in Model]))


@app.command()
def export(
    model: Annotated[Model, typer.Option(help="Model to export: the GAN's generator or the VAE's decoder.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="The model's weights.  [default: models/MODEL.safetensors]", show_default=False)
    ] = None,
) -> None:
    """Export the generator or decoder as an ONNX file.

    ONNX runtimes exist for most programming languages.

    The exported network returns a batch of images with pixels in [0, 1]. Its inputs are `latents` (and `conditions`)
    for the GAN, `noise` (and `labels`) for the VAE, whose prior is included. The metadata key `genbalance` describes
    each input as JSON: dtype, shape, and the distribution to draw it from.
    """
    with _mistakes_in_a_line():
        from genbalance.commands.export import export

        typer.echo(export(model.value, weights or Path("models") / f"{model.value}.safetensors", out))
