"""dvc.yaml as stages, arrows and boxes."""

import itertools
from pathlib import Path

import pytest

from genbalance.errors import UserError
from genbalance.params import read_yaml
from genbalance.reporting.dag import HEIGHT, WIDTH, drawing
from genbalance.reporting.pipeline import arrows, stages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nodes(finished):
    return stages(read_yaml(finished / "docs/pipeline.yaml"))


def test_a_matrix_is_one_stage_a_member_named_as_dvc_names_it(nodes):
    names = [node.name for node in nodes]
    assert names == ["prepare", "train_classifier", "train_gan", "train_vae", "evaluate@gan", "evaluate@vae", "report"]


def test_a_member_of_a_matrix_reads_its_own_files(nodes):
    vae = next(node for node in nodes if node.name == "evaluate@vae")
    assert "models/vae.safetensors" in vae.deps
    assert vae.outs == ("metrics/evaluate_vae.json",)


def test_parameters_are_told_by_section_and_symbol(nodes):
    knobs = {node.name: node.knobs for node in nodes}
    assert knobs["train_classifier"] == ("seed", "classifier")
    assert knobs["train_gan"] == ("λ", "gan")
    assert knobs["train_vae"] == ("β", "vae")


def test_arrows_that_follow_from_others_are_left_out(nodes):
    assert set(arrows(nodes)) == {
        *[("prepare", f"train_{name}") for name in ("classifier", "gan", "vae")],
        *[("train_classifier", "evaluate@gan"), ("train_gan", "evaluate@gan")],
        *[("train_classifier", "evaluate@vae"), ("train_vae", "evaluate@vae")],
        *[("evaluate@gan", "report"), ("evaluate@vae", "report")],
    }


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


@pytest.mark.parametrize("values", [None, [], {}, {"stages": {}}])
def test_a_file_without_stages_is_refused(values):
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        stages(values)


def test_the_projects_own_report_is_said_to_read_every_parameter():
    boxes = {box.stage.name: box for box in drawing(stages(read_yaml(ROOT / "dvc.yaml"))).boxes}
    assert boxes["report"].lines == ["every parameter"]
    assert boxes["train_vae"].lines != ["every parameter"]
