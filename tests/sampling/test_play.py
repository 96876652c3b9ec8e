"""`genbalance play`: its answers are the sampler's images, and its server listens to its own page alone."""

import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from signals import hears_all
from typed import genbalance as command
from typed import refused

import genbalance
from genbalance.data import prepared
from genbalance.models import weights
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.models.vae_gan import VaeGan
from genbalance.runtime.device import generator, initialised
from genbalance.runtime.errors import UserError
from genbalance.sampling.context import Context
from genbalance.sampling.play import HOST, LONGEST, ORIGINALS, SPAN, STEPS, Player, Request, policy, serving
from tests.sampling.conftest import COMMON, CPU, SIDE

VAE = COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0}
OTHERS = {
    "vae_of_betas": (Vae, VAE | {"beta_range": [0.1, 10.0], "beta": 2.0}),
    "gan_of_styles": (Gan, COMMON | {"arch": "style", "width": 4, "truncation": 0.8}),
    "vae_of_flow": (Vae, VAE | {"prior": "flow"}),
    "vae_gan": (VaeGan, {"shape": [1, SIDE, SIDE], "latents": 6, "width": 4, "encoder_width": 32}),
}
KINDS = {"gan": "gan", "gan_of_classes": "gan", "gan_of_styles": "gan", "vae": "vae", "vae_of_classes": "vae"}
KINDS |= {"vae_of_betas": "vae", "vae_of_flow": "vae", "vae_gan": "vae_gan"}


@pytest.fixture(scope="session")
def more(unlearned):
    """The repository, with further models, whose β and styles change the image."""
    for name, (build, config) in OTHERS.items():
        model = initialised(lambda build=build, config=config: build(**config), 0, name, CPU)
        with torch.no_grad():
            if name == "vae_of_betas":
                for key, parameter in model.named_parameters():
                    if "modulation" in key:
                        parameter.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
            if name == "vae_gan":
                [*model.autoencoder.decoder.parameters()][-2].mul_(30)
        weights.save(unlearned / f"models/{name}.safetensors", config, model.state_dict())
    return unlearned


def player(name, **changed):
    return Player(replace(_context(name), **changed))


def _context(name):
    files = (Path(f"models/{name}.safetensors"), Path("data/prepared"), Path("models/classifier.safetensors"))
    return Context(KINDS[name], *files, Path("params.yaml"), 5, 500)


@pytest.fixture
def played(more, context):
    return player


def asked(it, **request):
    return json.loads(it.answer(Request(**{"seed": 1} | request)))


def pixels(text):
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


def start(it, name, seed=1, digit=None):
    """Latents and a condition, as the sampler draws them."""
    with torch.no_grad():
        return it._sampler.draw(1, generator(seed, "play"), digit)


def digit_of(name):
    return 1 if name.endswith("of_classes") else None


@pytest.mark.parametrize("name", KINDS)
def test_the_first_image_is_the_sampler_s(played, name):
    it, digit = played(name), digit_of(name)
    z, condition = start(it, name, digit=digit)
    answer = asked(it, digit=digit)
    np.testing.assert_array_equal(pixels(answer["image"]), it._sampler.images(z, condition)[0])
    assert answer["latents"] == {str(latent): round(float(z[0, latent]), 4) for latent in it.latents}
    assert answer["row"] is answer["original"] is None


@pytest.mark.parametrize("name", KINDS)
def test_the_same_request_has_the_same_bytes_and_another_seed_another_image(played, name):
    it, other, digit = played(name), played(name), digit_of(name)
    request = Request(seed=3, digit=digit, along=0)
    assert it.answer(request) == it.answer(request) == other.answer(request)
    assert it.page() == other.page()
    assert asked(it, digit=digit, seed=4)["image"] != asked(it, digit=digit, seed=3)["image"]


