"""The page of `genbalance explain`, as a browser's parser sees it."""

from dataclasses import replace

import pytest

from genbalance.reporting.explanation_page import explanation_page


@pytest.fixture
def seen(explanation, parse):
    return parse(explanation_page(explanation))


def test_everything_on_it_is_in_it(seen, explanation):
    assert seen.open == []
    assert all(address.startswith(("data:", "#")) for address in seen.loaded)
    assert not seen.all("script", "iframe", "object", "embed")
    assert len(seen.all("img")) == 3 * 6 + 2 * 9
    assert all(image["alt"].strip() for image in seen.all("img"))
    ids = [attrs["id"] for _, attrs in seen.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in seen.all("a")} <= set(ids)


def test_each_number_and_each_word_stands_on_it(seen, explanation):
    for words in ("Why is it so?", "The score is a logit.", "speaks for generated", "Well.", "with the seed 7",
                  "more 3 (+0.5)", "less 8 (−1.2)", "z 5", "Two of six are active."):  # fmt: skip
        assert words in seen.text
    assert seen.text.count("0.50") == 5
    assert seen.text.count("3 (98%)") == 9


def test_a_model_without_an_encoder_has_no_section_of_latents(explanation, parse):
    text = parse(explanation_page(replace(explanation, latents=None))).text
    assert "latents" not in text[text.index("Why is it so?") :]
    assert "Integrated gradients" in text


def test_without_pixels_the_method_speaks_of_latents_alone(explanation, parse):
    text = parse(explanation_page(replace(explanation, explained=[]))).text
    assert "Linear probe" in text
    assert "ntegrated gradients" not in text
