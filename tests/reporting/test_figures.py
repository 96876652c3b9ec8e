"""Figures as bytes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compared import CONTENT
from PIL import Image
from reported import FAMILIES

from genbalance.reporting.page import figures, page
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import DARK, png, png_pair

SOURCE = Path(__file__).parents[2] / "src"
ELSEWHERE = """
import sys
from pathlib import Path
from genbalance.params import read_params, read_yaml
from genbalance.reporting.dag import stages
from genbalance.reporting.page import Settings, write
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import LIGHT, png
params = read_params().flat()
settings = Settings(params, params, stages(read_yaml(Path("dvc.yaml")), params), {"torch": "2.0", "numpy": "1.9"})
write(read_results(Path(), ["gan", "vae"]), settings, Path(sys.argv[1]))
assert "torch" not in sys.modules
"""


def test_another_process_with_another_matplotlibrc_makes_the_same_bytes(finished, settings, drawn, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: red\nsavefig.dpi: 30\n", encoding="utf-8")
    environment = {"PYTHONPATH": str(SOURCE), "MATPLOTLIBRC": str(tmp_path), "PYTHONHASHSEED": "7"}
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(out)], cwd=finished, env=os.environ | environment, check=True)
    assert {path.name: path.read_bytes() for path in (out / "figures").iterdir()} == drawn
    html = page(read_results(finished, FAMILIES), settings(finished), drawn)
    assert (out / "index.html").read_text(encoding="utf-8") == html


def test_a_figure_holds_neither_its_maker_nor_a_time(drawn):
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
@pytest.mark.usefixtures("light_alone")
def test_figures_can_be_drawn_for_other_numbers_of_classes_and_epochs(workspace, settings, drawn, sizes):
    root = workspace(**sizes)
    assert set(figures(read_results(root, FAMILIES), settings(root))) == set(drawn)


def test_a_figure_laid_out_in_light_colours_has_in_dark_ones_the_bytes_of_a_layout_of_its_own(
    finished, settings, drawn, monkeypatch
):
    monkeypatch.setattr("genbalance.reporting.page.png_pair", lambda plot: (b"", png(plot, DARK)))
    alone = figures(read_results(finished, FAMILIES), settings(finished))
    assert [name for name, image in alone.items() if image and image != drawn[name]] == []
    for plot in CONTENT.plots:  # of the page of a comparison
        assert png_pair(plot)[1] == png(plot, DARK)
