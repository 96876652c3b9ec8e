"""What MLflow runs to call a network that a training logged. It copies this file into the model, beside the package and
the weights, so that no object is pickled; nothing imports it."""

from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class TrainedNetwork(PythonModel):
    """A classifier answers with the class probabilities [n, classes] of images uint8 [n, H, W(, 3)]; a generative model
    with ``count`` images uint8 [count, H, W(, 3)] for each row of a table with the columns ``seed`` and ``count``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights."""
        from genbalance.data.pixels import standardized
        from genbalance.evaluation.features import FeatureExtractor
        from genbalance.families import registry
        from genbalance.models import weights
        from genbalance.models.classifier import Classifier
        from genbalance.sampling.sampler import Sampler
        from genbalance.sampling.server import CPU

        file, config = Path(context.artifacts["weights"]), context.model_config
        self.sampler: Sampler | None = None
        if config["kind"] == "classifier":
            pixels = standardized(config["mean"], config["std"])
            self.extractor = FeatureExtractor(weights.load(file, Classifier, CPU), pixels, CPU)
        else:
            family = registry.family(config["kind"])
            self.sampler = family.make_sampler(weights.load(file, family.build, CPU))

    # MLflow leaves out a context that is not named, and warns of types that its signatures do not know
    def predict(self, model_input):  # type: ignore[no-untyped-def, override]
        """The probabilities, or the images."""
        from genbalance.runtime.device import generator

        if self.sampler is None:
            return self.extractor.read(np.asarray(model_input)).probabilities
        rows = zip(model_input["seed"], model_input["count"], strict=True)
        drawn = [self.sampler.draw(int(count), generator(int(seed), "trained"), None) for seed, count in rows]
        return np.concatenate([self.sampler.images(*each) for each in drawn])


set_model(TrainedNetwork())
