"""What can be asked for, and that the answer is the image itself."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genbalance.errors import UserError
from genbalance.serving.wishes import MOST, Drawn, Wish, answer, wishes


def asked(**row: object) -> Wish:
    return wishes(pd.DataFrame([{"seed": 1} | row]), classes=10)[0]


@pytest.mark.parametrize("anything", [{}, {"digit": None}, {"digit": float("nan")}, {"digit": -1}])
def test_no_digit_and_minus_one_mean_any(anything: dict) -> None:
    assert asked(**anything) == Wish(None, 1, 1)


@pytest.mark.parametrize("nothing", [{}, {"seed": None}, {"seed": float("nan")}, {"seed": 0}])
def test_no_seed_is_the_seed_0(nothing: dict) -> None:
    assert wishes(pd.DataFrame([{"digit": 7} | nothing]), classes=10) == [Wish(7, 0, 1)]


def test_a_row_that_asks_for_nothing_wishes_for_one_digit_of_any_class() -> None:
    assert wishes(pd.DataFrame([{}]), classes=10) == [Wish(None, 0, 1)]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True])
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(UserError, match=r"^seed: found .+; allowed: whole numbers from 0 to 4294967295$"):
        asked(seed=seed)


@pytest.mark.parametrize("seven", [7, 7.0, np.int64(7)])
def test_a_digit_is_a_whole_number_however_it_was_sent(seven: object) -> None:
    assert asked(digit=seven, count=3) == Wish(7, 1, 3)


def test_rows_that_ask_for_different_things_stand_in_one_table() -> None:
    table = pd.DataFrame([{"seed": 4, "digit": 0}, {"seed": 5, "count": 2}])
    assert wishes(table, classes=10) == [Wish(0, 4, 1), Wish(None, 5, 2)]


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
