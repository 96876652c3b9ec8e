"""The command line: the app, the options that several commands share, then the commands by subject.

Each command imports what it needs when it runs, so that `--help` answers at once.
"""

import os
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from genbalance.families.registry import known
from genbalance.runtime.errors import UserError, machine_errors

if TYPE_CHECKING:
    from genbalance.experiments.sweep_folder import SweepFolder
    from genbalance.sampling.context import Context

    Model = str
else:
    Model = StrEnum("Model", {name.upper(): name for name in known()})


class Sampler(StrEnum):
    """What draws the trials of `genbalance tune`."""

    TPE = "tpe"
    RANDOM = "random"


class _Commands(TyperGroup):
    """The commands: a `UserError`, or what the machine refuses, ends each of them with one line and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with machine_errors():
                return super().invoke(ctx)
        except UserError as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="genbalance",
    cls=_Commands,
    help="Effect of the balancing coefficients, λ in a GAN and β in a VAE. `dvc repro` and `dvc exp run` run the "
    "experiments; these commands compare them, generate images and publish the models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain text: rich would take longer to load than all the rest
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"genbalance {version('genbalance')}")
        except PackageNotFoundError:  # run from the sources
            typer.echo("genbalance, not installed")
        raise typer.Exit


@app.callback()
def genbalance(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of all commands."""


# Options that several commands share

ModelOption = Annotated[Model, typer.Option(help="Model to sample from.")]
WeightsOption = Annotated[Path | None, typer.Option(help="The model's weights.  [default: models/MODEL.safetensors]")]
DataOption = Annotated[Path, typer.Option(help="The prepared images, from stage `prepare`.")]
ClassifierOption = Annotated[Path, typer.Option(help="The reference classifier, trained on these images.")]
ParamsOption = Annotated[Path, typer.Option(help="The file with the parameters seed and compute.")]
SeedOption = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Random seed; overrides params.yaml.")]
TriesOption = Annotated[int, typer.Option(min=1, help="At most so many candidates are drawn per digit.")]
StepsOption = Annotated[int, typer.Option(min=2, max=200, help="Images per row.")]
OutOption = Annotated[Path, typer.Option(help="The file to write: .png, or .gif (an animation, forth and back).")]
AllOption = Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")]
RevisionArgument = Annotated[str, typer.Argument(metavar="REV", help="A commit, branch, tag or experiment.")]
DATA, CLASSIFIER, PARAMS = Path("data/prepared"), Path("models/classifier.safetensors"), Path("params.yaml")
TRIES = 50_000


# Params and images


