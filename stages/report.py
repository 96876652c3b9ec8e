"""Report: reads metrics/ and artifacts/; writes reports/index.html, reports/figures/, metrics/summary.json.

The page holds every picture in itself and needs no network. The figures stand beside it for READMEs and papers.
"""

from pathlib import Path

from genbalance.params import INERT, Params, read_yaml
from genbalance.stage import METRICS, execute
from genbalance.tracking import Run

OUT = Path("reports")
DEFAULTS = Path("src/genbalance/reporting/defaults.yaml")
PIPELINE = Path("src/genbalance/reporting/pipeline.yaml")
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "dvc", "mlflow")
REQUIREMENTS = Path("requirements.txt")


def main(params: Params, run: Run) -> None:
    """Draw the figures, write the page, complete the parent run's row, print the headline table."""
    from genbalance.files import whole_folder, write_json
    from genbalance.pins import exact, pins
    from genbalance.reporting.headline import NEXT, PICTURES, headline, headline_table, summary
    from genbalance.reporting.page import Asked, figures, page
    from genbalance.reporting.results import read_results

    results = read_results(Path())
    numbers = headline(results)
    told, defaults = (
        {name: value for name, value in values.items() if not name.startswith(INERT)}
        | {"data.path": Path(values["data.path"]).name}  # where somebody's own files lie is nobody's business
        for values in (params.flat(), read_yaml(DEFAULTS))
    )
    pinned = {wanted.name: exact(wanted) for wanted in pins(REQUIREMENTS)}
    asked = Asked(told, defaults, read_yaml(PIPELINE), {name: pinned[name] for name in PACKAGES if name in pinned})
    drawn = figures(results, asked)
    html = page(results, asked, drawn)
    with whole_folder(OUT) as folder:
        (folder / "figures").mkdir()
        for name, image in drawn.items():
            (folder / "figures" / name).write_bytes(image)
        (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")
    write_json(METRICS / "summary.json", summary(results))
    run.artifact(OUT, "report")
    run.headline(numbers, PICTURES)
    run.restored()
    print(f"\n{headline_table(results.metrics)}\n\n{NEXT}", flush=True)


if __name__ == "__main__":
    execute("report", main)
