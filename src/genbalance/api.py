"""The Python API, reached as ``import genbalance as gb``; docs/api.md shows each function.

Images as arguments: one array or tensor [n, H, W] (grey) or [n, H, W, 3] (colour), or another form that
`data.images.as_images` takes, whole numbers of 0 … 255 or floats in [0, 1], read to 8 bits as everywhere in this
project; or a path that `genbalance evaluate` takes. Where colour is needed, grey images are taken with three equal
channels. Images that are returned: NumPy float32 [n, H, W] or [n, H, W, 3] in [0, 1], 0 black, which matplotlib draws
and NumPy saves as they are.

Paths are those of the repository that the working directory lies in, unless they are given. Nothing here changes
torch's settings or random state for the caller, and the same seed gives the same numbers on one machine.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genbalance.data import image_files, prepared
from genbalance.data.images import as_images, in_colour
from genbalance.data.pixels import UNIT
from genbalance.data.prepared import in_words, shape_of
from genbalance.families.registry import ENCODER, LIKELIHOOD, Family, known
from genbalance.runtime.errors import UserError as UserError  # a name of the API, too
from genbalance.runtime.repository import root

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from genbalance.models.vae import Vae
    from genbalance.sampling.sampler import Sampler

Images = NDArray[np.float32]
"""[n, H, W] or [n, H, W, 3] in [0, 1]."""
Given: TypeAlias = "ArrayLike | torch.Tensor | Path"
Place = str | Path

REGISTERED = "models:/"
CLASSIFIER, DATA, PARAMS = "models/classifier.safetensors", "data/prepared", "params.yaml"
LARGEST_SEED = 2**32 - 1


class Posterior(NamedTuple):
    """q(z|x) of n images, a normal distribution with independent latents; of a ladder or nvae (`vae.arch`), whose lower
    layers depend on the draw of those above, where these take their means."""

    mean: NDArray[np.float32]
    """[n, latents]."""
    std: NDArray[np.float32]
    """[n, latents], > 0."""


class Model:
    """A trained generative model; :func:`load` returns it.

    Attributes:
        family: its name in ``--model``, such as vae.
        network: the torch module, in evaluation mode.
        shape: [channels, height, width] of an image.
        latents: L.
        classes: how many :meth:`sample` can be asked for; 0 where the model is not conditional.
    """

    def __init__(
        self, family: Family, network: "torch.nn.Module", sampler: "Sampler", shape: list[int], device: str
    ) -> None:
        self.family, self.network, self.shape = family.name, network, shape
        self.latents, self.classes = sampler.latent_dim, sampler.classes
        self._parts, self._sampler, self._device = family.parts, sampler, device

    def __repr__(self) -> str:
        kind = f"conditional on {self.classes} classes" if self.classes else "not conditional"
        return f"<{self.family}: {in_words(self.shape)}, {self.latents} latents, {kind}>"

    def sample(self, count: int, *, seed: int = 0, digit: int | None = None) -> Images:
        """New images [count, H, W] or [count, H, W, 3] in [0, 1], at the 8-bit levels of an image file.

        They are those that a served model answers with. More of them begin with the fewer: ``sample(64)[:8]`` is
        ``sample(8)``.

        Args:
            count: how many.
            seed: of the latents.
            digit: the class to draw, of a conditional model; None: of all classes.

        Raises:
            UserError: ``digit`` of a model that is not conditional; a number outside its range.
        """
        _whole("count", count, 1, 1_000_000)
        _whole("seed", seed, 0, LARGEST_SEED)
        if digit is not None:
            if not self.classes:
                raise UserError(f"digit: found {digit}, but this {self.family} is not conditional; allowed: None")
            _whole("digit", digit, 0, self.classes - 1)
        with _set_up(self._device) as device:
            from genbalance.sampling.server import BLOCK, candidates

            blocks = candidates(self._sampler, seed, digit, device)
            drawn = [next(blocks) for _ in range(-(-count // BLOCK))]
        return _as_floats(np.concatenate(drawn)[:count])

    def encode(self, images: Given, *, labels: ArrayLike | None = None, seed: int = 0) -> Posterior:
        """q(z|x) of n images.

        Args:
            images: [n, H, W] or [n, H, W, 3] in [0, 1] (see :mod:`genbalance.api`).
            labels: whole numbers [n], for a conditional model.
            seed: a Bernoulli likelihood is one of black and white pixels: the encoder sees a draw of them, white with
                the probability that the grey pixel is. The draw of the i-th image depends on its place.

        Raises:
            UserError: the model has no encoder, or the images or labels are not as they should be.
        """
        vae, pixels, classes = self._checked("encode", images, labels, seed)
        with _set_up(self._device) as device:
            return self._posterior(vae, self._seen(vae, pixels, seed, device), self._tensor(classes, device))

    def decode(self, latents: ArrayLike, *, labels: ArrayLike | None = None) -> Images:
        """Mean images of p(x|z), [n, H, W] or [n, H, W, 3] in [0, 1].

        Args:
            latents: z [n, L], finite, such as :meth:`encode`'s means.
            labels: whole numbers [n], for a conditional model.

        Raises:
            UserError: the model has no encoder and so no posterior, or the latents or labels are not as they should be.
        """
        vae = self._vae("decode")
        z = _floats("latents", latents)
        if z.ndim != 2 or z.shape[1] != self.latents or not len(z):
            raise UserError(f"latents: found the shape {[*z.shape]}; allowed: [n, {self.latents}], n ≥ 1")
        classes = self._labels(labels, len(z))
        with _set_up(self._device) as device:
            import torch

            return self._decoded(vae, torch.from_numpy(z).to(device), self._tensor(classes, device))

    def reconstruct(self, images: Given, *, labels: ArrayLike | None = None, seed: int = 0) -> Images:
        """The mean of p(x|z) at the mean of q(z|x): ``decode(encode(images).mean)``, [n, H, W] or [n, H, W, 3] in
        [0, 1].

        Args:
            images: as for :meth:`encode`.
            labels: as for :meth:`encode`.
            seed: as for :meth:`encode`.

        Raises:
            UserError: as for :meth:`encode`.
        """
        return self.decode(self.encode(images, labels=labels, seed=seed).mean, labels=labels)

    def log_likelihood(
        self, images: Given, *, draws: int = 200, seed: int = 0, labels: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """A lower bound on log p(x) of each image, nats [n]: the importance-weighted one of Burda et al. 2016.

        In expectation it rises with ``draws``, towards log p(x); with one it is the ELBO. With the seed and the draws
        of params.yaml, the mean over the test images is −``nll`` of metrics/evaluate_vae.json. A Bernoulli likelihood's
        is of the black and white draw that :meth:`encode` sees; a Gaussian one's is a density and may be positive.

        Args:
            images: as for :meth:`encode`.
            draws: of z for each image.
            seed: of these draws, and of the pixels'.
            labels: as for :meth:`encode`; the bound is then on log p(x|y).

        Raises:
            UserError: as for :meth:`encode`, or ``draws`` is below 1.
        """
        self._require("log_likelihood", ENCODER, LIKELIHOOD)
        vae, pixels, classes = self._checked("log_likelihood", images, labels, seed)
        _whole("draws", draws, 1, 1_000_000)
        with _set_up(self._device) as device:
            from genbalance.evaluation.likelihood import importance_weighted_bound
            from genbalance.runtime.device import generator

            noise = generator(seed, f"evaluate/{self.family}/draws", device)
            seen, condition = self._seen(vae, pixels, seed, device), self._tensor(classes, device)
            return -importance_weighted_bound(vae, seen, draws, noise, condition)

    def _require(self, method: str, *parts: str) -> None:
        for part in parts:
            if part in self._parts:
                continue
            one = next(each.name for each in known().values() if part in each.parts)
            raise UserError(
                f"{method}: a {self.family} has no {part}; allowed: a model that has one, such as the {one}"
            )

    def _vae(self, method: str) -> "Vae":
        self._require(method, ENCODER)
        return cast("Vae", known()[self.family].make_autoencoder(self.network))

    def _checked(
        self, method: str, images: Given, labels: ArrayLike | None, seed: int
    ) -> "tuple[Vae, NDArray[np.uint8], NDArray[np.int64] | None]":
        """The network, the pixels and the labels that a method takes, all checked."""
        vae = self._vae(method)
        _whole("seed", seed, 0, LARGEST_SEED)
        pixels = _as_coloured(_pixels("images", images), self.shape)
        if (found := shape_of(pixels)) != self.shape:
            raise UserError(
                f"images: found {in_words(found)}, but the {self.family} has {in_words(self.shape)}; make them equal"
            )
        return vae, pixels, self._labels(labels, len(pixels))

    def _labels(self, labels: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
        if not self.classes:
            if labels is not None:
                raise UserError(f"labels: found some, but this {self.family} is not conditional; allowed: None")
            return None
        if labels is None:
            raise UserError(f"labels: found None; this {self.family} is conditional and needs one for each image")
        found = _array("labels", labels)
        if found.shape != (n,) or found.dtype.kind not in "iu":
            raise UserError(f"labels: found {found.dtype} of shape {[*found.shape]}; allowed: whole numbers [{n}]")
        if n and not 0 <= found.min() <= found.max() < self.classes:
            raise UserError(f"labels: found {found.min()} … {found.max()}; allowed: 0 … {self.classes - 1}")
        return found.astype(np.int64)

    def _tensor(self, labels: NDArray[np.int64] | None, device: "torch.device") -> "torch.Tensor | None":
        import torch

        return None if labels is None else torch.from_numpy(labels).to(device)

    def _seen(self, vae: "Vae", pixels: NDArray[np.uint8], seed: int, device: "torch.device") -> "torch.Tensor":
        """What the encoder sees [n, C, H, W]."""
        import torch

        from genbalance.losses.vae import binarize
        from genbalance.runtime.device import generator, upload

        x = upload(pixels, UNIT, device)
        if getattr(vae, "likelihood", None) != "bernoulli":
            return x
        noise = generator(seed, f"evaluate/{self.family}/binary", device)
        return binarize(x, torch.rand(x.shape, generator=noise, device=device))

    def _posterior(self, vae: "Vae", seen: "torch.Tensor", labels: "torch.Tensor | None") -> Posterior:
        import torch

        from genbalance.evaluation.features import in_blocks

        def both(*given: torch.Tensor) -> torch.Tensor:
            posterior = vae.encode(*given)
            return torch.stack([posterior.mean, posterior.stddev], dim=1)

        return Posterior(*in_blocks(both, seen, labels).numpy().swapaxes(0, 1))

    def _decoded(self, vae: "Vae", z: "torch.Tensor", labels: "torch.Tensor | None") -> Images:
        from genbalance.evaluation.features import in_blocks
        from genbalance.runtime.device import channels_last

        decoded = in_blocks(lambda *given: vae.decode(*given).mean, z, labels, values=vae.outputs)
        images: Images = channels_last(decoded).numpy()
        return images


def load(name: Place, *, rev: str | None = None, device: str = "cpu") -> Model:
    """A trained model.

    Args:
        name: a family, such as gan or vae: what the pipeline trained, models/NAME.safetensors of this repository; a
            path to a .safetensors file of one; or a version in MLflow's registry, ``models:/genbalance-vae@champion``
            or ``models:/genbalance-vae/2``.
        rev: a DVC experiment or a git revision (``beta-4``, ``main``, ``HEAD~1``): the file as that commit has it, out
            of DVC's cache or remote, without a checkout.
        device: cpu, cuda, or auto: cuda where there is one.

    Raises:
        UserError: there is no such file, version or revision, it is not the weights of one of these, or DVC does not
            have it.
    """
    if device not in ("cpu", "cuda", "auto"):
        raise UserError(f"device: found {device!r}; allowed: cpu, cuda or auto")
    with tempfile.TemporaryDirectory() as folder:
        return _read(_file(name, rev, Path(folder)), device)


def load_data(split: str = "test", *, data: Place | None = None) -> tuple[Images, NDArray[np.int64]]:
    """The images [n, H, W] or [n, H, W, 3] in [0, 1] of a split, and their labels [n].

    Args:
        split: train, val or test.
        data: the folder that `prepare` wrote, in place of this repository's data/prepared.

    Raises:
        UserError: there is no such split, or it was not prepared.
    """
    if split not in prepared.PARTS:
        raise UserError(f"split: found {split!r}; allowed: {', '.join(prepared.PARTS)}")
    part: prepared.Split = getattr(prepared.load(_place(data, DATA)), split)
    return _as_floats(part.images), part.labels


def features(images: Given, *, classifier: Place | None = None, data: Place | None = None) -> NDArray[np.float32]:
    """Feature vectors [n, 128], ≥ 0: the penultimate layer of the reference classifier; of stacked digits [n, 384].

    Args:
        images: see :mod:`genbalance.api`.
        classifier: the reference classifier, in place of this repository's models/classifier.safetensors.
        data: the prepared images that it was trained on, in place of this repository's data/prepared.

    Raises:
        UserError: the images are not as they should be, or the classifier or its digits are not there.
    """
    return _features("images", _pixels("images", images), classifier, data)


def frechet_distance(
    a: Given,
    b: Given,
    *,
    classifier: Place | None = None,
    data: Place | None = None,
    features: Place | None = None,
    features_size: int | None = None,
) -> float:
    """The Fréchet distance of two sets, FID's formula on our classifier's features (no Inception-FID) or on those of
    another network, ≥ 0.

    It has a bias that falls as 1/n: compare it at one n only, beside the distance of as many real images.

    Args:
        a: images (see :mod:`genbalance.api`), or features [n, d], n ≥ 2.
        b: the other set, of any size ≥ 2.
        classifier: as for :func:`features`.
        data: as for :func:`features`.
        features: another network in place of the classifier, as for :func:`evaluate`; a and b may differ in size then,
            if the network's file or ``features_size`` fixes the one that they are resized to.
        features_size: as for :func:`evaluate`.

    Raises:
        UserError: as for :func:`features`, there are too few, or the network would read a and b in different sizes.
    """
    read = {name: _vectors_or_pixels(name, given) for name, given in (("a", a), ("b", b))}
    images = {name: found for name, found in read.items() if found.ndim > 2}  # [n, H, W] or [n, H, W, 3]
    if features is None:
        points = read | {name: _features(name, found, classifier, data) for name, found in images.items()}
    else:
        points = read | _features_of_a_file(images, Path(features), features_size)
    if points["a"].shape[1] != points["b"].shape[1]:
        raise UserError(f"b: found {points['b'].shape[1]} features, but a has {points['a'].shape[1]}; make them equal")

    from genbalance.evaluation import frechet

    return frechet.frechet_distance(points["a"], points["b"])


def evaluate(
    images: Given,
    *,
    data: Place | None = None,
    classifier: Place | None = None,
    params: Place | None = None,
    reference: "Given | None" = None,
    features: Place | None = None,
    features_size: int | None = None,
    resize: bool = False,
) -> dict[str, Any]:
    """The metrics of images against as many test images, by name: what `genbalance evaluate FILE --json` writes.

    ``n`` images a side were measured; ``*_floor`` and ``*_real`` are the values of real images, ``ci95`` holds 95%
    intervals by metric (``low``, ``high``), ``class_histogram`` the share of each class. docs/metrics.md defines each.

    Args:
        images: see :mod:`genbalance.api`. Of more than there are test images, or than ``evaluate.samples``, as many are
            drawn by the seed.
        data: the prepared images, in place of this repository's data/prepared.
        classifier: the reference classifier, in place of this repository's models/classifier.safetensors.
        params: whose ``seed``, ``compute`` and ``evaluate`` are used, in place of this repository's params.yaml; with a
            ``reference``, where there is none, the released values.
        reference: real images in place of the prepared ones, as ``images``: by the seed a half of them becomes training
            images, a tenth validation images, and with the rest is compared.
        features: a file .onnx or .pt (TorchScript) in place of the classifier, which takes float32 [B, C, H, W] in [0,
            1] to [B, d]; what needs class probabilities is left out. Load files that you trust.
        features_size: pixels a side that images are resized to for it, where the file does not say so itself.
        resize: images of another size are resized by area to those compared with, and cut to the middle; colours become
            grey where those are.

    Raises:
        UserError: anything wrong with these, before any time is spent.
    """
    from genbalance.evaluation.own_images import evaluate as measure

    given, real = (
        Path(each) if isinstance(each, str | Path) else None if each is None else _pixels(name, each)
        for name, each in (("images", images), ("reference", reference))
    )
    assert given is not None
    settings = _place(params, PARAMS)
    with _restored():
        return measure(
            given,
            _place(data, DATA),
            _place(classifier, CLASSIFIER),
            None if real is not None and params is None and not settings.exists() else settings,
            reference=real,
            features=None if features is None else Path(features),
            features_size=features_size,
            resize=resize,
        ).metrics


def list_experiments(*names: str, every: bool = False) -> "pd.DataFrame":
    """The runs of the pipeline that git keeps, a row each: DVC's experiments and other commits, without a checkout.

    Columns: ``name``, ``commit``, ``machine``, ``seed``; params by dotted key as `-S` spells them; metrics by file and
    key, such as ``evaluate_vae.nelbo``, NaN where a run has none. Of the params the coefficients (lambda, beta) and
    those that differ, of the metrics the headline ones.

    Args:
        names: experiments, patterns of them (``base-*``) or git revisions; without any, HEAD and all experiments that
            were run to an end.
        every: all params and metrics.

    Raises:
        UserError: a name stands for nothing, or for a commit without params.yaml or metrics.
    """
    import pandas as pd

    from genbalance.experiments.compare import headline
    from genbalance.experiments.runs import completed_runs, differing, find_runs

    found = find_runs(",".join(names)) if names else completed_runs()
    params = list(dict.fromkeys(key for run in found for key in run.params))
    metrics = list(dict.fromkeys(key for run in found for key in run.metrics))
    if not every:
        coefficients = {key for family in known().values() for key in family.coefficients}
        varying = differing(*(run.params for run in found))
        params = [key for key in params if key in coefficients or key in varying]
        metrics = [key for key in headline(found) if key in metrics]
    own = ["name", "commit", "machine", "seed"]
    rows = [{key: getattr(run, key) for key in own} | {**run.params, **run.metrics} for run in found]
    return pd.DataFrame(rows, columns=[*own, *params, *metrics])


def compare(*groups: str, every: bool = False) -> "pd.DataFrame":
    """Groups of runs, each compared with the first, metric by metric: `genbalance compare --json` as a table.

    Indexed by ``metric`` and ``group``. Columns: ``params.<key>`` for each param that differs; ``n`` seeds, their
    ``mean`` and ``sd``; and, NaN for the first group, the ``difference`` from it with its 95% interval ``low`` …
    ``high``, ``p``, Holm's ``p_holm``, the ``effect`` (Hedges' g) and the ``verdict`` in words. What holds for the
    whole comparison is in ``attrs``: compared_with, paired, code, machines, same, left_out.

    Args:
        groups: two or more, each ``base-*``, a revision, or several with commas; a single one is split into its
            settings.
        every: every metric, not only the headline ones.

    Raises:
        UserError: a group stands for nothing, or its runs differ in more than the seed.
    """
    if not groups:
        raise UserError("groups: found none; allowed: one to split into its settings, or two and more to compare")

    from genbalance.experiments.compare import as_json, compare_groups, find_groups
    from genbalance.experiments.compare_table import table

    found = compare_groups(find_groups(groups), every=every)
    whole = as_json(found)
    frame = table(found)
    frame.attrs = {key: whole[key] for key in ("compared_with", "paired", "code", "machines", "same", "left_out")}
    return frame


def _file(name: Place, rev: str | None, folder: Path) -> Path:
    """The file of weights of that name; one from elsewhere is copied into ``folder``."""
    text = str(name)
    if text.startswith(REGISTERED):
        if rev is not None:
            raise UserError(f"rev: found {rev!r} beside {text}, which names a version; allowed: None")
        from genbalance.tracking.registry import download

        return download(text, folder)
    if text.endswith(".safetensors"):
        path = Path(name)
    elif text in known():
        path = _place(None, f"models/{text}.safetensors")
    else:
        raise UserError(
            f"name: found {text!r}; allowed: {', '.join(known())}, a path to a .safetensors file, or a version in the "
            "registry such as models:/genbalance-vae@champion"
        )
    if rev is None:
        return path
    from genbalance.experiments.runs import cached_out, find_commits

    commits = find_commits(rev)
    if len(commits) > 1:
        raise UserError(f"rev: found {rev!r}, which stands for {', '.join(commits.values())}; allowed: one of them")
    if not path.resolve().is_relative_to(root()):
        raise UserError(f"{path}: found with rev={rev!r}, but it lies outside of the repository; allowed: a file in it")
    copy = folder / path.name
    copy.write_bytes(cached_out(rev, next(iter(commits)), path.resolve().relative_to(root()).as_posix()))
    return copy


def _read(path: Path, device: str) -> Model:
    """The model of a file: the first family whose network takes the arguments in the file's header, beginning with the
    family that the file is named after."""
    from genbalance.models import weights

    candidates = sorted(known().values(), key=lambda each: each.name != path.stem)
    with _set_up(device) as place:
        header, found = dict[str, Any](), list[Family]()

        def build(**config: Any) -> "torch.nn.Module":
            for candidate in candidates:
                try:
                    signature(candidate.build).bind(**config)
                except TypeError:
                    continue
                header.update(config)
                found.append(candidate)
                network: torch.nn.Module = candidate.build(**config)
                return network
            raise UserError(f"{path}: is a network of none of the families; allowed: {', '.join(known())}")

        network = weights.load(path, build, place)
    return Model(found[0], network, found[0].make_sampler(network), header["shape"], device)


@contextmanager
def _set_up(device: str) -> "Iterator[torch.device]":
    """The settings of a stage inside the block, with the caller's number of threads."""
    with _restored():
        import torch

        from genbalance.params import ComputeConfig
        from genbalance.runtime.device import set_up

        threads = min(torch.get_num_threads(), 256)  # the most that params.yaml takes
        fixed = {"processes": 1, "precision": "fp32", "bits": "native"}
        values = {"device": device, "threads": threads, **fixed}
        yield set_up(ComputeConfig.model_validate(values), 0, "api")


