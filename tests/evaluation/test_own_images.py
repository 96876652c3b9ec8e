"""`genbalance evaluate` on a tiny data set, with an untrained classifier and the suite of the pipeline."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import typed
from committed import params_with
from networks import save_onnx, save_script
from networks import weights as linear
from PIL import Image
from scipy.linalg import sqrtm

import genbalance as gb
from genbalance.data import prepared
from genbalance.evaluation import suite
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.reporting.measures import GROUPS
from genbalance.reporting.text import aligned, number, share, span
from genbalance.runtime.device import initialised
from genbalance.runtime.rng import stream_seed

ROOT = Path(__file__).parents[2]
SIDE, CLASSES, TESTS = 8, 3, 40
CHEAP = {"device": "cpu", "threads": 1, "kid_subsets": 3, "resamples": 10}


def digits(n, seed, side=SIDE):
    """Class k is bright in its third of the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    images = rng.integers(0, 120, (n, side, side))
    for image, label in zip(images, labels, strict=True):
        image[label * side // CLASSES : (label + 1) * side // CLASSES] += rng.integers(60, 130)
    return prepared.Split(images.astype(np.uint8), labels)


def save_classifier(path, size=SIDE, classes=CLASSES):
    config = {"shape": [1, size, size], "classes": classes, "width": 4}
    extractor = initialised(lambda: Classifier(**config), 0, "classifier", torch.device("cpu"))
    weights.save(path, config, extractor.state_dict())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    (folder / "params.yaml").write_text(params_with(CHEAP), encoding="utf-8")
    splits = (digits(n, seed) for seed, n in enumerate((90, 12, TESTS)))
    prepared.save(prepared.Prepared(*splits, "made", "Stripes", CLASSES, 0.3, 0.25), folder / "data/prepared")
    save_classifier(folder / "models/classifier.safetensors")
    np.save(folder / "samples.npy", digits(TESTS + 15, 7).images)
    return folder


@pytest.fixture
def here(original, settings, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(original)
    return original


genbalance, refused = (partial(call, "evaluate") for call in (typed.genbalance, typed.refused))


@pytest.fixture(scope="module")
def measured(original, tmp_path_factory):
    """The table, the JSON and the picture of one run as a program of its own, and the modules that it loaded."""
    out = tmp_path_factory.mktemp("out")
    program = "import sys; from genbalance.cli import app; app(standalone_mode=False); print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", program, "evaluate", "samples.npy"]
    command += ["--json", str(out / "new" / "out.json"), "--copies", str(out / "copies.png")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=original, env=environment, capture_output=True, text=True, check=True)
    table, _, modules = result.stdout.partition("\nsys\n")
    return table, out, modules.splitlines()


def read(out):
    return json.loads((out / "new" / "out.json").read_text(encoding="utf-8"))


def rows_of(table):
    """The cells of the metrics' lines by their name."""
    lines = [re.split("  +", line.strip()) for line in table.splitlines() if line.startswith("  ")]
    return {line[0]: line[1:] for line in lines}


def shown(metrics):
    return [measure for measures in GROUPS.values() for measure in measures if measure.key in metrics]


def test_the_table_tells_the_numbers_of_the_json(measured):
    table, out, _ = measured
    metrics = read(out)
    rows = rows_of(table)
    for measure in shown(metrics):
        as_text = share if measure.share else number
        values = [as_text(metrics[measure.key])]
        if interval := metrics["ci95"].get(measure.key):
            values.append(span(interval["low"], interval["high"]))
        values += [as_text(metrics[key]) for key in (measure.real, measure.mean_image) if isinstance(key, str)]
        found = rows[measure.label]
        assert found[0].startswith(("↑", "↓", "→"))
        assert found[1 : len(values) + 1] == values, measure.key


def test_every_metric_is_shown_beside_what_real_images_get(measured):
    metrics = read(measured[1])
    keys = {key for measure in shown(metrics) for key in (measure.key, measure.real, measure.mean_image)}
    assert set(metrics) - keys == {"samples", "warnings", "n", "class_histogram", "ci95", "kid_std"}


def test_an_arrow_says_where_the_best_lies(measured):
    rows = rows_of(measured[0])
    expected = {
        "Fréchet distance": "↓",
        "coverage": "↑",
        "1-NN accuracy, real against generated": "→½",
        "Vendi score": "→real",
        "copying z-score": "→0",
    }
    assert {name: rows[name][0] for name in expected} == expected


def test_real_digits_stand_beside_what_only_the_classes_tell(measured):
    table = measured[0]
    *_, head, first, second, third = table.splitlines()
    at = head.split().index("real")
    shares = [float(line.split()[at]) for line in (first, second, third)]
    assert rows_of(table)["share of the rarest class"][-1] == share(min(shares))
    assert rows_of(table)["share of the commonest class"][-1] == share(max(shares))


def test_the_json_says_what_was_measured_in_six_digits(measured):
    metrics = read(measured[1])
    assert (metrics["samples"], metrics["n"]) == ("samples.npy", TESTS)
    assert list(metrics["class_histogram"]) == ["0", "1", "2"]
    flat = [value for value in metrics.values() if isinstance(value, float)]
    assert flat == [float(f"{value:.6g}") for value in flat]


def test_the_heading_says_that_some_were_drawn(measured):
    assert measured[0].startswith(
        "samples.npy: 40 images of 55, drawn by the seed 42, against 40 test images of Stripes"
    )


def test_the_table_ends_with_a_line_for_each_class(measured):
    *_, head, first, second, third = measured[0].splitlines()
    assert head.split()[:5] == ["class", "generated", "generated_low", "generated_high", "real"]
    assert [line.split()[0] for line in (first, second, third)] == ["0", "1", "2"]


def test_columns_are_aligned(measured):
    lines = measured[0].splitlines()
    head = next(line for line in lines if "95% interval" in line)
    value, interval = head.index("value") + len("value"), head.index("95% interval") + len("95% interval")
    within = [line for line in lines if line.startswith("  ") and line is not head]
    assert len(within) == len(shown(read(measured[1])))
    assert all(line[value - 1] != " " and line[value : value + 1].strip() == "" for line in within)
    assert all(line[interval : interval + 1].strip() == "" for line in within)


def test_neither_mlflow_nor_dvc_is_loaded(measured):
    modules = {module.partition(".")[0] for module in measured[2]}
    assert "torch" in modules
    assert not {"mlflow", "dvc", "rich", "matplotlib"} & modules


def test_the_picture_shows_samples_above_their_nearest_digits(measured, original):
    scale = 7  # of grid: 56 pixels a side
    with Image.open(measured[1] / "copies.png") as picture:
        pixels = np.asarray(picture)
    side = SIDE * scale + 1
    assert pixels.shape == (3 * side + 1, 12 * side + 1)
    stored = prepared.load(original / "data/prepared")
    rows = (np.load(original / "samples.npy"), stored.train.images, stored.test.images)
    for row, images in enumerate(rows):
        for column in range(12):
            shown = pixels[row * side + 1 :: scale, column * side + 1 :: scale][:SIDE, :SIDE]
            assert (images == shown).all(axis=(1, 2)).any()


def test_two_runs_give_the_same_bytes(measured, here, tmp_path):
    table, out, _ = measured
    result = genbalance("samples.npy", "--json", tmp_path / "out.json", "--copies", tmp_path / "copies.png")
    assert result.exit_code == 0
    assert result.stdout.rstrip("\n") == table.rstrip("\n")
    assert (tmp_path / "out.json").read_bytes() == (out / "new" / "out.json").read_bytes()
    assert (tmp_path / "copies.png").read_bytes() == (out / "copies.png").read_bytes()


def test_the_test_digits_themselves_are_at_no_distance_in_any_form(here, tmp_path):
    images = prepared.load(Path("data/prepared")).test.images
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{index}.png")
    np.savez(tmp_path / "floats.npz", images[:, None] / np.float32(255))
    found = []
    for form in ("pictures", "floats.npz"):
        assert genbalance(tmp_path / form, "--json", tmp_path / "out.json").exit_code == 0
        found.append(json.loads((tmp_path / "out.json").read_text(encoding="utf-8")))
        assert found[-1].pop("samples") == form
        assert found[-1]["fd_test"] == pytest.approx(0, abs=1e-6)
        assert found[-1]["coverage"] == 1
    assert found[0] == found[1]


def warned(*arguments, out):
    """The warnings in the JSON of a run that ends well, which stderr and the heading tell too."""
    result = genbalance(*arguments, "--json", out)
    assert result.exit_code == 0, result.output
    warnings = json.loads(out.read_text(encoding="utf-8"))["warnings"]
    lines = [f"warning: {warning}" for warning in warnings]
    assert result.stderr.splitlines() == lines
    assert result.stdout.splitlines()[2 : 3 + len(lines)] == [*lines, ""]
    return warnings


def test_as_many_white_on_black_samples_as_can_be_measured_are_no_reason_to_warn(here, tmp_path):
    assert warned("samples.npy", out=tmp_path / "out.json") == []


def test_a_folder_that_is_half_jpeg_is_measured_whole_with_a_word_on_it(here, tmp_path):
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(np.load("samples.npy")[:TESTS]):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{index}.{'jpg' if index % 2 else 'png'}")
    (tmp_path / "pictures" / "labels.csv").write_text("7")
    left_out, lossy = warned(tmp_path / "pictures", out=tmp_path / "out.json")
    assert left_out.endswith(": labels.csv")
    assert lossy.startswith(f"{TESTS // 2} of {TESTS} images are JPEG")
    assert json.loads((tmp_path / "out.json").read_text())["n"] == TESTS


@pytest.mark.parametrize(("negative", "expected"), [(True, 1), (False, 0)])
def test_images_that_look_inverted_are_a_warning(here, tmp_path, negative, expected):
    images = prepared.load(Path("data/prepared")).test.images // 2  # darker than the digits, no negative of them
    np.save(tmp_path / "x.npy", 255 - images if negative else images)
    found = [text for text in warned(tmp_path / "x.npy", out=tmp_path / "out.json") if "look inverted" in text]
    assert len(found) == expected


def test_fewer_samples_than_could_be_measured_are_a_warning(here, tmp_path):
    np.save(tmp_path / "few.npy", digits(11, 5).images)
    (few,) = warned(tmp_path / "few.npy", out=tmp_path / "out.json")
    assert few.startswith(f"only 11 images are measured, not {TESTS}: ")


def test_few_samples_are_all_measured(here, tmp_path):
    np.save(tmp_path / "few.npy", digits(11, 5).images)
    result = genbalance(tmp_path / "few.npy")
    assert result.exit_code == 0
    assert "few.npy: 11 images against 11 test images of Stripes" in result.stdout


@pytest.mark.parametrize("images", [np.zeros((20, SIDE, SIDE), np.uint8), np.full((20, SIDE, SIDE), 255, np.uint8)])
def test_images_without_anything_in_them_get_finite_numbers(here, tmp_path, images):
    np.save(tmp_path / "flat.npy", images)
    result = genbalance(tmp_path / "flat.npy", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "nan" not in result.stdout


def test_fewer_samples_than_mean_anything_are_refused(here, tmp_path):
    np.save(tmp_path / "few.npy", digits(9, 5).images)
    assert "at least 10" in refused(tmp_path / "few.npy")


def test_samples_of_another_size_are_refused(here, tmp_path):
    np.save(tmp_path / "large.npy", digits(20, 5, side=9).images)
    assert "found images of 9 × 9 grey pixels, but those of data/prepared have 8 × 8" in refused(tmp_path / "large.npy")


@pytest.mark.parametrize("other", [{"size": 9}, {"classes": 4}])
def test_the_classifier_of_other_digits_is_refused(here, tmp_path, other):
    save_classifier(tmp_path / "other.safetensors", **other)
    result = refused("samples.npy", "--classifier", tmp_path / "other.safetensors")
    size, classes = other.get("size", SIDE), other.get("classes", CLASSES)
    trained = f"{classes} classes of {size} × {size} grey pixels"
    assert f"was trained on {trained}, but data/prepared has 3 classes of 8 × 8 grey" in result


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["nowhere"], "nowhere: is not there"),
        (["params.yaml"], "params.yaml: found a file of another kind"),
        (["samples.npy", "--data", "nowhere"], "nowhere"),
        (["samples.npy", "--classifier", "nowhere"], "nowhere: is not there"),
        (["samples.npy", "--classifier", "params.yaml"], "params.yaml: is not a network of this project"),
        (["samples.npy", "--classifier", "data"], "data: "),
        (["samples.npy", "--params", "nowhere"], "nowhere: cannot be read"),
        (["samples.npy", "--params", "data"], "data: cannot be read"),
    ],
)
def test_what_is_not_there_is_named_in_a_line(here, arguments, found):
    assert found in refused(*arguments)


