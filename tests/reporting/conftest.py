"""A workspace that waits for its report, the pages that are made of it, and what a parser sees of them."""

import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from compared import CONTENT
from PIL import Image
from reported import FAMILIES, write

from genbalance import families
from genbalance.families.registry import known
from genbalance.params import read_params, read_yaml
from genbalance.reporting.comparison_page import comparison_page
from genbalance.reporting.dag import stages
from genbalance.reporting.explanation_page import Example, Explained, Explanation, Latents, Row, explanation_page
from genbalance.reporting.page import Settings, figures, page
from genbalance.reporting.results import read_results
from genbalance.reporting.theme import LIGHT, png


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A workspace in which every stage before the report has run. Not to be written to."""
    root = tmp_path_factory.mktemp("finished")
    write(root)
    return root


VERSIONS = {"torch": "2.0", "numpy": "1.9"}


def settings_in(root, **params):
    """The settings of a workspace's run, with some params changed, ``gan__arch`` for gan.arch."""
    defaults = read_params(root / "params.yaml").flat()
    values = defaults | {key.replace("__", "."): value for key, value in params.items()}
    return Settings(values, defaults, stages(read_yaml(root / "dvc.yaml"), values), VERSIONS)


@pytest.fixture(scope="session")
def settings():
    """:func:`settings_in`."""
    return settings_in


@pytest.fixture(scope="session")
def drawn(finished):
    """The figures of it, by file name."""
    return figures(read_results(finished, FAMILIES), settings_in(finished))


@pytest.fixture
def light_alone(monkeypatch):
    """Draws figures in light colours alone: the dark ones change no number and no size."""
    monkeypatch.setattr("genbalance.reporting.page.png_pair", lambda plot: (png(plot, LIGHT), b""))


@pytest.fixture
def undrawn(monkeypatch):
    """Draws no figures, which take seconds: each is a word."""
    monkeypatch.setattr("genbalance.reporting.page.png_pair", lambda plot: (b"light", b"dark"))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A function that makes such a workspace for one test and enters it."""

    def make(**sizes) -> Path:
        write(tmp_path, **sizes)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


THIRD = """
from genbalance.families.registry import DISCRIMINATOR, ENCODER, Chart, Family, Line, Panel

FAMILY = Family(
    name="third",
    title="Third",
    objective="L = L_D + λ·L_G + β·L_KL",
    description="A family with an encoder and a discriminator.",
    coefficients=("lambda", "beta"),
    parts=frozenset({ENCODER, DISCRIMINATOR}),
    network="",
    sampler="",
    drawing="",
    charts=(Chart("third_loss", "Third: loss", "One loss.", (Panel("loss", (Line("loss", "loss"),)),)),),
    inks=("#6a3fb0", "#b79cf0"),
    best="fd_test",
)
"""


@pytest.fixture
def a_third(tmp_path_factory, monkeypatch):
    """The name of a family that is registered for a test: a file more, and no other line of code."""
    folder = tmp_path_factory.mktemp("families")
    (folder / "third.py").write_text(THIRD, encoding="utf-8")
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(folder)])
    yield "third"
    sys.modules.pop("genbalance.families.third", None)
    families.__dict__.pop("third", None)


@pytest.fixture
def change():
    """A function that changes keys of a JSON file; a key set to None is taken out."""

    def change(path, **values):
        present = json.loads(path.read_text(encoding="utf-8")) | values
        path.write_text(json.dumps({k: v for k, v in present.items() if v is not None}), encoding="utf-8")

    return change


VOID = {"meta", "link", "img", "source", "br", "hr", "input", "wbr", "col"}
LOADING = {"src", "srcset", "href", "data", "poster", "action", "xlink:href"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and whether what was opened was closed."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def all(self, *tags):
        return [attrs for tag, attrs in self.elements if tag in tags]

    @property
    def loaded(self):
        """The addresses of everything that the page would load or lead to."""
        return [attrs[name] for _, attrs in self.elements for name in LOADING & set(attrs)]


@pytest.fixture(scope="session")
def parse():
    """A page's text → what a browser's parser sees."""
    return Page


def mapped_images(count=90, size=(8, 8)):
    """Test images, and others that stand for their reconstructions."""
    images = np.random.default_rng(1).integers(0, 256, (2, count, *size), dtype=np.uint8)
    return images[0], images[1]


@pytest.fixture(scope="session")
def mapped():
    """:func:`mapped_images`."""
    return mapped_images


def explained(seed=0):
    """What the page of `genbalance explain` shows, made up."""
    tiles = iter(np.random.default_rng(seed).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8))

    def tile():
        buffer = io.BytesIO()
        Image.fromarray(next(tiles)).save(buffer, format="PNG")
        return buffer.getvalue()

    examples = [Example(tile(), tile(), tile(), f"logit {place}", "0.50" if place else "") for place in range(6)]
    pixels = Explained("Why is it so?", "The score is a logit.", "real", "generated", {"Samples": examples}, "Well.")
    row = Row(3, "0.9", ("−2", "2"), [tile() for _ in range(9)], ["3 (98%)"] * 9, "more 3 (+0.5)", "less 8 (−1.2)")
    bare = Row(5, "0.8", ("−2", "2"), [tile() for _ in range(9)], [], "", "")
    return Explanation(known()["vae"], "some digits", 7, [pixels], Latents([row, bare], "Two of six are active."))


@pytest.fixture(scope="session")
def explanation():
    """:func:`explained`."""
    return explained()


@pytest.fixture(scope="session")
def files(finished, drawn, tmp_path_factory):
    """The pages as files by their names: the report, a comparison and an explanation."""
    report = page(read_results(finished, FAMILIES), settings_in(finished, beta=4.0), drawn, {"vae": mapped_images()})
    folder = tmp_path_factory.mktemp("pages")
    explanation = explanation_page(explained())
    for name, html in {"report": report, "comparison": comparison_page(CONTENT), "explanation": explanation}.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module", params=["report", "comparison", "explanation"])
def path(request, files):
    """A page's file."""
    return files[request.param]
