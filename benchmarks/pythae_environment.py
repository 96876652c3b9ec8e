"""An environment of its own for pythae, whose dependencies the project does not want.

It sees the project's packages, so that torch is not installed twice, and adds those of benchmarks/requirements.txt.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from genbalance.runtime.errors import UserError

FOLDER = Path(".bench/pythae")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def interpreter(folder: Path = FOLDER, requirements: Path = REQUIREMENTS) -> Path:
    """The environment's Python; the environment is made where there is none, or an older one.

    Raises:
        UserError: pip cannot install the packages, as where it reaches no index.
    """
    python = folder.absolute() / "bin" / "python"
    project = sysconfig.get_path("purelib")
    made_of = f"{sys.version}\n{project}\n{requirements.read_text(encoding='utf-8')}"
    ready = folder / "ready.txt"
    if ready.exists() and ready.read_text(encoding="utf-8") == made_of:
        return python
    venv.create(folder, clear=True, symlinks=True)
    own = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    (own / "project.pth").write_text(f"{project}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "--requirement", str(requirements)], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"pip cannot install pythae: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    ready.write_text(made_of, encoding="utf-8")
    return python