@pytest.mark.parametrize("option", ["--json", "--copies"])
def test_a_file_that_cannot_be_written_is_named_after_the_table(here, option, tmp_path):
    result = genbalance("samples.npy", option, tmp_path)
    assert result.exit_code == 1
    assert "Fréchet distance" in result.stdout
    assert result.stderr == f"{tmp_path}: cannot be written: Is a directory\n"
    assert not list(tmp_path.iterdir())


def test_as_many_samples_as_are_measured_are_drawn_by_a_stream_of_their_own(measured, here, tmp_path):
    rows = np.random.default_rng(stream_seed(42, "evaluate/file")).choice(TESTS + 15, TESTS, replace=False)
    np.save(tmp_path / "samples.npy", np.load("samples.npy")[np.sort(rows)])
    out = [tmp_path / name for name in ("out.json", "copies.png")]
    assert genbalance(tmp_path / "samples.npy", "--json", out[0], "--copies", out[1]).exit_code == 0
    assert out[0].read_bytes() == (measured[1] / "new" / "out.json").read_bytes()
    assert out[1].read_bytes() == (measured[1] / "copies.png").read_bytes()


def test_another_seed_draws_other_samples(here, tmp_path):
    text = Path("params.yaml").read_text(encoding="utf-8")
    (tmp_path / "other.yaml").write_text(text.replace("seed: 42 ", "seed: 43 "), encoding="utf-8")
    tables = [genbalance("samples.npy", "--params", file).stdout for file in ("params.yaml", tmp_path / "other.yaml")]
    assert "drawn by the seed 43" in tables[1]
    rows = [next(line for line in table.splitlines() if "Fréchet distance  " in line) for table in tables]
    assert rows[0] != rows[1]


