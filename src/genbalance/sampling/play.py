"""A page on this machine alone on which a person changes what a trained model draws: its latents, seed, class, cluster,
truncation and β.

The page asks for an image with a JSON object (`Request`) and gets one back (`Player.answer`). The same request has the
same answer, byte for byte.
"""

import base64
import hashlib
import io
import json
import signal
import socketserver
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field, ValidationError

from genbalance.params import KlWeight, Section, Truncation, first_problem
from genbalance.reporting.page import render
from genbalance.runtime.errors import UserError, in_a_line, machine_errors
from genbalance.sampling.context import Context, check_there
from genbalance.sampling.generate import ROWS

if TYPE_CHECKING:
    import torch

    from genbalance.sampling.sampler import Condition, Controls, Images

HOST = "127.0.0.1"
LARGEST_SEED = 2**32 - 1
SPAN = 3.0  # of a latent's slider, to either side, in standard deviations of the prior
FARTHEST = 100.0  # of a latent that is asked for
STEPS = 9  # images along a latent
STARTS = 4  # samples from which on a latent's effect is measured
ORIGINALS = 20  # test images to start from
READ = 10  # classes of a reading, at most
LONGEST = 16_384  # bytes of a request
BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="  # before the first image is there
TIMEOUT = 30  # seconds that a connection may be silent
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Index = Annotated[int, Field(ge=0)]
Latent = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST)]


