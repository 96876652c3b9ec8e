"""What do the balancing coefficients do? λ in a GAN, β in a VAE.

    import genbalance as gb

    vae = gb.load("vae")                    # a family, a .safetensors file, models:/NAME@ALIAS; rev="beta-4"
    images, labels = gb.load_data("test")   # float32 [n, H, W] or [n, H, W, 3] in [0, 1]
    vae.sample(64, seed=0)                  # images
    vae.reconstruct(images)                 # images
    vae.encode(images).mean                 # [n, latents]
    vae.log_likelihood(images)              # nats, [n]
    gb.evaluate(vae.sample(1000))           # the numbers of `genbalance evaluate`, a dict
    gb.list_experiments(), gb.compare("base-*", "beta4-*")  # pandas tables of DVC's experiments

docs/api.md shows each function. An error in the arguments is a ``gb.UserError`` of one line.
"""

from typing import TYPE_CHECKING

__all__ = [
    "Model",
    "Posterior",
    "UserError",
    "compare",
    "evaluate",
    "features",
    "frechet_distance",
    "list_experiments",
    "load",
    "load_data",
]

if TYPE_CHECKING:
    from genbalance.api import (
        Model,
        Posterior,
        UserError,
        compare,
        evaluate,
        features,
        frechet_distance,
        list_experiments,
        load,
        load_data,
    )
else:

    def __getattr__(name: str) -> object:
        """A name of `__all__`, out of :mod:`genbalance.api`, which is imported at its first use: the command line and
        the stages import this package, too."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module("genbalance.api"), name)


def __dir__() -> list[str]:
    """With the names that are not imported yet."""
    return sorted({*globals(), *__all__})
