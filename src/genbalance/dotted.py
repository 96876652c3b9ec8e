"""Nested mappings by dotted key, as DVC and `-S` spell them."""

from collections.abc import Iterator
from typing import Any


def leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values that are no mappings, each with its dotted key."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, values
