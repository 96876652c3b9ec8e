"""What may stand between the digits of a line, beside digits."""

Stroke = tuple[tuple[float, float], tuple[float, float]]  # from (x, y) to (x, y), shares of the tile's width and height

MARKS: dict[str, tuple[Stroke, ...]] = {
    " ": (),
    "-": (((0.2, 0.5), (0.8, 0.5)),),
    ".": (((0.5, 0.78), (0.5, 0.78)),),
    ":": (((0.5, 0.35), (0.5, 0.35)), ((0.5, 0.65), (0.5, 0.65))),
    "/": (((0.2, 0.8), (0.8, 0.2)),),
}
