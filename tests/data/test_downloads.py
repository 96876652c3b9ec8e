"""torchvision's own download code against a server on loopback."""

import gzip
import hashlib
import socket

import numpy as np
import pytest
from torchvision import datasets

from genbalance.data import downloads
from genbalance.data.sources import read_source
from genbalance.runtime.errors import UserError


@pytest.fixture
def mnist(mirror, monkeypatch, make_contents):
    """The mirror holds a small data set that passes for MNIST and its kin."""
    mirror.files = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in make_contents().items()}
    resources = [(name, hashlib.md5(packed).hexdigest()) for name, packed in mirror.files.items()]
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        monkeypatch.setattr(getattr(datasets, name), "mirrors", [mirror.url])
        monkeypatch.setattr(getattr(datasets, name), "resources", resources)
    return mirror


def left_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("source", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_what_is_not_there_is_downloaded_once_and_silently(mnist, make_data, tmp_path, capfd, source, folder):
    first = read_source(make_data(source=source), tmp_path)
    assert (len(first.train), len(first.test), first.classes) == (120, 30, 3)
    assert left_in(tmp_path / folder / "raw") == sorted(mnist.files)
    assert mnist.asked == set(mnist.files)
    mnist.files = {}  # nothing more to be had
    again = read_source(make_data(source=source), tmp_path)
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert capfd.readouterr() == ("", "")


def test_only_what_is_missing_is_downloaded(mnist, make_data, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(mnist.files["train-images-idx3-ubyte.gz"])
    read_source(make_data(source="mnist"), tmp_path)
    assert mnist.asked == set(mnist.files) - {"train-images-idx3-ubyte.gz"}


def test_qmnist_labels_are_the_first_of_their_columns(mirror, monkeypatch, make_split, to_idx, make_data, tmp_path):
    resources = {}
    for part in ("train", "test"):
        split = make_split(60)
        labels = np.stack([split.labels, split.labels + 70_000], axis=1).astype(np.int32)
        resources[part] = []
        for name, array in (
            (f"qmnist-{part}-images-idx3-ubyte.gz", split.images),
            (f"qmnist-{part}-labels-idx2-int.gz", labels),
        ):
            mirror.files[name] = gzip.compress(to_idx(array), mtime=0)
            resources[part].append((mirror.url + name, hashlib.md5(mirror.files[name]).hexdigest()))
    monkeypatch.setattr(datasets.QMNIST, "resources", resources)
    source = read_source(make_data(source="qmnist"), tmp_path)
    np.testing.assert_array_equal(source.train.labels, make_split(60).labels)
    assert sorted(source.files) == sorted(name.removesuffix(".gz") for name in mirror.files)


def test_the_second_mirror_is_tried_where_the_first_fails(mnist, monkeypatch, make_data, tmp_path):
    monkeypatch.setattr(datasets.MNIST, "mirrors", [mnist.closed, mnist.url])
    assert len(read_source(make_data(source="mnist"), tmp_path).train) == 120


def unreachable(mirror, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", [mirror.closed])


def not_found(mirror, monkeypatch):
    del mirror.files["t10k-images-idx3-ubyte.gz"]


def truncated(mirror, monkeypatch):
    packed = mirror.files["t10k-images-idx3-ubyte.gz"]
    mirror.declared["t10k-images-idx3-ubyte.gz"] = len(packed)
    mirror.files["t10k-images-idx3-ubyte.gz"] = packed[: len(packed) // 2]


def wrong_checksum(mirror, monkeypatch):
    mirror.files["t10k-images-idx3-ubyte.gz"] = gzip.compress(b"something else")


@pytest.mark.parametrize(
    ("fail", "reason"),
    [(unreachable, "refused"), (not_found, "404"), (truncated, "corrupted"), (wrong_checksum, "corrupted")],
)
def test_a_failed_download_is_refused_in_one_line_and_leaves_no_part_of_it(
    mnist, monkeypatch, make_data, tmp_path, capfd, fail, reason
):
    fail(mnist, monkeypatch)
    with pytest.raises(
        UserError, match=rf"cannot be downloaded \(http.*{reason}.*put the file into .*data.source=bundled"
    ) as error:
        read_source(make_data(source="mnist"), tmp_path)
    assert "\n" not in str(error.value)
    whole = set(mnist.files) - {"t10k-images-idx3-ubyte.gz"} if fail is not unreachable else set()
    assert set(left_in(tmp_path)) <= whole
    assert capfd.readouterr() == ("", "")


def test_a_mirror_that_accepts_and_says_nothing_is_given_up(monkeypatch, make_data, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(UserError, match=r"cannot be downloaded.*timed out"):
            read_source(make_data(source="mnist"), tmp_path)


def test_the_run_after_a_failed_download_succeeds(mnist, make_data, tmp_path):
    name = "train-labels-idx1-ubyte.gz"
    packed = mnist.files[name]
    mnist.files[name] = packed[:40]
    with pytest.raises(UserError):
        read_source(make_data(source="mnist"), tmp_path)
    mnist.files[name] = packed
    assert len(read_source(make_data(source="mnist"), tmp_path).train) == 120


def test_the_socket_timeout_is_as_before_a_download(mnist, make_data, tmp_path):
    before = socket.getdefaulttimeout()
    read_source(make_data(source="mnist"), tmp_path)
    assert socket.getdefaulttimeout() == before


@pytest.fixture
def own_copy(mnist, tmp_path):
    """The files, already in the folder; the mirror has nothing."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, packed in mnist.files.items():
        (raw / name).write_bytes(packed)
    mnist.files = {}
    return raw


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda packed: packed[:-30], "too early.*or remove it so that it is downloaded"),
        (lambda packed: gzip.compress(b"something else"), "found md5 .*expected .*remove it"),
        (lambda packed: gzip.compress(gzip.decompress(packed)[:-1] + b"\x01"), "found md5 .*expected .*remove it"),
    ],
)
def test_a_bad_file_in_the_folder_is_refused_in_one_line(own_copy, make_data, tmp_path, spoil, reason):
    path = own_copy / "train-images-idx3-ubyte.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match=f"train-images-idx3-ubyte.gz: .*{reason}") as error:
        read_source(make_data(source="mnist"), tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unpacked", [True, False])
def test_known_content_is_good_however_it_is_packed(
    own_copy, monkeypatch, make_contents, make_data, tmp_path, unpacked
):
    contents = make_contents()
    known = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(downloads, "CONTENT_MD5", {"MNIST": known})
    for name, content in contents.items():
        (own_copy / f"{name}.gz").unlink()
        path = own_copy / (name if unpacked else f"{name}.gz")
        path.write_bytes(content if unpacked else gzip.compress(content, 1, mtime=7))
    assert read_source(make_data(source="mnist"), tmp_path).files == known


def test_unpacked_mnist_of_other_content_is_refused(own_copy, make_contents, make_data, tmp_path):
    for name, content in make_contents().items():
        (own_copy / f"{name}.gz").unlink()
        (own_copy / name).write_bytes(content)
    with pytest.raises(UserError, match="expected 6bbc9ace898e44ae57da46a324031adb; remove it"):
        read_source(make_data(source="mnist"), tmp_path)
