"""Tags by which a stage's run finds its pipeline's."""

STAGE = "genbalance.stage"  # of a stage's run: which one
ORIGIN = "genbalance.origin"  # of a copy: the id of the run or model, in the store where it was made
PARENT = "mlflow.parentRunId"  # of a stage's run: the pipeline's; the UI folds them below it
