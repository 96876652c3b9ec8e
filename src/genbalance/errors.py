"""The one exception that a user is meant to read."""

LONGEST = 120  # letters of a key, a value or a name that are told


class UserError(Exception):
    """Bad input. Its text is one line: the key or file, what was found, what is allowed or to be done."""


def in_a_line(text: str) -> str:
    """What a file holds, fit for a line: no line break, no control character, no key of a thousand letters."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= LONGEST else f"{printable[:LONGEST]}…"
