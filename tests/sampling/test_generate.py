"""`genbalance generate`, `interpolate` and `traverse` with tiny models that were never trained."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import genbalance, refused

from genbalance.data import prepared
from genbalance.data.pictures import TILE, grid, text_tile
from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.runtime import io
from genbalance.runtime.device import initialised
from genbalance.sampling.glyphs import line
from tests.sampling.conftest import CPU, SIDE

GAN = ["--model", "gan"]
VAE = ["--model", "vae"]


def generated(out, *arguments):
    """The index and the images by file, of a run that ends well."""
    result = genbalance("generate", *arguments, "--out", out)
    assert result.exit_code == 0, result.output
    index = json.loads((out / "generated.json").read_text(encoding="utf-8"))
    return index, {row["file"]: pixels(out / "images" / row["file"]) for row in index["images"]}


def pixels(path):
    with Image.open(path) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def md5(path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("model", [GAN, VAE])
def test_a_digit_is_drawn_as_often_as_asked_for(context, tmp_path, model):
    index, images = generated(tmp_path / "out", *model, "--digit", 1, "--count", 9)
    assert [row["digit"] for row in index["images"]] == [row["read"] for row in index["images"]] == [1] * 9
    assert list(images) == [f"{place:03d}_1.png" for place in range(1, 10)]
    assert all(image.shape == (SIDE, SIDE) for image in images.values())
    np.testing.assert_array_equal(pixels(tmp_path / "out/grid.png"), grid(np.stack(list(images.values())), 3))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"images", "grid.png", "generated.json"}
    assert {path.name for path in (tmp_path / "out/images").iterdir()} == set(images)


def test_the_index_says_what_made_the_images_and_how_they_were_chosen(context, tmp_path):
    index, _ = generated(tmp_path / "out", *VAE, "--digit", 2, "--count", 4, "--seed", 5)
    assert index["seed"] == 5
    assert index["model"] == {"kind": "vae", "file": "vae.safetensors", "md5": md5("models/vae.safetensors")}
    assert index["judge"] == {"file": "classifier.safetensors", "md5": md5("models/classifier.safetensors")}
    assert index["digits"]["md5"] == md5("data/prepared/images.safetensors")
    assert index["asked"] == {"digit": 2, "count": 4}
    assert index["selection"]["raw"] is False
    counts = index["candidates"]["2"]
    assert counts["tried"] >= counts["read"] >= counts["confident"] >= counts["usable"] >= 4
    for row in index["images"]:
        assert row["score"] == pytest.approx(row["confidence"] * row["typicality"], rel=1e-5)
        assert row["confidence"] >= index["selection"]["confidence"]
        assert row["copying"] >= index["selection"]["near"]
        assert row["nearest_training_digit"] % 3 == 2
        assert row["candidate"] < counts["tried"]
    scores = [row["score"] for row in index["images"]]
    assert scores == sorted(scores, reverse=True)
    assert str(context) not in (tmp_path / "out/generated.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("wanted", [["--digit", 0, "--count", 5], ["--digits", "0-1"], ["--digit", 0, "--raw"]])
@pytest.mark.parametrize("model", [GAN, VAE])
def test_the_same_command_gives_the_same_bytes_and_another_seed_others(context, tmp_path, model, wanted):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generated(tmp_path / name, *model, *wanted, "--seed", seed)
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert all(a[name] != c[name] for name in a)


def test_without_a_seed_that_of_the_params_is_taken(context, tmp_path):
    generated(tmp_path / "a", *VAE, "--digit", 0, "--count", 2)
    generated(tmp_path / "b", *VAE, "--digit", 0, "--count", 2, "--seed", 42)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_line_shows_its_digits_in_order_each_drawn_for_itself(context, tmp_path):
    index, images = generated(tmp_path / "out", *VAE, "--digits", "2011-02 0:1/2.")
    assert [row["digit"] for row in index["images"]] == [2, 0, 1, 1, 0, 2, 0, 1, 2]
    assert list(images)[:3] == ["001_2.png", "002_0.png", "003_1.png"]
    assert len({image.tobytes() for image in images.values()}) == 9
    assert index["asked"] == {"digits": "2011-02 0:1/2."}
    np.testing.assert_array_equal(pixels(tmp_path / "out/line.png"), line("2011-02 0:1/2.", list(images.values())))
    assert not (tmp_path / "out/grid.png").exists()


@pytest.mark.parametrize(
    ("wanted", "name"), [(["--digit", 2], "vae-2"), (["--digits", "2011-02 0:1/2."], "vae-2011-02_0_1_2.")]
)
def test_without_a_folder_one_is_named_after_model_and_digits(context, tmp_path, monkeypatch, wanted, name):
    for path in context.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    result = genbalance("generate", *VAE, *wanted)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith(f"generated/{name}: ")
    generated(tmp_path / "named", *VAE, *wanted)
    assert content(tmp_path / "generated" / name) == content(tmp_path / "named")


def test_what_is_drawn_without_a_folder_s_name_is_ignored_by_git():
    assert "/generated/" in (Path(__file__).parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_raw_digits_are_the_first_that_come(context, tmp_path):
    index, _ = generated(tmp_path / "out", *VAE, "--digit", 1, "--count", 20, "--raw")
    numbers = [row["candidate"] for row in index["images"]]
    assert numbers == sorted(numbers)
    assert {row["read"] for row in index["images"]} == {1}
    assert index["selection"]["raw"] is True


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_a_model_of_classes_is_asked_for_the_digit(context, tmp_path, model):
    arguments = ["--model", model, "--weights", f"models/{model}_of_classes.safetensors", "--count", 6]
    raw, _ = generated(tmp_path / "raw", *arguments, "--digit", 1, "--raw")
    assert [row["candidate"] for row in raw["images"]] == list(range(6))
    best, _ = generated(tmp_path / "best", *arguments, "--digit", raw["images"][0]["read"])
    assert {row["read"] for row in best["images"]} == {raw["images"][0]["read"]}


def test_the_bound_on_the_tries_is_reported_and_nothing_is_written(context, tmp_path):
    message = refused("generate", *VAE, "--digit", 1, "--count", 500, "--tries", 300, "--out", tmp_path / "out")
    assert message.startswith("digit 1: of 300 candidates of the vae, ")
    assert "but 500 are needed; allowed: a smaller count, more --tries, or --raw" in message
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], "give either --digit or --digits; for images without classes, --count\n"),
        (["--digit", 1, "--digits", "1"], "give either --digit or --digits, not both\n"),
        (["--digits", "12", "--count", 2], "--count: found 2 with --digits"),
        (["--digits", "2O26"], "--digits: found 'O' in '2O26'; allowed: digits, and between them - . : / and spaces"),
        (["--digits", "1²"], "--digits: found '²'"),
        (["--digits", "- -"], "--digits: found '- -'"),
        (["--digits", ""], "--digits: found ''"),
        (["--digit", 3], "--digit: found 3, but data/prepared has 3 classes; allowed: 0 … 2"),
        (["--digit", -1], "--digit: found -1"),
        (["--digits", "0123"], "--digits: found 3, but data/prepared has 3 classes"),
        (["--digit", 1, "--data", "nowhere"], "nowhere"),
        (["--digit", 1, "--params", "nowhere"], "nowhere: cannot be read"),
        (["--digit", 1, "--classifier", "nowhere"], "nowhere: is not there"),
        (["--digit", 1, "--weights", "nowhere"], "nowhere: is not there"),
        (["--digit", 1, "--weights", "models/vae.safetensors"], "models/vae.safetensors: is not a network of this"),
    ],
)
def test_a_mistake_is_reported_in_a_line_and_nothing_is_written(context, tmp_path, arguments, found):
    assert found in refused("generate", *GAN, *arguments, "--out", tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_folder_of_its_own_is_written_anew_as_a_whole(context, tmp_path):
    out = tmp_path / "out"
    generated(out, *VAE, "--digit", 0, "--count", 8)
    generated(out, *VAE, "--digits", "1-1")
    generated(tmp_path / "other", *VAE, "--digits", "1-1")
    assert content(out) == content(tmp_path / "other")


@pytest.mark.parametrize("place", ["notes.txt", "images/mine.png", "other/file"])
def test_a_file_of_another_origin_is_never_removed(context, tmp_path, place):
    out = tmp_path / "out"
    generated(out, *VAE, "--digit", 0, "--count", 2)
    (out / place).parent.mkdir(exist_ok=True)
    (out / place).write_text("mine")
    assert "was not created by genbalance and is not removed" in refused("generate", *VAE, "--digit", 0, "--out", out)
    assert (out / place).read_text() == "mine"


@pytest.mark.parametrize("index", [None, "{}", "no json", '{"images": [1]}', "[]"])
def test_a_folder_of_something_else_is_refused(context, tmp_path, index):
    (tmp_path / "file.txt").write_text("mine")
    if index is not None:
        (tmp_path / "generated.json").write_text(index)
    message = refused("generate", *VAE, "--digit", 0, "--out", tmp_path)
    assert message == f"{tmp_path}: exists and was not created by genbalance; choose an empty folder\n"
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused_and_an_empty_folder_is_taken(context, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "was not created by genbalance" in refused("generate", *VAE, "--digit", 0, "--out", tmp_path / "file")
    assert "out: cannot be written: " in refused("generate", *VAE, "--digit", 0, "--out", tmp_path / "file/out")
    (tmp_path / "empty").mkdir()
    generated(tmp_path / "empty", *VAE, "--digit", 0, "--count", 1)


def test_a_run_that_fails_leaves_what_was_there(context, tmp_path, monkeypatch):
    out = tmp_path / "out"
    generated(out, *VAE, "--digit", 0, "--count", 2)
    before = content(out)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io.json, "dumps", full)
    assert "No space left on device" in refused("generate", *VAE, "--digit", 1, "--count", 2, "--out", out)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


MODELS = [["--model", "gan"], ["--model", "vae"]]
MODELS += [["--model", kind, "--weights", f"models/{kind}_of_classes.safetensors"] for kind in ("gan", "vae")]
STEP = TILE + 1
COMMANDS = {"interpolate": ["--from", 0, "--to", 1], "traverse": ["--digit", 1]}


def drawn(*arguments):
    result = genbalance(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def tiles(path):
    """[rows, columns, TILE, TILE], without the labels before the rows."""
    with Image.open(path) as picture:
        shown = np.asarray(picture)
    start = int((shown == shown[0, -1]).all(axis=0).argmax())  # the grid's first line
    assert start > 0
    inner = shown[1:, start + 1 :]
    rows, columns = inner.shape[0] // STEP, inner.shape[1] // STEP
    return inner.reshape(rows, STEP, columns, STEP).transpose(0, 2, 1, 3)[..., :TILE, :TILE]


@pytest.mark.parametrize("model", MODELS[:2])
@pytest.mark.parametrize("digits", [(0, 2), (1, 1)])
def test_interpolations_lead_from_a_digit_to_another(context, tmp_path, model, digits):
    out = tmp_path / "x.png"
    message = drawn(
        *("interpolate", *model, "--from", digits[0], "--to", digits[1], "--steps", 7, "--rows", 2, "--out", out)
    )
    assert f"from {digits[0]} to {digits[1]} in 7 steps" in message
    shown = tiles(out).astype(int)
    assert shown.shape[:2] == (2, 7)
    assert (shown[:, 0] != shown[:, -1]).any(axis=(1, 2)).all()


def test_the_ends_are_what_generate_finds_best(context, tmp_path):
    drawn("interpolate", *MODELS[1], "--from", 0, "--to", 2, "--out", tmp_path / "x.png")
    for digit, place in ((0, 0), (2, -1)):
        drawn("generate", *MODELS[1], "--digit", digit, "--count", 1, "--out", tmp_path / "best")
        with Image.open(tmp_path / f"best/images/001_{digit}.png") as best:
            scale = TILE // best.width
            shown = tiles(tmp_path / "x.png")[0, place, ::scale, ::scale].astype(int)
            np.testing.assert_allclose(shown, np.asarray(best).astype(int), atol=1)


def test_a_traversal_has_a_row_for_each_latent_named(context, tmp_path):
    out = tmp_path / "rows.png"
    message = drawn("traverse", *MODELS[1], "--digit", 1, "--latent", 3, "--latent", 0, "--steps", 5, "--out", out)
    assert "the latents 3, 0" in message
    shown = tiles(out)
    assert shown.shape[:2] == (2, 5)
    assert (shown[0, 0] != shown[0, -1]).any()
    assert (shown[0, 0] != shown[1, 0]).any()


def test_the_picture_itself_says_which_latent_a_row_is_and_how_far_it_goes(context, tmp_path):
    steps, span = 5, 2.5
    for latents in ((3, 0), (0, 3)):
        named = [argument for latent in latents for argument in ("--latent", latent)]
        drawn(
            "traverse", *MODELS[1], "--digit", 1, *named, "--span", span, "--steps", steps, "--out", tmp_path / "x.png"
        )
        with Image.open(tmp_path / "x.png") as picture:
            labels = np.asarray(picture)[:, : -(steps * STEP + 1)]
        for row, latent in enumerate(latents):
            expected = text_tile(f"latent {latent}\n-2.5 to 2.5 SD", STEP, labels.shape[1])
            np.testing.assert_array_equal(labels[row * STEP : (row + 1) * STEP], expected)


def test_a_traversal_without_a_latent_begins_with_those_that_change_most(context, tmp_path):
    out = tmp_path / "rows.png"
    message = drawn("traverse", *MODELS[1], "--digit", 1, "--out", out)
    change = tiles(out).var(axis=1, dtype=float).sum(axis=(1, 2))
    assert len(change) == 6  # all there are
    assert (np.diff(change) <= 0).all()
    assert sorted(message.strip().rpartition("latents ")[2].split(", ")) == list("012345")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("model", MODELS[:2])
def test_a_gif_has_the_steps_there_and_back(context, tmp_path, command, model):
    drawn(command, *model, *COMMANDS[command], "--steps", 6, "--out", tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as picture:
        assert picture.n_frames == 10


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_path_has_the_same_bytes_and_another_seed_others(context, tmp_path, command):
    for name, seed in (("a.gif", 1), ("b.gif", 1), ("c.gif", 2)):
        drawn(command, *MODELS[0], *COMMANDS[command], "--seed", seed, "--out", tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.gif", "b.gif", "c.gif"))
    assert a == b != c


@pytest.mark.parametrize("model", MODELS[2:])
def test_models_of_classes_start_from_and_end_with_their_classes(context, tmp_path, model):
    def sure(digit):
        arguments = ("--digit", digit, "--count", 2, "--out", tmp_path / "found")
        return genbalance("generate", *model, *arguments).exit_code == 0

    first, *_, last = 2 * [digit for digit in range(3) if sure(digit)]
    drawn("interpolate", *model, "--from", first, "--to", last, "--out", tmp_path / "x.png")
    assert (tiles(tmp_path / "x.png")[0, 0] != tiles(tmp_path / "x.png")[0, -1]).any()
    drawn("traverse", *model, "--digit", first, "--latent", 0, "--out", tmp_path / "row.png")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["interpolate", "--from", 0, "--to", 1, "--out", "x.jpg"], "--out: found 'x.jpg'; allowed: a file name"),
        (["interpolate", "--from", 3, "--to", 1, "--out", "x.gif"], "--from: found 3, but data/prepared has 3"),
        (["interpolate", "--from", 1, "--to", 9, "--out", "x.gif"], "--to: found 9, but data/prepared has 3"),
        (["traverse", "--digit", 5, "--out", "x.gif"], "--digit: found 5, but data/prepared has 3"),
        (["traverse", "--digit", 0, "--out", "x"], "--out: found 'x'"),
        (["traverse", "--digit", 0, "--latent", 6, "--out", "x.png"], "--latent: found 6; allowed: 0 … 5"),
        (["traverse", "--digit", 0, "--latent", -1, "--out", "x.png"], "--latent: found -1; allowed: 0 … 5"),
        (["traverse", "--digit", 0, "--tries", 1, "--out", "x.png"], "digit 0: of 1 candidates of the vae"),
        (["traverse", "--digit", 0, "--data", "nowhere", "--out", "x.png"], "nowhere"),
    ],
)
def test_a_mistake_of_either_is_reported_in_a_line(context, arguments, found):
    assert found in refused(*arguments, *MODELS[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_cannot_be_written_is_reported(context, tmp_path, command):
    (tmp_path / "x.png").mkdir()
    message = refused(command, *MODELS[1], *COMMANDS[command], "--out", tmp_path / "x.png")
    assert message == f"{tmp_path}/x.png: cannot be written: Is a directory\n"


@pytest.fixture
def changed(unlearned, settings, tmp_path, monkeypatch):
    """A function that copies the repository with other prepared images, and enters the copy."""

    def change(**changes):
        shutil.copytree(unlearned, tmp_path / "here")
        monkeypatch.chdir(tmp_path / "here")
        prepared.save(replace(prepared.load(Path("data/prepared")), **changes), Path("data/prepared"))

    return change


def test_a_class_is_drawn_by_its_name_as_by_its_number(changed, tmp_path):
    changed(class_names=("top", "mid dle", "1"))
    index, images = generated(tmp_path / "a", *VAE, "--digit", "mid dle", "--count", 3)
    other, same = generated(tmp_path / "b", *VAE, "--digit", "0", "--count", 3)
    assert index["asked"] == {"digit": "mid dle", "count": 3}
    assert [*images] == ["001_mid_dle.png", "002_mid_dle.png", "003_mid_dle.png"]
    assert {row["digit"] for row in index["images"]} == {row["read"] for row in index["images"]} == {"mid dle"}
    assert {row["digit"] for row in other["images"]} == {"top"}
    assert len(same) == 3
    last, _ = generated(tmp_path / "c", *VAE, "--digit", "1", "--count", 1)  # the name, before the number
    assert {row["read"] for row in last["images"]} == {"1"}
    assert "allowed: top, mid dle, 1, or 0 … 2" in refused("generate", *VAE, "--digit", "bottom")
    message = drawn("interpolate", *VAE, "--from", "top", "--to", "mid dle", "--out", tmp_path / "way.png")
    assert "from top to mid dle in 12 steps" in message
    assert "x.png: top of the vae" in drawn("traverse", *VAE, "--digit", "top", "--out", tmp_path / "x.png")


def test_digits_are_drawn_of_classes_that_are_called_so_alone(changed, tmp_path):
    """Not the classes of these numbers."""
    changed(class_names=("cat", "dog", "1"))
    assert refused("generate", *VAE, "--digits", "201", "--out", tmp_path / "a") == (
        "--digits: found 2, but the classes of data/prepared are called cat, dog, 1; allowed: digits that are called "
        "so, or --digit with a class's name\n"
    )
    index, _ = generated(tmp_path / "b", *VAE, "--digits", "11")
    assert {row["read"] for row in index["images"]} == {"1"}


@pytest.fixture
def without_classes(changed, unlearned):
    """Stripes without labels, and a classifier of their rotations."""
    train = prepared.load(unlearned / "data/prepared").train
    bare = prepared.Split(train.images, np.zeros(len(train), np.int64))
    changed(train=bare, val=bare, test=bare, classes=0)
    config = {"shape": [1, SIDE, SIDE], "classes": 4, "width": 4, "rotations": True}
    network = initialised(lambda: Classifier(**config), 0, "judge", CPU)
    weights.save(Path("models/classifier.safetensors"), config, network.state_dict())


@pytest.mark.parametrize("raw", [[], ["--raw"]])
def test_images_without_classes_are_drawn_by_their_count_alone(without_classes, tmp_path, raw):
    index, images = generated(tmp_path / "out", *VAE, "--count", 6, *raw)
    assert [*images] == [f"{place:03}.png" for place in range(1, 7)]
    assert index["asked"] == {"count": 6}
    assert not {"digit", "read", "confidence"} & set().union(*index["images"])
    assert all(row["typicality"] > 0 for row in index["images"])
    assert len({image.tobytes() for image in images.values()}) == 6
    assert index["candidates"]["images"]["tried"] >= 6


def test_without_classes_a_way_leads_between_samples(without_classes, tmp_path):
    message = drawn("interpolate", *VAE, "--rows", 2, "--out", tmp_path / "way.png")
    assert "between samples in 12 steps" in message
    assert "a sample of the vae" in drawn("traverse", *VAE, "--out", tmp_path / "x.png")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["generate", "--digit", 1], "--digit: found 1"),
        (["generate", "--digits", "12"], "--digits: found 1"),
        (["interpolate", "--from", 0, "--to", 1, "--out", "x.png"], "--from: found 0"),
        (["traverse", "--digit", 0, "--out", "x.png"], "--digit: found 0"),
    ],
)
def test_without_classes_none_can_be_asked_for(without_classes, arguments, option):
    command, *others = arguments
    message = refused(command, *VAE, *others)
    assert message == f"{option}, but the images of data/prepared have no classes; leave it out\n"


@pytest.mark.parametrize(
    "arguments",
    [["generate", "--count", 3], ["interpolate", "--to", 1, "--out", "x.png"], ["traverse", "--out", "x.png"]],
)
def test_where_there_are_classes_one_is_asked_for(context, arguments):
    assert "found none, but data/prepared has 3 classes; allowed: 0 … 2" in refused(arguments[0], *VAE, *arguments[1:])
