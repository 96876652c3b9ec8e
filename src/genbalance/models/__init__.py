"""Networks only: no losses, no data, no training."""
