"""Why a model does what it does: which pixels make its discriminator call an image generated and the reference
classifier read it as a class, and what its latents mean. A page, and the numbers on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genbalance.data.pixels import SIGNED, Pixels
from genbalance.reporting.explanation_page import (
    LOWERS,
    RAISES,
    Example,
    Explained,
    Explanation,
    Latents,
    Row,
    explanation_page,
)
from genbalance.reporting.text import number
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import whole_file
from genbalance.sampling.context import Context, check_there
from genbalance.sampling.play import STEPS, png

if TYPE_CHECKING:
    import torch

    from genbalance.data.prepared import Split
    from genbalance.evaluation.attribution import Score
    from genbalance.sampling.sampler import Condition, Images

DRAWN = 500  # samples, and test images, among which examples of the discriminator's and of the classifier's are found
SHOWN = 6  # examples of a kind, at most
CODED = 2_000  # test images whose codes say which latents are active
STARTS = 32  # test images from whose codes on a latent is moved
LATENTS = 8  # that are shown, at most
ENDS = (1, 99)  # per cent of the codes that lie below where a latent's row begins, and below where it ends
NAMED = 3  # classes that a latent speaks most for, and most against
DARKENED = 0.4  # what is left of an image's levels below its map
FULL = 99  # per cent of a map's values that have less than full colour
TINY = 1e-30
CLASSES = 20  # from which samples are drawn, of a model that is asked for one

Values = NDArray[np.floating]
Labels = NDArray[np.int64]


def explain(context: Context, out: Path) -> str:
    """Writes the page of a model.

    Args:
        context: of the command.
        out: an HTML file.

    Returns:
        What was found, in lines.

    Raises:
        UserError: an option or a file is not as it should be, or there is nothing to explain: no discriminator, no
            encoder, and no classifier of classes.
    """
    if out.suffix.lower() != ".html":
        raise UserError(f"--out: found '{out.name}'; allowed: a file name that ends in .html")
    _ = context.config, context.dataset
    check_there(context.file)
    explainer = Explainer(context)
    found, latents = [*explainer.pixels()], explainer.latents()
    if not found and latents is None:
        raise UserError(
            f"{context.file}: has neither a discriminator nor an encoder, and {context.classifier} reads no classes: "
            "there is nothing to explain"
        )
    page = explanation_page(Explanation(context.family, context.dataset.title, context.root, found, latents))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as part:
            part.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    lines = [f"{section.title}: {section.checks}" for section in found]
    lines += [] if latents is None else [f"Latents: {latents.about}"]
    return "\n".join([*lines, str(out)])


@dataclass(frozen=True)
class _Asked:
    """Images [n, H, W(, 3)] with the words for each, and what the score takes beside each, [n, …]."""

    images: "Images"
    names: Sequence[str]
    given: "Sequence[torch.Tensor]"


class Explainer:
    """Explains the model of a context; the same context, the same explanation."""

    def __init__(self, context: Context) -> None:
        self._context, self._dataset = context, context.dataset
        self._sampler = context.sampler
        self._controls = self._sampler.controls
        self._reads = context.dataset.has_classes and context.classifier.exists()

    def pixels(self) -> Iterator[Explained]:
        """What its discriminator and the classifier say, where they are there."""
        if self._controls.discriminator is not None:
            yield self._discriminator()
        if self._reads and (read := self._classifier()) is not None:
            yield read

    @cached_property
    def _samples(self) -> "tuple[Images, Condition, Labels | None]":
        """Samples, their conditions, and the classes that were asked for; None where none can be."""
        import torch

        from genbalance.runtime.device import generator

        noise = generator(self._context.root, f"explain/{self._context.model}", self._context.device)
        labels = None
        if self._sampler.classes:
            labels = np.arange(DRAWN) * min(self._sampler.classes, CLASSES) // DRAWN
        images, conditions = [], []
        for label in [None] if labels is None else np.unique(labels).tolist():
            count = DRAWN if labels is None else int((labels == label).sum())
            with torch.no_grad():
                z, condition = self._sampler.draw(count, noise, label)
            images.append(self._sampler.images(z, condition))
            conditions += [] if condition is None else [condition]
        return np.concatenate(images), torch.cat(conditions) if conditions else None, labels

    def _discriminator(self) -> Explained:
        import torch

        from genbalance.evaluation.features import in_blocks
        from genbalance.runtime.device import upload

        discriminator, device = self._controls.discriminator, self._context.device
        assert discriminator is not None
        images, condition, _ = self._samples
        real = np.ascontiguousarray(self._dataset.test.images[:DRAWN])
        labels = torch.from_numpy(self._dataset.test.labels[:DRAWN]).to(device)
        of_real = discriminator.conditions_of(upload(real, SIGNED, device), labels)
        logits, logits_of_real = (
            in_blocks(discriminator.logits, upload(some, SIGNED, device), given).numpy()
            for some, given in ((images, condition), (real, of_real))
        )
        order, order_of_real = np.argsort(logits), np.argsort(logits_of_real)
        half = SHOWN // 2
        found = {
            f"Samples that it takes for generated most surely, of {len(images)}": order[:SHOWN],
            "Samples that it takes for real most surely": order[::-1][:SHOWN],
            f"Real test images: those with the lowest and the highest logits, of {len(real)}": np.array(
                [*dict.fromkeys([*order_of_real[:half], *order_of_real[-half:]])]
            ),
        }
        *of_samples, last = found
        groups = {name: _asked(images, logits, condition, found[name]) for name in of_samples}
        groups[last] = _asked(real, logits_of_real, of_real, found[last])
        return self._explained(
            "Why does D call it generated?",
            "The score is D’s logit: the larger it is, the surer D is that the image is real.",
            ("real", "generated"),
            discriminator.logits,
            SIGNED,
            groups,
        )

    def _classifier(self) -> Explained | None:
        import torch

        extractor, test = self._context.extractor, self._dataset.test
        network, device = extractor.network, self._context.device

        def score(images: "torch.Tensor", pair: "torch.Tensor") -> "torch.Tensor":
            logits = network.head(network.features(images))
            both: torch.Tensor = logits.gather(1, pair)
            return both[:, 0] - both[:, 1]

        def asked(images: "Images", probabilities: Values, others: Labels, names: Sequence[str]) -> _Asked:
            pairs = np.stack([probabilities.argmax(axis=1), others], axis=1)
            return _Asked(images, names, [torch.from_numpy(pairs).to(device)])

        def misread(images: "Images", probabilities: Values, labels: Labels) -> "_Asked | None":
            """Those that it is surest of and wrong."""
            wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
            rows = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")[:SHOWN]]
            if not len(rows):
                return None
            names = [
                f"{self._named(labels[row])}, read as {self._named(probabilities[row].argmax())} "
                f"({probabilities[row].max():.0%})"
                for row in rows
            ]
            return asked(images[rows], probabilities[rows], labels[rows], names)

        def unsure(images: "Images", probabilities: Values) -> _Asked:
            """Those whose two most probable classes are nearest to one another."""
            first, second = np.argsort(-probabilities, axis=1, kind="stable").T[:2]
            every = np.arange(len(images))
            rows = np.argsort(probabilities[every, first] - probabilities[every, second], kind="stable")[:SHOWN]
            names = [
                f"{self._named(first[row])} ({probabilities[row, first[row]]:.0%}) or {self._named(second[row])} "
                f"({probabilities[row, second[row]]:.0%})"
                for row in rows
            ]
            return asked(images[rows], probabilities[rows], second[rows], names)

        samples, _, wanted = self._samples
        read, read_of_test = (extractor.read(some).probabilities for some in (samples, test.images))
        groups = {
            f"Samples that it is least sure of, of {len(samples)}": unsure(samples, read),
            "Samples that it reads as another class than was asked for": None
            if wanted is None
            else misread(samples, read, wanted),
            f"Test images that it misreads, surest first, of {len(test):,}": misread(
                test.images, read_of_test, test.labels
            ),
        }
        return self._explained(
            "Why does the classifier read it so?",
            "The score is the difference of two logits of the reference classifier: of the class that it reads, less "
            "that of the true one, of the one that was asked for, or of the second most probable one.",
            ("the class that it reads", "the other one"),
            score,
            extractor.pixels,
            {name: it for name, it in groups.items() if it is not None},
        )

    def _named(self, label: int) -> str:
        return self._dataset.class_name(int(label))

    def _explained(
        self,
        title: str,
        about: str,
        speaks: tuple[str, str],
        score: "Score",
        pixels: Pixels,
        groups: dict[str, _Asked],
    ) -> Explained:
        from genbalance.evaluation.attribution import agreement, integrated_gradients, occlusion
        from genbalance.runtime.device import channels_last, upload

        shown, correlations, errors, differences = {}, [], 0.0, 0.0
        for name, asked in groups.items():
            images = upload(np.ascontiguousarray(asked.images), pixels, self._context.device)
            baseline = upload(np.zeros_like(asked.images[:1]), pixels, self._context.device)[0]
            maps, missing = integrated_gradients(score, images, baseline, *asked.given)
            lost = occlusion(score, images, baseline, *asked.given)
            of_images = agreement(maps, lost, images, baseline)
            correlations += of_images[~np.isnan(of_images)].tolist()
            errors += float(missing.abs().sum())
            differences += float((maps.flatten(1).sum(dim=1) - missing).abs().sum())
            drawn = [channels_last(it.sum(dim=1, keepdim=True)).numpy() for it in (maps, lost)]
            shown[name] = [
                Example(png(image), png(_heat(image, first)), png(_heat(image, second)), words,
                        "" if np.isnan(r) else _two(r))
                for image, first, second, words, r in zip(
                    asked.images, *drawn, asked.names, of_images.tolist(), strict=True
                )
            ]  # fmt: skip
        checks = (
            f"The maps add up to the score’s difference from that of a black image, within "
            f"{errors / max(differences, TINY):.1%}."
        )
        if correlations:
            checks = (
                f"The correlation of integrated gradients with occlusion is {_two(np.mean(correlations))}, the mean "
                f"over {len(correlations)} images ({_two(min(correlations))} … {_two(max(correlations))}). {checks}"
            )
        return Explained(title, about, *speaks, shown, checks)

    def latents(self) -> Latents | None:
        """Its most active latents; None without an encoder."""
        if self._controls.encode is None:
            return None
        from genbalance.evaluation.codes import PROBED
        from genbalance.evaluation.latents import are_active
        from genbalance.evaluation.probe import probe_weights

        codes = self._codes(self._dataset.test, CODED)
        active, variances = are_active(codes), codes.var(axis=0, dtype=np.float64)
        chosen = [int(latent) for latent in np.argsort(-variances, kind="stable")[:LATENTS] if active[latent]]
        weights = np.zeros((0, len(active)))
        if self._reads:
            classes, found = probe_weights(
                self._codes(self._dataset.train, PROBED), self._dataset.train.labels[:PROBED]
            )
            weights = np.zeros((self._dataset.classes, len(active)))
            weights[classes] = found
        rows, agreements = [], []
        for latent in chosen:
            row, moved = self._row(codes, latent, weights)
            rows.append(row)
            if moved is not None and np.ptp(moved) > 0 and np.ptp(weights[:, latent]) > 0:
                agreements.append(float(np.corrcoef(moved, weights[:, latent])[0, 1]))
        few = min(STARTS, len(codes))
        about = (
            f"{int(active.sum())} of {len(active)} latents are active: E[z|x] varies over {len(codes):,} test images "
            f"by more than 0.01. Shown are the {len(rows)} that vary most, each moved from the value that {ENDS[0]}% "
            f"of the codes lie below to the one that {ENDS[1]}% lie below, in the code of that test image, of the "
            f"first {few}, which it changes most."
        )
        if agreements:
            about += (
                f" The change of each class’s mean probability along a latent, over these {few} test images, "
                f"correlates with the classes’ weights in the linear probe: {_two(np.mean(agreements))}, the mean over "
                f"{len(agreements)} latents."
            )
        return Latents(rows, about)

    def _codes(self, split: "Split", most: int) -> Values:
        """E[z|x] of the first images [n, L]."""
        import torch

        from genbalance.runtime.device import generator

        encode = self._controls.encode
        assert encode is not None
        device = self._context.device
        labels = torch.from_numpy(split.labels[:most]).to(device) if self._sampler.classes else None
        noise = generator(self._context.root, f"evaluate/{self._context.model}/binary", device)  # the API's
        codes: Values = encode(np.ascontiguousarray(split.images[:most]), labels, noise).numpy()
        return codes

    def _row(self, codes: Values, latent: int, weights: Values) -> tuple[Row, Values | None]:
        """A latent's row, and by how much the mean probability of each class [C] changes along it; None where no
        classifier reads classes."""
        import torch

        device = self._context.device
        low, high = np.percentile(codes[:, latent], ENDS)
        values = np.linspace(low, high, STEPS)
        starts = codes[:STARTS].repeat(STEPS, axis=0)
        starts[:, latent] = np.tile(values, len(codes[:STARTS]))
        condition = None
        if self._sampler.classes:
            condition = torch.from_numpy(self._dataset.test.labels[:STARTS].repeat(STEPS)).to(device)
        flat = self._sampler.images(torch.from_numpy(starts).to(device), condition)
        images = flat.reshape(-1, STEPS, *flat.shape[1:])
        change = images.astype(np.float64).var(axis=1).reshape(len(images), -1).sum(axis=1)
        read: list[str] = []
        moved = None
        if self._reads:
            probabilities = self._context.extractor.read(flat).probabilities.reshape(*images.shape[:2], -1)
            change = np.abs(probabilities[:, -1] - probabilities[:, 0]).sum(axis=1)
            moved = probabilities.mean(axis=0, dtype=np.float64)[-1] - probabilities.mean(axis=0, dtype=np.float64)[0]
        shown = int(change.argmax())
        if moved is not None:
            read = [f"{self._named(it.argmax())} ({it.max():.0%})" for it in probabilities[shown]]
        row = Row(
            latent,
            number(float(codes[:, latent].var(dtype=np.float64)), 3),
            (_two(low), _two(high)),
            [png(image) for image in images[shown]],
            read,
            "" if moved is None else self._most(moved, "{:+.2f}"),
            "" if moved is None else self._most(weights[:, latent], "{:+.1f}"),
        )
        return row, moved

    def _most(self, values: Values, form: str) -> str:
        """The classes with the largest values above 0, and with the least below it."""
        order = np.argsort(values, kind="stable")
        chosen = (
            [row for row in order[::-1][:NAMED] if values[row] > 0],
            [row for row in order[:NAMED] if values[row] < 0],
        )
        return "; ".join(
            f"{word} {', '.join(f'{self._named(row)} ({form.format(values[row])})' for row in rows)}"
            for word, rows in zip(("more", "less"), chosen, strict=True)
            if rows
        ).replace("-", "−")


def _asked(images: "Images", logits: Values, condition: "Condition", rows: Labels) -> _Asked:
    names = [f"logit {logits[row]:.1f}".replace("-", "−") for row in rows]
    return _Asked(images[rows], names, () if condition is None else [condition[rows.tolist()]])


def _two(value: "float | np.floating") -> str:
    """With two decimals."""
    return f"{value:.2f}".replace("-", "−")


def _heat(image: "Images", values: Values) -> "Images":
    """A map [H, W] on a darkened image [H, W(, 3)], as colour [H, W, 3]."""
    grey = image.astype(np.float64) if image.ndim == 2 else image.mean(axis=2)
    size = np.abs(values)[..., None].astype(np.float64)
    strength = (size / max(float(np.percentile(size, FULL)), TINY)).clip(0, 1)
    raises, lowers = (np.array(bytearray.fromhex(colour[1:]), np.float64) for colour in (RAISES, LOWERS))
    colour = np.where(values[..., None] > 0, raises, lowers)
    mixed: Images = (DARKENED * grey[..., None] * (1 - strength) + colour * strength).round().astype(np.uint8)
    return mixed
