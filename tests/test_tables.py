"""CSV files."""

import pandas as pd

from genbalance.tables import save_csv


def test_a_table_is_a_header_and_rows_without_an_index(tmp_path):
    save_csv(tmp_path / "t.csv", pd.DataFrame({"epoch": [1, 2], "loss": [1 / 3, 123456.789], "name": ["a", "b,c"]}))
    assert (tmp_path / "t.csv").read_bytes() == b'epoch,loss,name\n1,0.333333,a\n2,123457,"b,c"\n'


def test_fractions_keep_six_significant_digits_at_any_scale(tmp_path):
    values = [1.23456789e-8, 0.000123456789, 0.123456789, 12345.6789, 1.23456789e12, -2 / 3]
    save_csv(tmp_path / "t.csv", pd.DataFrame({"x": values}))
    back = pd.read_csv(tmp_path / "t.csv")["x"]
    assert ((back - values).abs() <= 5.001e-6 * pd.Series(values).abs()).all()