@pytest.mark.parametrize("name", KINDS)
def test_a_latent_that_is_moved_is_the_sampler_s_image_there_and_the_row_its_traversal(played, name):
    it, digit = played(name), digit_of(name)
    z, condition = start(it, name, digit=digit)
    latent = it.latents[0]
    row = pixels(asked(it, digit=digit, along=latent)["row"])
    assert row.shape == (SIDE, STEPS * SIDE)
    for place in (0, STEPS // 2, STEPS - 1):
        z[0, latent] = -SPAN + 2 * SPAN * place / (STEPS - 1)
        image = pixels(asked(it, digit=digit, latents={latent: float(z[0, latent])})["image"])
        np.testing.assert_array_equal(image, it._sampler.images(z, condition)[0])
        np.testing.assert_allclose(row[:, place * SIDE : (place + 1) * SIDE], image, atol=1)
    assert np.ptp(row.reshape(SIDE, STEPS, SIDE), axis=1).max() > 0


def test_the_latents_with_sliders_change_the_image_most(played):
    it = played("gan")
    with torch.no_grad():
        first = it._sampler.gan.generator.net[0]
        (first[0] if isinstance(first, torch.nn.Sequential) else first).weight[:, 2] = 0
    assert it.latents[-1] == 2
    assert sorted(it.latents) == [*range(6)]


def test_a_conditional_model_draws_other_classes_with_the_same_latents(played):
    it, images = played("vae_of_classes"), 0
    for seed in range(8):
        answers = [asked(it, seed=seed, digit=digit) for digit in range(3)]
        assert answers[0]["latents"] == answers[1]["latents"] == answers[2]["latents"]
        images += len({answer["image"] for answer in answers})
    assert images > 8


def test_betas_move_the_image_and_its_own_is_the_model_s(played):
    it = played("vae_of_betas")
    own, low, high = asked(it), asked(it, beta=0.1), asked(it, beta=10)
    assert asked(it, beta=2.0) == asked(it) == own
    assert len({own["image"], low["image"], high["image"]}) == 3
    z, _ = start(it, "vae_of_betas")
    with it._sampler.vae.at(10.0):
        np.testing.assert_array_equal(pixels(high["image"]), it._sampler.images(z, None)[0])
    codes = [asked(it, original=0, beta=beta)["latents"] for beta in (0.1, 10)]
    assert codes[0] != codes[1]  # the encoder knows β too


def test_truncation_scales_z_and_that_of_styles_w(played):
    it = played("gan")
    full, half = asked(it), asked(it, truncation=0.5)
    assert it.controls.truncation == 1
    for latent, value in full["latents"].items():
        assert half["latents"][latent] == pytest.approx(value / 2, abs=1e-4)
    styles = played("gan_of_styles")
    own, less = asked(styles), asked(styles, truncation=0.1)
    assert own["latents"] == less["latents"]
    assert own["image"] != less["image"]
    assert asked(styles) == asked(styles, truncation=0.8) == own  # it is the model's own again
    assert asked(it) == full


def test_a_cluster_is_the_condition(played):
    it = played("gan")
    z, drawn = start(it, "gan")
    images = [asked(it, cluster=cluster)["image"] for cluster in range(5)]
    for cluster, image in enumerate(images):
        np.testing.assert_array_equal(pixels(image), it._sampler.images(z, torch.tensor([cluster]))[0])
    assert asked(it)["cluster"] == int(drawn)
    assert asked(it)["image"] == images[int(drawn)]
    assert len(set(images)) > 1


def test_a_class_has_its_own_clusters_alone(played):
    it = played("gan_of_classes")
    shares = it._sampler.gan.conditions.shares
    with torch.no_grad():
        shares.copy_(torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]]))
    assert it.controls.members == [[0, 1], [2, 3], [4, 5]]
    assert asked(it, digit=1, cluster=3)["cluster"] == 3
    assert {asked(it, digit=1, seed=seed)["cluster"] for seed in range(20)} == {2, 3}
    assert len({tuple(asked(it, digit=digit)["latents"].items()) for digit in range(3)}) == 1
    with pytest.raises(UserError, match="cluster: found 4; allowed: one of the class 1"):
        asked(it, digit=1, cluster=4)


@pytest.mark.parametrize("name", ["vae", "vae_of_classes"])
def test_an_original_is_reconstructed_from_its_posterior_s_mean(played, name):
    it, test = played(name), prepared.load(Path("data/prepared")).test
    model = genbalance.load(f"models/{name}.safetensors")
    labels = test.labels[:ORIGINALS] if name.endswith("classes") else None
    codes = model.encode(test.images[:ORIGINALS], labels=labels, seed=5).mean
    expected = model.decode(codes, labels=labels)
    for original in (0, 7):
        digit = None if labels is None else int(labels[original])
        answer = asked(it, original=original, digit=digit)
        np.testing.assert_allclose(pixels(answer["image"]) / 255, expected[original], atol=0.51 / 255)
        np.testing.assert_array_equal(pixels(answer["original"]), test.images[original])
        for latent, value in answer["latents"].items():
            assert value == pytest.approx(codes[original, int(latent)], abs=1e-3)


