"""Paths through a latent space, and their images as files."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from genbalance.data.pictures import MARGIN, grid, text_tile, text_width
from genbalance.sampling.interpolation import (
    CAPTION,
    FRAME,
    interpolation,
    save_sequences,
    slerp,
    traversal,
    traversals,
)

SHARES = torch.linspace(0, 1, 9)
SIDE = 28
SEQUENCES = np.random.default_rng(0).integers(0, 256, (2, 5, SIDE, SIDE), dtype=np.uint8)


def ends(latents=40, seed=0):
    return torch.randn(2, latents, generator=torch.Generator().manual_seed(seed))


def test_a_path_starts_and_ends_at_its_ends():
    first, second = ends()
    path = slerp(first, second, SHARES)
    assert path.dtype == torch.float32
    torch.testing.assert_close(path[0], first)
    torch.testing.assert_close(path[-1], second)


def test_on_a_sphere_it_stays_there_and_goes_at_a_steady_pace():
    first, second = torch.nn.functional.normalize(ends(), dim=1)
    path = slerp(first, second, SHARES)
    torch.testing.assert_close(path.norm(dim=1), torch.ones(9))
    turns = (path[:-1] * path[1:]).sum(dim=1).arccos()
    torch.testing.assert_close(turns, torch.full((8,), math.acos(float(first @ second)) / 8), atol=1e-4, rtol=0)


def test_the_middle_of_normal_noise_keeps_its_length_which_that_of_a_line_does_not():
    first, second = ends(latents=1000)
    half = torch.tensor([0.5])
    assert float(slerp(first, second, half).norm()) == pytest.approx(math.sqrt(1000), rel=0.05)
    assert float(torch.lerp(first, second, half).norm()) == pytest.approx(math.sqrt(500), rel=0.05)


def test_the_path_back_is_the_path_there():
    first, second = ends()
    torch.testing.assert_close(slerp(second, first, SHARES), slerp(first, second, SHARES).flip(0))


@pytest.mark.parametrize("factor", [1.0, -1.0, 3.0])
def test_where_there_is_no_one_great_circle_the_line_is_taken(factor):
    first, _ = ends()
    path = slerp(first, factor * first, SHARES)
    torch.testing.assert_close(path, torch.lerp(first, factor * first, SHARES[:, None]), atol=1e-5, rtol=1e-5)


def test_an_end_in_the_middle_of_everything_is_reached_too():
    first, _ = ends()
    path = slerp(first, torch.zeros(40), SHARES)
    assert path.isfinite().all()
    torch.testing.assert_close(path[-1], torch.zeros(40), atol=1e-6, rtol=0)


def test_a_traversal_changes_one_latent_alone():
    start, _ = ends(latents=5)
    values = torch.linspace(-3, 3, 4)
    path = traversal(start, 2, values)
    assert torch.equal(path[:, 2], values)
    assert torch.equal(path[:, [0, 1, 3, 4]], start[[0, 1, 3, 4]].expand(4, 4))


class Paper:
    """A model that paints its first two latents as levels of grey, and its condition as a third one."""

    classes, latent_dim = 3, 5

    def images(self, z, condition):
        third = torch.zeros(len(z)) if condition is None else condition.float()
        levels = torch.stack([100 + 20 * z[:, 0], 100 + 5 * z[:, 1], third], dim=1)
        return levels.round().to(torch.uint8).numpy()[:, :, None].repeat(2, axis=2)

    def between(self, z, ends, shares):
        return self.images(z, None if ends is None else torch.lerp(ends[0].float(), ends[1].float(), shares))


@pytest.mark.parametrize("condition", [None, torch.tensor([10, 90])])
def test_an_interpolation_begins_and_ends_with_the_images_of_its_ends(condition):
    pair = ends(latents=5)
    path = interpolation(Paper(), pair, condition, 9)
    assert path.shape == (9, 3, 2)
    assert (path[[0, -1]] == Paper().images(pair, condition)).all()
    if condition is not None:
        assert path[:, 2, 0].tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.mark.parametrize("condition", [None, torch.tensor([7])])
def test_the_latents_that_change_the_picture_most_come_first(condition):
    start, values = torch.zeros(5), torch.tensor([-3.0, 0.0, 3.0])
    found = traversals(Paper(), start, condition, values, [4, 1, 0])
    assert [*found] == [0, 1, 4]
    assert found[0][:, 0, 0].tolist() == [40, 100, 160]
    assert found[1][:, 1, 0].tolist() == [85, 100, 115]
    assert (found[4] == found[4][0]).all()
    assert (found[0][:, 2] == (0 if condition is None else 7)).all()


def test_a_png_shows_a_row_for_each_sequence(tmp_path):
    save_sequences(tmp_path / "x.PNG", SEQUENCES)
    with Image.open(tmp_path / "x.PNG", formats=["PNG"]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), grid(SEQUENCES.reshape(10, SIDE, SIDE), 5))


LABELS = ["latent 21\n-3 to 3 SD", "latent 3\n-3 to 3 SD"]


@pytest.mark.parametrize("side", [8, 28, 60])
def test_the_rows_of_a_png_have_their_labels_before_them(tmp_path, side):
    sequences = np.random.default_rng(0).integers(0, 256, (2, 5, side, side), dtype=np.uint8)
    plain = grid(sequences.reshape(10, side, side), 5)
    height = (len(plain) - 1) // 2
    save_sequences(tmp_path / "x.png", sequences, LABELS)
    with Image.open(tmp_path / "x.png") as picture:
        shown = np.asarray(picture)
    labels, pictures = np.hsplit(shown, [shown.shape[1] - plain.shape[1]])
    np.testing.assert_array_equal(pictures, plain)
    for index, text in enumerate(LABELS):
        tile = labels[index * height : (index + 1) * height]
        np.testing.assert_array_equal(tile, text_tile(text, height, labels.shape[1]))
        assert tile.any()
        assert not tile[[0, -1]].any()  # whole, and within its row
        assert not tile[:, -1].any()


def test_a_text_can_be_read_from_its_tile():
    tiles = {text: text_tile(text, 40, text_width(text)) for text in ("latent 21", "latent 12", "3 to 8", "-3 to 3 SD")}
    assert len({tile.tobytes() for tile in tiles.values()}) == len(tiles)
    assert all(tile[:, : MARGIN // 2].max() == tile[:, -MARGIN // 2 :].max() == 0 for tile in tiles.values())


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("side", [8, 28, 200])
def test_a_gif_goes_there_and_back_again_without_an_end_large_enough_to_look_at(tmp_path, side, labels):
    sequences = np.random.default_rng(0).integers(0, 256, (2, 5, side, side), dtype=np.uint8)
    save_sequences(tmp_path / "x.gif", sequences, labels)
    scale = -(-168 // side)
    extent, above = side * scale, CAPTION if labels else 0
    with Image.open(tmp_path / "x.gif") as picture:
        assert picture.size == (2 * (extent + 1) + 1, extent + above + 2)
        assert picture.n_frames == 8
        assert picture.info["loop"] == 0
        for frame, step in enumerate((0, 1, 2, 3, 4, 3, 2, 1)):
            picture.seek(frame)
            assert picture.info["duration"] == FRAME
            shown = np.asarray(picture.convert("L")).astype(int)  # a palette of 256 has no room for all greys and none
            for column, image in enumerate(sequences[:, step]):
                left = column * (extent + 1) + 1
                tile = shown[1 + above : -1, left : left + extent]
                np.testing.assert_allclose(tile[::scale, ::scale], image, atol=1)
                np.testing.assert_allclose(tile, image.repeat(scale, axis=0).repeat(scale, axis=1), atol=1)
                assert shown[1 : 1 + above, left : left + extent].any() == bool(labels)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 2), (8, 3), (9, 3)])
def test_the_rows_of_a_gif_make_about_a_square(tmp_path, rows, columns):
    save_sequences(tmp_path / "x.gif", np.zeros((rows, 2, SIDE, SIDE), np.uint8))
    with Image.open(tmp_path / "x.gif") as picture:
        assert picture.size == (169 * columns + 1, 169 * -(-rows // columns) + 1)


@pytest.mark.parametrize("labels", [(), LABELS])
@pytest.mark.parametrize("name", ["x.gif", "x.png"])
def test_the_same_images_give_the_same_bytes(tmp_path, name, labels):
    (tmp_path / "again").mkdir()
    for folder in (tmp_path, tmp_path / "again"):
        save_sequences(folder / name, SEQUENCES, labels)
    assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
