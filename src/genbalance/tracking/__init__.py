"""What a stage logs to MLflow, where, and how its run is found again. MLflow is imported in this package alone."""

from genbalance.tracking.run import Run, tracked

__all__ = ["Run", "tracked"]