@contextmanager
def _restored() -> Iterator[None]:
    """Puts back what `runtime.device.set_up` changes for the whole process, and the state of torch's own generators."""
    import torch
    from threadpoolctl import threadpool_limits

    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    flushes = not torch.tensor(1e-310, dtype=torch.float64).mul(1).item()  # torch has no getter
    environment = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    try:
        with torch.random.fork_rng(), threadpool_limits(None):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.set_flush_denormal(flushes)
        if environment is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def _place(given: Place | None, usual: str) -> Path:
    """The path that is given, else the usual one in this repository, as seen from the working directory."""
    return Path(given) if given is not None else Path(os.path.relpath(root() / usual))


def _features(
    name: str, pixels: NDArray[np.uint8], classifier: Place | None, data: Place | None
) -> NDArray[np.float32]:
    from genbalance.evaluation.reference_classifier import load_extractor

    folder = _place(data, DATA)
    dataset = prepared.load(folder)
    pixels = _as_coloured(pixels, dataset.shape)
    if (found := shape_of(pixels)) != dataset.shape:
        raise UserError(
            f"{name}: found {in_words(found)}, but those of {folder} have {in_words(dataset.shape)}; make them equal"
        )
    with _set_up("cpu") as device:
        return load_extractor(_place(classifier, CLASSIFIER), folder, dataset, device).read(pixels).features


