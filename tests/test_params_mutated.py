"""params.yaml mutated in fifty ways, from seeds: refused in lines, or taken for what it was."""

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from committed import PARAMS
from typer.testing import CliRunner

from genbalance.cli import app
from genbalance.params import read_params

ROOT = Path(__file__).parents[1]
TEXT = PARAMS.read_text(encoding="utf-8")
PLAIN = read_params(PARAMS).flat()
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?P<gap> +)(?P<value>[^#\s]+)(?P<rest>.*)$")
MUTATIONS = 50
HEAVY = {"torch", "mlflow", "dvc", "pandas", "numpy"}

Rng = random.Random
Mutated = tuple[str | bytes, str | None]  # the file, and what the refusal has to name: nothing where it is to be taken


def config(text: str = TEXT) -> dict[str, int]:
    """The number of each key's row, by the key's dotted name."""
    found, section = {}, ""
    for row, line in enumerate(text.splitlines()):
        if head := re.match(r"^(\w+):\s*$", line):
            section = head[1] + "."
        elif key := LINE.match(line):
            found[(section if key["indent"] else "") + key["key"]] = row
    return found


def pick(rng: Rng, *kinds: type) -> str:
    """A key whose value is of one of these kinds."""
    return rng.choice([key for key, value in PLAIN.items() if not kinds or type(value) in kinds])


def with_row(key: str, change: Callable[[re.Match[str]], str]) -> str:
    rows = TEXT.splitlines()
    row = config()[key]
    rows[row] = change(LINE.match(rows[row]))
    return "\n".join(rows) + "\n"


def typed(key: str, value: str) -> str:
    return with_row(key, lambda line: f"{line['indent']}{line['key']}: {value}{line['rest']}")


def a_value(*words: str, kinds: tuple[type, ...] = ()) -> Callable[[Rng], Mutated]:
    """One of these words behind a key whose value is of one of these kinds."""

    def mutate(rng: Rng) -> Mutated:
        key = pick(rng, *kinds)
        return typed(key, rng.choice(words)), key

    return mutate


def missing(rng: Rng) -> Mutated:
    key = pick(rng)
    # a section's head stays a mapping also where this was its only key
    return re.sub(r"^checkpoint:\n(?=\w)", "checkpoint: {}\n", with_row(key, lambda line: "#")), key


def renamed(rng: Rng) -> Mutated:
    key = pick(rng)
    return with_row(key, lambda line: line[0].replace(line["key"], line["key"] + "s", 1)), key


def doubled(rng: Rng) -> Mutated:
    key = pick(rng)
    return with_row(key, lambda line: f"{line[0]}\n{line[0]}"), key.rpartition(".")[2]


def evil_key(rng: Rng) -> Mutated:
    name = rng.choice([r'"a\nb"', r'"\e[2J"', "k" * 1000, "<script>", '""', "[1, 2]", "2024-01-01", "null"])
    return f"{TEXT}? {name}\n: 1\n", ""


def without_colon(rng: Rng) -> Mutated:
    return with_row(pick(rng), lambda line: line[0].replace(":", " ", 1)), ""


def deeper(rng: Rng) -> Mutated:
    """An indentation that its neighbours do not have."""
    key = pick(rng)
    while key.startswith(("checkpoint.", "tracking.")):  # alone in its section: any indentation is right
        key = pick(rng)
    return with_row(key, lambda line: f" {line[0]}"), ""


def dedented(rng: Rng) -> Mutated:
    key = rng.choice([key for key in PLAIN if "." in key and not key.startswith(("checkpoint.", "tracking."))])
    return with_row(key, lambda line: line[0].lstrip()), ""


def tabbed(rng: Rng) -> Mutated:
    return with_row(pick(rng), lambda line: f"\t{line[0].lstrip()}"), ""


def cut(rng: Rng) -> Mutated:
    """A file that ends somewhere before its last key."""
    return TEXT[: rng.randrange(TEXT.index("experiment:"))], ""


def no_text(rng: Rng) -> Mutated:
    where = rng.randrange(len(TEXT))
    before, after = TEXT[:where].encode(), TEXT[where:].encode()
    return rng.choice([before + b"\xff\xfe" + after, before + b"\0" + after, TEXT.encode("utf-16")]), ""


def nothing(rng: Rng) -> Mutated:
    return rng.choice(["", "\n\n", "# only a comment\n", "null\n", "[]\n", "{}\n", "---\n"]), ""


def another_document(rng: Rng) -> Mutated:
    return rng.choice([f"{TEXT}---\n{TEXT}", f"<<<<<<< HEAD\n{TEXT}", f"{TEXT}=======\n", f"%YAML 9.9\n{TEXT}"]), ""


def without_a_section(rng: Rng) -> Mutated:
    section = rng.choice(sorted({key.partition(".")[0] for key in PLAIN if "." in key}))
    return re.sub(rf"^{section}:\n(?:  .*\n)+", "", TEXT, flags=re.M), section


def laughs(rng: Rng) -> Mutated:
    """Ten aliases of ten aliases of …: a few hundred bytes that mean ten thousand million values."""
    bombs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))
    return f"a0: &a0 ha\n{bombs}{TEXT}", "a9"


def another_end_of_line(rng: Rng) -> Mutated:
    return rng.choice(
        [TEXT.replace("\n", "\r\n").encode(), TEXT.rstrip("\n"), "\ufeff" + TEXT, f"---\n{TEXT}...\n"]
    ), None


def without_comments(rng: Rng) -> Mutated:
    return re.sub(r" *#.*", "", TEXT), None


