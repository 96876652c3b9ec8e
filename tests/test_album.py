"""The pictures of a training, a file an epoch."""

import numpy as np
import pytest

from genbalance import pictures
from genbalance.album import Album


class Run:
    def __init__(self):
        self.images = []

    def image(self, key, image, step):
        self.images.append((key, step))


def picture(epoch):
    return np.full((4, 5), epoch, dtype=np.uint8)


@pytest.fixture
def run():
    return Run()


def test_all_pictures_come_out_of_an_album_that_was_laid_aside(run, tmp_path):
    kept, out, direct = tmp_path / "kept", tmp_path / "out", tmp_path / "direct"
    out.mkdir()
    Album(run, kept).add("samples", 1, picture(1))
    album = Album(run, kept)
    album.add("samples", 2, picture(2))
    album.add("pairs", 2, picture(3))
    for _ in range(2):  # copied and not moved
        album.copy_all(out)
    pictures.save_png(direct, picture(2))
    assert {str(path.relative_to(out)) for path in out.rglob("*.png")} == {
        "samples/epoch_0001.png",
        "samples/epoch_0002.png",
        "pairs/epoch_0002.png",
    }
    assert (out / "samples/epoch_0002.png").read_bytes() == direct.read_bytes()
    album.copy("samples", 2, tmp_path / "metrics" / "best.png")
    assert (tmp_path / "metrics" / "best.png").read_bytes() == direct.read_bytes()
    assert run.images == [("samples", 1), ("samples", 2), ("pairs", 2)]


def test_an_epoch_that_is_done_again_replaces_its_picture(run, tmp_path):
    album = Album(run, tmp_path)
    for shade in (1, 2):
        album.add("samples", 1, picture(shade))
    album.copy("samples", 1, tmp_path / "a.png")
    pictures.save_png(tmp_path / "b.png", picture(2))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