@pytest.mark.parametrize("name", ["vae", "vae_of_betas", "vae_gan"])
def test_latents_of_an_original_are_moved(played, name):
    it = played(name)
    latent = it.latents[0]
    start, moved = asked(it, original=2), asked(it, original=2, latents={latent: 3})
    assert moved["latents"] == start["latents"] | {str(latent): 3}
    assert moved["image"] != start["image"]
    assert moved["original"] == start["original"]


@pytest.mark.parametrize("name", ["vae", "vae_of_classes"])
def test_a_sample_of_pixels_has_the_likelihood_s_shares_of_black_and_white(played, name):
    sampler, count = played(name)._sampler, 2000
    z, condition = sampler.draw(1, generator(1, "play"), 1)
    many = None if condition is None else condition.expand(count)
    drawn = sampler.controls.observe(z.expand(count, -1), many, generator(0, "x"))
    decoded = sampler.vae.decode(z, condition)
    black, white = 1 - decoded.mean, decoded.mean  # of the Bernoulli likelihood
    if name == "vae":
        assert set(np.unique(drawn)) == {0, 255}
    else:  # the Gaussian one is cut at both ends
        black, white = decoded.cdf(torch.tensor(0.5 / 255)), 1 - decoded.cdf(torch.tensor(254.5 / 255))
    for level, expected in ((0, black), (255, white)):
        share = (drawn == level).mean(axis=0)
        np.testing.assert_allclose(share, expected[0, 0].detach(), atol=5 * 0.5 / count**0.5)


def test_pixels_are_drawn_by_the_seed(played):
    it = played("vae")
    assert asked(it, observed=True) == asked(it, observed=True)
    assert asked(it, observed=True)["image"] != asked(it)["image"]
    assert asked(it, observed=True)["latents"] == asked(it)["latents"]


def test_the_classifier_s_reading_is_that_of_the_image(played):
    it = played("vae")
    answer = asked(it)
    expected = it._context.extractor.read(pixels(answer["image"])[None].copy()).probabilities[0]
    assert [label for label, _ in answer["read"]] == [str(label) for label in np.argsort(-expected)]
    assert [value for _, value in answer["read"]] == pytest.approx(sorted(expected, reverse=True), abs=1e-4)


def test_without_a_classifier_or_classes_nothing_is_read(played, tmp_path):
    it = played("vae", classifier=Path("nowhere.safetensors"))
    assert asked(it)["read"] is None
    assert b'class="reading"' not in it.page()
    assert b'class="reading"' in played("vae").page()
    dataset = prepared.load(Path("data/prepared"))
    plain = replace(dataset.train, labels=np.zeros_like(dataset.train.labels))
    prepared.save(replace(dataset, train=plain, val=plain, test=plain, classes=0), tmp_path / "plain")
    assert asked(played("vae", data=tmp_path / "plain"))["read"] is None


def test_the_page_has_the_controls_of_its_model_alone(played):
    names = {"digit", "cluster", "truncation", "beta", "observed", "original"}
    found = {}
    for name in KINDS:
        page = played(name).page().decode()
        found[name] = {control for control in names if f' name="{control}"' in page}
        assert page.count("data-latent=") == 6
        assert page.count(" checked") == page.count("<legend>") - 1  # one of each but of the sliders
    encoded = {"observed", "original"}
    assert found == {
        "gan": {"cluster", "truncation"},
        "gan_of_classes": {"digit", "cluster", "truncation"},
        "gan_of_styles": {"truncation"},
        "vae": encoded,
        "vae_of_classes": encoded | {"digit"},
        "vae_of_betas": encoded | {"beta"},
        "vae_of_flow": encoded,
        "vae_gan": {"original"},
    }


def test_a_policy_names_the_hash_of_each_script_and_style():
    once = policy("<style>\na</style><script>b</script><script type=x>c</script>")
    assert once.count("'sha256-") == 3
    assert "'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='" in once  # of b
    assert "unsafe" not in once


# The server


