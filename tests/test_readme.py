"""The README tells the numbers of this commit, and names nothing that is not there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = {
    "Fréchet distance": ("gan.fd_test", "vae.fd_test", "vae.fd_floor", "vae.fd_ceiling"),
    "kernel distance": ("gan.kid_test", "vae.kid_test", "vae.kid_floor", "vae.kid_ceiling"),
    "classifier score": ("gan.classifier_score", "vae.classifier_score", "vae.classifier_score_real"),
    "−ELBO": ("vae.nelbo",),
    "rate · distortion": ("vae.rate", "vae.distortion"),
    "SSIM": ("vae.ssim",),
}


def metric(name: str) -> float:
    model, key = name.split(".")
    return json.loads((ROOT / "metrics" / f"evaluate_{model}.json").read_text())[key]


@pytest.mark.parametrize("row", ROWS)
def test_the_table_tells_the_metrics_of_this_commit(row: str) -> None:
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    told = re.findall(r"−?\d+(?:\.\d+)?", line.split("|", 2)[2].replace("-", "−"))
    assert len(told) >= len(ROWS[row])
    for text, name in zip(told, ROWS[row], strict=False):
        decimals = len(text.partition(".")[2])
        assert float(text.replace("−", "-")) == pytest.approx(metric(name), abs=0.5000001 * 10**-decimals), name


def test_the_judges_accuracy_is_that_of_this_commit() -> None:
    accuracy = json.loads((ROOT / "metrics" / "train_classifier.json").read_text())["test_accuracy"]
    assert f"({accuracy:.1%} of the test" in re.sub(r"\s+", " ", README)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/results.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
