"""Digits on request: tables of requests and answers, rejection, random streams."""

import base64
import io
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from genbalance.models import weights
from genbalance.models.classifier import Classifier
from genbalance.runtime.errors import UserError
from genbalance.sampling import server
from genbalance.sampling.server import BLOCK, MOST, TRIES, Drawn, Request, Server, answer, candidates, parse_requests

CPU = torch.device("cpu")
MODELS = {"plain": "gan", "clustered": "gan", "conditional": "gan", "vae": "vae", "conditional vae": "vae"}


def loaded(files: Path, name: str) -> Server:
    return Server.load(MODELS[name], files / f"{name}.safetensors", files / "classifier.safetensors", 0.1, 0.3)


@pytest.mark.parametrize("name", MODELS)
def test_a_digit_s_images_are_the_candidates_read_as_it_in_their_order(
    name: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONFIDENCE", 0)
    serving, count, found = loaded(files, name), 70, 0
    for digit in range(3):
        every = np.concatenate(list(islice(candidates(serving.sampler, 1, digit, CPU), 10)))
        as_digit = serving.extractor.read(every).probabilities.argmax(axis=1) == digit
        if as_digit.sum() >= count:  # an untrained model may never draw what the classifier reads so
            found += 1
            drawn = serving.draw(Request(digit, 1, count))
            assert drawn.read.tolist() == [digit] * count
            np.testing.assert_array_equal(drawn.images, every[as_digit][:count])
    assert found


def test_a_digit_that_does_not_come_ends_after_so_many_tries(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONFIDENCE", 1.5)
    serving, made = loaded(files, "plain"), []
    images = type(serving.sampler).images
    monkeypatch.setattr(type(serving.sampler), "images", lambda *given: made.append(len(given[1])) or images(*given))
    with pytest.raises(
        UserError, match=r"^digit: found 2, but the classifier read only 0 of .+; ask for fewer, or for another digit$"
    ):
        serving.draw(Request(2, 1, 2))
    assert 2 * TRIES <= sum(made) < 2 * TRIES + BLOCK


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_names_its_digits_and_more_of_them_begin_with_fewer(name: str, files: Path) -> None:
    serving = loaded(files, name)
    few, many, other = (serving.draw(r) for r in (Request(None, 1, 5), Request(None, 1, 100), Request(None, 2, 5)))
    assert few.images.shape == (5, 12, 12)
    assert few.images.dtype == np.uint8
    np.testing.assert_array_equal(few.images, many.images[:5])
    np.testing.assert_array_equal(few.confidence, many.confidence[:5])
    assert not np.array_equal(few.images, other.images)


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_says_what_the_classifier_reads(name: str, files: Path) -> None:
    serving = loaded(files, name)
    drawn = serving.draw(Request(None, 1, 70))
    probabilities = serving.extractor.read(drawn.images).probabilities
    np.testing.assert_array_equal(drawn.read, probabilities.argmax(axis=1))
    np.testing.assert_allclose(drawn.confidence, probabilities.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("digit", [0, 2, None])
def test_each_candidate_is_drawn_for_the_digit_that_is_asked_for(
    name: str, digit: int, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONFIDENCE", 0)
    wanted = []
    serving = loaded(files, name)
    draw = type(serving.sampler).draw

    def recorded(sampler: object, count: int, noise: object, asked: int | None) -> tuple[torch.Tensor, object]:
        wanted.extend([asked] * count)
        return draw(sampler, count, noise, asked)

    monkeypatch.setattr(type(serving.sampler), "draw", recorded)
    try:
        serving.draw(Request(digit, 1, 1))
    except UserError:  # an untrained model may never draw what the classifier reads so
        assert len(wanted) >= TRIES
    assert set(wanted) == {digit}


def asked(**row: object) -> Request:
    return parse_requests(pd.DataFrame([{"seed": 1} | row]), classes=10)[0]


@pytest.mark.parametrize("anything", [{}, {"digit": None}, {"digit": float("nan")}, {"digit": -1}])
def test_no_digit_and_minus_one_mean_any(anything: dict) -> None:
    assert asked(**anything) == Request(None, 1, 1)


@pytest.mark.parametrize("nothing", [{}, {"seed": None}, {"seed": float("nan")}, {"seed": 0}])
def test_no_seed_is_the_seed_0(nothing: dict) -> None:
    assert parse_requests(pd.DataFrame([{"digit": 7} | nothing]), classes=10) == [Request(7, 0, 1)]


def test_an_empty_row_asks_for_one_digit_of_any_class() -> None:
    assert parse_requests(pd.DataFrame([{}]), classes=10) == [Request(None, 0, 1)]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(UserError, match=r"^seed: found .+; allowed: whole numbers from 0 to 4294967295$"):
        asked(seed=seed)


@pytest.mark.parametrize("seven", [7, 7.0, np.int64(7)])
def test_a_digit_is_a_whole_number_however_it_was_sent(seven: object) -> None:
    assert asked(digit=seven, count=3) == Request(7, 1, 3)


def test_rows_that_ask_for_different_things_stand_in_one_table() -> None:
    table = pd.DataFrame([{"seed": 4, "digit": 0}, {"seed": 5, "count": 2}])
    assert parse_requests(table, classes=10) == [Request(0, 4, 1), Request(None, 5, 2)]


@pytest.mark.parametrize("digit", [10, -2, 1.5, "7", True, [7], float("inf"), 10**400])
def test_what_is_no_class_is_refused_in_a_line_that_names_it(digit: object) -> None:
    with pytest.raises(UserError, match=r"^digit: found .+; allowed: whole numbers from -1 to 9$"):
        asked(digit=digit)


@pytest.mark.parametrize("count", [0, -1, MOST + 1, 2.5])
def test_a_count_out_of_bounds_is_refused(count: object) -> None:
    with pytest.raises(UserError, match=rf"^count: found {count}; allowed: whole numbers from 1 to {MOST}$"):
        asked(count=count)


def test_an_answer_holds_every_pixel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 9), dtype=np.uint8)
    first = Drawn(images[:2], np.array([4, 7]), np.array([0.5, 1.0], np.float32))
    second = Drawn(images[2:], np.array([1]), np.array([0.25], np.float32))
    table = answer([first, second])
    assert table[["row", "read", "confidence"]].to_numpy().tolist() == [[0, 4, 0.5], [0, 7, 1], [1, 1, 0.25]]
    for image, text in zip(images, table["png"], strict=True):
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(text)))), image)