@app.command()
def check() -> None:
    """Check params.yaml and show its values.

    Run it at the repository's root. It lists every parameter under the name that `dvc exp run -S` takes. For each
    invalid value it prints one line with the allowed range, and exits with code 1.
    """
    from genbalance.params import read_params

    flat = read_params().flat()
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(f"{name:{width}}  {'null' if value is None else value}")


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="A folder of images, or a .npy, .npz or .safetensors file.")],
    data: Annotated[Path, typer.Option(help="The prepared images to compare with, from stage `prepare`.")] = DATA,
    reference: Annotated[
        Path | None,
        typer.Option(help="Real images to compare with, a folder or file as FILE, in place of the prepared ones."),
    ] = None,
    classifier: Annotated[Path, typer.Option(help="The reference classifier, trained on --data.")] = CLASSIFIER,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Another network (Inception, DINOv2, ...) in place of the classifier: .onnx, or .pt (TorchScript). "
            "Load files that you trust."
        ),
    ] = None,
    features_size: Annotated[
        int | None, typer.Option(help="Pixels a side that this network takes, where its file does not say it.")
    ] = None,
    resize: Annotated[
        bool,
        typer.Option(
            "--resize", help="Resize the images by area to those compared with, cut to the middle; convert colours."
        ),
    ] = False,
    params: Annotated[Path, typer.Option(help="The file with seed, compute and evaluate.")] = PARAMS,
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this JSON file.")] = None,
    copies: Annotated[
        Path | None,
        typer.Option(help="Write a PNG of the most copied-looking samples above their nearest real images."),
    ] = None,
) -> None:
    """Evaluate your own images with the pipeline's metrics.

    The images are grey or in colour and have the size of those that they are compared with, or are resized with
    --resize: uint8 in 0 ... 255, or floats in [0, 1]. A folder, or the folders in it, may hold PNG, JPEG, WebP, BMP,
    TIFF and GIF files; hidden files, texts and labels are skipped, and any other file is an error that names it. If
    there are more images than test images, or than `evaluate.samples` in params.yaml, a random subset of that size is
    measured (by the seed of params.yaml).

    --reference compares two sets of images: half of the real ones take the place of training images, a tenth of
    validation images, the rest are compared with. --features takes float32 images [batch, channels, height, width] in
    [0, 1] to features [batch, d]; images are resized to the size that an .onnx file states, or to --features-size. With
    both, neither prepared images nor a classifier nor params.yaml are needed. What needs class probabilities is left
    out then.

    Few, lossy or inverted images make the numbers unreliable: the command then prints a warning on stderr and writes it
    into the heading and the JSON file. Invalid input is one line on stderr and exit code 1.
    """
    from genbalance.evaluation.own_images import evaluate

    released = reference is not None and params == PARAMS and not params.exists()
    evaluation = evaluate(
        file,
        data,
        classifier,
        None if released else params,
        reference=reference,
        features=features,
        features_size=features_size,
        resize=resize,
    )
    typer.echo(evaluation)
    evaluation.save(json, copies)


# Generating digits


def _context(
    model: Model, weights: Path | None, data: Path, classifier: Path, params: Path, seed: int | None, tries: int
) -> "Context":
    from genbalance.sampling.context import Context

    return Context(str(model), weights, data, classifier, params, seed, tries)


