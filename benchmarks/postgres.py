"""A PostgreSQL of one's own, in a folder that may go away: for benchmarks and tests."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote


def installed() -> Path | None:
    """The folder of PostgreSQL's programs; Debian has them on no PATH."""
    found = [shutil.which("initdb") or "", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    return next((Path(each).resolve().parent for each in found if each), None)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Postgres:
    """A server on loopback, which can be killed and started again at the same address.

    Args:
        folder: an empty one, open to other users where the caller is root: PostgreSQL refuses to run as root.
        programs: the folder of its programs.
        password: of its user, bob.
        options: of the server, beside those that keep it to itself.

    Raises:
        RuntimeError: it does not start; the text is what it printed.
    """

    def __init__(self, folder: Path, programs: Path, password: str, options: str = "") -> None:
        self.folder, self.programs, self._options = folder, programs, options
        self.user = "nobody" if os.geteuid() == 0 else None
        if self.user:
            folder.chmod(0o777)
        self.port = free_port()
        self.url = f"postgresql://bob:{quote(password, safe='')}@127.0.0.1:{self.port}/postgres"
        (folder / "password").write_text(password)
        self._run("initdb", "-D", f"{folder}/data", "-U", "bob", "-A", "scram-sha-256", "--no-sync",
                  f"--pwfile={folder}/password", "--locale=C", "-E", "UTF8")  # fmt: skip
        self.start()

    def start(self) -> None:
        """Starts the server."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} {self._options}"
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start")

    def kill(self) -> None:
        """Stops it as a crash would."""
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        # pg_ctl's server keeps whatever it inherits open
        done = subprocess.run(command, cwd=self.folder, user=self.user, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
                              check=False)  # fmt: skip
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {(done.stderr or b'').decode()}{log.read_text() if log.exists() else ''}")