class Request(Section):
    """One image.

    Attributes:
        seed: of the latents, and of what else is drawn.
        digit: the class, of a model that is asked for one; null for any other.
        cluster: of a model that has some; null: drawn with the seed.
        latents: values that replace those of the seed or of the original, by the latent's index.
        truncation: of a model that has one; null: its own.
        beta: of a model that knows several; null: its own.
        observed: an image drawn from p(x|z), in place of its mean.
        original: the test image whose posterior's mean the latents are, in place of those of the seed.
        along: the latent along which a row of images is wanted too.
    """

    seed: Seed
    digit: Index | None = None
    cluster: Index | None = None
    latents: dict[Index, Latent] = Field(default_factory=dict)
    truncation: Truncation | None = None
    beta: KlWeight | None = None
    observed: bool = False
    original: Index | None = None
    along: Index | None = None

    @classmethod
    def parse(cls, text: bytes) -> "Request":
        """Of a JSON text.

        Raises:
            UserError: it is none, or no such request.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(first_problem(error)) from None


class Player:
    """Draws what the page asks for, one request at a time."""

    def __init__(self, context: Context) -> None:
        self._context, self._sampler = context, context.sampler
        self._dataset, self._lock = context.dataset, Lock()

    @cached_property
    def controls(self) -> "Controls":
        """What can be changed beside latents and class."""
        return self._sampler.controls

    @cached_property
    def latents(self) -> list[int]:
        """The eight latents that change the image most, or all where there are fewer: by the summed variance of the
        pixels from -3 to 3 standard deviations, over a few samples."""
        import torch

        from genbalance.sampling.interpolation import traversals

        values = torch.linspace(-SPAN, SPAN, STEPS, device=self._context.device)
        effect = np.zeros(self._sampler.latent_dim)
        for seed in range(STARTS):
            z, condition = self._drawn(Request(seed=seed, digit=0 if self._sampler.classes else None))
            for latent, images in traversals(self._sampler, z[0], condition, values, range(len(effect))).items():
                effect[latent] += images.var(axis=0, dtype=np.float64).sum()
        return [int(latent) for latent in np.argsort(-effect, kind="stable")[:ROWS]]

    @cached_property
    def originals(self) -> "Images":
        """The first test images, for a model with an encoder; without one, none."""
        return self._dataset.test.images[: ORIGINALS if self.controls.encode else 0]

    def page(self) -> bytes:
        """The page as HTML."""
        context, dataset, controls = self._context, self._dataset, self.controls
        names = [dataset.class_name(label) for label in range(dataset.classes)]
        return render(
            "play.html.j2",
            family=context.family,
            data=dataset,
            is_digits=[*names] == [str(digit) for digit in range(10)],
            blank=BLANK,
            seed=context.root,
            largest_seed=LARGEST_SEED,
            latents=self.latents,
            span=SPAN,
            steps=STEPS,
            classes=names if self._sampler.classes else [],
            clusters=self._clusters(),
            controls=controls,
            originals=[(png(image), names[label] if dataset.has_classes else "")
                       for image, label in zip(self.originals, dataset.test.labels.tolist(), strict=False)],
            read=min(READ, dataset.classes) if self._reads else 0,
        ).encode()  # fmt: skip

    def _clusters(self) -> list[tuple[int, bytes, list[int]]]:
        """The number, the mean image and the classes of each cluster, those that are read as the same class together;
        none where nothing can be chosen."""
        found, members = self.controls.clusters, self.controls.members
        if found is None or max(map(len, members)) < 2:
            return []
        order: Sequence[int] = range(len(found))
        if self._reads:
            read = self._context.extractor.read(found).probabilities.argmax(axis=1)
            order = np.argsort(read, kind="stable").tolist()
        return [(it, png(found[it]), [label for label, own in enumerate(members) if it in own]) for it in order]

    @property
    def _reads(self) -> bool:
        """Whether the classifier is at hand and reads classes."""
        return self._dataset.has_classes and self._context.classifier.exists()

    def answer(self, request: Request) -> bytes:
        """The answer as JSON: the ``image``, the ``original`` that it starts from and a ``row`` of images along a
        latent as PNG in Base64, null where there are none; the values of the ``latents`` with sliders; the ``cluster``;
        and what the classifier reads, ``read``: names and probabilities of the classes, or of the ten most probable
        ones, most probable first.

        Raises:
            UserError: the model has nothing of the kind that is asked for.
        """
        self._check(request)
        with self._lock, self.controls.at(request.truncation, request.beta):
            found = self._answer(request)
        return json.dumps(found, ensure_ascii=False).encode()

    def _answer(self, request: Request) -> dict[str, Any]:
        import torch

        from genbalance.sampling.interpolation import traversal

        z, condition = self._drawn(request)
        image = self._images(request, z, condition)[0]
        row = None
        if request.along is not None:
            values = torch.linspace(-SPAN, SPAN, STEPS, device=z.device)
            repeated = None if condition is None else condition.expand(STEPS)
            row = np.hstack([*self._sampler.images(traversal(z[0], request.along, values), repeated)])
        has_clusters = self.controls.clusters is not None and condition is not None
        return {
            "image": _encoded(image),
            "original": None if request.original is None else _encoded(self.originals[request.original]),
            "row": None if row is None else _encoded(row),
            "latents": {latent: round(float(z[0, latent]), 4) for latent in self.latents},
            "cluster": int(condition[0]) if has_clusters and condition is not None else None,
            "read": self._reading(image) if self._reads else None,
        }

    def _drawn(self, request: Request) -> "tuple[torch.Tensor, Condition]":
        """Latents [1, L] and a condition [1]."""
        import torch

        from genbalance.runtime.device import generator

        # not of a stream for each class: another class is drawn with the same latents
        noise = generator(request.seed, "play", self._context.device)
        with torch.no_grad():
            z, condition = self._sampler.draw(1, noise, request.digit)
        if request.cluster is not None:
            condition = torch.tensor([request.cluster], device=z.device)
        if request.original is not None:
            z = self._code(request.original)
        for latent, value in request.latents.items():
            z[0, latent] = value
        return z, condition

    def _code(self, original: int) -> "torch.Tensor":
        """The mean of q(z|x) of an original [1, L]."""
        import torch

        from genbalance.runtime.device import generator

        context, encode = self._context, self.controls.encode
        assert encode is not None  # there are no originals then
        labels = None
        if self._sampler.classes:
            labels = torch.from_numpy(self._dataset.test.labels[: len(self.originals)]).to(context.device)
        noise = generator(context.root, f"evaluate/{context.model}/binary", context.device)  # the API's
        return encode(np.ascontiguousarray(self.originals), labels, noise)[[original]].to(context.device)

    def _images(self, request: Request, z: "torch.Tensor", condition: "Condition") -> "Images":
        from genbalance.runtime.device import generator

        if request.observed and self.controls.observe is not None:
            return self.controls.observe(z, condition, generator(request.seed, "play/pixels", z.device))
        return self._sampler.images(z, condition)

    def _reading(self, image: "Images") -> list[tuple[str, float]]:
        read = self._context.extractor.read(image[None]).probabilities[0]
        first = np.argsort(-read, kind="stable")[:READ].tolist()
        return [(self._dataset.class_name(label), round(float(read[label]), 4)) for label in first]

    def _check(self, request: Request) -> None:
        controls, classes = self.controls, self._sampler.classes
        _check_index("digit", request.digit, classes, needed=classes > 0)
        clusters = 0 if controls.clusters is None else len(controls.clusters)
        _check_index("cluster", request.cluster, clusters)
        if request.cluster is not None and request.cluster not in controls.members[request.digit or 0]:
            raise UserError(f"cluster: found {request.cluster}; allowed: one of the class {request.digit}")
        for latent in request.latents:
            _check_index("latents", latent, self._sampler.latent_dim)
        _check_index("along", request.along, self._sampler.latent_dim)
        _check_index("original", request.original, len(self.originals))
        if request.truncation is not None and controls.truncation is None:
            raise UserError(f"truncation: found {request.truncation:g}, but the model has none; allowed: null")
        if request.beta is not None:
            if controls.betas is None:
                raise UserError(f"beta: found {request.beta:g}, but the model knows none; allowed: null")
            low, high, _ = controls.betas
            if not low <= request.beta <= high:
                raise UserError(f"beta: found {request.beta:g}; allowed: {low:g} … {high:g}")
        if request.observed and controls.observe is None:
            raise UserError("observed: found true, but the model draws no pixels; allowed: false")


def _check_index(name: str, found: int | None, count: int, needed: bool = False) -> None:
    if found is None and not needed:
        return
    if found is None or found >= count:
        allowed = f"0 … {count - 1}" if count else "null"
        raise UserError(f"{name}: found {'null' if found is None else found}; allowed: {allowed}")


def png(image: "Images") -> bytes:
    """An image as a PNG file: the same pixels give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, format="PNG")
    return file.getvalue()


