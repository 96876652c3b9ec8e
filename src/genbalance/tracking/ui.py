"""MLflow's UI on our runs: what it shows of our experiment, and a server for it on this machine.

MLflow opens an experiment on its page for language models, and its table of runs without a parameter or a metric. A
shared view changes that: it is a tag of the experiment, which an address names. Its text is JSON: name, times and, as
JSON in it, the state of the table and of the charts.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from genbalance.families.registry import ENCODER, LIKELIHOOD, Family
from genbalance.reporting.text import SYMBOLS
from genbalance.runtime.errors import UserError
from genbalance.tracking.address import StoreAddress

KEY = "coefficients"
TAG = f"mlflow.sharedViewState.{KEY}"
CHANGED = 1764028800000  # ms since 1970: a view that somebody changed in the UI has a later time
SECTION = "grids"  # of the UI's charts; it comes before that of the metrics, which would have the images among them
OTHERS = {"attributes.`Source`": 110, "attributes.`Dataset`": 150}  # pixels of a column
NAME, CREATED = "attributes.`Run Name`", "runDateAndNestInfo"


def experiment_tags(families: Sequence[Family]) -> dict[str, str]:
    """The tags of a new experiment: its kind, its description and the shared view."""
    tags = {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": _description(families)}
    return tags | {TAG: view(families)}


def is_current(tags: Mapping[str, str], families: Sequence[Family]) -> bool:
    """Whether an experiment with these tags has the view, or one that somebody changed later."""
    try:
        found: Any = json.loads(tags[TAG])
        return bool(found["updatedAt"] > CHANGED) or tags[TAG] == view(families)
    except (KeyError, ValueError, TypeError):
        return False


def page_address(server: str, experiment_id: str) -> str:
    """Where a server shows the table of an experiment's runs, as our view has it.

    Args:
        server: its address, with or without a slash at the end.
        experiment_id: the experiment's.
    """
    place = f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs"
    return f"{place}?workflowType=machine_learning&viewStateShareKey={KEY}"


def view(families: Sequence[Family]) -> str:
    """The text of the view's tag: the coefficients and what they do, as columns and as charts."""
    columns = {f"params.`{name}`": 45 + 5 * len(name) for name in _coefficients(families)}
    columns |= {f"metrics.`{name}`": 55 + 5 * len(name) for name in view_metrics(families)} | OTHERS
    of_likelihood = [family for family in families if LIKELIHOOD in family.parts]
    charts = [_scatter(key, "PARAM", f"{family.name}_fd_test") for family in families for key in family.coefficients]
    charts += [_scatter(f"{family.name}_rate", "METRIC", f"{family.name}_distortion") for family in of_likelihood]
    charts += [_images(f"{family.name}_{grid}") for family in families for grid in family.grids]
    state = {
        "selectedColumns": [*columns],
        "columnOrder": [NAME, CREATED, *columns, "duration"],
        "columnWidths": {NAME: 165, CREATED: 145, **columns, "duration": 85},
        "compareRunSections": [_section("effects"), _section(SECTION)],
        "compareRunCharts": charts,
    }
    shared = {
        "name": " and ".join(_symbols(_coefficients(families))),
        "createdAt": CHANGED,
        "updatedAt": CHANGED,
        "state": json.dumps(state),
    }
    return json.dumps(shared, ensure_ascii=False)


def view_metrics(families: Sequence[Family]) -> list[str]:
    """The metrics of a pipeline run that are columns of the view, by their names in its headline."""
    of_samples = [f"{family.name}_{key}" for key in ("fd_test", "recall") for family in families]
    of_parts = (("nelbo", LIKELIHOOD), ("rate", ENCODER), ("distortion", LIKELIHOOD))
    own = [f"{family.name}_{key}" for family in families for key, part in of_parts if part in family.parts]
    return [*of_samples, *own, "test_accuracy"]


def _description(families: Sequence[Family]) -> str:
    """What the UI shows above the table of runs."""
    *first, last = (
        f"what {'does' if len(family.coefficients) == 1 else 'do'} {' and '.join(_symbols(family.coefficients))} do "
        f"in a {family.title} trained on {family.objective}"
        for family in families
    )
    question = f"{', '.join(first)}, and {last}" if first else last
    coefficients, names = _coefficients(families), [family.name for family in families]
    terms = " ".join(
        f"`{family.name}_rate` is the KL, `{family.name}_distortion` the reconstruction loss, in nats per image."
        for family in families
        if LIKELIHOOD in family.parts
    )
    return (
        f"{question[0].upper()}{question[1:]}?\n\n"
        f"- A row is a run of the whole pipeline, with {_code(coefficients)} as its parameters. Unfold it to see its "
        f"stages; the *Model metrics* of {_code(f'train_{name}' for name in names)} begin with sample grids by epoch.\n"
        f"- {_code(f'{name}_fd_test' for name in names)} are Fréchet distances of samples to test images: smaller is "
        f"better. {terms}\n"
        "- The chart view (the second of the three buttons above the table) shows these over "
        f"{' and '.join(_symbols(coefficients))}, and the samples of all runs side by side. "
        f"`dvc exp run -S {coefficients[-1]}=4` adds a run."
    )


