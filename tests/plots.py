"""What dvc.yaml says that `dvc plots` draws."""

from ruamel.yaml import YAML
from small_repository import ROOT

from genbalance.families.registry import known

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
LISTED = [*PIPELINE["plots"], *(plot for stage in PIPELINE["stages"].values() for plot in stage.get("plots", []))]
ALL = {name: given or {} for plot in LISTED for name, given in (plot if isinstance(plot, dict) else {plot: {}}).items()}
NUMBERS = [  # no plots: DVC has a run cache for a stage whose outs git keeps only if they are metrics or plots
    name.replace("${item.family}", model)
    for name in ALL
    if name.endswith(".json")
    for model in (known() if "${item.family}" in name else ("",))
]
PLOTS = {name: given for name, given in ALL.items() if not name.endswith(".json")}
IMAGES = [name for name in PLOTS if name.endswith(".png")]
DRAWN = [name for name in PLOTS if name not in IMAGES]


def tables(name: str) -> dict[str, list[str]]:
    """The columns that a plot reads, by file."""
    files = PLOTS[name]["y"]
    return {file: [columns] if isinstance(columns, str) else columns for file, columns in files.items()}
