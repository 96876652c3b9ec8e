"""The prepare stage, without the tracker."""

import gzip
import importlib.util
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from committed import PARAMS

from genbalance.data import pixels, prepared
from genbalance.params import read_params
from genbalance.runtime.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare", REPOSITORY / "stages" / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorder:
    """Stands for the tracked run."""

    def __init__(self):
        self.metrics, self.images, self.datasets = {}, {}, []

    def log(self, values, step=None):
        self.metrics.update(values)

    def image(self, key, image, step):
        self.images[key] = image

    def dataset(self, name, digest, source, profile):
        self.datasets.append((name, digest, source, profile))


@pytest.fixture
def params(tmp_path, monkeypatch):
    """params.yaml as committed, with changes to its data section, in an empty repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    committed = read_params(PARAMS)

    def change(**changes):
        return committed.model_copy(update={"data": committed.data.model_copy(update=changes)})

    return change


@pytest.fixture
def idx_files(tmp_path):
    """Four IDX files of 11 × 11 pixels and 4 classes in the folder ``own``."""
    folder = tmp_path / "own"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 200), ("t10k", 40)):
        images = rng.integers(0, 256, (n, 11, 11), dtype=np.uint8)
        labels = np.resize(np.arange(4, dtype=np.uint8), n)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
            content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
            (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def test_outs_metrics_and_run_tell_the_same(params, idx_files):
    run = Recorder()
    program().main(params(source="idx", path="own"), run)
    digits = prepared.load(Path("data/prepared"))
    metrics = json.loads(Path("metrics/prepare.json").read_text(encoding="utf-8"))
    sizes = {"train": 180, "val": 20, "test": 40, "classes": 4, "height": 11, "width": 11}
    assert {key: len(getattr(digits, key)) for key in prepared.PARTS} == {key: sizes[key] for key in prepared.PARTS}
    assert {key: metrics[key] for key in sizes} == {key: run.metrics[key] for key in sizes} == sizes
    assert (metrics["source"], digits.source) == ("idx", "idx")
    assert (metrics["mean"], metrics["std"]) == pytest.approx((digits.mean, digits.std), rel=1e-5)
    assert len(metrics["files"]) == 4
    assert run.images["images"].shape == (4 * 11, 10 * 11)
    [(name, _, _, profile)] = run.datasets
    assert name == "idx"
    assert {key: profile[key] for key in sizes} == sizes


def test_what_is_doubtful_is_said_on_stderr_and_the_outs_are_written(params, idx_files, capsys):
    path = idx_files / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:16] + bytes([*[255] * 120, 0]) * 200)
    program().main(params(source="idx", path="own"), Recorder())
    assert capsys.readouterr().err.startswith("prepare: warning: training images: the images look inverted")
    assert Path("data/prepared").is_dir()


def test_normalization_is_measured_on_the_training_split_alone(params, idx_files):
    program().main(params(source="idx", path="own"), Recorder())
    digits = prepared.load(Path("data/prepared"))
    everything = np.concatenate([getattr(digits, part).images for part in prepared.PARTS])
    assert (digits.mean, digits.std) == pixels.measure(digits.train.images)
    assert (digits.mean, digits.std) != pixels.measure(everything)


def test_two_runs_write_the_same_bytes(params, idx_files):
    written = []
    for _ in range(2):
        program().main(params(source="idx", path="own"), Recorder())
        outs = [*Path("data/prepared").iterdir(), Path("metrics/prepare.json")]
        written.append({path: path.read_bytes() for path in outs})
    assert written[0] == written[1]


def wrong_magic(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(b"<html>")


def truncated(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def corrupt(folder):
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])


def swapped(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").replace(folder / "train-labels-idx1-ubyte.gz")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes((folder / "train-labels-idx1-ubyte.gz").read_bytes())


def missing(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def labels_beyond(folder):
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\x09"))


def blank(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:16] + bytes(200 * 121))


@pytest.mark.parametrize("spoil", [wrong_magic, truncated, corrupt, swapped, missing, labels_beyond, blank])
def test_bad_input_leaves_no_out(params, idx_files, spoil):
    spoil(idx_files)
    assert_refused(params(source="idx", path="own"))


def test_unreachable_mirrors_leave_no_out(params, monkeypatch):
    from torchvision import datasets

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    assert_refused(params(source="mnist"))
    assert not [path for path in Path("data/raw").rglob("*") if path.is_file()]


def assert_refused(params):
    with pytest.raises(UserError) as error:
        program().main(params, Recorder())
    assert "\n" not in str(error.value)
    assert not Path("data/prepared").exists()
    assert not Path("metrics").exists()


def test_the_bundled_digits_need_no_torch(params):
    code = f"""
import sys
sys.path[:0] = [{str(REPOSITORY / "src")!r}, {str(Path(__file__).parents[1])!r}, {str(Path(__file__).parent)!r}]
from pathlib import Path
from test_prepare import PARAMS, Recorder, program, read_params
program().main(read_params(PARAMS), Recorder())
print(sorted({{"torch", "torchvision"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    digits = prepared.load(Path("data/prepared"))
    assert [len(getattr(digits, part)) for part in prepared.PARTS] == [3600, 400, 1000]
    assert digits.classes == 10
    for part in prepared.PARTS:
        assert set(np.bincount(getattr(digits, part).labels) * 10) == {len(getattr(digits, part))}