def _coefficients(families: Sequence[Family]) -> list[str]:
    return [*dict.fromkeys(key for family in families for key in family.coefficients)]


def _symbols(coefficients: Sequence[str]) -> list[str]:
    return [SYMBOLS.get(key, key) for key in coefficients]


def _code(names: Iterable[str]) -> str:
    """Names in Markdown's code style, as an enumeration."""
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def _section(name: str) -> dict[str, Any]:
    return {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": False}


def _chart(kind: str, name: str, section: str) -> dict[str, Any]:
    common = {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    return {"uuid": name, "type": kind, "displayName": name, "metricSectionId": section, **common}


def _scatter(x: str, kind: str, y: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": x, "type": kind}, "yaxis": {"key": y, "type": "METRIC"}}
    return _chart("SCATTER", f"{y} over {x}", "effects") | axes


def _images(name: str) -> dict[str, Any]:
    # without the parameters, which would leave the image no room: the names of runs say what differs
    return _chart("IMAGE", name, SECTION) | {"imageKeys": [f"{SECTION}/{name}"], "step": 0, "showRunParams": False}


HOST = "127.0.0.1"
START_TIMEOUT = 180.0  # seconds for a server to answer: it takes 5 to 20
# without the processes for jobs, which are of no use for runs
SERVER_SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


def serve(address: StoreAddress, experiment_id: str, port: int, show: Callable[[str], None]) -> None:
    """Starts MLflow's server on this machine, shows the address of the table of runs and, if there is a screen, opens
    it in a browser; returns when Ctrl-C has ended it.

    A store that is a server has such an address already: nothing is started, and nothing waits.

    Args:
        address: of the store.
        experiment_id: of the experiment in it.
        port: of the server on this machine; 0: any that is free.
        show: is called with the address.

    Raises:
        UserError: the port is taken, or the server did not start or has ended.
        SystemExit: on SIGTERM, with the server ended.
    """
    if address.is_server:
        page = page_address(address.public, experiment_id)  # a browser asks for the password
        show(page)
        _open(page)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    server = f"http://{HOST}:{_free(port)}"
    page = page_address(server, experiment_id)
    print("MLflow's server is starting; Ctrl-C ends it", file=sys.stderr, flush=True)
    with suppress(KeyboardInterrupt), _served(address, server) as process:
        show(page)
        _open(page)
        process.wait()
        raise UserError("mlflow server: has ended")


def _open(page: str) -> None:
    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and sys.stdout.isatty():
        webbrowser.open(page)


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port: {port} cannot be used ({error.strerror}); give another, or 0 for any") from None
        return int(probe.getsockname()[1])


@contextmanager
def _served(address: StoreAddress, server: str) -> Iterator[psutil.Popen]:
    """MLflow's server, from its first answer on; it and what it started end with the block."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", server.rpartition(":")[2]]
    command += ["--workers", "1"]
    # other users see a process's command, with the secrets in it, and not its environment
    environment = os.environ | SERVER_SETTINGS | {"MLFLOW_BACKEND_STORE_URI": address.raw}
    with tempfile.TemporaryFile("w+") as log:
        # in a session of its own: a terminal's Ctrl-C is for this process, which ends the server
        process = psutil.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not _answers(process, f"{server}/health"):
                log.seek(0)
                lines = [line for line in log.read().splitlines() if line.strip()] or ["nothing"]
                raise UserError(f"mlflow server: did not start; it said: {address.redacted(lines[-1][:300])}")
            yield process
        finally:
            _end(process)


def _answers(process: psutil.Popen, url: str) -> bool:
    """Whether the server answers before it has ended and within :data:`START_TIMEOUT`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not reach our loopback
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < START_TIMEOUT:
        try:
            with opener.open(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _end(process: psutil.Popen) -> None:
    try:
        every = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in every:
        try:
            each.terminate()
        except psutil.NoSuchProcess:
            continue
    for left in psutil.wait_procs(every, timeout=5)[1]:
        left.kill()
