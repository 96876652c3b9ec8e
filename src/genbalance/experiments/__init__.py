"""Runs out of git and DVC: comparison, sweeps, seeds, verification."""
