"""The pipeline on images of other kinds: a folder of classes in colour, images without classes, stacked digits, sprites
and arrays; and what it says of images that it refuses."""

import html
import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from committed import PARAMS, ROOT
from PIL import Image
from ruamel.yaml import YAML
from small_repository import EVERY, OFF, call, fresh_repository, genbalance, run_programs_of, stages_run

from genbalance.data.prepared import Prepared, Split, load, save
from genbalance.params import Params, read_params
from genbalance.runtime import device, instructions
from genbalance.training import classifier, gan, vae, vae_gan

HEIGHT, WIDTH, OF_EACH = 12, 20, 40
CLASSES = ["<b>&", "bar", "disc", "red $x^{$ kite", "Ärger"]  # HTML's and Matplotlib's marks, and in order of code
COLOURS = [(230, 40, 20), (40, 220, 60), (60, 120, 255), (230, 220, 30), (250, 250, 250)]
FAST = {
    **{"classifier.width": 8, "gan.width": 8, "gan.clusters": 10, "vae_gan.width": 8},
    **{"classifier.batch_size": 64, "vae.batch_size": 64},
}
OF_CLASSES = {"classifier_score", "class_distance", "class_share_min", "fd_class_worst"}
OF_FACTORS = {"mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factor_vae_score"}
EVALUATIONS = ("evaluate_gan", "evaluate_vae", "evaluate_vae_gan")


def set_params(path: Path, choices: dict[str, Any]) -> None:
    yaml = YAML()
    params = yaml.load(path)
    for name, value in choices.items():
        *section, key = name.split(".")
        (params[section[0]] if section else params)[key] = value
    yaml.dump(params, path)


def small(place: Path, tables: Path, **choices: Any) -> Path:
    """A repository with ``choices`` in its params.yaml, ``__`` for the dot."""
    repository = fresh_repository(place)
    shutil.copy(tables, repository)
    set_params(repository / "params.yaml", FAST | {name.replace("__", "."): value for name, value in choices.items()})
    call(repository, "git", "add", "-A")
    call(repository, "git", "commit", "-qm", "other data")
    return repository


def nothing_is_left_to_do(repository: Path, *stages: str) -> None:
    """After DVC has recorded what the programs of ``stages``, or of all, left."""
    call(repository, "dvc", "commit", "-q", "--force", *stages)
    said = call(repository, "dvc", "repro", *stages)
    assert "up to date" in said
    assert not stages_run(said)


def metrics(repository: Path, stage: str) -> dict[str, Any]:
    return json.loads((repository / f"metrics/{stage}.json").read_text(encoding="utf-8"))


