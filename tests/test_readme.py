"""The README tells the numbers of this commit, and names nothing that is not there."""

import json
import re
from typing import Any

import pytest
from committed import ROOT, committed

README = committed("README.md")
NUMBER = r"−?\d+(?:\.\d+)?"
ROWS = {
    "Fréchet distance": ("gan.fd_test", "vae.fd_test", "vae.fd_floor", "vae.fd_ceiling"),
    "kernel distance": ("gan.kid_test", "vae.kid_test", "vae.kid_floor", "vae.kid_ceiling"),
    "classifier score": ("gan.classifier_score", "vae.classifier_score", "vae.classifier_score_real"),
    "precision": (
        *("gan.precision", "gan.recall", "vae.precision", "vae.recall"),
        *("vae.precision_real", "vae.recall_real"),
    ),
    "density": (
        *("gan.density", "gan.coverage", "vae.density", "vae.coverage"),
        *("vae.density_real", "vae.coverage_real"),
    ),
    "1-NN accuracy": ("gan.nn_accuracy", "vae.nn_accuracy", "vae.nn_accuracy_real"),
    "AuthPct": ("gan.authenticity", "vae.authenticity", "vae.authenticity_real"),
    "−ELBO": ("vae.nelbo", "vae.nll"),
    "rate · distortion": ("vae.rate", "vae.distortion"),
    "SSIM": ("gan.ssim", "vae.ssim"),
}
INTERVALS = {"Fréchet distance": "fd_test", "classifier score": "classifier_score"}


def summary(model: str) -> dict[str, Any]:
    return json.loads(committed(f"metrics/evaluate_{model}.json"))


def metric(name: str) -> float:
    model, key = name.split(".")
    return summary(model)[key]


def cells(row: str) -> str:
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    return line.split("|", 2)[2].replace("-", "−")


def assert_told(text: str, value: float) -> None:
    decimals = len(text.partition(".")[2])
    assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.5000001 * 10**-decimals)


@pytest.mark.parametrize("row", ROWS)
def test_the_table_tells_the_metrics_of_this_commit(row: str) -> None:
    told = re.findall(NUMBER, re.sub(r"\([^)]*\)", "", cells(row)))
    assert len(told) >= len(ROWS[row])
    for text, name in zip(told, ROWS[row], strict=False):
        assert_told(text, metric(name))


@pytest.mark.parametrize("row", INTERVALS)
def test_the_table_tells_the_intervals_of_this_commit(row: str) -> None:
    intervals = re.findall(r"\(([^)]*)\)", cells(row))
    for model, text in zip(("gan", "vae"), intervals, strict=True):
        for told, end in zip(re.findall(NUMBER, text), ("low", "high"), strict=True):
            assert_told(told, summary(model)["ci95"][INTERVALS[row]][end])


def test_the_judges_accuracy_is_that_of_this_commit() -> None:
    accuracy = json.loads(committed("metrics/train_classifier.json"))["test_accuracy"]
    assert f"(accuracy {accuracy:.1%} on the test" in re.sub(r"\s+", " ", README)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
