"""A model that answers requests for digits, out of its weights and the judge's alone."""
