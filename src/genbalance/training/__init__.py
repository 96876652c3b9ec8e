"""The training loop, its checkpoints, and one `train` for each network."""
