"""A run that holds nothing but artifacts, such as a comparison of other runs."""

from pathlib import Path

from genbalance.tracking.code import code_version
from genbalance.tracking.provenance import code_tags
from genbalance.tracking.store import reach

KIND = "genbalance.kind"
LONGEST = 120  # characters of a run's name that the UI's table still shows


def keep_folder(experiment: str, name: str, kind: str, folder: Path) -> str:
    """Makes a run and logs all that ``folder`` holds as its artifacts; it belongs to no pipeline's run.

    Args:
        experiment: the name of MLflow's.
        name: the run's, cut to 120 characters.
        kind: of the run, its tag ``genbalance.kind``.
        folder: whose files are logged.

    Returns:
        The run's name.

    Raises:
        UserError: the store cannot be reached or used.
    """
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    tags = code_tags(code_version()) | {KIND: kind}
    store = reach(experiment)
    with store.contact() as client:
        run_id = client.create_run(store.experiment_id, run_name=short, tags=tags).info.run_id
        try:
            client.log_artifacts(run_id, str(folder))
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
    return short
