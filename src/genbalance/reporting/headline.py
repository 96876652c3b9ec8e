"""The few numbers and pictures that stand for a whole pipeline run; none tells of the data alone, such as a floor."""

from pathlib import Path

from genbalance.reporting.results import Results

SAMPLES = ("fd_infinity", "precision", "recall", "density", "coverage", "nn_accuracy", "authenticity")

HEADLINE = {
    "test_accuracy": ("train_classifier", "test_accuracy"),
    "gan_fd_test": ("evaluate_gan", "fd_test"),
    "gan_kid_test": ("evaluate_gan", "kid_test"),
    "gan_classifier_score": ("evaluate_gan", "classifier_score"),
    "gan_d_accuracy_generated": ("evaluate_gan", "d_accuracy_generated"),
    **{f"gan_{key}": ("evaluate_gan", key) for key in (*SAMPLES, "mse", "ssim")},
    "vae_fd_test": ("evaluate_vae", "fd_test"),
    "vae_kid_test": ("evaluate_vae", "kid_test"),
    "vae_classifier_score": ("evaluate_vae", "classifier_score"),
    **{f"vae_{key}": ("evaluate_vae", key) for key in SAMPLES},
    "vae_nll": ("evaluate_vae", "nll"),
    "vae_nelbo": ("evaluate_vae", "nelbo"),
    "vae_rate": ("evaluate_vae", "rate"),
    "vae_distortion": ("evaluate_vae", "distortion"),
    "vae_mse": ("evaluate_vae", "mse"),
    "vae_psnr": ("evaluate_vae", "psnr"),
    "vae_ssim": ("evaluate_vae", "ssim"),
    "vae_active_units": ("evaluate_vae", "active_units"),
}

PICTURES = {name: Path(f"metrics/train_{name}.png") for name in ("gan_samples", "vae_samples", "vae_reconstructions")}


def headline(results: Results) -> dict[str, float]:
    """What the parent run shows in the tracker's table, by name."""
    return {name: results.number(stage, key) for name, (stage, key) in HEADLINE.items()}