@contextmanager
def server_of(name):
    with serving(_context(name), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(more, context):
    with server_of("vae_of_classes") as server:
        yield server


def send(server, body=b'{"seed": 1, "digit": 1}', method="POST", path="/image", host=None, **headers):
    """Status, headers and bytes of an answer."""
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for each in [f"{HOST}:{server.server_address[1]}"] if host is None else host:
        connection.putheader("Host", each)
    for key, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
        if value is not None:
            connection.putheader(key, value)
    connection.endheaders()
    with suppress(ConnectionError):  # refused before all of the body was read
        connection.send(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def assert_refused(found, status, text):
    assert found[0] == status, found
    line = found[2].decode()
    assert text in line
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert found[1]["Content-Type"] == "text/plain; charset=utf-8"
    assert found[1]["Connection"] == "close"


def test_it_serves_the_page_and_images_on_loopback(server):
    assert server.server_address[0] == HOST == "127.0.0.1"
    status, headers, page = send(server, b"", "GET", "/")
    assert (status, page) == (200, server.player.page())
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Python" not in headers["Server"]
    status, headers, answer = send(server)
    assert (status, answer) == (200, server.player.answer(Request(seed=1, digit=1)))
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"


def test_requests_at_the_same_time_have_their_own_answers(server):
    bodies = [json.dumps({"seed": seed % 3, "digit": seed % 2}).encode() for seed in range(12)]
    found = [None] * len(bodies)

    def ask(place):
        found[place] = send(server, bodies[place])[2]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [server.player.answer(Request.parse(body)) for body in bodies]


def test_several_requests_go_over_one_connection(server):
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=20)
    for _ in range(2):
        connection.request("POST", "/image", b'{"seed": 1, "digit": 1}', {"Content-Type": "application/json"})
        opened = connection.sock
        assert connection.getresponse().read()
        assert connection.sock is opened
    connection.close()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"[]", "found"),
        (b"[" * 10_000, "recursion"),
        (b"\xff\xfe", "found"),
        (b'{"digit": 1}', "seed: "),
        (b'{"seed": -1, "digit": 1}', "seed: found -1"),
        (b'{"seed": 4294967296, "digit": 1}', "seed: found 4294967296"),
        (b'{"seed": "1", "digit": 1}', "seed: found '1'"),
        (b'{"seed": 1.5, "digit": 1}', "seed: found 1.5"),
        (b'{"seed": true, "digit": 1}', "seed: found True"),
        (b'{"seed": 1, "digit": 1, "extra": 1}', "extra: found 1"),
        (b'{"seed": 1, "digit": 1, "a\\nb": 1}', "a?b: found 1"),
        (b'{"seed": 1}', "digit: found null; allowed: 0 … 2"),
        (b'{"seed": 1, "digit": 3}', "digit: found 3"),
        (b'{"seed": 1, "digit": 1, "latents": {"6": 1}}', "latents: found 6; allowed: 0 … 5"),
        (b'{"seed": 1, "digit": 1, "latents": {"-1": 1}}', "found '-1'"),
        (b'{"seed": 1, "digit": 1, "latents": {"x": 1}}', "found 'x'"),
        (b'{"seed": 1, "digit": 1, "latents": {"1": 1e300}}', "latents.1: found 1e+300"),
        (b'{"seed": 1, "digit": 1, "latents": {"1": NaN}}', "latents.1: found nan"),
        (b'{"seed": 1, "digit": 1, "latents": [1]}', "latents: found [1]"),
        (b'{"seed": 1, "digit": 1, "along": 6}', "along: found 6"),
        (b'{"seed": 1, "digit": 1, "original": 20}', "original: found 20; allowed: 0 … 19"),
        (b'{"seed": 1, "digit": 1, "cluster": 0}', "cluster: found 0; allowed: null"),
        (b'{"seed": 1, "digit": 1, "truncation": 0.5}', "truncation: found 0.5"),
        (b'{"seed": 1, "digit": 1, "truncation": 0}', "truncation: found 0"),
        (b'{"seed": 1, "digit": 1, "beta": 1}', "beta: found 1, but the model knows none"),
        (b'{"seed": 1, "digit": 1, "observed": 1}', "observed: found 1"),
    ],
)
def test_what_is_no_request_is_refused_in_a_line(server, body, text):
    assert_refused(send(server, body), 400, text)