def test_a_class_is_asked_for_by_its_number_or_its_name() -> None:
    table = pd.DataFrame([{"digit": "bee"}, {"digit": 0}, {"digit": None}])
    assert [r.digit for r in parse_requests(table, 3, ("ant", "bee", "cat"))] == [1, 0, None]
    with pytest.raises(UserError, match=r"^digit: found 'dog'; allowed: whole numbers from -1 to 2, or a name such as"):
        parse_requests(pd.DataFrame([{"digit": "dog"}]), 3, ("ant", "bee", "cat"))


def test_an_answer_names_the_classes_that_have_names(files: Path) -> None:
    numbered = loaded(files, "plain")
    named = replace(numbered, names=("ant", "bee", "cat"))
    table = pd.DataFrame([{"seed": 1, "count": 20}])
    one, other = numbered.answer(table), named.answer(table)
    assert other["read"].tolist() == [named.names[label] for label in one["read"]]
    assert other["png"].tolist() == one["png"].tolist()


def test_without_classes_an_answer_holds_images_alone_and_none_can_be_asked_for(files: Path) -> None:
    serving = replace(loaded(files, "plain"), classes=0)
    assert [*serving.answer(pd.DataFrame([{"seed": 1, "count": 3}])).columns] == ["row", "png"]
    for digit in (0, "bee"):
        with pytest.raises(UserError, match=rf"^digit: found {digit!r}, but the images have no classes; leave it out$"):
            serving.answer(pd.DataFrame([{"digit": digit}]))
    assert len(serving.answer(pd.DataFrame([{"digit": -1}, {"digit": None}, {}]))) == 3


def test_a_classifier_of_rotations_serves_no_classes(files: Path, tmp_path: Path) -> None:
    config = {"shape": [1, 12, 12], "classes": 4, "width": 4, "rotations": True}
    weights.save(tmp_path / "c.safetensors", config, Classifier(**config).state_dict())
    assert Server.load("vae", files / "vae.safetensors", tmp_path / "c.safetensors", 0.1, 0.3).classes == 0
