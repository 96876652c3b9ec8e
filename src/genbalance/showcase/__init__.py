"""What a person watches as a model trains: grids from the same latents each time."""
