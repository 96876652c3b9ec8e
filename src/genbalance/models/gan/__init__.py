"""Generators z → pixels in (−1, 1) and discriminators pixels → one logit."""

from genbalance.models.gan.model import Discriminator, Gan, Generator

__all__ = ["Discriminator", "Gan", "Generator"]
