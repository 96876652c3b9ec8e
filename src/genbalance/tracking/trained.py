"""What MLflow runs to call a network that a training logged. It copies this file into the model, beside the package and
the weights, so that no object is pickled; nothing imports it."""

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class TrainedNetwork(PythonModel):
    """A classifier answers with the class probabilities [n, classes] of grey images uint8 [n, S, S]; a GAN or a VAE
    with ``count`` images uint8 [count, S, S] for each row of a table with the columns ``seed`` and ``count``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights."""
        from genbalance import weights
        from genbalance.data.pixels import standardized
        from genbalance.evaluation.judge import Judge
        from genbalance.generation.gan_sampler import GanSampler
        from genbalance.generation.vae_sampler import VaeSampler
        from genbalance.models.classifier import Classifier
        from genbalance.models.gan import Gan
        from genbalance.models.vae import Vae
        from genbalance.serving.artist import CPU

        file, config = Path(context.artifacts["weights"]), context.model_config
        self.sampler: GanSampler | VaeSampler | None = None
        match config["kind"]:
            case "classifier":
                pixels = standardized(config["mean"], config["std"])
                self.judge = Judge(weights.load(file, Classifier, CPU), pixels, CPU)
            case "gan":
                self.sampler = GanSampler(weights.load(file, Gan, CPU))
            case "vae":
                self.sampler = VaeSampler(weights.load(file, Vae, CPU))

    # MLflow leaves out a context that is not named, and warns of types that its signatures do not know
    def predict(self, model_input):  # type: ignore[no-untyped-def, override]
        """The probabilities, or the images."""
        from genbalance.compute import generator

        if self.sampler is None:
            return self.judge.read(np.asarray(model_input)).probabilities
        rows = zip(model_input["seed"], model_input["count"], strict=True)
        drawn = [self.sampler.draw(int(count), generator(int(seed), "trained"), None) for seed, count in rows]
        return np.concatenate([self.sampler.images(*each) for each in drawn])


set_model(TrainedNetwork())
