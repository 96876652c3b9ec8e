"""Pairs, tables and the file of results."""

import json

import torch


def test_the_two_sides_take_turns_and_the_ratio_is_that_of_each_pair(load):
    calls = []
    ours, reference = iter([1.0, 2.0, 4.0]), iter([3.0, 2.0, 16.0])
    pairs = load("pairs").in_turn(
        lambda: calls.append("ours") or next(ours), lambda: calls.append("reference") or next(reference), 3
    )
    assert calls == ["ours", "reference"] * 3
    assert f"{pairs.speedup:.1f}" == "3.0 (1.0 … 4.0)"


def test_results_stand_beside_those_of_the_other_benchmarks(load, tmp_path):
    record, path = load("results").record, tmp_path / "new" / "results.json"
    record("training", {"ratio": 1.0}, path)
    record("evaluation", {"n": 3}, path)
    record("training", {"ratio": 2.0}, path)
    told = json.loads(path.read_text())
    assert (told["training"]["ratio"], told["evaluation"]["n"]) == (2.0, 3)
    assert told["training"]["machine"]["threads"] == torch.get_num_threads()


def test_columns_are_as_wide_as_their_widest_cell(load):
    assert load("results").table([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"
