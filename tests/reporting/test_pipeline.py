"""The pipeline as stages, arrows and boxes."""

import itertools
from pathlib import Path, PurePosixPath

import pytest

from genbalance.params import read_yaml
from genbalance.reporting.dag import HEIGHT, WIDTH, drawing
from genbalance.reporting.pipeline import arrows, stages

ROOT = Path(__file__).parents[2]
OWN = ROOT / "src/genbalance/reporting/pipeline.yaml"


@pytest.fixture
def nodes(finished):
    return stages(read_yaml(finished / "src/genbalance/reporting/pipeline.yaml"))


def expanded():
    """The stages of dvc.yaml by name, a matrix as one a member, named as DVC names it: deps, outs and params."""
    found = {}
    for name, entry in read_yaml(ROOT / "dvc.yaml")["stages"].items():
        for model in entry.get("matrix", {}).get("model", [""]):

            def paths(key, entry=entry, model=model):
                names = (next(iter(it)) if isinstance(it, dict) else str(it) for it in entry.get(key, ()))
                return [PurePosixPath(path.replace("${item.model}", model)) for path in names]

            outs = [path for key in ("outs", "metrics", "plots") for path in paths(key)]
            found[f"{name}@{model}" if model else name] = (paths("deps"), outs, entry["params"])
    return found


def test_what_is_drawn_is_dvc_yaml():
    """Arrows that follow from others are left out."""
    found = expanded()
    feeds = {
        (maker, user)
        for maker, user in itertools.permutations(found, 2)
        for out, dep in itertools.product(found[maker][1], found[user][0])
        if out == dep or out in dep.parents or dep in out.parents
    }
    behind = set(feeds)
    for middle, a, b in itertools.product(found, repeat=3):
        if {(a, middle), (middle, b)} <= behind:
            behind.add((a, b))
    direct = {(a, b) for a, b in feeds if not any({(a, c), (c, b)} <= behind for c in found)}
    told = read_yaml(OWN)
    assert {name: entry["params"] for name, entry in told.items()} == {
        name: params for name, (_, _, params) in found.items()
    }
    assert set(arrows(stages(told))) == direct


def test_parameters_are_told_by_section_and_symbol(nodes):
    knobs = {node.name: node.knobs for node in nodes}
    assert knobs["train_classifier"] == ("seed", "classifier")
    assert knobs["train_gan"] == ("λ", "gan")
    assert knobs["train_vae"] == ("β", "vae")


def test_boxes_lie_apart_inside_the_drawing(nodes):
    drawn = drawing(nodes)
    for one, other in itertools.combinations(drawn.boxes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - WIDTH
        assert 0 <= box.y <= drawn.height - HEIGHT


def test_every_arrow_points_down(nodes):
    drawn = drawing(nodes)
    top = {box.stage.name: box.y for box in drawn.boxes}
    assert all(top[a] + HEIGHT < top[b] for a, b in drawn.arrows)


def test_neighbours_are_drawn_near_so_that_no_two_arrows_cross(nodes):
    drawn = drawing(nodes)
    x = {box.stage.name: box.x for box in drawn.boxes}
    y = {box.stage.name: box.y for box in drawn.boxes}
    for (a, b), (c, d) in itertools.combinations(drawn.arrows, 2):
        if y[a] == y[c]:
            assert (x[a] - x[c]) * (x[b] - x[d]) >= 0


def test_the_projects_own_report_is_said_to_read_every_parameter():
    boxes = {box.stage.name: box for box in drawing(stages(read_yaml(OWN))).boxes}
    assert boxes["report"].lines == ["every parameter"]
    assert boxes["train_vae"].lines != ["every parameter"]
