"""A comparison as files, and as a run in MLflow."""

from pathlib import Path
from tempfile import TemporaryDirectory

from genbalance.commands.compare import Comparison, as_json
from genbalance.commands.compare_frame import table
from genbalance.commands.compare_page import told
from genbalance.errors import UserError
from genbalance.files import whole_file, write_json
from genbalance.params import read_params
from genbalance.reporting.comparison_page import comparison_page
from genbalance.reporting.style import LIGHT, png
from genbalance.tracking.artifacts import keep_folder

KIND = "comparison"


def save(comparison: Comparison, json: Path | None, html: Path | None, mlflow: bool) -> str:
    """Writes the numbers as JSON, the page, and a run in MLflow's experiment of params.yaml, each where wanted.

    Returns:
        The name of the run, empty without one.

    Raises:
        UserError: a file cannot be written, or params.yaml or the tracking store cannot be used.
    """
    experiment = read_params().tracking.experiment if mlflow else ""
    page = ""
    if html or mlflow:
        material = told(comparison)
        page = comparison_page(material)
    try:
        if json:
            write_json(json, as_json(comparison))
        if html:
            _write(html, page)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None
    if not mlflow:
        return ""
    with TemporaryDirectory() as place:
        folder = Path(place)
        _write(folder / "comparison.html", page)
        write_json(folder / "comparison.json", as_json(comparison))
        table(comparison).to_csv(folder / "table.csv", lineterminator="\n")
        for plot in material.plots:
            (folder / f"{plot.name}.png").write_bytes(png(plot, LIGHT))
        name = f"compare {' | '.join(group.name for group in comparison.groups)}"
        return keep_folder(experiment, name, KIND, folder)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
