"""Where the processes of one stage wait for one another: those of a sweep's points that run side by side.

Whoever runs the sweep opens a :class:`Rendezvous`, and names it to the points in the environment's variable
``GENBALANCE_STACK``. Of the processes that wait when all running points do, those of a kind are a group: the first one
is given what each of the group has sent, the others its address.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection, Listener
from threading import Lock, Thread
from typing import Any, cast

STACK = "GENBALANCE_STACK"
BACKLOG = 64  # processes that may come at the same time


class Rendezvous:
    """Processes that wait, as a context.

    Attributes:
        variables: of the environment, by which a process finds it.
    """

    def __init__(self) -> None:
        key = secrets.token_bytes(16)
        self._listener, self._is_open = Listener(backlog=BACKLOG, authkey=key), True
        self._lock, self._waiting = Lock(), list[tuple[Connection, str, str, bytes]]()
        self.variables: Mapping[str, str] = {STACK: f"{key.hex()} {self._listener.address}"}

    def __enter__(self) -> "Rendezvous":
        """Itself; it takes processes from now on."""
        Thread(target=self._accept, name="rendezvous", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Takes no more."""
        self._is_open = False
        self._listener.close()

    def release(self, running: int) -> list[int]:
        """Lets the waiting processes go, if as many wait as points are ``running``; a process that has ended waits no
        more.

        Returns:
            The sizes of the groups.
        """
        with self._lock:
            for ended in [each for each in self._waiting if each[0].poll()]:  # whoever waits sends nothing more
                self._waiting.remove(ended)
                ended[0].close()
            if not running or len(self._waiting) < running:
                return []
            waiting, self._waiting = self._waiting, []
        groups: dict[str, list[tuple[Connection, str, bytes]]] = {}
        for connection, kind, address, task in waiting:
            groups.setdefault(kind, []).append((connection, address, task))
        for group in groups.values():
            for place, (connection, *_) in enumerate(group):
                with connection, suppress(OSError):
                    connection.send((group[0][1], len(group) if place == 0 else 0))
                    for _, _, task in group if place == 0 else ():
                        connection.send_bytes(task)
        return [len(group) for group in groups.values()]

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection = self._listener.accept()
                kind, address = connection.recv()
                task = connection.recv_bytes()  # opaque here: it may hold what takes seconds to load
            except (
                EOFError,
                OSError,
                AuthenticationError,
            ):  # a process that was killed meanwhile, or the listener's end
                continue
            with self._lock:
                self._waiting.append((connection, kind, address, task))


def is_open() -> bool:
    """Whether this process has a rendezvous."""
    return STACK in os.environ


def enter() -> None:
    """Makes this process one that others of the rendezvous can reach."""
    current_process().authkey = bytes.fromhex(os.environ[STACK].split(" ", 1)[0])


def meet(kind: str, address: str, task: Any) -> tuple[str, list[Any]]:
    """Waits for the other processes of a ``kind``.

    Args:
        kind: of the training; processes of one kind are a group.
        address: where this process listens.
        task: what the first process of the group needs to know of this one.

    Returns:
        The address of the first one, and the tasks of the group where that is this process.

    Raises:
        EOFError, OSError: whoever has opened the rendezvous has ended.
    """
    place = os.environ[STACK].split(" ", 1)[1]
    with Client(place, authkey=bytes(current_process().authkey)) as connection:
        connection.send((kind, address))
        connection.send(task)
        first, count = cast(tuple[str, int], connection.recv())
        return first, [connection.recv() for _ in range(count)]
