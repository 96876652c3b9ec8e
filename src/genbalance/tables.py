"""Tables as CSV files, the same bytes each time."""

from pathlib import Path

import pandas as pd

from genbalance.files import whole_file


def save_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a table with a header and without its index, fractions with six significant digits."""
    with whole_file(path) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
