"""A commit verified: cloned, run anew from nothing, and held against what it tells of itself."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbalance.commands import verify_text
from genbalance.commands.verify_clone import clone, lend, reproduce
from genbalance.commands.verify_state import forget, other_packages, read_state
from genbalance.commands.verify_verdict import Verdict, compare
from genbalance.errors import UserError
from genbalance.experiments import find_commits
from genbalance.files import write_json
from genbalance.locks import LOCK
from genbalance.params import PARAMS_FILE, read_yaml
from genbalance.repository import git, root


@dataclass(frozen=True)
class Verification:
    """A commit, under the name that it was asked for by, and what came out; ``packages`` are those that its
    requirements.txt pins otherwise than they are installed here; ``exit_code`` is that of ``dvc repro``."""

    name: str
    commit: str
    packages: list[str]
    exit_code: int
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Whether the commit keeps its promise here."""
        return self.exit_code == 0 and self.verdict.holds

    def __str__(self) -> str:
        text = verify_text.as_text(self.verdict, self.name, self.commit)
        return text + f"\nthe pipeline ended with exit code {self.exit_code}" * bool(self.exit_code)

    def save(self, path: Path) -> None:
        """Writes all of it as JSON.

        Raises:
            UserError: the file cannot be written.
        """
        values = verify_text.as_json(self.verdict, self.name, self.commit, self.packages)
        try:
            write_json(path, values | {"exit_code": self.exit_code, "holds": self.holds})
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def verify(revision: str, keep: bool) -> Verification:
    """Clones the commit into a temporary folder, runs the whole pipeline there with an empty cache and compares.

    What it does is told on stderr. The folder is removed in the end, however that comes, unless ``keep``.

    Raises:
        UserError: the revision is none, or is several; its files are not what a run of the pipeline left.
    """
    commits = find_commits(revision)
    if len(commits) != 1:
        raise UserError(f"{revision}: stands for {len(commits)} commits; allowed: one")
    ((commit, name),) = commits.items()
    if changed := git("status", "--porcelain", "--", ".").splitlines():
        _tell(f"the working tree is dirty ({len(changed)} paths): only the commit is verified, without these changes")
    repository = root()
    with clone(repository, commit, keep) as folder:
        committed = read_state(folder)
        if not committed:
            raise UserError(f"{name}: has no stages in {LOCK}; run `dvc repro` and commit what it leaves")
        lend(repository, folder, _data_path(folder))
        if packages := other_packages(folder / "requirements.txt"):
            _tell(f"other packages are installed here than the commit pins, so bytes may differ: {', '.join(packages)}")
        kept = ", which is kept" * keep
        _tell(f"{name} ({commit[:8]}) runs with an empty cache in {folder}{kept}: {len(committed)} stages")
        forget(folder, committed)
        exit_code = reproduce(folder)
        return Verification(name, commit, packages, exit_code, compare(committed, read_state(folder)))


def _data_path(folder: Path) -> Path:
    values: Any = read_yaml(folder / PARAMS_FILE)
    try:
        return Path(values["data"]["path"])
    except (KeyError, TypeError):
        raise UserError(f"{PARAMS_FILE}: data.path: found nothing; allowed: a folder") from None


def _tell(line: str) -> None:
    print(f"verify: {line}", file=sys.stderr, flush=True)
