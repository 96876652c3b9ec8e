"""`dvc plots show` and `dvc plots diff` draw what dvc.yaml lists: through real DVC, on tables of a few rows."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plots import DRAWN, IMAGES, PIPELINE, PLOTS, tables
from ruamel.yaml import YAML
from small_repository import ROOT, call

from genbalance.families.registry import family
from genbalance.reporting.theme import LIGHT

TEMPLATES = {path.stem: json.loads(path.read_text()) for path in (ROOT / ".dvc" / "plots").glob("*.json")}
EPOCHS, CLASSES, LATENTS = 3, 12, 5  # more classes than digits: 10 and 11 come after 9


def table(file: str, shift: float) -> str:
    """A table such as the stages write, all columns that any plot reads in it."""
    if file.endswith("confusion.csv"):
        pairs = [(actual, actual) for actual in range(CLASSES)] * 9 + [(0, 10 + int(shift))]
        return "actual,predicted\n" + "".join(f"{a},{p}\n" for a, p in pairs)
    if file.endswith("classes.csv"):
        return "class,generated,real\n" + "".join(f"{c},{c / 66 + shift / 100},0.083\n" for c in range(CLASSES))
    if file.endswith("kl_per_latent.csv"):
        return "latent,kl\n" + "".join(f"{n},{(n * 7 % LATENTS) * 2.5 + shift}\n" for n in range(LATENTS))
    read = sorted({column for name in DRAWN for column in tables(name).get(file, [])})
    rows = [[str(epoch), *(f"{1 / epoch + shift + i:g}" for i in range(len(read)))] for epoch in range(1, EPOCHS + 1)]
    return "\n".join(",".join(row) for row in [["epoch", *read], *rows]) + "\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plots of dvc.yaml, the templates, tables and images; all of them kept by git, on two branches."""
    place = tmp_path_factory.mktemp("plots")
    shutil.copytree(ROOT / ".dvc" / "plots", place / ".dvc" / "plots")
    shutil.copy2(ROOT / ".dvc" / "config", place / ".dvc" / "config")
    (place / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    listed = [{name: given} if "y" in given else name for name, given in PLOTS.items()]
    YAML().dump({"plots": listed}, place / "dvc.yaml")
    call(place, "git", "init", "-q", "-b", "main")
    for shift, branch in enumerate(("main", "other")):
        for file in {file for name in DRAWN for file in tables(name)}:
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_text(table(file, float(shift)))
        for image in IMAGES:
            (place / image).parent.mkdir(parents=True, exist_ok=True)
            (place / image).write_bytes(f"a grid of {branch}".encode())
        call(place, "git", "checkout", "-q", "-B", branch)
        call(place, "git", "add", "-A")
        call(place, "git", "commit", "-qm", branch)
    return place


@pytest.fixture(scope="module")
def shown(repository: Path) -> dict[str, list[dict[str, Any]]]:
    found = json.loads(call(repository, "dvc", "plots", "show", "--json"))
    assert "errors" not in found
    return found["data"]


@pytest.fixture(scope="module")
def compared(repository: Path) -> dict[str, list[dict[str, Any]]]:
    found = json.loads(call(repository, "dvc", "plots", "diff", "main", "other", "--json"))
    assert "errors" not in found
    return found["data"]


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """All objects within a specification but its data."""
    if isinstance(spec, dict):
        yield spec
        for key, value in spec.items():
            if key != "data":
                yield from parts(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from parts(value)


def channels(spec: dict[str, Any], channel: str) -> list[dict[str, Any]]:
    return [part[channel] for part in parts(spec) if isinstance(part.get(channel), dict) and "field" in part[channel]]


def of(row: dict[str, str], file: str, column: str) -> bool:
    """Whether a row comes from a column of a file, where DVC says so: it leaves out what is common to all rows."""
    return row.get("field", column) == column and file.endswith(row.get("filename", file))


def test_everything_that_is_listed_is_shown(shown: dict[str, list[dict[str, Any]]]) -> None:
    assert shown.keys() == PLOTS.keys()
    assert all(entry["type"] == ("image" if name in IMAGES else "vega") for name in PLOTS for entry in shown[name])


@pytest.mark.parametrize("name", DRAWN)
def test_the_axes_have_titles_with_units(name: str, shown: dict[str, list[dict[str, Any]]]) -> None:
    (entry,) = shown[name]
    x, y = ({axis["title"] for axis in channels(entry["content"], channel)} for channel in "xy")
    assert x == {PLOTS[name]["x_label"]}
    assert y == {PLOTS[name]["y_label"]}
    assert re.search(r"loss|nats|share|class", y.pop())
    assert "<DVC_METRIC" not in json.dumps(entry["content"])


@pytest.mark.parametrize("name", DRAWN)
def test_all_rows_of_all_columns_are_there(name: str, shown: dict[str, list[dict[str, Any]]]) -> None:
    (entry,) = shown[name]
    rows = entry["content"]["data"]["values"]
    (y, *_) = (axis["field"] for axis in channels(entry["content"], "y"))
    for file, columns in tables(name).items():
        lines = [line.split(",") for line in table(file, 1.0).splitlines()]  # what the branch holds that is checked out
        for column in columns:
            of_column = [row for row in rows if of(row, file, column)]
            assert [row[column] for row in of_column] == [line[lines[0].index(column)] for line in lines[1:]]
            if y == "dvc_inferred_y_value":  # several columns in one: each keeps its values
                assert [row[y] for row in of_column] == [row[column] for row in of_column]


@pytest.mark.parametrize("name", DRAWN)
def test_a_comparison_holds_both_revisions_and_marks_each(name: str, compared: dict[str, list[dict[str, Any]]]) -> None:
    (entry,) = compared[name]
    rows = entry["content"]["data"]["values"]
    assert entry["revisions"] == ["main", "other"]
    assert {row["rev"] for row in rows} == {"main", "other"}
    apart = [part for channel in ("color", "column") for part in channels(entry["content"], channel)]
    assert any(part["field"] == "rev" for part in apart)


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_both_revisions_are_compared(name: str, compared: dict[str, list[dict[str, Any]]]) -> None:
    found = {entry["revisions"][0]: Path(entry["url"]).read_text() for entry in compared[name]}
    assert found == {"main": "a grid of main", "other": "a grid of other"}


def test_a_plot_names_its_files_under_y() -> None:
    for plot in PIPELINE["plots"]:
        ((name, given),) = plot.items()
        assert isinstance(given["y"], dict)
        assert name not in IMAGES or given["y"] == {name: ""}


def test_one_stage_runs_as_an_experiment_in_a_fresh_clone(tmp_path: Path) -> None:
    """Whose cache lacks the folders that the plots lie in; with the plots of dvc.yaml, on stages that copy files."""
    place, clone = tmp_path / "place", tmp_path / "clone"
    place.mkdir()
    files = [file for plot in PIPELINE["plots"] for given in plot.values() for file in given["y"]]
    folders = sorted({str(Path(file).parent) for file in files})
    make = " && ".join(f"mkdir -p {folder} && cp first {folder}/table" for folder in folders)
    stages = {
        "first": {"cmd": "cp params.yaml first", "params": ["beta"], "outs": ["first"]},
        "rest": {"cmd": make, "deps": ["first"], "outs": folders},
    }
    YAML().dump({"stages": stages, "plots": PIPELINE["plots"]}, place / "dvc.yaml")
    shutil.copytree(ROOT / ".dvc" / "plots", place / ".dvc" / "plots")
    shutil.copy2(ROOT / ".dvc" / "config", place / ".dvc" / "config")
    (place / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    (place / "params.yaml").write_text("beta: 1\n")
    call(place, "git", "init", "-q", "-b", "main")
    call(place, "dvc", "repro", "-q")
    call(place, "git", "add", "-A")
    call(place, "git", "commit", "-qm", "run")
    call(tmp_path, "git", "clone", "-q", str(place), str(clone))
    call(clone, "dvc", "exp", "run", "-q", "--temp", "-n", "apart", "-S", "beta=2", "first")
    assert not call(clone, "git", "status", "--porcelain")
    call(clone, "dvc", "exp", "run", "-q", "-n", "here", "-S", "beta=3", "first")
    assert sorted(call(clone, "dvc", "exp", "list", "--name-only").split()) == ["apart", "here"]
    assert (clone / "first").read_text() == "beta: 3\n"


def test_every_template_is_used_and_every_named_one_is_there() -> None:
    assert {PLOTS[name]["template"] for name in DRAWN} == TEMPLATES.keys()


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_words_are_legible(name: str) -> None:
    sizes = [
        value for part in parts(TEMPLATES[name]) for key, value in part.items() if key.lower().endswith("fontsize")
    ]
    assert len(sizes) >= 6
    assert min(sizes) >= 12


def test_revisions_have_the_hues_of_the_report() -> None:
    rounds = [
        color["scale"]["range"]
        for template in TEMPLATES.values()
        for color in channels(template, "color")
        if color["field"] == "rev"
    ]
    assert len(rounds) == len(TEMPLATES) - 1  # a matrix has a panel a revision
    assert all(hues == rounds[0] for hues in rounds)
    assert rounds[0][:4] == [LIGHT.of(family("gan")), LIGHT.of(family("vae")), LIGHT.real, LIGHT.extra]
    assert len(set(rounds[0])) == len(rounds[0])


def test_templates_that_are_alike_differ_in_their_scales_alone() -> None:
    def without(template: dict[str, Any]) -> str:
        kept = json.loads(json.dumps(template))
        kept.pop("resolve", None)
        kept["spec"]["encoding"]["y"].pop("scale")
        return json.dumps(kept)

    assert without(TEMPLATES["pairs"]) == without(TEMPLATES["pairs_log"])
    assert without(TEMPLATES["panels"]) == without(TEMPLATES["panels_shared"])
