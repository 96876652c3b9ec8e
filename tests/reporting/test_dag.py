"""The pipeline as stages, arrows and boxes."""

import itertools
from pathlib import Path

import pytest
from committed import PARAMS

from genbalance.families.registry import known
from genbalance.params import parse_yaml, read_params, read_yaml
from genbalance.reporting.dag import HEIGHT, WIDTH, arrows, drawing, stages

ROOT = Path(__file__).parents[2]


def own(off=()):
    """The stages of this repository with all model families on but some."""
    switches = {f"families.{name}": name not in off for name in known()}
    return stages(read_yaml(ROOT / "dvc.yaml"), read_params(PARAMS).flat() | switches)


@pytest.fixture
def nodes(finished):
    return stages(read_yaml(finished / "dvc.yaml"), {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # DVC's own
def test_what_is_drawn_is_what_dvc_runs():
    """DVC's own graph, of which those arrows are left out that follow from others."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        feeds = {(maker.addressing, user.addressing) for user, maker in graph.edges}
        params = {
            stage.addressing: {key.split(".")[0] for dep in stage.params for key in dep.params} for stage in graph.nodes
        }
    reached = set(feeds)
    for middle, a, b in itertools.product(params, repeat=3):
        if {(a, middle), (middle, b)} <= reached:
            reached.add((a, b))
    direct = {(a, b) for a, b in feeds if not any({(a, c), (c, b)} <= reached for c in params)}
    assert set(arrows(own())) == direct
    symbols = {"λ": "lambda", "β": "beta"}
    shown = {name: keys - {"families"} for name, keys in params.items()}  # these switch stages off, and are not drawn
    assert {node.name: {symbols.get(key, key) for key in node.config} for node in own()} == shown


@pytest.mark.parametrize("off", known())
def test_the_stages_of_a_family_that_is_off_are_not_drawn(off):
    names = {node.name for node in own()}
    assert {node.name for node in own([off])} == names - {f"train_{off}", f"evaluate@{off}"}
    assert not {maker for node in own([off]) for maker in node.after} & {f"train_{off}", f"evaluate@{off}"}


TEMPLATED = """
vars:
  - shared: [data, models/a]
    folder: {of: artifacts}
stages:
  make: {cmd: "", outs: [data]}
  train:
    cmd: ""
    matrix: {model: "${families}", size: [1, 2]}
    params: [seed, "${item.model}"]
    deps: [data]
    outs: ["models/${item.model}": {cache: false}]
  use: {cmd: "", deps: "${shared}", outs: ["${folder.of}"]}
"""


def test_templates_are_filled_in_with_variables_params_and_members_of_a_matrix():
    found = {node.name: node for node in stages(parse_yaml(TEMPLATED, "x"), {"families": ["a", "b"]})}
    assert list(found) == ["make", "train@a-1", "train@a-2", "train@b-1", "train@b-2", "use"]
    assert found["train@b-1"].config == ("seed", "b")
    assert found["train@b-1"].after == ("make",)
    assert found["use"].after == ("train@a-1", "train@a-2")


def test_parameters_are_named_by_section_and_symbol(nodes):
    config = {node.name: node.config for node in nodes}
    assert config["train_classifier"] == ("seed", "classifier")
    assert config["train_gan"] == ("λ", "gan")
    assert config["train_vae"] == ("β", "vae")


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
    boxes = {box.stage.name: box for box in drawing(own()).boxes}
    assert boxes["report"].lines == ["every parameter"]
    assert boxes["train_vae"].lines != ["every parameter"]
