"""Streams for what is told otherwise on a terminal than in a file."""

import fcntl
import io
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TextIO


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Screen:
    """A pseudo-terminal: write to ``stream``; what was written stands in ``text`` when its context has ended."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.text = stream, ""

    @property
    def left(self) -> list[str]:
        """The lines as they stand at the end, each state of a line written over the one before."""
        lines = []
        for line in self.text.split("\n"):
            row = ""
            for state in line.split("\r"):
                row = state + row[len(state) :]
            lines.append(row.rstrip())
        return lines

    @property
    def drawn(self) -> list[str]:
        """Each line, and each state of a line that was drawn in place, in order."""
        return [line.rstrip() for line in re.split(r"[\r\n]+", self.text) if line.strip()]


@contextmanager
def screen(columns: int) -> Iterator[Screen]:
    """A screen of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown = Screen(os.fdopen(theirs, "w", encoding="utf-8"))
    read: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(ours, 65536):
                read.append(part)
        except OSError:  # how Linux says that the other end is closed
            pass

    listener = Thread(target=listen)
    listener.start()
    try:
        yield shown
    finally:
        shown.stream.close()
        listener.join()
        os.close(ours)
        shown.text = b"".join(read).decode("utf-8")
