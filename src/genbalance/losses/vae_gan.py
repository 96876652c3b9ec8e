"""The first two terms of the VAE-GAN's L = L_recon + β·L_KL + λ·L_G; the third is the GAN's (`losses/gan.py`)."""

from torch import Tensor


def feature_distortion(features: Tensor, reconstructed: Tensor) -> Tensor:
    """−log N(f(x); f(x̃), σ²·I) of the discriminator's features f of images and of their reconstructions, both [B, F]
    (Larsen et al. 2016, arXiv:1512.09300, equation 7), relative to the best constant: F/2 · log(MSE / V), nats per
    image, a scalar.

    σ² is the one that the batch makes most likely, the mean squared error (Rybkin et al. 2021, arXiv:2006.13202), and V
    the mean variance of the features over the batch: the term is 0 for reconstructions that ignore the image, negative
    for better ones, and does not depend on the features' scale. It is no bound on log p(x), and its reference moves as
    the discriminator does. No gradient reaches ``features``.
    """
    features = features.detach()
    error = (features - reconstructed).square().mean()
    variance = features.var(dim=0, correction=0).mean()
    return features.shape[1] / 2 * (error.clamp(min=1e-12).log() - variance.clamp(min=1e-12).log())


def vae_loss(distortion: Tensor, rate: Tensor, beta: float) -> Tensor:
    """L_recon + β·L_KL, nats per image, a scalar."""
    return distortion + beta * rate
