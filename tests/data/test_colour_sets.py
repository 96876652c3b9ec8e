"""CIFAR and SVHN by torchvision's own download code, from a server on loopback, read as torchvision reads them."""

import hashlib
import io
import pickle
import socket
import struct
import tarfile

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

from genbalance.data import downloads
from genbalance.data.colour_sets import read_colour_set
from genbalance.runtime.errors import UserError

SOURCES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "svhn": "SVHN"}
NAMES = ["plane", "frog", "truck"]


class Python2Pickler(pickle._Pickler):
    """Writes texts and bytes as Python 2 wrote them, without a type of their own."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, text):
        data = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_string


def pickled(content):
    stream = io.BytesIO()
    Python2Pickler(stream, 2).dump(content)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def packed(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in reversed(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def md5(content):
    return hashlib.md5(content).hexdigest()


def numbers(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 3072), dtype=np.uint8)


def cifar_files(dataset, label_key):
    """Six images a training file, four a test file, with the names that the archive has."""
    lists = {"train": (dataset.train_list, 6), "test": (dataset.test_list, 4)}
    files = {}
    for listed, n in lists.values():
        for name, _ in listed:
            entry = {"data": numbers(n, len(files)), label_key: [i % 3 for i in range(n)], "filenames": ["ä.png"] * n}
            files[name] = pickled(entry | ({"coarse_labels": [9] * n} if label_key != "labels" else {}))
    files[dataset.meta["filename"]] = pickled({dataset.meta["key"]: NAMES, "num_vis": 3072})
    return files


def serve_cifar(mirror, monkeypatch, name, files):
    """The mirror holds an archive of the files, which passes for that of ``name``."""
    dataset = getattr(datasets, name)
    archive = packed({f"{dataset.base_folder}/{file}": content for file, content in files.items()})
    mirror.files = {dataset.filename: archive}
    monkeypatch.setattr(dataset, "url", mirror.url + dataset.filename)
    monkeypatch.setattr(dataset, "tgz_md5", md5(archive))
    for key in ("train_list", "test_list"):
        listed = [[file, md5(files[file])] if file in files else [file, old] for file, old in getattr(dataset, key)]
        monkeypatch.setattr(dataset, key, listed)
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": md5(files[dataset.meta["filename"]])})


def mat(n, seed, **changes):
    stream = io.BytesIO()
    images = numbers(n, seed).reshape(32, 32, 3, n)
    labels = np.arange(n, dtype=np.uint8)[:, None] % 10 + 1
    savemat(stream, {"X": images, "y": labels} | changes, do_compression=True)
    return stream.getvalue()


def serve_svhn(mirror, monkeypatch, contents):
    mirror.files = {f"{part}_32x32.mat": content for part, content in contents.items()}
    listed = {part: [f"{mirror.url}{part}_32x32.mat", f"{part}_32x32.mat", md5(contents[part])] for part in contents}
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)


@pytest.fixture(params=SOURCES)
def source(request, mirror, monkeypatch):
    """A source; the mirror holds a small set that passes for it."""
    if request.param == "svhn":
        serve_svhn(mirror, monkeypatch, {"train": mat(25, 0), "test": mat(12, 1)})
    else:
        dataset = getattr(datasets, SOURCES[request.param])
        key = "labels" if request.param == "cifar10" else "fine_labels"
        serve_cifar(mirror, monkeypatch, SOURCES[request.param], cifar_files(dataset, key))
    return request.param


def equal(one, two):
    pairs = [(one.train, two.train), (one.test, two.test)]
    same = all(np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels) for a, b in pairs)
    return same and (one.class_names, one.files) == (two.class_names, two.files)


def test_images_labels_and_names_are_those_that_torchvision_reads(source, mirror, tmp_path):
    found = read_colour_set(source, tmp_path)
    dataset = getattr(datasets, SOURCES[source])
    for part, split in (("train", found.train), ("test", found.test)):
        which = {"split": part} if source == "svhn" else {"train": part == "train"}
        theirs = dataset(tmp_path, download=True, **which)
        pixels, labels = zip(*((np.asarray(image), label) for image, label in theirs), strict=True)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(split.images, np.stack(pixels))
        np.testing.assert_array_equal(split.labels, labels)
        assert split.images.flags.c_contiguous
    assert found.class_names == (tuple("0123456789") if source == "svhn" else tuple(NAMES))
    assert all(len(value) == 32 for value in found.files.values())


def test_what_is_not_there_is_downloaded_once_and_silently(source, mirror, tmp_path, capfd):
    first, had = read_colour_set(source, tmp_path), set(mirror.files)
    assert mirror.asked == had
    assert {path.name for path in tmp_path.rglob("*")} == had
    mirror.files = {}  # nothing more to be had
    assert equal(first, read_colour_set(source, tmp_path))
    assert capfd.readouterr() == ("", "")


def test_files_that_torchvision_unpacked_are_used_without_a_download(mirror, monkeypatch, tmp_path):
    files = cifar_files(datasets.CIFAR10, "labels")
    serve_cifar(mirror, monkeypatch, "CIFAR10", files)
    (tmp_path / "packed").mkdir()
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    unpacked = read_colour_set("cifar10", tmp_path)
    assert not mirror.asked
    assert equal(unpacked, read_colour_set("cifar10", tmp_path / "packed"))
    (folder / "data_batch_3").write_bytes(files["data_batch_3"][:-1] + b"x")
    with pytest.raises(UserError, match=r"data_batch_3: found md5 \w+, expected \w+; remove it"):
        read_colour_set("cifar10", tmp_path)
    (folder / "data_batch_3").unlink()  # one is missing: all come out of the archive
    assert equal(unpacked, read_colour_set("cifar10", tmp_path))


def last(mirror):
    return sorted(mirror.files)[-1]


def unreachable(mirror, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{mirror.closed}cifar-10-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "url", f"{mirror.closed}cifar-100-python.tar.gz")
    listed = {part: [f"{mirror.closed}{name}", name, md5] for part, (_, name, md5) in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)


def not_found(mirror, monkeypatch):
    del mirror.files[last(mirror)]


def truncated(mirror, monkeypatch):
    content = mirror.files[last(mirror)]
    mirror.declared[last(mirror)] = len(content)
    mirror.files[last(mirror)] = content[: len(content) // 2]


def wrong_checksum(mirror, monkeypatch):
    mirror.files[last(mirror)] = packed({"other": b"thing"})


@pytest.mark.parametrize(
    ("fail", "reason"),
    [(unreachable, "refused"), (not_found, "404"), (truncated, "corrupted"), (wrong_checksum, "corrupted")],
)
def test_a_failed_download_is_refused_in_one_line_and_leaves_no_part_of_it(
    source, mirror, monkeypatch, tmp_path, capfd, fail, reason
):
    name = last(mirror)
    fail(mirror, monkeypatch)
    with pytest.raises(UserError, match=rf"cannot be downloaded \(http.*{reason}.*put the file into") as error:
        read_colour_set(source, tmp_path)
    assert "\n" not in str(error.value)
    assert name not in {path.name for path in tmp_path.rglob("*")}
    assert capfd.readouterr() == ("", "")


def test_a_mirror_that_accepts_and_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar-10-python.tar.gz"
        monkeypatch.setattr(datasets.CIFAR10, "url", address)
        with pytest.raises(UserError, match=r"cannot be downloaded.*timed out"):
            read_colour_set("cifar10", tmp_path)


def test_a_bad_file_that_lies_there_is_refused_before_it_is_opened(source, mirror, tmp_path):
    read_colour_set(source, tmp_path)
    path = tmp_path / last(mirror)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=rf"{path.name}: found md5 \w+, expected \w+; remove it") as error:
        read_colour_set(source, tmp_path)
    assert "\n" not in str(error.value)


# what is below passes each checksum, as if torchvision's list named it


def no_archive(files):
    return b"neither gzip nor tar"


def cut_archive(files):
    return packed(files)[:-40]


def without_a_member(files):
    return packed({name: content for name, content in files.items() if not name.endswith("data_batch_2")})


@pytest.mark.parametrize(
    ("make", "reason"),
    [(no_archive, "cannot be unpacked"), (cut_archive, "cannot be unpacked"), (without_a_member, "data_batch_2 not")],
)
def test_a_broken_archive_is_refused_in_one_line(mirror, monkeypatch, tmp_path, make, reason):
    files = cifar_files(datasets.CIFAR10, "labels")
    serve_cifar(mirror, monkeypatch, "CIFAR10", files)
    archive = make({f"{datasets.CIFAR10.base_folder}/{name}": content for name, content in files.items()})
    mirror.files = {datasets.CIFAR10.filename: archive}
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    with pytest.raises(UserError, match=rf"cifar-10-python.tar.gz: {reason}") as error:
        read_colour_set("cifar10", tmp_path)
    assert "\n" not in str(error.value)


class Evil:
    """Its pickle calls a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def entry(**changes):
    return {"data": numbers(6, 0), "labels": [0, 1, 2, 0, 1, 2]} | changes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Evil(print, "called")), "builtins.print; allowed: NumPy's arrays"),
        (pickle.dumps(Evil(np.load, "file")), "numpy.load; allowed"),
        (pickle.dumps(entry(data=np.array([print]))), "builtins.print; allowed"),
        (pickled(entry())[:-20], "cannot be unpickled"),
        (b"", "cannot be unpickled"),
        (pickled([1, 2]), "not as torchvision reads it"),
        (pickled(entry(data=numbers(5, 0))), "6 labels and uint8 images of the shape .5, 32, 32, 3."),
        (pickled(entry(data=numbers(6, 0).astype(np.int64))), "6 labels and int64 images"),
        (pickled(entry(data="text")), "not as torchvision reads it"),
        (pickled({"data": numbers(6, 0)}), "not as torchvision reads it"),
        (pickled(entry(labels=[0, 1, 2, 3, 1, 2])), "labels of 0 … 3 with 3 classes"),
        (pickled(entry(labels=[])), "not as torchvision reads it"),
    ],
)
def test_a_pickle_is_data_alone_and_of_the_right_form(mirror, monkeypatch, tmp_path, capfd, content, reason):
    files = cifar_files(datasets.CIFAR10, "labels") | {"data_batch_4": content}
    serve_cifar(mirror, monkeypatch, "CIFAR10", files)
    with pytest.raises(UserError, match=rf"data_batch_4: .*{reason}.*remove it") as error:
        read_colour_set("cifar10", tmp_path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not as torchvision reads it"),
        (mat(25, 0)[:-50], "not as torchvision reads it"),
        (mat(25, 0, y=np.arange(24)), "24 labels and uint8 images of the shape .25, 32, 32, 3."),
        (mat(25, 0, X=np.zeros((2, 2))), "not as torchvision reads it"),
    ],
)
def test_a_mat_file_of_another_form_is_refused_in_one_line(mirror, monkeypatch, tmp_path, content, reason):
    serve_svhn(mirror, monkeypatch, {"train": content, "test": mat(12, 1)})
    with pytest.raises(UserError, match=rf"train_32x32.mat: .*{reason}.*remove it") as error:
        read_colour_set("svhn", tmp_path)
    assert "\n" not in str(error.value)
