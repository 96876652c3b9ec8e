"""What tests may say of this commit's results and defaults, whatever was run in the working tree since.

An experiment that was applied changes params.yaml, dvc.lock and metrics/; another processor changes the last bits.
"""

import atexit
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from genbalance.params import read_yaml

ROOT = Path(__file__).parents[1]
DEFAULTS = read_yaml(ROOT / "src/genbalance/reporting/defaults.yaml")


def git(*arguments: str) -> bytes:
    """Of this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


# README tells the results of the commit that last changed it: whoever keeps results of their own need not rewrite it.
# CI wants it to tell those of the commit at hand.
REVISION = "HEAD" if os.environ.get("CI") else git("log", "-1", "--format=%H", "--", "README.md").decode().strip()


def params_with(changes: dict[str, object]) -> str:
    """The text of params.yaml at its defaults, but for some values, by their key in a section."""
    text = PARAMS.read_text(encoding="utf-8")
    for key, value in changes.items():
        text, replaced = re.subn(rf"^(  {key}: +)\w+", rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert replaced == 1, key
    return text


def committed(path: str) -> str:
    """The text of a file, as the commit that README belongs to has it."""
    return git("show", f"{REVISION}:{path}").decode()


def _with_defaults(text: str) -> str:
    lines, section = [], ""
    for line in text.splitlines():
        if found := re.match(r"(?P<indent> *)(?P<key>\w+):(?P<gap> *)(?P<value>[^\s#]*)(?P<rest>.*)", line):
            section = section if found["indent"] else found["key"]
            key = f"{section}.{found['key']}" if found["indent"] else found["key"]
            if found["value"] and key in DEFAULTS:
                value = DEFAULTS[key]
                typed = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
                line = f"{found['indent']}{found['key']}:{found['gap']}{typed}{found['rest']}"
        lines.append(line)
    return "\n".join(lines) + "\n"


_FOLDER = Path(tempfile.mkdtemp(prefix="genbalance-tests-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
PARAMS = _FOLDER / "params.yaml"  # params.yaml with each value at its default
PARAMS.write_text(_with_defaults((ROOT / "params.yaml").read_text(encoding="utf-8")), encoding="utf-8")
