"""From a demand to digits in a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.commands.demand import Demand
from genbalance.commands.generate_files import INDEX, check_free, save
from genbalance.commands.studio import Studio
from genbalance.generation.marks import MARKS
from genbalance.summary import rounded

if TYPE_CHECKING:
    from genbalance.generation.candidates import Candidates


def generate(studio: Studio, demand: Demand, out: Path) -> str:
    """Draws what is demanded into the folder ``out``, whole or not at all.

    Returns:
        What was done, in a line for each digit.

    Raises:
        UserError: an option, a file or the folder is not as it should be, or the tries are over before enough digits
            are found.
    """
    studio.check("--digit" if demand.text is None else "--digits", *demand.wanted)
    check_free(out)

    tallies: dict[str, dict[str, int]] = {}
    drawn: dict[int, Candidates] = {}
    for digit, count in sorted(demand.wanted.items()):
        supply = studio.supply(digit)
        drawn[digit] = supply.raw(count) if demand.raw else supply.optimised(count)
        tallies[str(digit)] = vars(supply.tally)
    images = list(_in_order(demand, drawn))
    index = {
        **studio.provenance,
        "asked": demand.asked,
        "selection": {"raw": demand.raw, "tries": studio.tries} | _rules(demand),
        "candidates": tallies,
        "images": [{"file": name} | _scores(digit, one) for name, digit, one in images],
    }
    save(out, demand.text, {name: one.images[0] for name, _, one in images}, index)
    told = [_told(digit, found, tallies[str(digit)]["tried"]) for digit, found in drawn.items()]
    return "\n".join([*told, f"{out}: images, their grid and {INDEX}"])


def _in_order(demand: Demand, drawn: "dict[int, Candidates]") -> "Iterator[tuple[str, int, Candidates]]":
    """Each image by the name of its file, with its digit: best first, or in the order of the line."""
    text = demand.text
    wanted = (
        [int(c) for c in text if c not in MARKS] if text else [d for d, n in demand.wanted.items() for _ in range(n)]
    )
    rows = {digit: iter(range(len(found))) for digit, found in drawn.items()}
    width = max(3, len(str(len(wanted))))
    for place, digit in enumerate(wanted, 1):
        row = next(rows[digit])
        yield f"{place:0{width}}_{digit}.png", digit, drawn[digit].rows(slice(row, row + 1))


def _rules(demand: Demand) -> dict[str, Any]:
    from genbalance.generation.realism import K
    from genbalance.generation.selection import NEAR, SHORTLIST
    from genbalance.generation.supply import CONFIDENCE, LEAST, POOL

    if demand.raw:
        return {}
    return {
        "confidence": CONFIDENCE,
        "near": NEAR,
        "neighbours": K,
        "pool": POOL,
        "least": LEAST,
        "shortlist": SHORTLIST,
    }


def _scores(digit: int, one: "Candidates") -> dict[str, Any]:
    """Of a single image."""
    names = {"candidate": "number", "read": "read", "score": "score", "confidence": "confidence"}
    names |= {"typicality": "typicality", "nearest_training_digit": "nearest", "copying": "copying"}
    return rounded({"digit": digit} | {name: getattr(one, field)[0] for name, field in names.items()})


def _told(digit: int, found: "Candidates", tried: int) -> str:
    spans = {"confidence": found.confidence, "typicality": found.typicality}
    told = ", ".join(f"{name} {values.min():.3f} … {values.max():.3f}" for name, values in spans.items())
    return f"{digit}: {len(found)} of {tried:,} candidates, {told}"