# ── other images, another reference, another network ─────────────────────────────────────────────────────────────


SHAPE = (3, 6, 9)


def colours(n, seed):
    """Rectangles, each of one colour with some noise."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 200, (n, 1, 1, 3)) + rng.integers(0, 56, (n, *SHAPE[1:], 3))).astype(np.uint8)


@pytest.fixture
def elsewhere(settings, tmp_path, monkeypatch):
    """An empty working directory but for 100 real images in folders of classes, 55 samples and a network, twice."""
    for index, image in enumerate(colours(100, 0)):
        folder = tmp_path / "real" / ("warm" if image[..., 0].mean() > image[..., 2].mean() else "cold")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    np.save(tmp_path / "samples.npy", colours(55, 1))
    save_onnx(tmp_path / "net.onnx", SHAPE)
    save_script(tmp_path / "net.pt", SHAPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(*arguments):
    """The JSON and the text of a run that ends well."""
    result = genbalance(*arguments, "--json", "out.json")
    assert result.exit_code == 0, result.output
    return json.loads(Path("out.json").read_text(encoding="utf-8")), result.stdout


def read_linearly(images):
    rows = (images.transpose(0, 3, 1, 2) / 255).reshape(len(images), -1)
    return rows @ linear(rows.shape[1]).astype(np.float64)


def closed_form(a, b):
    """FID's formula by SciPy's square root of a matrix."""
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)


def test_two_sets_are_compared_by_another_network_without_a_repository(elsewhere):
    metrics, text = written("samples.npy", "--reference", "real", "--features", "net.onnx", "--copies", "copies.png")
    assert (metrics["n"], metrics["reference"], metrics["features"]) == (40, "real", "net.onnx")
    first, division, settings, features, *_ = text.splitlines()
    assert first == "samples.npy: 40 images of 55, drawn by the seed 42, against 40 test images of real"
    assert division.startswith("real: divided by the seed 42 into 50 training, 10 validation and 40 test images")
    assert "released" in settings
    assert features.startswith(f"Features: net.onnx, md5 {metrics['features_md5']}, of 6 × 9 colour pixels.")
    assert not {"classifier_score", "class_histogram", "class_distance", "fd_class_mean"} & metrics.keys()
    assert "class" not in text.splitlines()[-1]
    with Image.open("copies.png") as picture:
        assert picture.mode == "RGB"


def the_test_images(images):
    """Those of a reference that are compared with."""
    rows = np.random.default_rng(stream_seed(42, "evaluate/reference")).permutation(len(images))
    return images[rows[: round(0.4 * len(images))]]


def test_the_distance_is_the_closed_form_on_the_networks_features(elsewhere):
    real, samples = colours(100, 0), colours(40, 1)
    np.save("real.npy", real)
    np.save("samples.npy", samples)
    found, _ = written("samples.npy", "--reference", "real.npy", "--features", "net.onnx")
    expected = closed_form(read_linearly(samples), read_linearly(the_test_images(real)))
    assert found["fd_test"] == pytest.approx(expected, rel=1e-4)
    expected = closed_form(read_linearly(samples), read_linearly(real))
    assert gb.frechet_distance(samples, real, features="net.onnx") == pytest.approx(expected, rel=1e-4)


def test_a_network_of_many_features_has_no_interval_of_the_distance_and_the_heading_says_so(elsewhere, monkeypatch):
    options = ["samples.npy", "--reference", "real", "--features", "net.pt"]
    metrics, text = written(*options)
    assert "fd_test" in metrics["ci95"]
    assert "no interval" not in text
    monkeypatch.setattr(suite, "RESAMPLED", 4)
    fewer, text = written(*options)
    assert metrics["ci95"].pop("fd_test")
    assert fewer == metrics
    assert "The Fréchet distance has no interval: resampling it would take too long with 5 features.\n" in text


def test_onnx_and_torchscript_of_one_network_give_the_same_metrics(elsewhere):
    options = ["samples.npy", "--reference", "real", "--features"]
    onnx, script = (written(*options, f"net.{end}")[0] for end in ("onnx", "pt"))
    assert onnx.keys() == script.keys()
    for name in onnx.keys() - {"features", "features_md5", "warnings", "samples", "reference", "ci95"}:
        assert onnx[name] == pytest.approx(script[name], rel=1e-3, abs=1e-3), name


def test_real_images_against_themselves_are_at_no_more_than_the_floor(elsewhere):
    metrics, _ = written("real", "--reference", "real", "--features", "net.pt")
    other, _ = written("samples.npy", "--reference", "real", "--features", "net.pt")
    assert metrics["fd_test"] < other["fd_test"]
    assert metrics["authenticity"] < metrics["authenticity_real"]  # half of them are training images


def test_the_function_tells_the_json_of_the_command(elsewhere):
    expected, _ = written("samples.npy", "--reference", "real", "--features", "net.pt")
    found = gb.evaluate("samples.npy", reference="real", features="net.pt")
    assert found == expected
    arrays = gb.evaluate(colours(55, 1), reference=colours(100, 0), features="net.pt")
    assert arrays["n"] == 40
    assert arrays["reference"] == "images"


def test_samples_of_another_size_are_refused_or_resized_when_asked(elsewhere):
    real, samples = colours(100, 0), colours(40, 1)
    large = samples.repeat(2, axis=1).repeat(2, axis=2)  # and a margin that is cut off
    np.save("given.npy", np.pad(large, ((0, 0), (0, 0), (4, 4), (0, 0))))
    np.save("real.npy", real)
    options = ["given.npy", "--reference", "real.npy", "--features", "net.pt"]
    assert refused(*options) == (
        "given.npy: found images of 12 × 26 colour pixels, but those of real.npy have 6 × 9 colour pixels; make them "
        "equal, or add --resize\n"
    )
    expected = closed_form(read_linearly(samples), read_linearly(the_test_images(real)))
    assert written(*options, "--resize")[0]["fd_test"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("form", ["pictures", "x.npy", "grey.npy"])
def test_samples_that_are_all_grey_are_compared_with_images_in_colour(elsewhere, form):
    """As a collapsed model of colour draws them."""
    real, grey = colours(100, 0), colours(40, 1)[..., 0]
    samples = np.stack([grey] * 3, 3)
    Path("pictures").mkdir()
    for index, image in enumerate(samples):
        Image.fromarray(image).save(f"pictures/{index}.png")
    np.save("x.npy", samples)
    np.save("grey.npy", grey)
    np.save("real.npy", real)
    expected = closed_form(read_linearly(samples), read_linearly(the_test_images(real)))
    metrics, _ = written(form, "--reference", "real.npy", "--features", "net.pt", "--copies", "copies.png")
    assert metrics["fd_test"] == pytest.approx(expected, rel=1e-4)
    if form != "pictures":
        found = gb.evaluate(np.load(form), reference=real, features="net.pt")
        assert found["fd_test"] == metrics["fd_test"]


class AnySize(torch.nn.Module):
    """Mean and maximum of each channel of images of any size and number of channels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


