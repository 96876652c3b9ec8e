"""What a user asks for, checked before anything heavy loads."""

import re
from collections import Counter
from dataclasses import dataclass

from genbalance.errors import UserError
from genbalance.generation.marks import MARKS

COUNT = 64


@dataclass(frozen=True)
class Demand:
    """``wanted``: how many images of which digit; ``text``: the line that they are to stand in, if any; ``raw``: the
    first ones that come, not the best."""

    wanted: dict[int, int]
    text: str | None
    raw: bool

    @classmethod
    def of(cls, digit: int | None, digits: str | None, count: int | None, raw: bool) -> "Demand":
        """Of the command's options.

        Raises:
            UserError: they contradict one another, or ``digits`` cannot be drawn.
        """
        if (digit is None) == (digits is None):
            raise UserError(f"give either --digit or --digits{', not both' if digits is not None else ''}")
        if digit is not None:
            return cls({digit: COUNT if count is None else count}, None, raw)
        assert digits is not None
        if count is not None:
            raise UserError(f"--count: found {count} with --digits, which draws each digit once; allowed: with --digit")
        strange = [character for character in digits if character not in MARKS and character not in "0123456789"]
        if strange or all(character in MARKS for character in digits):
            found = f"'{strange[0]}' in '{digits}'" if strange else f"'{digits}'"
            marks = " ".join(MARKS).strip()
            raise UserError(f"--digits: found {found}; allowed: digits, and between them {marks} and spaces")
        return cls(dict(Counter(int(character) for character in digits if character not in MARKS)), digits, raw)

    @property
    def label(self) -> str:
        """For the name of a file: the digit, or the line with _ where a file name had better have no such mark."""
        return re.sub("[ :/]", "_", self.text) if self.text is not None else str(next(iter(self.wanted)))

    @property
    def asked(self) -> dict[str, int | str]:
        """In the words of the options."""
        if self.text is not None:
            return {"digits": self.text}
        ((digit, count),) = self.wanted.items()
        return {"digit": digit, "count": count}
