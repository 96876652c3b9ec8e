"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input. Its text is one line: the key or file, what was found, what is allowed or to be done."""