@pytest.fixture
def of_any_size(elsewhere):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that there are newer formats
        torch.jit.script(AnySize().eval()).save("any.pt")
    return Path("any.pt")


def test_two_sets_of_another_size_are_not_read_in_two_sizes(of_any_size):
    a, b = colours(20, 0), colours(30, 1).repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(gb.UserError) as caught:
        gb.frechet_distance(a, b, features=of_any_size)
    assert str(caught.value) == (
        "features_size: found None, but a has 6 × 9 colour pixels, b has 12 × 18 colour pixels, and any.pt takes "
        "either; allowed: the pixels a side that both are resized to"
    )
    assert gb.frechet_distance(a, b, features=of_any_size, features_size=6) > 0
    assert gb.frechet_distance(a, a[:, :, ::-1], features=of_any_size) == pytest.approx(0, abs=1e-6)
    assert gb.frechet_distance(a, b, features="net.onnx") > 0  # whose file says 6 × 9


def test_of_a_grey_and_a_coloured_set_both_are_read_in_colour(of_any_size):
    def expected(images):
        return np.concatenate([images.mean((1, 2)), images.max((1, 2))], 1) / 255

    grey, coloured = colours(20, 0)[..., 0], colours(30, 2)
    distance = closed_form(expected(np.stack([grey] * 3, 3)), expected(coloured))
    for pair in ((grey, coloured), (coloured, np.stack([grey] * 3, 3))):
        assert gb.frechet_distance(*pair, features=of_any_size) == pytest.approx(distance, rel=1e-4)