@app.command()
def generate(
    model: ModelOption,
    digit: Annotated[str | None, typer.Option(help="The class to generate, by its number or name.")] = None,
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
    to the digit with a probability of at least 0.9, without near-copies of training images and of one another. It ranks
    the rest by that probability and by how typical they are of the training images, and takes the most diverse of the
    best. A conditional model draws the digit directly; any other draws until enough candidates are found.

    Of images without classes, give --count alone.

    The output folder has images/ (a PNG each, best first, or in the order of the line), grid.png or line.png, and
    generated.json: seed, MD5 of the files used, selection rules, and each image's scores.
    """
    from genbalance.sampling.generate import Options, generate

    options = Options.of(digit, digits, count, raw)
    folder = out or Path("generated") / f"{model}-{options.label}"
    typer.echo(generate(_context(model, weights, data, classifier, params, seed, tries), options, folder))


@app.command()
def interpolate(
    model: ModelOption,
    out: OutOption,
    first: Annotated[str | None, typer.Option("--from", help="First class, by its number or name.")] = None,
    second: Annotated[str | None, typer.Option("--to", help="Last class.")] = None,
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
    from genbalance.sampling.generate import interpolate

    context = _context(model, weights, data, classifier, params, seed, tries)
    typer.echo(interpolate(context, first, second, steps, rows, out))


@app.command()
def traverse(
    model: ModelOption,
    out: OutOption,
    digit: Annotated[
        str | None, typer.Option(help="The class to change an image of: the best candidate of `generate`.")
    ] = None,
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
    from genbalance.sampling.generate import traverse

    context = _context(model, weights, data, classifier, params, seed, tries)
    typer.echo(traverse(context, digit, latent or [], span, steps, out))


@app.command()
def play(
    model: ModelOption,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on this machine; 0: any free one.")] = 0,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
) -> None:
    """Change what a model draws, on a live page.

    It prints the address of a page that this machine alone can open; Ctrl-C ends it. Its sliders move the eight latents
    that change the image most, and what else the model has: truncation, clusters, classes, or beta where it was trained
    with `vae.beta_range`. Beside the image stands what the reference classifier reads, if that is there. A model with
    an encoder also starts from test images.
    """
    from genbalance.sampling.play import play

    code = 0
    try:
        play(_context(model, weights, data, classifier, params, seed, TRIES), port, typer.echo)
    except SystemExit as end:
        code = int(end.code or 0)
    os._exit(code)  # at once: where a connection's thread still runs, Python's own end may abort


@app.command()
def explain(
    model: ModelOption,
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write.  [default: generated/MODEL-explained.html]", show_default=False),
    ] = None,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: ParamsOption = PARAMS,
    seed: SeedOption = None,
) -> None:
    """Show the pixels and latents that explain what a model does.

    It writes one self-contained page. Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), and occlusion
    as a check, show which pixels make the discriminator call an image generated, and which make the reference
    classifier misread an image or hesitate between two classes. Of a model with an encoder, the most active latents
    are moved, beside the classes that they move and the classes' weights in a linear probe. It prints how well both
    maps agree, and how exact the integral is.
    """
    from genbalance.sampling.explain import explain

    path = out or Path("generated") / f"{model}-explained.html"
    typer.echo(explain(_context(model, weights, data, classifier, params, seed, TRIES), path))


@app.command()
def usefulness(
    model: ModelOption,
    count: Annotated[
        int | None, typer.Option(min=2, help="Samples to train on.  [default: as many as training images]")
    ] = None,
    weights: WeightsOption = None,
    data: DataOption = DATA,
    classifier: ClassifierOption = CLASSIFIER,
    params: Annotated[Path, typer.Option(help="The file with the parameters seed, compute and classifier.")] = PARAMS,
    seed: SeedOption = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this JSON file.")] = None,
) -> None:
    """Train a classifier on samples, test it on real images.

    It draws as many samples of each class, which takes a model trained with `gan.conditional=true` or
    `vae.conditional=true`, and trains the classifier of the pipeline on them, with the parameters that it has there. It
    prints the accuracy on the real test images, with a 95% interval, beside that of --classifier, which was trained on
    real images.
    """
    from genbalance.runtime.io import rounded, write_json
    from genbalance.sampling import usefulness as samples

    found = samples.usefulness(_context(model, weights, data, classifier, params, seed, TRIES), count)
    typer.echo(found)
    if json:
        write_json(json, rounded(found.metrics))


# Comparing experiments


@app.command()
def compare(
    groups: Annotated[
        list[str],
        typer.Argument(
            help="Groups of runs: a pattern such as 'base-*', a revision, or several, separated by commas. The first "
            "group is the reference; a single group is split by its settings."
        ),
    ],
    all_: AllOption = False,
    json: Annotated[Path | None, typer.Option(help="Write the comparison to this JSON file.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one self-contained page with sample grids and training curves.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="Write the tables and the sample grids as a comment for GitHub; - prints only that."),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            help="Address of the repository that the comment's pictures are linked from, such as "
            "https://github.com/OWNER/NAME; as it is, they are found from the page of a pull request or an issue."
        ),
    ] = "..",
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Log page, table and figures as an MLflow run.")] = False,
) -> None:
    """Compare groups of experiments, metric by metric.

    For each metric it shows the difference, its 95% interval, and whether the difference exceeds the variation over
    seeds.

    After `genbalance sweep run -n base -S seed=1,2,3` and `genbalance sweep run -n beta4 -S seed=1,2,3 -S beta=4`:
    `genbalance compare 'base-*' 'beta4-*'`. The runs of a group may differ only in their seed.

    A single argument is split by its settings: `genbalance compare 'beta-*'` compares each value of beta with the value
    of the checked-out commit, or with the smallest. If several commits have an experiment of the same name, the newest
    one is used. An infinite effect size (no variation over seeds) is null in the JSON file.
    """
    from genbalance.experiments.compare import compare_groups, find_groups
    from genbalance.experiments.compare_markdown import STANDARD_OUTPUT, as_markdown
    from genbalance.experiments.compare_page import save
    from genbalance.experiments.compare_table import as_text

    comparison = compare_groups(find_groups(groups), every=all_)
    printed = markdown == STANDARD_OUTPUT
    typer.echo(as_markdown(comparison, base) if printed else as_text(comparison), nl=not printed)
    if run := save(comparison, json, html, markdown, base, mlflow):
        typer.echo(f"\nIn MLflow: {run}", err=printed)


sweep = typer.Typer(
    help="Run a sweep over parameters, and show their effect.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(sweep, name="sweep")


@sweep.command()
def run(
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="The sweep; its experiments are NAME-1, NAME-2, ...")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set-param",
            "-S",
            metavar="KEY=VALUES",
            help="The values of a parameter: beta=0.1,0.5,1 or seed=range(1,4). Repeat it for all combinations.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Experiments at a time.  [default: as many as CPUs allow]", show_default=False)
    ] = 0,
    address: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster: ray://HOST:PORT, HOST:PORT, or auto.  [default: Ray on this machine]",
            show_default=False,
        ),
    ] = "",
    gpus: Annotated[float, typer.Option(min=0, help="GPUs set aside for a point: 1, or a share such as 0.25.")] = 0,
    slurm: Annotated[
        str | None,
        typer.Option(
            metavar="OPTIONS",
            help='Submit job arrays to SLURM instead, with these options of sbatch: "--partition=cpu --time=2:00:00".',
            show_default=False,
        ),
    ] = None,
    stacked: Annotated[
        bool, typer.Option("--stacked", help="Train VAEs that differ in numbers alone in one process: for a GPU.")
    ] = False,
) -> None:
    """Run a sweep, several experiments at a time.

    `genbalance sweep run -n beta -S beta=0.1,0.5,1,4 -S seed=1,2,3` runs twelve experiments, beta-1 ... beta-12, each
    in a clone of the commit, as `dvc exp run` does. Stages that several of them share run once. Experiments, DVC's
    cache and MLflow's runs come home as each one ends; the working tree stays as it is.

    A worker that is lost is replaced. Interrupted or killed, `genbalance sweep resume NAME` goes on. An experiment that
    fails keeps its log (`genbalance sweep log NAME POINT`) and the others go on; the exit code is then 1. It needs Ray:
    `pip install 'genbalance[cluster]'`.

    With --stacked the VAEs of experiments that run side by side are trained in one process, for a GPU. Their numbers
    are those of separate trainings, but not to the last bit.
    """
    from genbalance.experiments import cluster

    _run_sweep(cluster.begin(name, settings or [], workers, address, gpus, slurm, stacked))


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The sweep.")]


@sweep.command("status")
def sweep_status(name: NameArgument) -> None:
    """Show which points of a sweep are done, running, failed or left.

    It needs no Ray: the sweep's folder, sweeps/NAME, and git know. Of a sweep under SLURM it first brings home the
    results that wait in that folder.
    """
    from genbalance.experiments import slurm
    from genbalance.experiments.sweep_folder import SweepFolder, as_text

    folder = SweepFolder(name)
    plan = folder.plan()
    if plan.slurm is not None:
        slurm.collect(folder, plan)
    typer.echo(as_text(folder, plan))


@sweep.command()
def resume(
    name: NameArgument,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Experiments at a time from now on.", show_default=False)
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help='Another Ray cluster; "" for this machine.', show_default=False),
    ] = None,
) -> None:
    """Run what a sweep lacks: what was cut short, and what failed.

    A point whose experiment is in git does not run again.
    """
    from genbalance.experiments.sweep_folder import SweepFolder

    folder = SweepFolder(name)
    changed = {"workers": workers, "address": address}
    if given := {key: value for key, value in changed.items() if value is not None}:
        folder.amend(**given)
    _run_sweep(folder)


@sweep.command()
def cancel(name: NameArgument) -> None:
    """Stop a sweep that runs, and its experiments.

    `genbalance sweep resume NAME` goes on later.
    """
    from genbalance.experiments import slurm
    from genbalance.experiments.sweep_folder import SweepFolder

    folder = SweepFolder(name)
    stopped = slurm.cancel(folder) if folder.plan().slurm is not None else folder.cancel()
    typer.echo(f"{name}: stopped" if stopped else f"{name}: is not running")


@sweep.command()
def log(
    name: NameArgument, point: Annotated[str, typer.Argument(metavar="POINT", help="NAME-7, or its number alone.")]
) -> None:
    """Print what an experiment of a sweep has printed.

    On the machine that the sweep was started on, also while it runs; from others when it has ended.
    """
    from genbalance.experiments.sweep_folder import SweepFolder

    folder = SweepFolder(name)
    typer.echo(folder.read_log(folder.plan(), point), nl=False)


def _run_sweep(folder: "SweepFolder") -> None:
    from genbalance.experiments import cluster, slurm

    if folder.plan().slurm is not None:
        slurm.submit(folder)
    elif not cluster.run(folder):
        raise typer.Exit(1)


@sweep.command()
def show(
    runs: Annotated[str, typer.Argument(help="The runs: a pattern such as 'beta-*', or names separated by commas.")],
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Write the curves, or the heat map, to this PNG file; with several model families, FILE_family.png.",
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write each run's metrics to this file, sample grids to a folder of the same name."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.KEY",
            help="Show the Pareto front of two metrics instead, as for `genbalance tune`: give it twice.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show the effect of one parameter, a map of two, or the Pareto front of two metrics.

    It prints a line for each value; `--figure` plots the curves. The report shows the sweeps in metrics/sweeps/: use
    `--json metrics/sweeps/NAME.json` for a sweep of beta or lambda, and the head of the page shows its curves and
    samples, with a slider over its values.

    After `genbalance sweep run -n beta -S beta=0.5,1,2`: `genbalance sweep show 'beta-*'`. The runs may differ in one
    parameter and in their seed; with several seeds per value (`-S seed=1,2,3`), table and figure show the mean and the
    variation over seeds.

    Where two numeric parameters differ (`-n map -S lambda=0.5,1,2 -S beta=0.5,1,2`), it prints the Fréchet distance of
    each model family as a table, the values of the one in rows and of the other in columns; `--figure` draws it as a
    heat map. The report shows no maps: their `--json` belongs outside metrics/sweeps/.

    Whatever differs between the runs, `genbalance sweep show 'front-*' --metric evaluate_vae.rate:min --metric
    evaluate_vae.fd_test` shows them by two metrics: those than which no other is at least as good in both and better in
    one have a star. `--figure` draws them, and the report shows what `--json metrics/sweeps/NAME.json` writes.
    """
    from genbalance.experiments import front
    from genbalance.experiments.sweep import as_text, find_sweep, save

    if metric:
        by_metrics = front.find_front(runs, metric)
        typer.echo(front.as_text(by_metrics))
        written = front.save(by_metrics, figure, json)
    else:
        found = find_sweep(runs, pictures=json is not None)
        typer.echo(as_text(found))
        written = save(found, figure, json)
    if written:
        typer.echo(f"\nWritten: {', '.join(map(str, written))}")


