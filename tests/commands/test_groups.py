"""Runs put into groups: by what they were asked for, or by their settings."""

import pytest

from genbalance.commands import groups
from genbalance.commands.groups import find_groups, split
from genbalance.errors import UserError
from genbalance.experiments import Run


@pytest.fixture(autouse=True)
def _here(repository, monkeypatch):
    monkeypatch.chdir(repository)


def run(seed, **params):
    return Run(f"r{seed}", "c" * 40, seed, {key.replace("__", "."): v for key, v in params.items()}, {"f.x": 1.0}, {})


def refusal(*texts):
    with pytest.raises(UserError) as caught:
        find_groups(texts)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_several_texts_are_a_group_each_in_their_order_with_runs_in_the_order_of_their_seeds():
    found = find_groups(["beta4-*", "base-3,base-1"])
    assert [group.name for group in found] == ["beta4-*", "base-3,base-1"]
    assert [group.seeds for group in found] == [(1, 2, 3), (1, 3)]


def test_a_single_text_is_split_into_its_settings_named_by_what_differs():
    found = find_groups(["base-*,beta4-*"])
    assert [(group.name, group.seeds) for group in found] == [("beta=1.0", (1, 2, 3)), ("beta=4", (1, 2, 3))]
    assert [run.name for run in found[1].runs] == ["beta4-1", "beta4-2", "beta4-3"]


def test_the_setting_of_the_commit_checked_out_comes_first():
    assert [group.name for group in find_groups(["base-*,beta4-*,main"])] == ["beta=2.0", "beta=1.0", "beta=4"]


def test_settings_are_ordered_by_their_numbers_and_not_by_their_spelling():
    runs = [run(1, beta=value, vae__arch=arch) for value in (10, 0.5, 2) for arch in ("mlp", "conv")]
    names = [group.name for group in split("all", runs)]
    assert names[:3] == ["beta=0.5, vae.arch=conv", "beta=0.5, vae.arch=mlp", "beta=2, vae.arch=conv"]
    assert names[-1] == "beta=10, vae.arch=mlp"


def test_one_and_one_point_zero_are_one_setting():
    assert [group.seeds for group in split("all", [run(1, beta=1), run(2, beta=1.0), run(1, beta=2)])] == [(1, 2), (1,)]


def test_a_param_that_one_setting_lacks_is_told_as_absent():
    assert [group.name for group in split("all", [run(1, beta=1), run(1)])] == ["beta=1", "beta=(absent)"]


def test_without_a_commit_to_check_out_the_least_value_comes_first(monkeypatch):
    monkeypatch.setattr(groups, "read_settings", lambda name, commit: (_ for _ in ()).throw(UserError("none")))
    assert [group.name for group in find_groups(["base-*,beta4-*,main"])] == ["beta=1.0", "beta=2.0", "beta=4"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["base-*"], ["base-*", "one setting", "second group"]),
        (["base-*,twin,beta4-1"], ["beta=1.0", "base-2 and twin have the same seed, 2"]),
        (["base-*", "beta4-*", "base-*"], ["base-*: is there twice"]),
        (["bass-*"], ["'bass-*'", "beta4-3"]),
    ],
)
def test_what_holds_no_two_groups_is_refused_in_a_line(texts, words):
    assert all(word in refusal(*texts) for word in words), refusal(*texts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base-*,main", ["base-1 and main have the same seed, 1"]),
        ("base-*,twin", ["base-2 and twin have the same seed, 2"]),
        ("base-1,beta4-2", ["beta (1.0 and 4)"]),
        ("base-1,wide", ["vae.width (16 and 32)", "vae.depth ((absent) and 2)"]),
        ("bass-*", ["'bass-*'", "experiments: ", "beta4-3"]),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_group_is_refused_wherever_it_stands(text, words, place):
    texts = ["beta4-*", "base-*"]
    texts.insert(place, text)
    assert all(word in refusal(*texts) for word in words)
