"""Report: reads metrics/ and artifacts/; writes reports/index.html, reports/figures/, metrics/summary.json.

The page also draws the stages of dvc.yaml, which DVC takes as no stage's dependency: a change there that changes no
other file the report reads shows once the report runs again.
"""

from pathlib import Path
from typing import Any

from genbalance.experiments.requirements import versions
from genbalance.families.registry import ENCODER
from genbalance.params import Params
from genbalance.reporting import headline, page
from genbalance.reporting.results import Results, read_results
from genbalance.runtime.io import write_json
from genbalance.runtime.stage import execute
from genbalance.tracking import Run

OUT = Path("reports")
PREPARED = Path("data/prepared")


def _mapped(results: Results) -> "dict[str, Any]":
    """By family with an encoder, the test images on the map of its codes and their reconstructions."""
    from genbalance.sampling.context import Context
    from genbalance.sampling.mapped import mapped_images

    found = {}
    for name in [family.name for family in results.having(ENCODER)]:
        context = Context(name, None, PREPARED, Path("models/classifier.safetensors"), Path("params.yaml"), None, 0)
        found[name] = mapped_images(context, len(results.tables[f"evaluate_{name}/codes"]["x"]))
    return found


def main(params: Params, run: Run) -> None:
    """Write the page and its figures, complete the parent run's row, print the headline table."""
    results = read_results(Path(), params.families.names)
    numbers = headline.headline(results)
    settings = page.read_settings(params.flat(), versions(Path("requirements.txt")))
    page.write(results, settings, OUT, _mapped(results))
    write_json(Path("metrics/summary.json"), headline.summary(results))
    run.artifact(OUT, "report")
    run.headline(numbers, headline.headline_pictures(results.families))
    run.restored()
    print(f"\n{headline.headline_table(results)}\n\n{headline.NEXT}", flush=True)


if __name__ == "__main__":
    execute("report", main)
