"""A comparison as a pandas table, of which the terminal and the page show a part each."""

import pandas as pd

from genbalance.commands.compare import Comparison

NUMBERS = ("difference", "low", "high", "p", "p_holm", "effect")


def table(comparison: Comparison) -> pd.DataFrame:
    """A row for each metric and group, indexed by both.

    Columns: ``params.<key>`` for each param that differs; ``n`` seeds, their ``mean`` and ``sd`` (n − 1; NaN for one);
    and, NaN for the group that is compared with: the ``difference`` from it with its 95% interval ``low`` … ``high``,
    ``p``, Holm's ``p_holm``, the ``effect`` (Hedges' g) and the ``verdict`` in words.
    """
    rows = []
    for metric in comparison.metrics:
        of_first = comparison.contrasts[0].lines[metric].difference
        rows.append(
            {"metric": metric, "group": comparison.first.name, "n": len(comparison.first.runs)}
            | {"mean": of_first.mean_a, "sd": of_first.sd_a}
        )
        for contrast in comparison.contrasts:
            line = contrast.lines[metric]
            found = line.difference
            rows.append(
                {"metric": metric, "group": contrast.group.name, "n": len(contrast.group.runs)}
                | {"mean": found.mean_b, "sd": found.sd_b, "difference": found.difference}
                | {"low": found.low, "high": found.high, "p": found.p, "p_holm": line.p_holm}
                | {"effect": found.effect, "verdict": line.verdict}
            )
    frame = pd.DataFrame(rows, columns=["metric", "group", "n", "mean", "sd", *NUMBERS, "verdict"])
    frame = frame.astype(dict.fromkeys(("mean", "sd", *NUMBERS), float))
    for place, (key, values) in enumerate(comparison.params.items()):
        of_group = dict(zip((group.name for group in comparison.groups), values, strict=True))
        frame.insert(2 + place, f"params.{key}", frame["group"].map(of_group))
    return frame.set_index(["metric", "group"])
