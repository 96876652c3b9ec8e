"""Figures as bytes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.figure
import pytest
from PIL import Image

from genbalance.reporting.classes import class_distances
from genbalance.reporting.curves import gan_accuracy, gan_losses
from genbalance.reporting.page import figures, page
from genbalance.reporting.results import read_results
from genbalance.reporting.style import LIGHT, png

SOURCE = Path(__file__).parents[2] / "src"
ELSEWHERE = """
import sys
from pathlib import Path
from genbalance.params import read_params, read_yaml
from genbalance.reporting.page import Asked, figures, page
from genbalance.reporting.results import read_results
results, out = read_results(Path()), Path(sys.argv[1])
params = read_params().flat()
pipeline = read_yaml(Path("src/genbalance/reporting/pipeline.yaml"))
asked = Asked(params, params, pipeline, {"torch": "2.0", "numpy": "1.9"})
drawn = figures(results, asked)
for name, image in drawn.items():
    (out / name).write_bytes(image)
html = page(results, asked, drawn)
(out / "index.html").write_text(html, encoding="utf-8")
assert "torch" not in sys.modules
"""


def test_another_process_with_another_matplotlibrc_makes_the_same_bytes(finished, ask, drawn, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\nsavefig.dpi: 30\n", encoding="utf-8")
    environment = {"PYTHONPATH": str(SOURCE), "MATPLOTLIBRC": str(tmp_path), "PYTHONHASHSEED": "7"}
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)], cwd=finished, env=os.environ | environment, check=True
    )
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == drawn
    html = page(read_results(finished), ask(finished), drawn)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == html


def test_a_figure_tells_neither_who_made_it_nor_when(drawn):
    for image in drawn.values():
        with Image.open(io.BytesIO(image)) as opened:
            assert set(opened.info) <= {"dpi"}


def test_every_figure_has_a_dark_twin_of_the_same_size(drawn):
    light = [name for name in drawn if not name.endswith("_dark.png")]
    assert len(drawn) == 2 * len(light) > 0
    for name in light:
        pair = [Image.open(io.BytesIO(drawn[n])) for n in (name, name.replace(".png", "_dark.png"))]
        assert pair[0].size == pair[1].size
        assert [image.convert("L").getpixel((1, 1)) > 127 for image in pair] == [True, False]


@pytest.mark.parametrize("sizes", [{"classes": 4, "side": 16}, {"classes": 26, "epochs": 1}])
def test_figures_can_be_drawn_for_other_numbers_of_classes_and_epochs(workspace, ask, drawn, sizes):
    root = workspace(**sizes)
    assert set(figures(read_results(root), ask(root))) == set(drawn)


def test_a_class_without_real_images_leaves_a_gap_and_no_error(workspace):
    root = workspace(classes=3)
    table = root / "artifacts/evaluate_gan/classes.csv"
    head, _, *others = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, "0,0.5,0,0,0,0,0", *others]), encoding="utf-8")
    with Image.open(io.BytesIO(png(class_distances(read_results(root)), LIGHT))) as opened:
        assert opened.format == "PNG"


def test_the_distance_within_classes_is_told_in_words(finished):
    told = class_distances(read_results(finished)).alt
    assert "GAN: at most 39, for class 9; VAE: at most 39, for class 9; real images: at most 2.900" in told


@pytest.mark.parametrize(
    ("loss", "unit"), [("non_saturating", "loss [nats]"), ("hinge", "loss"), ("wasserstein", "loss")]
)
def test_only_logarithms_are_nats(finished, loss, unit):
    figure = matplotlib.figure.Figure()
    gan_losses(read_results(finished), loss).draw(figure, LIGHT)
    assert figure.axes[0].get_ylabel() == unit


def test_the_accuracy_of_a_critic_is_said_to_tell_little(finished):
    results = read_results(finished)
    assert "no threshold" in gan_accuracy(results, "wasserstein").caption
    assert "no threshold" not in gan_accuracy(results, "hinge").caption
