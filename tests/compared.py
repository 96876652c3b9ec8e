"""A comparison of two groups of runs, made up, with all that its page can show."""

import io
from dataclasses import replace

from PIL import Image

from genbalance.reporting.comparison_page import Content, CostRow, CostTable, Grid, Side
from genbalance.reporting.spread import STANDS_OUT, WITHIN, Cell
from genbalance.reporting.theme import Plot


def _grid(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (60, 60), grey).save(buffer, "PNG")
    return buffer.getvalue()


PLOT = Plot("train_vae_curves", "VAE", "Line charts.", "A line a run.", lambda figure, theme: figure.subplots())
CONTENT = Content(
    sides=[
        Side("a", "beta=0.5", "1, 2", ("beta-1 (11111111)", "beta-2 (22222222)")),
        Side("b", "beta=4", "1, 2", ("beta-3 (33333333)", "beta-4 (44444444)")),
    ],
    params={"beta": ["0.5", "4"]},
    notes=["Paired by seed."],
    foot=["Verdicts: Holm's correction.", "The same:\n  f: n"],
    metrics={
        "evaluate_vae.nelbo": [Cell("102.0 ± 2.0"), Cell("122.5 ± 1.8", "+20.5", "[+16.2, +24.8]", "+8.2", STANDS_OUT)],
        "f.own": [Cell("1.0 ± 0.1"), Cell("1.1 ± 0.1", "+0.1", "–", "–", WITHIN)],
    },
    grids={"VAE: samples": {"seed 1": [Grid(_grid(60), "a: beta=0.5, seed 1"), Grid(_grid(90), "b: beta=4, seed 1")]}},
    curves=[PLOT],
    same_curves=["GAN"],
    missing=["beta-4: train_classifier"],
    cost=CostTable(
        rows=[
            CostRow("train_vae", "Wh", ["2.5 ± 0.71", "–"]),
            CostRow("train_vae", "more Wh per nat gained over a", ["reference", "–"]),
        ],
        notes=["a: processor: estimated, CPU seconds × 12 W a core."],
    ),
    sweeps=[replace(PLOT, name="rate_distortion", title="What β does", size=(9.4, 4.4))],
)
