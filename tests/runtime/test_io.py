"""Files that appear whole or not at all, JSON and CSV."""

import json
import math
import os
import subprocess
import sys

import pandas as pd
import pytest

from genbalance.runtime.io import PREFIX, read_json, save_csv, whole_file, whole_folder, write_json


class FullDiskError(Exception):
    pass


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folders" / "out.txt"
    with whole_file(path) as part:
        part.write_text("whole")
        assert not path.exists()
        assert part.name.startswith(PREFIX)
        assert part.suffix == path.suffix  # writers choose a format by it
    assert path.read_text() == "whole"
    assert names(path.parent) == ["out.txt"]


def half_written(path, error):
    with whole_file(path) as part:
        part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [FullDiskError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_nothing_behind_and_the_old_one_as_it_was(tmp_path, error):
    path = tmp_path / "out.txt"
    for old in (None, "old"):
        if old:
            path.write_text(old)
        with pytest.raises(error):
            half_written(path, error)
        assert names(tmp_path) == (["out.txt"] if old else [])
    assert path.read_text() == "old"


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "out.txt"
    for text in ("old", "new"):
        with whole_file(path) as part:
            part.write_text(text)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out.txt"]


def test_a_folder_appears_under_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "out"
    with whole_folder(path) as part:
        (part / "a").write_text("a")
        assert not path.exists()
    assert names(path) == ["a"]
    assert names(path.parent) == ["out"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_replaced_folder_keeps_none_of_its_old_files(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_text("old")
    with whole_folder(path) as part:
        (part / "new").write_text("new")
        assert names(path) == ["old"]
    assert names(path) == ["new"]
    assert names(tmp_path) == ["out"]


def half_filled(path, error):
    with whole_folder(path) as part:
        (part / "new").write_text("half")
        raise error


@pytest.mark.parametrize("error", [FullDiskError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_nothing_behind_and_the_old_one_as_it_was(tmp_path, error):
    path = tmp_path / "out"
    for old in (False, True):
        if old:
            path.mkdir()
            (path / "old").write_text("old")
        with pytest.raises(error):
            half_filled(path, error)
        assert names(tmp_path) == (["out"] if old else [])
    assert names(path) == ["old"]


@pytest.fixture
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def litter(folder, process, name):
    for left, fill in ((f"{PREFIX}{process}-{name}.txt", None), (f"{PREFIX}{process}-{name}", "half")):
        if fill is None:
            (folder / left).write_text("half")
        else:
            (folder / left / "deep").mkdir(parents=True)
            (folder / left / "deep" / fill).touch()


def test_what_a_killed_process_left_of_a_target_goes_when_it_is_written_again(tmp_path, dead):
    litter(tmp_path, dead, "out")
    with whole_file(tmp_path / "out.txt") as part:
        part.write_text("whole")
    with whole_folder(tmp_path / "out") as part:
        (part / "a").touch()
    assert names(tmp_path) == ["out", "out.txt"]
    assert names(tmp_path / "out") == ["a"]


def test_what_a_process_of_the_same_number_left_is_in_nobodys_way(tmp_path):
    litter(tmp_path, os.getpid(), "out")
    with whole_file(tmp_path / "out.txt") as part:
        assert not part.exists()
        part.write_text("whole")
    with whole_folder(tmp_path / "out") as part:
        assert names(part) == []
    assert names(tmp_path) == ["out", "out.txt"]


def test_what_others_write_is_left_alone(tmp_path, dead):
    litter(tmp_path, os.getppid(), "out")  # lives
    litter(tmp_path, dead, "another-out")  # ends as the target's name does
    (tmp_path / f"{PREFIX}mine").touch()
    before = names(tmp_path)
    with whole_file(tmp_path / "out.txt") as part:
        part.write_text("whole")
    with whole_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == sorted([*before, "out", "out.txt"])


def test_json_comes_back_and_ends_with_a_newline(tmp_path):
    values = {"b": 1.5, "a": {"λ": [1, None, "x"]}}
    write_json(tmp_path / "m.json", values)
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "λ" in text
    assert json.loads(text) == read_json(tmp_path / "m.json") == values
    assert list(read_json(tmp_path / "m.json")) == ["b", "a"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("nested", [False, True])
def test_json_refuses_what_is_not_a_number_and_leaves_no_file(tmp_path, value, nested):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "m.json", {"a": {"b": value}} if nested else {"a": value})
    assert names(tmp_path) == []


def test_a_table_is_a_header_and_rows_without_an_index(tmp_path):
    save_csv(tmp_path / "t.csv", pd.DataFrame({"epoch": [1, 2], "loss": [1 / 3, 123456.789], "name": ["a", "b,c"]}))
    assert (tmp_path / "t.csv").read_bytes() == b'epoch,loss,name\n1,0.333333,a\n2,123457,"b,c"\n'


def test_fractions_keep_six_significant_digits_at_any_scale(tmp_path):
    values = [1.23456789e-8, 0.000123456789, 0.123456789, 12345.6789, 1.23456789e12, -2 / 3]
    save_csv(tmp_path / "t.csv", pd.DataFrame({"x": values}))
    back = pd.read_csv(tmp_path / "t.csv")["x"]
    assert ((back - values).abs() <= 5.001e-6 * pd.Series(values).abs()).all()
