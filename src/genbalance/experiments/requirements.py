"""What requirements.txt pins."""

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement


def pins(requirements: Path) -> list[Requirement]:
    """The lines of a requirements.txt that hold for this Python and system; none where there is no such file."""
    found = []
    for line in requirements.read_text(encoding="utf-8").splitlines() if requirements.is_file() else []:
        try:
            wanted = Requirement(line.removesuffix("\\").strip())
        except InvalidRequirement:  # a hash, a comment
            continue
        if not wanted.marker or wanted.marker.evaluate():
            found.append(wanted)
    return found


def versions(requirements: Path) -> dict[str, str]:
    """The versions that it pins, by package."""
    return {wanted.name: exact(wanted) for wanted in pins(requirements)}


def exact(wanted: Requirement) -> str:
    """The one version that a pin allows."""
    return str(wanted.specifier).removeprefix("==")
