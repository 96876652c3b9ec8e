"""One seed, many named random streams, so that a draw more in one place changes nothing in another."""

import hashlib

GOLDEN = (5**0.5 - 1) / 2
"""Of all irrational numbers the one whose multiples, modulo 1, lie most evenly: for draws that are spread evenly."""


SILVER = 2**0.5 - 1
"""For a second draw beside one by :data:`GOLDEN`: the pairs of their multiples, modulo 1, lie evenly in the square."""


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name``: the first bytes of SHA-256 of seed and name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