@app.command()
def seeds(
    runs: Annotated[str, typer.Argument(help="The runs: a pattern such as 'seeds-*', or names separated by commas.")],
    all_: AllOption = False,
    json: Annotated[Path | None, typer.Option(help="Write each run's values to this JSON file.")] = None,
) -> None:
    """Show the variation over seeds: mean, SD and range.

    After `genbalance sweep run -n seeds -S 'seed=range(1,11)'`: `genbalance seeds 'seeds-*'`. The runs may
    differ only in their seed, which also changes the data split and the reference classifier.
    """
    from genbalance.experiments.seeds import as_text, find_spread, save

    found = find_spread(runs, every=all_)
    typer.echo(as_text(found))
    if json:
        save(found, json)


@app.command()
def tune(
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="The study; its experiments are NAME-001, NAME-002, ...")
    ],
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE]...",
            help="Stages that a trial runs, with those that they need, as for `dvc repro`.",
            show_default="all",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set-param",
            "-S",
            metavar="KEY=VALUES",
            help="What to search over: a range such as beta=0.1..10, or choices such as beta=1,2,4; or a value of all "
            "trials, as for `dvc exp run`. Repeat it.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.KEY",
            help="What to search for: a number in metrics/FILE.json, in the direction in which it is better; "
            "FILE.KEY:min or :max says which. Repeat it for the Pareto front of several.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=9999, help="Trials in all, those before an interruption too.")] = 20,
    sampler: Annotated[
        Sampler, typer.Option(help="tpe: Tree-structured Parzen Estimator; random: random search.")
    ] = Sampler.TPE,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the draws; the runs' is params.yaml's.")] = 0,
    prune: Annotated[
        str,
        typer.Option(
            metavar="STAGE.CURVE",
            help="End trials early by this column of a training's curves.csv; lower is better, unless :max follows.",
            show_default=False,
        ),
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="Only show the study as it stands.")] = False,
) -> None:
    """Search over parameters, each trial an experiment.

    `genbalance tune -n fd -S beta=0.1..10 -S vae.learning_rate=0.0005..0.01 --metric evaluate_vae.fd_test` runs 20
    experiments in copies, one after another, as `dvc exp run --temp` does: the working tree stays as it is. It prints a
    line for each and, in the end, a table, best first, with the command that runs the best again.

    A range is drawn uniformly in the logarithm if its ends are positive, and uniformly if not; `beta=0.1..10:linear`
    and `:log` say which. `vae.arch=mlp,conv` are choices. Whole numbers stay whole; others are drawn with four
    significant digits. The seed, the sampler and the trials before it decide what a trial draws.

    With `train_vae` or `evaluate@vae` at the end, a trial runs that stage and those that it needs alone. The other
    numbers and the page in its experiment are then still those of HEAD.

    Interrupted or killed, the same command goes on; with more --trials, too. A trial that fails is recorded with its
    last line; after three in a row the search stops. It needs Optuna: `pip install 'genbalance[tune]'`.

    With `--prune train_vae.val_loss` a trial ends as with Ctrl-C, without an experiment, once its best value so far is
    worse than the median of the earlier trials at an epoch, from the sixth trial on. It still counts as one of
    `--trials`. A curve that the search itself scales, such as val_loss with beta, compares nothing.
    """
    from genbalance.experiments import tune

    if show:
        typer.echo(tune.show(name))
        return
    arguments, params = tune.parse_arguments(settings or [], metric or [], sampler.value, seed, prune, targets or [])
    typer.echo(tune.tune(name, arguments, params, trials))


