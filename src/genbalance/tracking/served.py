"""What MLflow runs to serve a model. It copies this file into the model, beside the package, the weights and the
judge's, so that no object is pickled; nothing imports it."""

from pathlib import Path

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedDigits(PythonModel):
    """Digits on request; :mod:`genbalance.serving` does it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights."""
        from genbalance.serving.artist import Artist

        files = {name: Path(path) for name, path in context.artifacts.items()}
        self.artist = Artist.load(weights_file=files["weights"], judge_file=files["judge"], **context.model_config)

    # MLflow leaves out a context that is not named
    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:  # type: ignore[override]
        """The answer to a table of wishes.

        Raises:
            MlflowException: a wish is not allowed or cannot be fulfilled; a server answers 400.
        """
        from genbalance.errors import UserError
        from genbalance.serving.wishes import answer, wishes

        try:
            asked = wishes(model_input, self.artist.classes)
            return answer([self.artist.fulfil(wish) for wish in asked])
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


set_model(ServedDigits())
