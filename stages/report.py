"""Report: reads metrics/, artifacts/, models/ and data/prepared; writes reports/index.html, reports/figures/,
metrics/summary.json.

The page also draws the stages of dvc.yaml, which DVC takes as no stage's dependency: a change there that changes no
other file the report reads shows once the report runs again.
"""

from pathlib import Path

from genbalance.experiments.requirements import versions
from genbalance.params import Params
from genbalance.reporting import headline, page
from genbalance.reporting.results import read_results
from genbalance.runtime.io import write_json
from genbalance.runtime.stage import execute
from genbalance.tracking import Run

OUT = Path("reports")


def main(params: Params, run: Run) -> None:
    """Write the page and its figures, complete the parent run's row, print the headline table."""
    from genbalance.sampling.mapped import mapped

    results = read_results(Path(), params.families.names)
    numbers = headline.headline(results)
    settings = page.read_settings(params.flat(), versions(Path("requirements.txt")))
    page.write(results, settings, OUT, mapped(results.codes))
    write_json(Path("metrics/summary.json"), headline.summary(results))
    run.artifact(OUT, "report")
    run.headline(numbers, headline.headline_pictures(results.families))
    run.restored()
    print(f"\n{headline.headline_table(results)}\n\n{headline.NEXT}", flush=True)


if __name__ == "__main__":
    execute("report", main)