# Runs in MLflow


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the server on this machine; 0: any free one.")] = 5000,
) -> None:
    """Open MLflow's table of runs, with λ, β and their metrics.

    It starts MLflow's server on this machine, prints the address of the table of runs and, if there is a screen, opens
    it in a browser; Ctrl-C ends the server. If MLFLOW_TRACKING_URI names a server, it starts none and prints the
    address there.
    """
    from genbalance.params import read_params
    from genbalance.tracking.store import reach
    from genbalance.tracking.ui import serve

    store = reach(read_params().tracking.experiment, change=False)
    serve(store.address, store.experiment_id, port, typer.echo)


@app.command()
def cost(revision: RevisionArgument = "HEAD") -> None:
    """Show the energy and CO2 that a commit's results cost.

    For each stage it shows Wh and g CO2 of the MLflow run that made its results, what they are per 1,000 samples where
    the stage draws some, and below them the sum and what is counted. Both are measured with the hardware's counters, or
    estimated where those cannot be read. GENBALANCE_CO2_PER_KWH is the grid's g CO2 per kWh, GENBALANCE_WATTS_PER_CORE
    the power of a core in W for estimates; set them before a run.
    """
    from genbalance.experiments.cost import cost

    typer.echo(cost(revision))


@app.command()
def runs(
    revision: RevisionArgument = "HEAD",
) -> None:
    """List the MLflow runs that produced a commit's results.

    It finds a run by the hashes of its outs, which are those of the commit's dvc.lock.
    """
    from genbalance.experiments import lineage

    typer.echo(lineage.runs(revision))


