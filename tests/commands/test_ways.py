"""`genbalance interpolate` and `genbalance traverse` with tiny models that were never trained."""

import numpy as np
import pytest
from PIL import Image
from typed import genbalance, refused

from genbalance.pictures import TILE, text_tile

MODELS = [["--model", "gan"], ["--model", "vae"]]
MODELS += [["--model", kind, "--weights", f"models/{kind}_of_classes.safetensors"] for kind in ("gan", "vae")]
STEP = TILE + 1
COMMANDS = {"interpolate": ["--from", 0, "--to", 1], "traverse": ["--digit", 1]}


def drawn(*arguments):
    told = genbalance(*arguments)
    assert told.exit_code == 0, told.output
    return told.stdout


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
def test_ways_lead_from_a_digit_to_another(studio, tmp_path, model, digits):
    out = tmp_path / "way.png"
    told = drawn(
        *("interpolate", *model, "--from", digits[0], "--to", digits[1], "--steps", 7, "--rows", 2, "--out", out)
    )
    assert f"from {digits[0]} to {digits[1]} in 7 steps" in told
    shown = tiles(out).astype(int)
    assert shown.shape[:2] == (2, 7)
    assert (shown[:, 0] != shown[:, -1]).any(axis=(1, 2)).all()


def test_the_ends_are_what_generate_finds_best(studio, tmp_path):
    drawn("interpolate", *MODELS[1], "--from", 0, "--to", 2, "--out", tmp_path / "way.png")
    for digit, place in ((0, 0), (2, -1)):
        drawn("generate", *MODELS[1], "--digit", digit, "--count", 1, "--out", tmp_path / "best")
        with Image.open(tmp_path / f"best/images/001_{digit}.png") as best:
            scale = TILE // best.width
            shown = tiles(tmp_path / "way.png")[0, place, ::scale, ::scale].astype(int)
            np.testing.assert_allclose(shown, np.asarray(best).astype(int), atol=1)


def test_a_traversal_has_a_row_for_each_latent_named(studio, tmp_path):
    out = tmp_path / "rows.png"
    told = drawn("traverse", *MODELS[1], "--digit", 1, "--latent", 3, "--latent", 0, "--steps", 5, "--out", out)
    assert "the latents 3, 0" in told
    shown = tiles(out)
    assert shown.shape[:2] == (2, 5)
    assert (shown[0, 0] != shown[0, -1]).any()
    assert (shown[0, 0] != shown[1, 0]).any()


def test_the_picture_itself_says_which_latent_a_row_is_and_how_far_it_goes(studio, tmp_path):
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


def test_a_traversal_without_a_latent_begins_with_those_that_change_most(studio, tmp_path):
    out = tmp_path / "rows.png"
    told = drawn("traverse", *MODELS[1], "--digit", 1, "--out", out)
    change = tiles(out).var(axis=1, dtype=float).sum(axis=(1, 2))
    assert len(change) == 6  # all there are
    assert (np.diff(change) <= 0).all()
    assert sorted(told.strip().rpartition("latents ")[2].split(", ")) == list("012345")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("model", MODELS[:2])
def test_a_gif_has_the_steps_there_and_back(studio, tmp_path, command, model):
    drawn(command, *model, *COMMANDS[command], "--steps", 6, "--out", tmp_path / "way.gif")
    with Image.open(tmp_path / "way.gif") as picture:
        assert picture.n_frames == 10


@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_command_gives_the_same_bytes_and_another_seed_others(studio, tmp_path, command):
    for name, seed in (("a.gif", 1), ("b.gif", 1), ("c.gif", 2)):
        drawn(command, *MODELS[0], *COMMANDS[command], "--seed", seed, "--out", tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.gif", "b.gif", "c.gif"))
    assert a == b != c


@pytest.mark.parametrize("model", MODELS[2:])
def test_models_of_classes_are_told_what_they_start_from_and_end_with(studio, tmp_path, model):
    def sure(digit):
        told = genbalance("generate", *model, "--digit", digit, "--count", 2, "--out", tmp_path / "found")
        return told.exit_code == 0

    first, *_, last = 2 * [digit for digit in range(3) if sure(digit)]
    drawn("interpolate", *model, "--from", first, "--to", last, "--out", tmp_path / "way.png")
    assert (tiles(tmp_path / "way.png")[0, 0] != tiles(tmp_path / "way.png")[0, -1]).any()
    drawn("traverse", *model, "--digit", first, "--latent", 0, "--out", tmp_path / "row.png")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["interpolate", "--from", 0, "--to", 1, "--out", "way.jpg"], "--out: found 'way.jpg'; allowed: a file name"),
        (["interpolate", "--from", 3, "--to", 1, "--out", "way.gif"], "--from: found 3, but data/prepared has 3"),
        (["interpolate", "--from", 1, "--to", 9, "--out", "way.gif"], "--to: found 9, but data/prepared has 3"),
        (["traverse", "--digit", 5, "--out", "way.gif"], "--digit: found 5, but data/prepared has 3"),
        (["traverse", "--digit", 0, "--out", "way"], "--out: found 'way'"),
        (["traverse", "--digit", 0, "--latent", 6, "--out", "way.png"], "--latent: found 6; allowed: 0 … 5"),
        (["traverse", "--digit", 0, "--latent", -1, "--out", "way.png"], "--latent: found -1; allowed: 0 … 5"),
        (["traverse", "--digit", 0, "--tries", 1, "--out", "way.png"], "digit 0: of 1 candidates of the vae"),
        (["traverse", "--digit", 0, "--data", "nowhere", "--out", "way.png"], "nowhere"),
    ],
)
def test_a_mistake_is_told_in_a_line(studio, arguments, found):
    assert found in refused(*arguments, *MODELS[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_cannot_be_written_is_told(studio, tmp_path, command):
    (tmp_path / "way.png").mkdir()
    told = refused(command, *MODELS[1], *COMMANDS[command], "--out", tmp_path / "way.png")
    assert told == f"{tmp_path}/way.png: cannot be written: Is a directory\n"