def test_a_model_refuses_what_it_lacks(played):
    gan, betas = played("gan"), played("vae_of_betas")
    for it, request, text in (
        (gan, {"digit": 0}, "digit: found 0; allowed: null"),
        (gan, {"cluster": 5}, "cluster: found 5; allowed: 0 … 4"),
        (gan, {"original": 0}, "original: found 0; allowed: null"),
        (gan, {"observed": True}, "observed: found true"),
        (betas, {"beta": 11}, "beta: found 11; allowed: 0.1 … 10"),
        (betas, {"beta": 0.05}, "beta: found 0.05; allowed: 0.1 … 10"),
    ):
        with pytest.raises(UserError, match=f"^{text}"):
            asked(it, **request)


def test_whoever_is_not_its_page_is_refused(server):
    port = server.server_address[1]
    own = f"{HOST}:{port}"
    for host in ([], ["evil.example"], [f"evil.example:{port}"], [HOST], [own, own], [f"{HOST}:{port + 1}"]):
        assert_refused(send(server, host=host), 403, f"allowed: {own}")
        assert_refused(send(server, b"", "GET", "/", host=host), 403, "Host")
    for origin in ("http://evil.example", "null", f"https://{HOST}:{port}", f"http://localhost:{port}"):
        assert_refused(send(server, Origin=origin), 403, "Origin")
    assert send(server, Origin=f"http://{HOST}:{port}")[0] == 200
    assert send(server, host=[f"localhost:{port}"])[0] == 200


def test_other_methods_paths_and_bodies_are_refused(server):
    assert_refused(send(server, path="/"), 404, "/image")
    for path in ("/image", "/../etc/passwd", "/?x", "/favicon.ico"):
        assert_refused(send(server, b"", "GET", path), 404, "/ alone")
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert_refused(send(server, b"", method), 501, "Unsupported method")
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert_refused(send(server, **{"Content-Type": kind}), 415, "application/json")
    for length in (None, "-1", "x", "1e3", "9" * 30):
        assert_refused(send(server, **{"Content-Length": length}), 411, "Content-Length")
    assert_refused(send(server, **{"Transfer-Encoding": "chunked"}), 411, "Content-Length")
    assert_refused(send(server, b" " * (LONGEST + 1)), 413, "allowed: 16,384")
    assert send(server, b'{"seed": 1, "digit": 1}'.ljust(LONGEST))[0] == 200
    with socket.create_connection(server.server_address, timeout=20) as raw:
        raw.sendall(b"\x16\x03\x01 what is this\r\n\r\n")
        with raw.makefile("rb") as answer:
            assert answer.read() == b"Bad request version ('this')\n"
    assert send(server)[0] == 200  # it goes on


def test_a_body_that_never_comes_blocks_no_other(server):
    with socket.create_connection(server.server_address, timeout=20) as raw:
        raw.sendall(f"POST /image HTTP/1.1\r\nHost: {HOST}:{server.server_address[1]}\r\n".encode())
        raw.sendall(b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
        assert send(server)[0] == 200


# The command


def test_missing_files_are_named_in_a_line(more, context, tmp_path):
    for option, name in (("--weights", "x.safetensors"), ("--params", "x.yaml"), ("--data", "x")):
        assert str(tmp_path / name) in refused("play", "--model", "gan", option, tmp_path / name)
    missing = ("--model", "gan", "--weights", tmp_path / "x.safetensors")
    assert refused("play", *missing) == refused("generate", *missing, "--digit", 1)
    assert "config" in refused("play", "--model", "vae", "--weights", "models/gan.safetensors")


def test_a_port_in_use_is_named(server):
    port = server.server_address[1]
    assert refused("play", "--model", "gan", "--port", port).startswith(f"--port: {port} cannot be used (")
    assert command("play", "--model", "gan", "--port", 65_536).exit_code == 2


def test_a_connection_that_is_closed_before_it_is_read_prints_nothing(server, capsys):
    for connection in (socket.create_connection(server.server_address), *socket.socketpair()):
        connection.close()  # as Ctrl-C does with one whose thread just starts
        server.process_request_thread(connection, (HOST, 1))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it(more, number, code):
    source = Path(genbalance.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "genbalance", "play", "--model", "gan"],
        cwd=more, env=os.environ | {"PYTHONPATH": str(source)}, text=True, preexec_fn=hears_all,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    address = process.stdout.readline().split()[0]
    assert address.startswith(f"http://{HOST}:")
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=20):  # open meanwhile
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (code, "", "")
