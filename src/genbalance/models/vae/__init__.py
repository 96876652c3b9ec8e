"""Encoders pixels → q(z|x), decoders z → p(x|z), and priors p(z)."""

from genbalance.models.vae.model import Vae

__all__ = ["Vae"]
