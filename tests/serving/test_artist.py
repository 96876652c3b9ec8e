"""Digits on request: rejection, streams, and what a model that can be asked is told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from genbalance.errors import UserError
from genbalance.serving import artist
from genbalance.serving.artist import BLOCK, CONFIDENCE, TRIES, Artist, accepted
from genbalance.serving.wishes import Drawn, Wish

MODELS = {"plain": "gan", "clustered": "gan", "conditional": "gan", "vae": "vae", "conditional vae": "vae"}


def loaded(files: Path, name: str) -> Artist:
    return Artist.load(MODELS[name], files / f"{name}.safetensors", files / "judge.safetensors", 0.1, 0.3)


def candidates(share: float, confidence: float = 1.0) -> Iterator[Drawn]:
    """Without an end: the number of each candidate as its image; ``share`` of them are read as 3, the others as 5."""
    rng, number = np.random.default_rng(0), 0
    while True:
        images = np.arange(number, number + BLOCK).astype(np.uint8)[:, None, None]
        read = np.where(rng.random(BLOCK) < share, 3, 5)
        yield Drawn(images, read, np.full(BLOCK, confidence, np.float32))
        number += BLOCK


@pytest.mark.parametrize("share", [0.02, 0.5, 1])
@pytest.mark.parametrize("count", [1, 7, 200])
def test_what_is_accepted_is_what_the_judge_reads_so_in_the_order_of_the_candidates(share: float, count: int) -> None:
    drawn = accepted(candidates(share), 3, count)
    every = [next(stream) for stream in [candidates(share)] for _ in range(1 + 100 * count)]
    images = np.concatenate([block.images for block in every])
    read = np.concatenate([block.read for block in every])
    assert drawn.read.tolist() == [3] * count
    np.testing.assert_array_equal(drawn.images, images[read == 3][:count])


@pytest.mark.parametrize(("share", "confidence"), [(0, 1), (1, CONFIDENCE - 0.01)])
def test_a_digit_that_does_not_come_ends_after_so_many_tries(share: float, confidence: float) -> None:
    drawn = 0

    def counted() -> Iterator[Drawn]:
        nonlocal drawn
        for block in candidates(share, confidence):
            drawn += len(block.read)
            yield block

    with pytest.raises(
        UserError, match=r"^digit: found 3, but the classifier read only 0 of .+; ask for fewer, or for another digit$"
    ):
        accepted(counted(), 3, 2)
    assert 2 * TRIES <= drawn < 2 * TRIES + BLOCK


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_names_its_digits_and_more_of_them_begin_with_fewer(name: str, files: Path) -> None:
    painter = loaded(files, name)
    few, many, other = (painter.fulfil(w) for w in (Wish(None, 1, 5), Wish(None, 1, 100), Wish(None, 2, 5)))
    assert few.images.shape == (5, 12, 12)
    assert few.images.dtype == np.uint8
    np.testing.assert_array_equal(few.images, many.images[:5])
    np.testing.assert_array_equal(few.confidence, many.confidence[:5])
    assert not np.array_equal(few.images, other.images)


@pytest.mark.parametrize("name", MODELS)
def test_the_judge_reads_what_is_handed_over(name: str, files: Path) -> None:
    painter = loaded(files, name)
    drawn = painter.fulfil(Wish(None, 1, 70))
    probabilities = painter.judge.read(drawn.images).probabilities
    np.testing.assert_array_equal(drawn.read, probabilities.argmax(axis=1))
    np.testing.assert_allclose(drawn.confidence, probabilities.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("digit", [0, 2, None])
def test_each_candidate_is_drawn_for_the_digit_that_is_wished_for(
    name: str, digit: int, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artist, "CONFIDENCE", 0)
    told = []
    painter = loaded(files, name)
    draw = type(painter.sampler).draw

    def listened(*given: object) -> tuple[torch.Tensor, torch.Tensor | None]:
        told.append(given[-1])
        return draw(*given)

    monkeypatch.setattr(type(painter.sampler), "draw", listened)
    try:
        painter.fulfil(Wish(digit, 1, 1))
    except UserError:  # an untrained model may never draw what the judge reads so
        assert len(told) * BLOCK >= TRIES
    assert set(told) == {digit}