def test_colours_become_their_luma_beside_grey_images_when_asked(here, tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (20, SIDE, SIDE, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    assert "found images of 8 × 8 colour pixels, but those of data/prepared have 8 × 8 grey" in refused(
        tmp_path / "x.npy"
    )
    np.save(tmp_path / "grey.npy", np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images]))
    results = [genbalance(tmp_path / name, "--resize") for name in ("x.npy", "grey.npy")]
    tables = [result.stdout.partition("\n")[2] for result in results]
    assert tables[0] == tables[1]


def test_the_classifier_reads_another_reference_of_its_shape_without_its_classes(here, tmp_path):
    np.save(tmp_path / "real.npy", digits(60, 9).images)
    result = genbalance("samples.npy", "--reference", tmp_path / "real.npy", "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "trained on other images (Stripes), not Inception" in result.stdout
    metrics = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert metrics["n"] == 24
    assert "classifier_score" not in metrics
    np.save(tmp_path / "test.npy", the_test_images(digits(60, 9).images))
    again = gb.evaluate(tmp_path / "test.npy", reference=tmp_path / "real.npy")
    assert again["fd_test"] == pytest.approx(0, abs=1e-6)


def test_prepared_images_are_read_by_another_network_too(here, tmp_path):
    save_script(tmp_path / "net.pt", (1, SIDE, SIDE))
    samples, test = np.load("samples.npy")[:TESTS], prepared.load(Path("data/prepared")).test.images
    metrics = gb.evaluate(samples, features=tmp_path / "net.pt")
    expected = closed_form(*(read_linearly(images[..., None]) for images in (samples, test)))
    assert metrics["fd_test"] == pytest.approx(expected, rel=1e-4)
    assert "classifier_score" not in metrics


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--reference", "nowhere"], "nowhere: is not there"),
        (["--reference", "few.npy"], "few.npy: found 24 images to compare with; allowed: at least 25"),
        (["--reference", "real"], "data/prepared/stats.json: not there; run `dvc repro prepare`; or name another"),
        (["--reference", "real", "--features", "nowhere.pt"], "nowhere.pt: is not there"),
        (["--reference", "real", "--features-size", "8"], "--features-size: found 8 without --features"),
        (["--reference", "real", "--features", "net.pt", "--features-size", "8"], "net.pt: fails on the images"),
        (["--reference", "real", "--features", "net.pt", "--params", "x.yaml"], "x.yaml: cannot be read"),
        (["--features", "net.pt"], "params.yaml: cannot be read"),
    ],
)
def test_a_reference_or_network_that_does_not_fit_is_named_in_a_line(elsewhere, arguments, found):
    np.save("few.npy", colours(24, 0))
    assert found in refused("samples.npy", *arguments)