def page(repository: Path) -> str:
    """What the page says: without its pictures, styles and marks."""
    text = (repository / "reports/index.html").read_text(encoding="utf-8")
    return html.unescape(re.sub(r"<(style|script|svg).*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL))


def every_image(repository: Path) -> tuple[Prepared, np.ndarray, np.ndarray]:
    """What is prepared; the images of all its splits and their labels."""
    prepared = load(repository / "data/prepared")
    splits = (prepared.train, prepared.val, prepared.test)
    return prepared, np.concatenate([s.images for s in splits]), np.concatenate([s.labels for s in splits])


def a_bar(label: int, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A rectangle of the class's colour and size on dark blue, uint8 [height, width, 3]."""
    pixels = np.full((height, width, 3), (20, 30, 90), np.uint8)
    y, x = rng.integers(0, height - 7), rng.integers(0, width - 8)
    pixels[y : y + 3 + label, x : x + 8 - label] = COLOURS[label] - rng.integers(0, 20)
    return pixels


def write(pixels: np.ndarray, path: Path, number: int) -> None:
    """One of five kinds of file that all show the same."""
    image = Image.fromarray(pixels)
    match number % 5:
        case 0:
            image.save(path.with_suffix(".png"))
        case 1:
            image.save(path.with_suffix(".webp"), lossless=True)
        case 2:
            image.save(path.with_suffix(".BMP"))
        case 3:
            image.quantize(4).save(path.with_suffix(".png"))
        case 4:
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned by 90 degrees clockwise
            image.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".png"), exif=exif)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two folders of pictures, ``classes`` and ``plain``, and the ``images`` [n, 12, 20, 3] and ``labels`` of one."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    labels = np.repeat(np.arange(len(CLASSES)), OF_EACH)
    images = np.stack([a_bar(label, rng, HEIGHT, WIDTH) for label in labels])
    for number, (label, pixels) in enumerate(zip(labels, images, strict=True)):
        (folder / "classes" / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        write(pixels, folder / "classes" / CLASSES[label] / str(number), number)
    (folder / "plain").mkdir()
    (folder / "plain" / "README.md").write_text("no image")
    for number in range(160):
        write(a_bar(number % len(CLASSES), rng, 32, 32), folder / "plain" / str(number), number)
    return SimpleNamespace(classes=folder / "classes", plain=folder / "plain", images=images, labels=labels)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tables: Path, made: SimpleNamespace) -> SimpleNamespace:
    """Repositories in which stages have run, all in one process, and what they ``said``."""

    def of(name: str, **choices: Any) -> Path:
        return small(tmp_path_factory.mktemp(name), tables, **choices)

    short = {f"{section}__epochs": 1 for section in ("classifier", "gan", "vae")}
    folder = {"data__source": "folder", "data__path": str(made.plain)}
    shared = {"families__gan": False, "vae__likelihood": "gaussian_shared"}
    classes = of("classes", families__vae_gan=True, gan__conditional=True, gan__balance="accuracy")
    known = {"vae__likelihood": "logistic_mixture", "vae__beta_range": [0.5, 4.0]}
    plain = of("plain", **folder, **short, vae__arch="conv", **known)
    stacked = of("stacked", **short, data__source="stacked", data__limit=300, gan__arch="mlp", classifier__width=4)
    sprites = of("sprites", **short, **shared, data__source="sprites", data__limit=300)
    # DVC sets what is asked for on the command line, and finds the files
    asked = ("-S", "data.source=folder", "-S", f"data.path={made.classes}")
    assert stages_run(call(classes, "dvc", "exp", "run", "-n", "own", *asked, "prepare")) == ["prepare"]
    whole = [*EVERY[:-1], *OFF, EVERY[-1]]
    said = run_programs_of(
        {
            classes: whole[1:],
            plain: whole,
            stacked: ["prepare", "train_classifier", "train_gan", "evaluate@gan"],
            sprites: whole,
        }
    )
    return SimpleNamespace(classes=classes, plain=plain, stacked=stacked, sprites=sprites, said=said)


def test_dvc_has_nothing_left_to_do(ran: SimpleNamespace) -> None:
    nothing_is_left_to_do(ran.classes)
    nothing_is_left_to_do(ran.plain)


def test_each_picture_of_a_folder_of_classes_is_read_as_it_looks(ran: SimpleNamespace, made: SimpleNamespace) -> None:
    prepared, images, labels = every_image(ran.classes)
    assert prepared.shape == [3, HEIGHT, WIDTH]
    assert list(prepared.class_names) == CLASSES
    for label in range(len(CLASSES)):
        found, expected = images[labels == label], made.images[made.labels == label]
        assert sorted(map(bytes, found)) == sorted(map(bytes, expected))


def test_metrics_of_a_folder_of_classes_name_its_classes(ran: SimpleNamespace) -> None:
    assert metrics(ran.classes, "prepare")["class_names"] == dict(zip("01234", CLASSES, strict=True))
    for stage in EVALUATIONS:
        measured = metrics(ran.classes, stage)
        assert OF_CLASSES | {"fd_test", "kid_test", "vendi", "ci95"} <= measured.keys()
        assert list(measured["class_histogram"]) == sorted(CLASSES)
    assert metrics(ran.classes, "evaluate_gan").keys() >= {"condition_accuracy"}
    assert metrics(ran.classes, "evaluate_vae").keys() >= {"nelbo", "nll", "probe_accuracy"}
    assert not {"bits_per_dim", "mig", "modes_covered"} & metrics(ran.classes, "evaluate_vae").keys()


def test_the_page_names_the_classes_and_the_grids_are_rectangles_in_colour(ran: SimpleNamespace) -> None:
    said = page(ran.classes)
    assert all(name in said for name in CLASSES)
    assert "<b>&" not in (ran.classes / "reports/index.html").read_text(encoding="utf-8")
    grids = sorted((ran.classes / "metrics").glob("*_samples.png"))
    assert len(grids) == 3
    for path in grids:
        with Image.open(path) as grid:  # 10 × 10 images, a line between each two
            assert grid.mode == "RGB"
            assert (grid.width - 1) * HEIGHT == pytest.approx((grid.height - 1) * WIDTH, rel=0.03)


def test_trained_models_of_a_folder_of_classes_draw_and_are_exported(
    ran: SimpleNamespace, made: SimpleNamespace, tmp_path: Path
) -> None:
    import onnxruntime

    out = tmp_path / "drawn"
    asked = ("--digit", "Ärger", "--count", "2", "--raw", "--out", str(out))
    genbalance(ran.classes, "generate", "--model", "gan", *asked)
    drawn = sorted((out / "images").iterdir())
    assert len(drawn) == 2
    for path in drawn:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
    refused = genbalance(ran.classes, "generate", "--model", "gan", "--digit", "cow", "--count", "2", succeeds=False)
    assert all(name in refused for name in CLASSES)

    for model in ("gan", "vae"):
        file = tmp_path / f"{model}.onnx"
        genbalance(ran.classes, "export", "--model", model, "--out", str(file))
        session = onnxruntime.InferenceSession(file)
        assert session.get_outputs()[0].shape[1:] == [3, HEIGHT, WIDTH]

    file = tmp_path / "measured.json"
    said = genbalance(ran.classes, "evaluate", str(made.classes), "--json", str(file))
    assert all(name in said for name in CLASSES)
    assert json.loads(file.read_text(encoding="utf-8"))["precision"] > 0.5  # they are the real ones


def test_images_without_classes_run_through_and_that_is_said_once(ran: SimpleNamespace) -> None:
    assert load(ran.plain / "data/prepared").classes == 0
    assert ran.said.count("no classes: the reference classifier learns rotations") == 1
    assert "left out, since they are not images: README.md" in ran.said
    assert "rotations" in (ran.plain / "models/classifier.safetensors").read_bytes()[:2000].decode("latin-1")
    for stage in EVALUATIONS[:2]:
        measured = metrics(ran.plain, stage)
        assert {"fd_test", "kid_test", "precision", "vendi"} <= measured.keys()
        assert not [name for name in (*measured, *measured["ci95"]) if "class" in name or "probe" in name]
    assert 0 < metrics(ran.plain, "evaluate_vae")["bits_per_dim"] < 100


def test_the_page_of_images_without_classes_has_no_table_of_them(ran: SimpleNamespace) -> None:
    of_none, of_some = page(ran.plain), page(ran.classes)
    assert "Class by class" in of_some
    assert "Class by class" not in of_none
    assert "classifier score" not in of_none.lower()
    assert not list((ran.plain / "reports/figures").glob("*class_*"))
    assert "bits per dimension" in of_none


def test_the_curve_of_a_range_of_beta_is_measured_and_on_the_page(ran: SimpleNamespace) -> None:
    curve = pd.read_csv(ran.plain / "artifacts/evaluate_vae/curve.csv")
    assert (len(curve), curve["beta"].iloc[0], curve["beta"].iloc[-1]) == (21, 0.5, 4.0)
    at_one = curve.iloc[(curve["beta"] - 1).abs().argmin()]
    measured = metrics(ran.plain, "evaluate_vae")
    assert at_one["distortion"] == pytest.approx(measured["distortion"], rel=0.02)
    assert "out of one training" in page(ran.plain)
    assert 'type="range"' in (ran.plain / "reports/index.html").read_text(encoding="utf-8")


def test_where_lambda_went_is_measured_and_on_the_page(ran: SimpleNamespace) -> None:
    assert 0.001 <= metrics(ran.classes, "train_gan")["lambda_reached"] <= 1000
    assert "at the start of the GAN’s training" in " ".join(page(ran.classes).split())


def test_modes_of_stacked_digits_are_counted(ran: SimpleNamespace) -> None:
    prepared, images, _ = every_image(ran.stacked)
    assert (prepared.stacked, prepared.classes, images.shape) == (True, 1000, (300, 28, 28, 3))
    measured = metrics(ran.stacked, "evaluate_gan")
    assert 1 <= measured["modes_covered"] <= 1000
    assert 0 <= measured["modes_kl"] <= 6.9078  # log 1000
    assert {"modes_covered_real", "modes_kl_real"} <= measured.keys()


def test_disentanglement_of_sprites_is_measured_and_on_the_page(ran: SimpleNamespace) -> None:
    prepared, images, _ = every_image(ran.sprites)
    assert images.shape == (300, 32, 32, 3)
    assert set(prepared.factor_names) == {"shape", "scale", "rotation", "x", "y", "colour"}
    measured = metrics(ran.sprites, "evaluate_vae")
    assert all(0 <= measured[name] <= 1 for name in OF_FACTORS)
    said = page(ran.sprites)
    assert set(said.split()) >= OF_FACTORS
    assert all(word in said for word in ("MIG", "SAP", "DCI", "FactorVAE"))
    assert "bits per dimension" not in said


# Single stages, in this process


class Unrecorded:
    """Stands for the tracked run."""

    key = run_id = ""

    def log(self, values: Any, step: int | None = None) -> None: ...

    def image(self, key: str, image: Any, step: int) -> None: ...

    def dataset(self, name: str, digest: str, source: str, profile: Any) -> None: ...

    def flush(self) -> None: ...


@pytest.fixture
def stage(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: None
) -> Callable[..., tuple[int, list[str]]]:
    """A function that runs a stage's program in an empty folder: how it ends, and its lines on stderr."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr("genbalance.runtime.stage.signal.signal", lambda *_: None)
    for name in (*instructions.PINNED, *instructions.ELSEWHERE):  # put back after the test
        monkeypatch.setenv(name, "before")
    monkeypatch.chdir(tmp_path)
    shutil.copy(tables, tmp_path)

    def run(name: str, **choices: Any) -> tuple[int, list[str]]:
        shutil.copy(PARAMS, tmp_path)
        set_params(tmp_path / "params.yaml", {key.replace("__", "."): value for key, value in choices.items()})
        code = 0
        try:
            runpy.run_path(str(ROOT / f"stages/{name}.py"), run_name="__main__")
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, capsys.readouterr().err.splitlines()

    return run


def colour(n: int = 120) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 9, 14, 3), dtype=np.uint8)


def test_each_layout_of_an_array_gives_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params, program = read_params(PARAMS), runpy.run_path(str(ROOT / "stages/prepare.py"))
    own = params.data.model_copy(update={"source": "array", "path": "own.npz"})
    params = params.model_copy(update={"data": own})
    images, labels = colour(), np.arange(120) % 4
    grey = images[..., 0]
    layouts = {
        "colour": [images, images.transpose(0, 3, 1, 2), images / 255],
        "grey": [grey, grey[..., None], grey[:, None]],
    }
    for form, arrays in layouts.items():
        for answers in ({}, {"labels": labels}):
            found = []
            for array in arrays:
                np.savez(tmp_path / "own.npz", images=array, **answers)
                program["main"](params, Unrecorded())
                found.append([path.read_bytes() for path in sorted((tmp_path / "data/prepared").iterdir())])
            assert found[1:] == found[:1] * 2
            prepared, read, numbers = every_image(tmp_path)
            assert prepared.classes == (4 if answers else 0)
            expected = images if form == "colour" else grey
            assert sorted(map(bytes, read)) == sorted(map(bytes, expected))
            if answers:
                classes = {image.tobytes(): label for image, label in zip(expected, labels, strict=True)}
                assert [classes[image.tobytes()] for image in read] == numbers.tolist()


def a_broken_png(folder: Path) -> str:
    path = folder / "b" / "7.png"
    path.write_bytes(path.read_bytes()[:-30])
    return "own/b/7.png: is not a whole PNG file"


def an_animation(folder: Path) -> str:
    frames = [Image.fromarray(pixels) for pixels in colour(2)]
    frames[0].save(folder / "b" / "moving.gif", save_all=True, append_images=frames[1:])
    return "own/b/moving.gif: found 2 frames; allowed: one"


def a_program(folder: Path) -> str:
    (folder / "a" / "train.py").write_text("print()")
    return "own/a: only PNG, JPEG, WebP, BMP, TIFF, GIF are supported; found 1 .py (train.py)"


def another_size(folder: Path) -> str:
    Image.fromarray(np.zeros((9, 15, 3), np.uint8)).save(folder / "b" / "99.png")
    return "own/b/99.png: found 9 × 15 pixels, but 0.png has 9 × 14; allowed: images of one size (resized by data.size,"


@pytest.mark.parametrize("spoil", [a_broken_png, an_animation, a_program, another_size])
def test_a_bad_picture_is_one_line_that_names_it(stage: Callable, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    for number, pixels in enumerate(colour()):
        path = tmp_path / "own" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    refused(stage, tmp_path, spoil(tmp_path / "own"), data__source="folder", data__path="own")


def test_labels_of_another_count_are_one_line(stage: Callable, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=colour(), labels=np.arange(119) % 4)
    message = "own.npz: labels: found 119 labels for the 120 images of own.npz: images; there must be one for each"
    refused(stage, tmp_path, message, data__source="array", data__path="own.npz")


def refused(stage: Callable, tmp_path: Path, message: str, **choices: Any) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_dir()}
    code, lines = stage("prepare", **choices)
    assert (code, len(lines)) == (1, 1), lines
    assert lines[0].startswith(f"prepare: {message}")
    left = {path for path in tmp_path.rglob("*") if path.is_dir()} - before
    assert not [path for path in left if path.name in ("prepared", "metrics") or path.name.startswith(".part")]


def a_prepared(classes: int) -> Prepared:
    images, labels = colour(), np.arange(120) % max(1, classes)
    parts = [Split(images[part], labels[part]) for part in (slice(0, 80), slice(80, 100), slice(100, 120))]
    return Prepared(*parts, "array", "own", classes, 0.5, 0.25)


def test_what_the_data_do_not_allow_is_one_line_of_the_stage(stage: Callable, tmp_path: Path) -> None:
    save(a_prepared(0), tmp_path / "data/prepared")
    sizes = {f"{name}__batch_size": 16 for name in ("gan", "vae")}
    code, lines = stage("train_vae", vae__likelihood="bernoulli", **sizes)
    assert (code, len(lines)) == (1, 1), lines
    assert lines[0].startswith("train_vae: vae.likelihood: found bernoulli")
    code, lines = stage("train_gan", gan__conditional=True, **sizes)
    assert (code, len(lines)) == (1, 1), lines
    assert lines[0].startswith("train_gan: gan.conditional: found true")
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "metrics").exists()


# Images that are converted batch by batch


@pytest.mark.parametrize("family", [classifier, gan, vae, vae_gan], ids=lambda family: family.__name__.split(".")[-1])
@pytest.mark.parametrize("classes", [0, 4])
def test_images_converted_batch_by_batch_give_the_same_weights(
    family: Any, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    params, name = read_params(PARAMS), family.__name__.split(".")[-1]
    tiny = {"epochs": 1, "batch_size": 16, "width": 16 if family is vae else 4}
    if name in ("gan", "vae"):
        tiny |= {"conditional": classes > 0}
    params = params.model_copy(update={name: getattr(params, name).model_copy(update=tiny)})
    whole, converted = (trained(family, params, classes, most, monkeypatch) for most in (device.MOST_BYTES, 0))
    assert whole.metrics == converted.metrics
    assert whole.weights.keys() == converted.weights.keys()
    assert all(torch.equal(whole.weights[key], converted.weights[key]) for key in whole.weights)


def trained(family: Any, params: Params, classes: int, most: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(device, "MOST_BYTES", most)
    cpu = device.set_up(params.compute, params.seed, "train")
    return family.train(params, a_prepared(classes), cpu, Unrecorded())
