"""`genbalance explain`: its page, its numbers, and what it refuses."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typed import genbalance, refused

from genbalance.data import prepared
from genbalance.data.pixels import SIGNED
from genbalance.models import weights
from genbalance.models.vae_gan import VaeGan
from genbalance.runtime.device import initialised, upload
from genbalance.sampling.context import Context
from genbalance.sampling.explain import DRAWN, LATENTS, SHOWN, Explainer, _heat
from genbalance.sampling.play import STEPS
from tests.sampling.conftest import CPU, MODELS, SIDE

KINDS = {"gan": "gan", "gan_of_classes": "gan", "vae": "vae", "vae_of_classes": "vae", "vae_gan": "vae_gan"}
DISCRIMINATORS, ENCODERS = ("gan", "gan_of_classes", "vae_gan"), ("vae", "vae_of_classes", "vae_gan", "active")
KINDS["active"] = "vae"  # with codes that vary


@pytest.fixture(scope="session")
def more(unlearned):
    config = {"shape": [1, SIDE, SIDE], "latents": 6, "width": 4, "encoder_width": 32}
    model = initialised(lambda: VaeGan(**config), 0, "vae_gan", CPU)
    weights.save(unlearned / "models/vae_gan.safetensors", config, model.state_dict())
    build, config = MODELS["vae"]
    model = weights.load(unlearned / "models/vae.safetensors", build, CPU)
    with torch.no_grad():
        [*model.encoder.parameters()][-2].mul_(50)
    weights.save(unlearned / "models/active.safetensors", config, model.state_dict())
    return unlearned


@pytest.fixture
def explainer(more, context):
    def make(name, **changed):
        files = (Path(f"models/{name}.safetensors"), Path("data/prepared"), Path("models/classifier.safetensors"))
        return Explainer(replace(Context(KINDS[name], *files, Path("params.yaml"), 5, 500), **changed))

    return make


def pixels(image):
    with Image.open(io.BytesIO(image)) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("name", KINDS)
def test_each_network_that_there_is_is_explained(explainer, name):
    sections = [it.title for it in explainer(name).pixels()]
    assert ("Why does D call it generated?" in sections) == (name in DISCRIMINATORS)
    assert "Why does the classifier read it so?" in sections
    latents = explainer(name).latents()
    assert (latents is not None) == (name in ENCODERS)
    assert bool(latents and latents.rows) == (name == "active")
    for row in latents.rows if latents else ():
        assert len(row.images) == len(row.read) == STEPS
        assert row.moves


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_discriminator_s_examples_are_those_of_its_extreme_logits(explainer, name):
    one = explainer(name)
    section = next(iter(one.pixels()))
    lowest, highest, real = section.groups.values()
    images, condition, _ = one._samples
    assert len(images) == DRAWN
    network = one._controls.discriminator
    with torch.no_grad():
        logits = network.logits(upload(images, SIGNED, CPU), condition).numpy()
    for examples, order in ((lowest, np.argsort(logits)), (highest, np.argsort(-logits))):
        assert len(examples) == SHOWN
        for example, row in zip(examples, order[:SHOWN].tolist(), strict=True):
            assert example.name.replace("−", "-") == f"logit {logits[row]:.1f}"
    np.testing.assert_array_equal(pixels(lowest[0].image), images[logits.argmin()])
    found = [float(it.name.removeprefix("logit ").replace("−", "-")) for it in real]
    assert found == sorted(found)


def test_the_classifier_s_examples_are_those_that_it_hesitates_over_and_misreads(explainer, context):
    one = explainer("gan")
    (section,) = [it for it in one.pixels() if "classifier" in it.title]
    unsure, *others = section.groups.values()
    read = one._context.extractor.read(one._samples[0]).probabilities
    first, second = np.sort(read, axis=1)[:, :-3:-1].T
    row = (first - second).argmin()
    assert unsure[0].name.count(f"({first[row]:.0%})") >= 1
    test = one._dataset.test
    wrong = one._context.extractor.read(test.images).probabilities.argmax(axis=1) != test.labels
    assert sum(map(len, others)) == min(SHOWN, wrong.sum())


def test_of_a_model_that_is_asked_for_classes_samples_of_another_are_shown(explainer):
    one = explainer("gan_of_classes")
    _, _, wanted = one._samples
    assert np.bincount(wanted).min() >= DRAWN // 3
    (section,) = [it for it in one.pixels() if "classifier" in it.title]
    names = [it.name for it in section.groups["Samples that it reads as another class than was asked for"]]
    assert names
    for name in names:
        asked, read = re.fullmatch(r"(\d), read as (\d) \(\d+%\)", name).groups()
        assert asked != read


def test_the_rows_of_latents_are_the_active_ones_by_the_variance_of_their_codes(explainer):
    one = explainer("active")
    rows = one.latents().rows
    codes = one._codes(one._dataset.test, 2_000)
    variances = codes.var(axis=0)
    assert [row.latent for row in rows] == [
        it for it in np.argsort(-variances)[:LATENTS].tolist() if variances[it] > 0.01
    ]
    low, high = np.percentile(codes[:, rows[0].latent], (1, 99))
    assert [float(end.replace("−", "-")) for end in rows[0].span] == pytest.approx([low, high], abs=0.006)


def test_without_a_classifier_there_is_no_reading(explainer):
    one = explainer("active", classifier=Path("nowhere.safetensors"))
    assert not [*one.pixels()]
    assert all(not row.read and not row.moves and not row.weights for row in one.latents().rows)
    assert [it.title for it in explainer("gan", classifier=Path("nowhere")).pixels()] == [
        "Why does D call it generated?"
    ]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_map_is_drawn_in_the_colour_of_its_sign(channels):
    image = np.full((4, 5, *channels), 200, np.uint8)
    values = np.zeros((4, 5))
    values[0, 0], values[3, 4] = 1, -1
    drawn = _heat(image, values)
    assert drawn[0, 0].tolist() == [0xE8, 0x86, 0x2E]
    assert drawn[3, 4].tolist() == [0x3D, 0x8E, 0xC9]
    assert drawn[1, 1].tolist() == [80, 80, 80]
    assert _heat(image, np.zeros((4, 5))).tolist() == np.full((4, 5, 3), 80).tolist()


@pytest.mark.parametrize("name", ["gan", "active"])
def test_the_command_writes_one_page_the_same_each_time(more, context, tmp_path, name):
    arguments = ("--model", KINDS[name], "--weights", f"models/{name}.safetensors", "--seed", 3)
    first, second = tmp_path / "new" / "first.html", tmp_path / "second.html"
    for out in (first, second):
        done = genbalance("explain", *arguments, "--out", out)
        assert done.exit_code == 0, done.output
    assert first.read_bytes() == second.read_bytes()
    assert done.stdout.splitlines()[-1] == str(second)
    printed = re.search(r"correlation of integrated gradients with occlusion is (−?\d\.\d\d)", done.stdout)
    html = first.read_text(encoding="utf-8")
    assert printed[0] in html
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(sources) > 2 * STEPS
    for source in sources:
        assert pixels(base64.b64decode(source)).shape[:2] == (SIDE, SIDE)
    assert html.count("<script") == 0


def test_without_classes_the_classifier_is_not_asked(more, context, tmp_path):
    dataset = prepared.load(Path("data/prepared"))
    unlabelled = [
        replace(split, labels=np.zeros_like(split.labels)) for split in (dataset.train, dataset.val, dataset.test)
    ]
    prepared.save(
        replace(dataset, train=unlabelled[0], val=unlabelled[1], test=unlabelled[2], classes=0), tmp_path / "none"
    )
    for model in ("gan", "vae"):
        done = genbalance("explain", "--model", model, "--data", tmp_path / "none", "--out", tmp_path / "page.html")
        assert done.exit_code == 0, done.output
        assert "classifier" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "page.png"), "--out: found 'page.png'; allowed: a file name that ends in .html"),
        (("--weights", "none.safetensors"), "none.safetensors: is not there; run `dvc repro`"),
        (("--data", "nowhere"), "nowhere/stats.json: not there"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(context, tmp_path, arguments, words):
    said = refused("explain", "--model", "gan", *arguments)
    assert words in said
    assert not Path("generated").exists()
