"""The SQLite file of a store: its schema, and the paths in it, which are wrong once it was moved."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from genbalance.runtime.errors import UserError
from genbalance.tracking.address import URI, StoreAddress, local_path

ARTIFACTS = "mlartifacts"
# what MLflow keeps as an absolute path below the place of an experiment's artifacts
PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def artifacts_beside(file: Path) -> Path:
    """Where the artifacts of a store in this file are, so that they move with it."""
    return file.with_name(ARTIFACTS)


def check_schema(address: StoreAddress, change: bool) -> None:
    """Upgrades a store of an older MLflow to the present one's schema, which MLflow would do silently: a copy that the
    older one can read is kept beside it, and stderr says so. Call it with MLflow loaded and the lock held.

    Args:
        address: of an SQLite store whose file exists.
        change: whether the store may be changed.

    Raises:
        UserError: it may not, or the upgrade failed, after which the file is as before.
    """
    import mlflow
    from alembic.script import ScriptDirectory

    file = address.file
    if file is None or not (found := _revision(file)):
        return
    schemas = ScriptDirectory(str(Path(mlflow.__file__).parent / "store/db_migrations"))
    if found == schemas.get_current_head() or found not in {schema.revision for schema in schemas.walk_revisions()}:
        return  # a newer one is MLflow's to refuse
    if not change:
        raise UserError(
            f"{file}: was written by an older MLflow (schema {found}), and this command changes nothing; the next "
            f"stage or `genbalance sync` upgrades it and keeps a copy; or set {URI} to another store"
        )
    copy = file.with_name(f"{file.name}.{found}")
    with closing(sqlite3.connect(file)) as store, closing(sqlite3.connect(copy)) as kept:
        store.backup(kept)
    upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", address.raw]
    try:
        done = subprocess.run(upgrade, capture_output=True, text=True, check=False)
    except BaseException:
        copy.replace(file)
        raise
    if done.returncode:
        copy.replace(file)
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"{file}: was written by an older MLflow and cannot be upgraded: {lines[-1]}; it is as before")
    print(f"{file.name}: upgraded for this MLflow; {copy.name} is a copy for the older one", file=sys.stderr)


def _revision(file: Path) -> str:
    """The schema of a store; "" where there is none yet or the file is no store."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as store:
            return str(store.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.DatabaseError, TypeError):
        return ""


def relocate(file: Path) -> None:
    """Writes the present place of the artifacts into a store that was moved or copied with them: MLflow keeps absolute
    paths, and would make the old folder again for new artifacts. Call it with the store's lock held.

    Args:
        file: of the store. A file that is none is left to MLflow to refuse.
    """
    here = artifacts_beside(file).as_uri()
    with closing(sqlite3.connect(file, timeout=60)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:
            return
        kept = [place for (place,) in store.execute("SELECT DISTINCT artifact_location FROM experiments") if place]
        for old in kept:
            if old == here or not old.endswith(f"/{ARTIFACTS}") or not _moved(store, old, file):
                continue
            with store:
                for table, column in PATHS:
                    if table in tables:
                        store.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                            (here, len(old) + 1, old, len(old) + 1, f"{old}/"),
                        )


def _moved(store: sqlite3.Connection, old: str, file: Path) -> bool:
    """Whether artifacts that a store names below ``old`` lie beside it; or, where there are none, whether the folder
    that it lay in is gone."""
    if urlsplit(old).scheme not in ("", "file"):
        return False
    if not artifacts_beside(file).is_dir():
        return not local_path(old).parent.exists()
    runs = store.execute("SELECT run_uuid FROM runs WHERE substr(artifact_uri, 1, ?) = ?", (len(old) + 1, f"{old}/"))
    return any((artifacts_beside(file) / run_id).is_dir() for (run_id,) in runs)
