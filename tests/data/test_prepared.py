"""What is stored is what is loaded."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from genbalance.data import prepared
from genbalance.runtime.errors import UserError


@pytest.fixture
def digits(make_split):
    return prepared.Prepared(
        *(make_split(n, side=9, seed=n) for n in (30, 6, 12)),
        source="idx",
        title="some",
        classes=3,
        mean=0.1,
        std=1 / 3,
    )


def test_load_gives_what_was_saved(digits, tmp_path):
    prepared.save(digits, tmp_path / "out")
    loaded = prepared.load(tmp_path / "out")
    assert (loaded.height, loaded.width) == (9, 9)
    assert dataclasses.replace(loaded, train=None, val=None, test=None) == dataclasses.replace(
        digits, train=None, val=None, test=None
    )
    for part in prepared.PARTS:
        np.testing.assert_array_equal(getattr(loaded, part).images, getattr(digits, part).images)
        np.testing.assert_array_equal(getattr(loaded, part).labels, getattr(digits, part).labels)
        assert getattr(loaded, part).images.dtype == np.uint8
        assert getattr(loaded, part).labels.dtype == np.int64


def test_the_same_digits_are_the_same_bytes(digits, tmp_path):
    for name in ("one", "other"):
        prepared.save(digits, tmp_path / name)
    for name in (prepared.TENSORS, prepared.STATS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_the_file_is_the_one_that_safetensors_writes(digits, tmp_path, monkeypatch, block):
    monkeypatch.setattr(prepared, "BLOCK", block)
    prepared.save(digits, tmp_path / "out")
    written = tmp_path / "out" / prepared.TENSORS
    save_file(load_file(written), tmp_path / "other")
    assert written.read_bytes() == (tmp_path / "other").read_bytes()


def test_colours_factors_and_names_are_kept(tmp_path):
    rng = np.random.default_rng(0)

    def split(n):
        images = rng.integers(0, 256, (n, 9, 8, 3), np.uint8)
        return prepared.Split(images, rng.integers(0, 2, n), rng.integers(0, 4, (n, 2)))

    colours = prepared.Prepared(split(5), split(2), split(3), "s", "S", 2, 0.5, 0.2, ("cat", "dog"), ("x", "y"), True)
    assert colours.shape == [3, 9, 8]
    assert colours.class_name(1) == "dog"
    prepared.save(colours, tmp_path / "out")
    loaded = prepared.load(tmp_path / "out")
    assert (loaded.class_names, loaded.factor_names, loaded.stacked) == (("cat", "dog"), ("x", "y"), True)
    for part in prepared.PARTS:
        np.testing.assert_array_equal(getattr(loaded, part).images, getattr(colours, part).images)
        np.testing.assert_array_equal(getattr(loaded, part).factors, getattr(colours, part).factors)


def test_what_is_loaded_is_mapped_not_read(digits, tmp_path):
    prepared.save(digits, tmp_path / "out")
    assert isinstance(prepared.load(tmp_path / "out").train.images.base, np.memmap)


def cut(folder):
    tensors = folder / prepared.TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-5])


def break_json(folder):
    (folder / prepared.STATS).write_text("{", encoding="utf-8")


def forget_key(folder):
    stats = folder / prepared.STATS
    stats.write_text(stats.read_text(encoding="utf-8").replace('"mean"', '"meen"'), encoding="utf-8")


def other_size(folder):
    stats = folder / prepared.STATS
    stats.write_text(stats.read_text(encoding="utf-8").replace('"height": 9', '"height": 8'), encoding="utf-8")


def stats(**changes):
    def change(folder):
        file = folder / prepared.STATS
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    return change


def tensors(name, change):
    def spoil(folder):
        found = load_file(folder / prepared.TENSORS)
        save_file(found | {name: change(found[name])}, folder / prepared.TENSORS)

    return spoil


FORGED = [
    *(stats(classes=classes) for classes in ("../../etc", 3.5, True, -1, 10**9, 2)),
    *(stats(mean=mean) for mean in (float("nan"), "0", 7)),
    *(stats(std=std) for std in (0, float("inf"))),
    *(stats(title=title) for title in (None, ["a\nb"])),
    stats(height=10**9),
    stats(more=1),
    lambda folder: (folder / prepared.STATS).write_text("[" * 10**5, encoding="utf-8"),
    lambda folder: (folder / prepared.STATS).write_text("[1]", encoding="utf-8"),
    tensors("train_images", lambda images: images.astype(np.float32)),
    tensors("test_images", lambda images: images[:, :-1]),
    tensors("val_labels", lambda labels: labels.astype(np.int32)),
    tensors("val_labels", lambda labels: labels[:, None]),
    tensors("train_labels", lambda labels: labels - 1),
    tensors("test_labels", lambda labels: labels + 1),
]


@pytest.mark.parametrize(
    "spoil",
    [cut, break_json, forget_key, other_size, *FORGED]
    + [lambda f, name=name: (f / name).unlink() for name in ("stats.json", "images.safetensors")],
)
def test_what_is_corrupt_or_missing_is_told_in_one_line(digits, tmp_path, spoil):
    prepared.save(digits, tmp_path / "out")
    spoil(tmp_path / "out")
    with pytest.raises(UserError, match=r"out.*run `dvc repro (-f )?prepare`") as error:
        prepared.load(tmp_path / "out")
    assert "\n" not in str(error.value)