def test_a_reference_that_the_classifier_does_not_take_is_refused(here, tmp_path):
    np.save(tmp_path / "real.npy", colours(60, 0))
    np.save(tmp_path / "samples.npy", colours(60, 1))
    message = refused(tmp_path / "samples.npy", "--reference", tmp_path / "real.npy")
    assert message.startswith("models/classifier.safetensors: takes 8 × 8 grey pixels an image, but those of ")
    assert message.endswith("have 6 × 9 colour pixels; name another network with --features\n")


def test_rows_are_aligned_whatever_stands_in_them():
    assert aligned([("", "a", "long"), ("heading that is long",), ("x", "12", "3")]) == (
        "    a  long\nheading that is long\nx  12     3"
    )


def changed(original, tmp_path, monkeypatch, config, **changes):
    """Enters a copy of the repository with other prepared images, and a classifier of them."""
    shutil.copytree(original, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    prepared.save(replace(prepared.load(Path("data/prepared")), **changes), Path("data/prepared"))
    config = {"shape": [1, SIDE, SIDE], "width": 4} | config
    network = initialised(lambda: Classifier(**config), 0, "classifier", torch.device("cpu"))
    weights.save(Path("models/classifier.safetensors"), config, network.state_dict())


@pytest.mark.usefixtures("settings")
def test_without_classes_that_is_said_once_and_the_table_has_no_line_of_them(original, tmp_path, monkeypatch):
    bare = prepared.Split(digits(TESTS, 3).images, np.zeros(TESTS, np.int64))
    splits = dict.fromkeys(("train", "val", "test"), bare)
    changed(original, tmp_path, monkeypatch, {"classes": 4, "rotations": True}, classes=0, **splits)
    result = typed.genbalance("evaluate", "samples.npy", "--json", "out.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("have no classes") == 1
    assert "Fréchet distance" in result.stdout
    assert not re.search(r"^Classes|classifier score|^class ", result.stdout, re.MULTILINE)
    metrics = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert not [name for name in metrics if name.startswith("class")]


@pytest.mark.usefixtures("settings")
def test_classes_are_called_by_their_names(original, tmp_path, monkeypatch):
    changed(original, tmp_path, monkeypatch, {"classes": CLASSES}, class_names=("ant", "big bee", "cat"))
    result = typed.genbalance("evaluate", "samples.npy", "--json", "out.json")
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[-3:]] == ["ant", "big bee", "cat"]
    histogram = json.loads(Path("out.json").read_text(encoding="utf-8"))["class_histogram"]
    assert [*histogram] == ["ant", "big bee", "cat"]
