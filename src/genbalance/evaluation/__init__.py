"""Arrays in, numbers out: what is measured, each with its formula and paper."""
