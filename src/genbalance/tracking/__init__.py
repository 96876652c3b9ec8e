"""What a stage tells the tracker, and the way to a run. MLflow is imported in this package alone, when a run starts."""

from genbalance.tracking.run import Run
from genbalance.tracking.session import tracked

__all__ = ["Run", "tracked"]
