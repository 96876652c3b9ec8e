"""`python -m genbalance` is `genbalance`."""

from genbalance.cli import app

app()