@app.command()
def commits(
    run: Annotated[str, typer.Argument(help="The id of a stage's run or of a pipeline run.")],
) -> None:
    """List the commits that hold an MLflow run's results.

    DVC experiments are listed too.
    """
    from genbalance.experiments import lineage

    typer.echo(lineage.commits(run))


@app.command()
def sync(
    source: Annotated[Path | None, typer.Option("--from", help="Copy from this mlflow.db.", show_default=False)] = None,
    target: Annotated[str | None, typer.Option("--to", help="Copy to this store.", show_default=False)] = None,
) -> None:
    """Copy runs to another MLflow store, each once.

    Stages log to mlflow.db. If MLFLOW_TRACKING_URI names a server or a database, new runs are copied there while a
    stage runs; this command copies those that it did not get while it was away. With --from, it merges the runs of
    another checkout or machine: into mlflow.db, or into the store that --to names.

    Without --from, it first logs a run for each stage that DVC restored from its cache instead of running. The pipeline
    does this at its end, and `make repro` after it, so that each result in the working directory has an MLflow run.
    """
    from genbalance.experiments import lineage

    typer.echo(lineage.sync(source, target))


# Reproducibility


@app.command()
def verify(
    revision: RevisionArgument = "HEAD",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the clone and print its path.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the verdict and all differences to this JSON file.")] = None,
) -> None:
    """Reproduce a commit and check byte identity.

    It prints a verdict for each stage.

    It clones the commit into a temporary folder and runs the whole pipeline there with an empty cache, in the present
    environment; it neither uses nor changes the working tree. The exit code is 0 if all outs have the bytes that the
    commit's dvc.lock and metrics record. On another kind of machine than the commit's, where bytes differ, it is 0 if
    all metrics are within a tolerance, which is printed. Otherwise it is 1.
    """
    from genbalance.experiments.verify import verify

    verification = verify(revision, keep)
    typer.echo(verification)
    if json:
        verification.save(json)
    if not verification.holds:
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Show whether the results here are those of the commit.

    On another kind of processor, the same code may give results that differ in the last digits.
    """
    from genbalance.experiments import baseline

    typer.echo(baseline.status())


@app.command()
def baseline() -> None:
    """Commit this machine's results on a new branch.

    Use it if `genbalance status` says that another kind of machine computed the commit's results. Experiments then
    start from results that this machine has made: DVC can check them out, and comparisons show the effect of the
    experiment and not of the machine.
    """
    from genbalance.experiments import baseline

    typer.echo(baseline.baseline())


# Publishing models


@app.command()
def register(
    model: Annotated[
        Model | None, typer.Option(help="Only this one.  [default: all that params.yaml trains]", show_default=False)
    ] = None,
) -> None:
    """Register the trained models in MLflow's model registry.

    Run it at the repository's root after `dvc repro`. It creates a version of genbalance-MODEL for each model,
    unless a version with the same weights exists; the description of a version is its model card. The alias `champion`
    moves to the new version if that is better than the present champion (a lower fd_test, or a lower nelbo if the model
    has a likelihood) and both were measured on the same digits.

    To serve a model: `mlflow models serve -m models:/genbalance-gan@champion --env-manager local`.
    """
    from genbalance.tracking.registry import register_models

    typer.echo(register_models([str(model)] if model else []))


@app.command()
def export(
    model: Annotated[Model, typer.Option(help="Model to export: its generator or decoder.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="The model's weights.  [default: models/MODEL.safetensors]", show_default=False)
    ] = None,
) -> None:
    """Export the generator or decoder as an ONNX file.

    ONNX runtimes exist for most programming languages.

    The exported network returns a batch of images with pixels in [0, 1]. Its inputs are `latents` (and `conditions`)
    for a generator, `noise` (and `labels`) for a decoder, whose prior is included. The metadata key `genbalance`
    describes each input as JSON: dtype, shape, and the distribution to draw it from.
    """
    from genbalance.sampling.onnx import export

    typer.echo(export(str(model), weights or Path("models") / f"{model}.safetensors", out))
