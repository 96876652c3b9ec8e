"""What people look at: the figures and the one-file HTML page. Numbers and pictures in, bytes out; no torch."""
