"""A comparison as a comment on GitHub, read by a parser of Markdown; and the workflow that posts it."""

import re
from pathlib import Path

import pytest
from html5lib import parse
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from genbalance.experiments.compare import compare_groups
from genbalance.experiments.compare_markdown import as_markdown, escaped
from genbalance.experiments.compare_table import as_text

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
WORKFLOWS = Path(__file__).parents[2] / ".github/workflows"
SIGNS = "a|b *c* __d__ `e` <f> [g](h) ~~i~~ &amp; $j$ \\k \\| m"


def page(markdown):
    return parse(GITHUB.render(markdown), namespaceHTMLElements=False)


def tables(markdown):
    """The cells' texts, by table and row."""
    return [
        [["".join(cell.itertext()) for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
        for table in page(markdown).iter("table")
    ]


def words(text):
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]


def test_the_rows_are_those_of_the_text_table(compared):
    text = compared("base-*", "beta4-*", "--all")[0].stdout
    markdown = compared("base-*", "beta4-*", "--all", "--markdown", "-")[0].stdout
    params, metrics = tables(markdown)
    shown = words(text.split("\n\n")[1])
    assert params == [["param", *shown[0][1:3]], shown[1]]
    assert shown[2][0] == "seeds"
    assert metrics == [shown[0], *shown[3:]]
    assert len(metrics) == 3


def test_of_several_groups_the_marks_are_those_of_the_text(compared):
    groups = ("base-*", "beta4-*", "main")
    text = compared(*groups)[0].stdout
    (params, metrics) = tables(compared(*groups, "--markdown", "-")[0].stdout)
    shown = words(text.split("\n\n")[1])
    assert [[cell.strip() for cell in row] for row in metrics[1:]] == shown[3:]
    assert params[1:] == [shown[1]]


def test_head_and_foot_say_what_those_of_the_text_say(compared):
    text = compared("base-*", "beta4-*", "--all")[0].stdout
    said = "".join(page(compared("base-*", "beta4-*", "--all", "--markdown", "-")[0].stdout).itertext())
    blocks = text.split("\n\n")
    assert all(line.strip() in said for block in (blocks[0], *blocks[2:]) for line in block.splitlines())


def test_what_markdown_or_html_would_read_as_signs_is_shown_as_it_is(group):
    groups = [
        group(f"{name} {SIGNS}", {"f.x": [v, 2, 3]}, params={"p|q": SIGNS + name}) for name, v in (("x", 1), ("y", 2))
    ]
    params, metrics, *_ = tables(as_markdown(compare_groups(groups, every=True), ".."))
    assert params[1] == ["p|q", f"{SIGNS}x", f"{SIGNS}y"]
    assert metrics[0][1:3] == [f"a: x {SIGNS}", f"b: y {SIGNS}"]
    assert f"a: x {SIGNS}, seeds" in as_text(compare_groups(groups, every=True))


@pytest.mark.parametrize("text", ["two\nlines", "a  b"])
def test_a_text_is_one_line(text):
    assert escaped(text) == " ".join(text.split())


def test_nobody_is_called_and_no_issue_linked():
    assert not re.search(r"[@#]\w", escaped("@you fix#12 #3"))


def test_the_grids_of_both_commits_stand_beside_one_another(group, monkeypatch):
    held = {"train_vae_samples": b"png", "train_gan_samples": b"png"}
    monkeypatch.setattr(
        "genbalance.experiments.compare_markdown.sample_grids",
        lambda commit, names: {name: held[name] for name in names if name in held},
    )
    groups = [group(name, {"f.x": [1, v, 3]}) for name, v in (("<a>", 1), ("b", 2))]
    markdown = as_markdown(compare_groups(groups, every=True), "https://example.org/o/n/")
    images = [dict(image.attrib) for image in page(markdown).iter("img")]
    address = f"https://example.org/o/n/blob/{'c' * 40}/metrics/train_gan_samples.png?raw=true"
    assert [image["src"] for image in images[:2]] == [address] * 2
    assert [image["alt"] for image in images] == [
        f"{model}: samples, {name}-1" for model in ("GAN", "VAE") for name in ("<a>", "b")
    ]
    rows = tables(markdown)[-1]
    assert rows[0] == ["", "a: <a>, seed 1", "b: b, seed 1"]
    assert all(len(row) == 3 for row in rows)


def test_commits_without_grids_have_no_table_of_them(compared):
    assert "<img" not in compared("base-*", "beta4-*", "--markdown", "-")[0].stdout


def test_a_file_gets_the_comment_and_the_terminal_the_text(compared, tmp_path):
    file = tmp_path / "folder/comment.md"
    result, _ = compared("base-*", "beta4-*", "--markdown", str(file))
    assert file.read_text() == compared("base-*", "beta4-*", "--markdown", "-")[0].stdout
    assert result.stdout == compared("base-*", "beta4-*")[0].stdout


def test_the_workflow_may_comment_and_nothing_else_and_no_text_of_others_gets_into_its_shell():
    workflow = YAML(typ="safe").load(WORKFLOWS / "compare.yml")
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert list(workflow["on"]) == ["pull_request"]
    (job,) = workflow["jobs"].values()
    assert not [step["run"] for step in job["steps"] if "${{" in step.get("run", "")]
    assert [step["run"].split()[:3] for step in job["steps"] if "GH_TOKEN" in step.get("env", {})] == [
        ["gh", "pr", "comment"]
    ]
    assert not job["steps"][0]["with"]["persist-credentials"]
