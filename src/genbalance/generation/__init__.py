"""From a user's demand to digits: candidates of a model, the best of them, and ways through its latent space."""
