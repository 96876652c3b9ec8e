"""What a key takes, told in the words of the comments in params.yaml."""

from typing import Any

from genbalance.params.schema import Params


def allowed(where: tuple[str, ...]) -> str:
    """What the key at ``where`` takes, out of its annotation."""
    schema = Params.model_json_schema()
    node = schema
    for part in where:
        node = node["properties"][part]
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return " or ".join(_words(option) for option in node.get("anyOf", [node]))


def _words(node: dict[str, Any]) -> str:
    match node:
        case {"enum": choices}:
            return " | ".join(choices)
        case {"const": word}:
            return str(word)
        case {"type": "object", "properties": keys}:
            return f"a mapping of {', '.join(keys)}"
        case {"type": "integer" | "number" as kind, **limits}:
            return f"{'a whole number' if kind == 'integer' else 'a number'}, {_range(limits)}"
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "string"}:
            return "text that is not empty"
    raise TypeError(node)


def _range(limits: dict[str, Any]) -> str:
    match {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in limits.items()}:
        case {"minimum": low, "maximum": high}:
            return f"{low} … {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f"{low} < … ≤ {high}"
        case {"minimum": low, "exclusiveMaximum": high}:
            return f"{low} ≤ … < {high}"
        case {"minimum": low}:
            return f"≥ {low}"
    return "finite"
