"""What MLflow runs to serve a model. It copies this file into the model, beside the package, the weights and the
classifier's, so that no object is pickled; nothing imports it."""

from pathlib import Path

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedDigits(PythonModel):
    """Digits on request; :mod:`genbalance.sampling.server` draws them."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights."""
        from genbalance.sampling.server import Server

        files = {name: Path(path) for name, path in context.artifacts.items()}
        weights, classifier = files["weights"], files["judge"]
        self.server = Server.load(weights_file=weights, classifier_file=classifier, **context.model_config)

    # MLflow leaves out a context that is not named
    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        """The answer to a table of requests.

        Raises:
            MlflowException: a request is not allowed or cannot be answered; a server answers 400.
        """
        from genbalance.runtime.errors import UserError

        try:
            return self.server.answer(model_input)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


set_model(ServedDigits())