def _features_of_a_file(
    images: dict[str, NDArray[np.uint8]], file: Path, size: int | None
) -> dict[str, NDArray[np.float32]]:
    """The features of sets of images, all grey or all in colour, by the network of a file, which reads them in one
    size."""
    from genbalance.evaluation.feature_files import load as load_network

    if any(pixels.ndim == 4 for pixels in images.values()):
        images = {name: in_colour(pixels) for name, pixels in images.items()}
    with _set_up("cpu") as device:
        networks = {name: load_network(file, size, shape_of(pixels), device) for name, pixels in images.items()}
        if len({network.size for network in networks.values()}) > 1:
            (a, b) = (in_words(shape_of(pixels)) for pixels in images.values())
            raise UserError(
                f"features_size: found None, but a has {a}, b has {b}, and {file} takes either; allowed: the pixels a "
                "side that both are resized to"
            )
        return {name: network.read(images[name]).features for name, network in networks.items()}


def _vectors_or_pixels(name: str, given: Given) -> NDArray[Any]:
    """Features [n, d], or images uint8 [n, H, W] or [n, H, W, 3]; at least two."""
    found = given if isinstance(given, str | Path) else _array(name, given)
    points = _floats(name, found) if isinstance(found, np.ndarray) and found.ndim == 2 else _pixels(name, found)
    if len(points) < 2:
        raise UserError(f"{name}: found {len(points)}; allowed: at least 2, or there is no covariance")
    return points