def _encoded(image: "Images") -> str:
    return base64.b64encode(png(image)).decode("ascii")


def policy(page: str) -> str:
    """What the page may do: run its own script and style, show images that it holds, and ask this server."""

    def hashes(tag: str) -> str:
        texts = (part.partition(">")[2].partition(f"</{tag}>")[0] for part in page.split(f"<{tag}")[1:])
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class _Handler(BaseHTTPRequestHandler):
    """GET / is the page, POST /image an image; whatever else is refused with a line."""

    protocol_version, server_version, sys_version, timeout = "HTTP/1.1", "genbalance", "", TIMEOUT
    server: "PlayServer"

    def do_GET(self) -> None:
        if not self._is_foreign():
            if self.path == "/":
                self._send(200, "text/html", self.server.page)
            else:
                self._refuse(404, "there is / alone")

    def do_POST(self) -> None:
        if self._is_foreign():
            return
        if self.path != "/image":
            self._refuse(404, "there is /image alone")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(415, "allowed: application/json")
        elif (length := self._length()) is None:
            self._refuse(411, f"Content-Length: allowed: one of 0 … {LONGEST}")
        elif length > LONGEST:
            self._refuse(413, f"found {length:,} bytes; allowed: {LONGEST:,}")
        else:
            self._answer(self.rfile.read(length))

    def _answer(self, text: bytes) -> None:
        try:
            with machine_errors():
                self._send(200, "application/json", self.server.player.answer(Request.parse(text)))
        except UserError as error:
            self._refuse(400, str(error))

    def _is_foreign(self) -> bool:
        """Refuses what another site's page sends, also one whose name leads to this machine (DNS rebinding)."""
        port = self.server.server_address[1]
        allowed = [f"{name}:{port}" for name in (HOST, "localhost")]
        host, origin = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if len(host) == 1 and host[0] in allowed and origin in ([], [f"http://{host[0]}"]):
            return False
        self._refuse(403, f"Host and Origin: allowed: {' or '.join(allowed)}")
        return True

    def _length(self) -> int | None:
        found = self.headers.get_all("Content-Length", [])
        is_one = len(found) == 1 and found[0].isascii() and found[0].isdecimal() and len(found[0]) < 20
        return int(found[0]) if is_one and "Transfer-Encoding" not in self.headers else None

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
            "Content-Security-Policy": self.server.policy if kind == "text/html" else "default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # what is left of the request is not read
        self._send(status, "text/plain", f"{in_a_line(reason)}\n".encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuses a request that is no HTTP, or a method that there is not."""
        self._refuse(code, message or "")

    def log_message(self, *_: Any) -> None:
        """Requests are not printed."""


class PlayServer(ThreadingHTTPServer):
    """Serves the page of a player, on loopback.

    Raises:
        UserError: the port is not free.
    """

    def __init__(self, player: Player, port: int) -> None:
        self.player, self.page = player, player.page()
        self.policy = policy(self.page.decode())
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UserError(f"--port: {port} cannot be used ({error.strerror}); give another, or 0 for any") from None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Without looking up this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that is closed, by a browser or by Ctrl-C amid its start, is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(context: Context, port: int) -> Iterator[PlayServer]:
    """A server for the model that a command's options name, which waits for its `serve_forever`.

    Raises:
        UserError: an option or a file is not as it should be.
    """
    _ = context.config, context.dataset
    check_there(context.file)
    with PlayServer(Player(context), port) as server:
        yield server


def play(context: Context, port: int, show: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C or SIGTERM; ``show`` gets its address.

    Raises:
        UserError: an option or a file is not as it should be, or the port is not free.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with suppress(KeyboardInterrupt), serving(context, port) as server:
        show(f"{server.address}  (Ctrl-C ends it)")
        server.serve_forever()