def aliased(rng: Rng) -> Mutated:
    """λ and β, which are both 1, written once."""
    return with_row("lambda", lambda line: "lambda: &one 1.0").replace("beta: 1.0", "beta: *one"), None


def sections_in_another_order(rng: Rng) -> Mutated:
    parts = re.split(r"(?m)^(?=\w+:)", TEXT)
    rng.shuffle(parts)
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts), None


KINDS: dict[str, Callable[[Rng], Mutated]] = {
    "a word for a number": a_value("many", "'3'", "1,5", "12px", kinds=(int, float)),
    "a number for a choice": a_value("7", "0.5", "-1", kinds=(str,)),
    "another word for a choice": a_value("true", "[]", "{}", "~", kinds=(str,)),
    "no truth": a_value("yes", "on", "0", "maybe", "'true'", kinds=(bool,)),
    "out of range": a_value("-1000000", "-1e12", "1e12", kinds=(int, float)),
    "no number": a_value(".nan", ".inf", "-.inf", "1e999", kinds=(int, float)),
    "a fraction of a whole": a_value("2.5", "1e-3", "3.0", kinds=(int,)),
    "a huge number": a_value("9" * 400, "9" * 5000, "-" + "9" * 400, "0x" + "f" * 300, kinds=(int, float)),
    "a list or a mapping": a_value("[1]", "{a: 1}", "&a [*a]", "[" * 50 + "]" * 50, kinds=(int, float, bool, str)),
    "no value": a_value("", "null", "~", kinds=(int, float, bool, str)),
    "a tag": a_value("!!python/object:os.system x", "!mine 1", "!!set {1}", "!!binary aGVq", kinds=(int, float, bool)),
    "a broken tag": a_value("!!bool maybe", "!!int ''", '"\\UFFFFFFFF"', "!!binary '%'", "2024-13-45"),
    "an open bracket": a_value("[1", '"x', "{a: ", "*nowhere", "'", "@x", "`x"),
    "a missing key": missing,
    "a renamed key": renamed,
    "a doubled key": doubled,
    "a strange key": evil_key,
    "no colon": without_colon,
    "deeper": deeper,
    "dedented": dedented,
    "a tab": tabbed,
    "cut short": cut,
    "no UTF-8": no_text,
    "nothing": nothing,
    "another document": another_document,
    "no section": without_a_section,
    "a thousand million laughs": laughs,
    "taken: line ends": another_end_of_line,
    "taken: no comments": without_comments,
    "taken: an anchor": aliased,
    "taken: another order": sections_in_another_order,
}


def mutation(number: int) -> tuple[str, bytes, str | None]:
    rng = Rng(number)
    kind = list(KINDS)[number % len(KINDS)]
    content, named = KINDS[kind](rng)
    return kind, content.encode("utf-8") if isinstance(content, str) else content, named


def refusal(content: bytes) -> list[str]:
    """The lines of `genbalance check` on such a file in the working directory; none where it is taken."""
    Path("params.yaml").write_bytes(content)
    told = CliRunner().invoke(app, ["check"])
    assert told.exit_code == 0 or (told.exit_code, type(told.exception)) == (1, SystemExit), told.exception
    assert [path.name for path in Path.cwd().iterdir()] == ["params.yaml"]
    return told.output.splitlines() if told.exit_code else []


def test_fifty_mutated_files_are_each_refused_in_lines_or_mean_what_they_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    counts: Counter[str] = Counter()
    for number in range(MUTATIONS):
        kind, content, named = mutation(number)
        lines = refusal(content)
        seen = f"mutation {number}, {kind}: {lines!s:.2000}"
        counts["refused" if lines else "taken"] += 1
        counts["lines"] += len(lines)
        assert bool(lines) is (named is not None), seen
        if named is None:
            assert read_params(Path("params.yaml")).flat() == PLAIN, seen
            continue
        assert all(re.match(r"params\.yaml(, line \d+)?: .", line) for line in lines), seen
        assert all(len(line) < 400 and line.isprintable() for line in lines), seen
        assert any(named in line for line in lines) or any("is not valid YAML" in line for line in lines), seen
    tell(
        f"{MUTATIONS} mutated params.yaml: {counts['refused']} refused in {counts['lines']} lines, {counts['taken']} "
        "that mean the same taken, 0 tracebacks"
    )


@pytest.mark.parametrize("stage", ["prepare", "train_classifier", "train_gan", "train_vae", "evaluate_gan", "report"])
def test_a_stage_refuses_a_mutated_file_before_anything_heavy_loads_and_leaves_its_outs(
    stage: str, tmp_path: Path
) -> None:
    _, content, _ = mutation(list(KINDS).index("a broken tag" if "evaluate" in stage else "out of range"))
    (tmp_path / "params.yaml").write_bytes(content)
    for out in ("models/gan.safetensors", "metrics/prepare.json", "reports/index.html"):
        (tmp_path / out).parent.mkdir()
        (tmp_path / out).write_text("former")
    told = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "stages" / f"{stage}.py")],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = told.stderr.splitlines()
    said = [line for line in lines if not line.startswith("import time:")]
    assert (told.returncode, told.stdout) == (1, ""), said
    assert said
    assert all(line.startswith(f"{stage}: params.yaml") for line in said), said
    assert not {line.rpartition("|")[2].strip() for line in lines} & HEAVY
    assert {path.read_text() for path in tmp_path.rglob("*.*") if path.name != "params.yaml"} == {"former"}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
