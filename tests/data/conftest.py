"""Small digits, as arrays and as IDX files, and a server on loopback to download from."""

import gzip
import socket
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genbalance.data.prepared import Split
from genbalance.params import DataConfig

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


@pytest.fixture
def to_idx() -> Callable[[NDArray[Any]], bytes]:
    """An array as the bytes of an IDX file."""

    def encode(values: NDArray[Any]) -> bytes:
        header = struct.pack(f">HBB{values.ndim}I", 0, CODES[values.dtype.name], values.ndim, *values.shape)
        return header + values.astype(values.dtype.newbyteorder(">")).tobytes()

    return encode


@pytest.fixture
def make_split() -> Callable[..., Split]:
    """Random images, every one different from every other; class k has k + 1 shares of them."""

    def make(n: int, side: int = 8, classes: int = 3, seed: int = 0) -> Split:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (n, side, side), dtype=np.uint8)
        shares = np.repeat(np.arange(classes), np.arange(1, classes + 1))
        return Split(images, rng.permutation(np.resize(shares, n)).astype(np.int64))

    return make


@pytest.fixture
def make_contents(make_split: Callable[..., Split], to_idx: Callable[[NDArray[Any]], bytes]) -> Callable[..., Any]:
    """The bytes of four IDX files by their standard names."""

    def make(n_train: int = 120, n_test: int = 30, side: int = 8, classes: int = 3) -> dict[str, bytes]:
        train, test = make_split(n_train, side, classes, seed=1), make_split(n_test, side, classes, seed=2)
        arrays = (train.images, train.labels.astype(np.uint8), test.images, test.labels.astype(np.uint8))
        return {name: to_idx(array) for name, array in zip(NAMES, arrays, strict=True)}

    return make


@pytest.fixture
def idx_folder(tmp_path: Path, make_contents: Callable[..., dict[str, bytes]]) -> Callable[..., Path]:
    """A folder with four IDX files."""

    def make(zipped: bool = False, **sizes: int) -> Path:
        folder = tmp_path / "idx"
        folder.mkdir()
        for name, content in make_contents(**sizes).items():
            packed = gzip.compress(content, mtime=0) if zipped else content
            (folder / (name + ".gz" if zipped else name)).write_bytes(packed)
        return folder

    return make


@pytest.fixture
def make_data() -> Callable[..., DataConfig]:
    """The data section of params.yaml."""

    def make(**changes: Any) -> DataConfig:
        where = {"source": "idx", "path": "idx", "size": "original", "channels": "auto"}
        values = where | {"limit": "all", "val_fraction": 0.1, "test_fraction": 0.2}
        values |= {"class_shares": "none"}
        return DataConfig.model_validate(values | changes)

    return make


class Server(ThreadingHTTPServer):
    """Prints nothing where a client has closed a connection that is kept open."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Mirror:
    """Serves ``files`` by name; ``declared`` overrides the length it promises; ``asked`` are the files it was asked;
    ``closed`` is an address at which nothing answers."""

    def __init__(self):
        self.files, self.declared, self.asked = {}, {}, set()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                mirror.asked.add(name)
                if name not in mirror.files:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(mirror.declared.get(name, len(mirror.files[name]))))
                self.end_headers()
                self.wfile.write(mirror.files[name])

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        with socket.socket() as free:  # nothing listens there once it is closed
            free.bind(("127.0.0.1", 0))
            self.closed = f"http://127.0.0.1:{free.getsockname()[1]}/"


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mirror = Mirror()
    thread = threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()
    thread.join()
