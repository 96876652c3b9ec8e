"""models/vae.safetensors, judged → metrics/evaluate_vae.json and artifacts/evaluate_vae.

Its samples, its likelihood, its latents and its reconstructions.
"""

from pathlib import Path

from genbalance.params import Params
from genbalance.stage import execute, publish
from genbalance.tracking import Run

DIGITS = Path("data/prepared")
OUT = Path("artifacts/evaluate_vae")
PROBED = 10_000  # training images whose codes the linear probe learns from, at most
CODES = 5_000  # test images whose codes are held against the prior, at most
MAPPED = 2_000  # test images whose codes are shown, at most
METRICS = Path("metrics/evaluate_vae.json")
PRINTED = {
    **{"Fréchet distance": "fd_test", "of real digits": "fd_floor"},
    **{"−ELBO": "nelbo", "IWAE bound": "nll", "active units": "active_units"},
}


def main(params: Params, run: Run) -> None:
    """Measures as many samples as there are real images to hold them against, then every test image."""
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from genbalance import weights
    from genbalance.autoencoding import account
    from genbalance.compute import generator, set_up, upload
    from genbalance.data import prepared
    from genbalance.data.pixels import UNIT, standardized
    from genbalance.evaluation import reconstruction
    from genbalance.evaluation.aggregate import prior_discrepancy
    from genbalance.evaluation.classes import as_asked, draw_labels
    from genbalance.evaluation.discriminants import discriminant_map
    from genbalance.evaluation.distances import frechet_distance
    from genbalance.evaluation.features import in_blocks
    from genbalance.evaluation.judge import Judge
    from genbalance.evaluation.latents import active_units
    from genbalance.evaluation.likelihood import importance_weighted_bound
    from genbalance.evaluation.probe import linear_probe
    from genbalance.evaluation.samples import Bench
    from genbalance.exhibits import exhibit
    from genbalance.files import whole_folder
    from genbalance.generation.tour import tour
    from genbalance.generation.vae_sampler import VaeSampler
    from genbalance.models.classifier import Classifier
    from genbalance.models.vae import Vae
    from genbalance.objectives.vae import binarize, reparameterize
    from genbalance.rng import stream_seed
    from genbalance.tables import save_csv

    seed, knobs = params.seed, params.evaluate
    device = set_up(params.compute, seed, "evaluate_vae")
    digits = prepared.load(DIGITS)
    run.dataset(digits.source, prepared.digest(DIGITS), digits.title, digits.profile)
    classifier = weights.load(Path("models/classifier.safetensors"), Classifier, device)
    model = weights.load(Path("models/vae.safetensors"), Vae, device)

    judge = Judge(classifier, standardized(digits.mean, digits.std), device)
    bench = Bench.of(digits, judge, knobs, seed)
    z = torch.randn(bench.n, model.latents, generator=generator(seed, "evaluate/vae")).to(device)
    wanted = draw_labels(digits.train.labels, bench.n, stream_seed(seed, "evaluate/vae/labels"))

    def told(labels: NDArray[np.int64]) -> torch.Tensor | None:
        """Labels as a conditional model takes them; none for the others."""
        return torch.from_numpy(labels).to(device) if model.classes else None

    sampler = VaeSampler(model)
    samples = sampler.images(z, told(wanted))
    read = judge.read(samples)
    measured = bench.measure(read)

    test, train, labels = digits.test.images, digits.train.images[:PROBED], digits.train.labels[:PROBED]
    test_labels = told(digits.test.labels)
    valued = account(model, upload(test, UNIT, device), generator(seed, "evaluate/vae/test", device), test_labels)
    per_image: dict[str, NDArray[np.float64] | NDArray[np.bool_]] = {
        "nelbo": valued.distortion + valued.rates,
        "rate": valued.rates,
        "distortion": valued.distortion,
    }
    if model.classes:
        per_image["condition_accuracy"] = as_asked(read.probabilities, wanted)

    def seen(images: NDArray[np.uint8], stream: str) -> torch.Tensor:
        """What the encoder sees of images: for a Bernoulli likelihood one binary draw, the same each time."""
        pixels, noise = upload(images, UNIT, device), generator(seed, f"evaluate/vae/{stream}", device)
        if model.likelihood == "gaussian":
            return pixels
        return binarize(pixels, torch.rand(pixels.shape, generator=noise, device=device))

    def draw(images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """z ~ q(z|x)."""
        posterior = model.encode(images, labels)
        return reparameterize(posterior, torch.randn(posterior.mean.shape, generator=of_codes, device=device))

    draws, of_codes = (generator(seed, f"evaluate/vae/{purpose}", device) for purpose in ("draws", "codes"))
    per_image["nll"] = importance_weighted_bound(
        model, seen(test, "binary"), knobs.importance_draws, draws, test_labels
    )

    train_codes = in_blocks(lambda *given: model.encode(*given).mean, seen(train, "train"), told(labels)).numpy()
    per_image["probe_accuracy"] = linear_probe(train_codes, labels, valued.means, digits.test.labels)
    codes = in_blocks(draw, seen(test[:CODES], "binary"), told(digits.test.labels[:CODES])).numpy()
    chance = torch.randn(2, *codes.shape, generator=generator(seed, "evaluate/vae/prior")).to(device)
    prior = [in_blocks(model.prior.draw, half).numpy() for half in chance]

    rebuilt = UNIT.to_uint8(valued.reconstructions)
    before, after = judge.read(test), judge.read(rebuilt)
    quality, certainty = reconstruction.compare(
        UNIT.encode(test), valued.reconstructions, before, after, bench.bootstrap
    )
    metrics = measured.metrics | {name: values.mean() for name, values in per_image.items()} | quality
    metrics |= {
        "nll_draws": knobs.importance_draws,
        "active_units": active_units(valued.means),
        "prior_discrepancy": prior_discrepancy(codes, prior[0]),
        "prior_discrepancy_floor": prior_discrepancy(prior[1], prior[0]),
        "fd_reconstructions": frechet_distance(after.features, before.features),
        "reconstructed": len(test),
    }
    metrics["ci95"] |= certainty | {name: bench.bootstrap.mean(values) for name, values in per_image.items()}
    x, y = discriminant_map(train_codes, labels, valued.means[:MAPPED]).T
    mapped = pd.DataFrame({"x": x, "y": y, "class": digits.test.labels[:MAPPED]})
    with whole_folder(OUT) as folder:
        exhibit(folder, measured, samples, digits, rebuilt)
        tour(sampler, z, told(wanted), read.probabilities).save(folder)
        save_csv(folder / "codes.csv", mapped)
    run.artifact(OUT)
    publish(run, "evaluate_vae", metrics, METRICS, PRINTED)


if __name__ == "__main__":
    execute("evaluate_vae", main)