def _pixels(name: str, given: Given) -> NDArray[np.uint8]:
    """Images uint8 [n, H, W] or [n, H, W, 3]."""
    if isinstance(given, str | Path):
        read = image_files.read_images(Path(given))
        for warning in read.warnings:
            warnings.warn(warning, stacklevel=3)
        return read.images
    return as_images(_array(name, given), Path(name))


def _as_coloured(pixels: NDArray[np.uint8], shape: Sequence[int]) -> NDArray[np.uint8]:
    """The images with three channels if those of the ``shape`` [channels, height, width] have three: also the images of
    a colour model may all be grey, and are then read as grey ones."""
    return in_colour(pixels) if shape[0] == 3 else pixels


def _floats(name: str, given: ArrayLike) -> NDArray[np.float32]:
    found = _array(name, given)
    if found.dtype.kind not in "iuf":
        raise UserError(f"{name}: found values of type {found.dtype}; allowed: numbers")
    if not np.isfinite(found).all():
        raise UserError(f"{name}: found NaN or infinite values; allowed: finite numbers")
    return found.astype(np.float32)


def _array(name: str, given: Any) -> NDArray[Any]:
    """An array or a tensor, wherever it lies, as an array."""
    try:
        return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name}: is no array ({str(error).splitlines()[0]}); allowed: one of numbers") from None


def _whole(name: str, found: int, low: int, high: int) -> None:
    if isinstance(found, bool) or not isinstance(found, int | np.integer) or not low <= found <= high:
        raise UserError(f"{name}: found {found!r}; allowed: a whole number of {low} … {high}")


def _as_floats(pixels: NDArray[np.uint8]) -> Images:
    floats: Images = UNIT.encode(pixels)
    return floats
