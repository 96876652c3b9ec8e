"""Servers that listen to this machine alone. (Pickles: test_architecture.py, test_broken_files.py, test_pipeline.py;
HTML in names and params: reporting/test_page.py.)"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from genbalance.sampling import play
from genbalance.tracking import ui

ROOT = Path(__file__).parents[1]
CONTAINERS = ROOT / "deploy/compose.yaml"  # with networks of their own; test_deploy.py reads what is open here
EXCEPT = {Path(__file__), CONTAINERS}
LOOPBACK = "127.0.0.1"
EVERYWHERE = re.compile(r"(?<![\d.])0\.0\.0\.0(?![\d.])|\[::\]|\bbind\(\(\"\"")


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of the project, as git would commit it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in (ROOT / name for name in names if name):
        if path.suffix in {".md", ".py", ".yaml", ".yml", ".toml", ""} and path.is_file() and path not in EXCEPT:
            yield path, path.read_text(encoding="utf-8")


def test_nothing_listens_to_other_machines() -> None:
    seen = 0
    for path, text in texts():
        hosts = set(re.findall(r"--host(?:[= ]+|\", )([\w.:\[\]]+)", text)) - {"HOST"}
        seen += "--host" in text
        assert hosts <= {LOOPBACK}, path
        assert not EVERYWHERE.search(text), path
    assert seen


def test_our_servers_listen_there() -> None:
    assert ui.HOST == play.HOST == LOOPBACK
