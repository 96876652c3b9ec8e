"""A trained model, registered and served by a real `mlflow models serve`, is asked for digits over HTTP."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from servers import wait_for
from small_repository import call, environment, fresh_repository

from benchmarks.postgres import free_port
from genbalance.data import prepared
from genbalance.data.pixels import standardized
from genbalance.evaluation.features import FeatureExtractor
from genbalance.models import weights
from genbalance.models.classifier import Classifier

EACH = 30  # digits asked for, of each class
PARAMS = {"limit": "all", "threads": "1"}
EPOCHS = {"classifier": 4, "gan": 6}  # fewer, and the generator's moving average still lies near where it began
pytestmark = pytest.mark.slow

Post = Callable[[list[dict]], tuple[int, dict]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a classifier and a GAN that learned a little from the bundled digits, and its evaluation; and
    another classifier, reader.safetensors, of another seed, which the serving one knows nothing of."""
    repository = fresh_repository(tmp_path_factory.mktemp("serving"))
    path = repository / "params.yaml"
    text = path.read_text()
    for key, value in PARAMS.items():
        text, count = re.subn(rf"(?m)^(  {key}: )\S+", rf"\g<1>{value}", text)
        assert count == 1, key
    for section, epochs in EPOCHS.items():
        text, count = re.subn(rf"(?ms)^({section}:\n(?:  .*?\n)*?  epochs: )\d+", rf"\g<1>{epochs}", text)
        assert count == 1, section
    path.write_text(re.sub(r"(?m)^seed: \d+", "seed: 1", text))
    call(repository, "dvc", "repro", "-q", "train_classifier")
    (repository / "models/classifier.safetensors").rename(repository / "reader.safetensors")
    path.write_text(text)
    call(repository, "dvc", "repro", "-q", "evaluate@gan")
    return repository


@pytest.fixture(scope="module")
def post(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """Asks the served champion: the status, and what the answer says."""
    call(trained, "env", "PYTHONPATH=src", "python", "-m", "genbalance", "register", "--model", "gan")
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", "models:/genbalance-gan@champion", "--env-manager", "local"]
    env = environment() | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=trained, env=env, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, f"{address}/ping", log)

        def ask(requests: list[dict]) -> tuple[int, dict]:
            body = json.dumps({"dataframe_records": requests}).encode()
            request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=100) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as refusal:
                return refusal.code, json.load(refusal)

        yield ask
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def pixels(prediction: dict) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(prediction["png"]))))


def test_digits_asked_for_over_http_are_read_right_by_another_classifier(
    trained: Path, post: Post, tell: Callable[[str], None]
) -> None:
    status, body = post([{"digit": digit, "seed": 1, "count": EACH} for digit in range(10)])
    assert status == 200, body
    answers = body["predictions"]
    assert [answer["row"] for answer in answers] == np.arange(10).repeat(EACH).tolist()
    assert all(answer["read"] == answer["row"] for answer in answers)
    images = np.stack([pixels(answer) for answer in answers])
    assert images.shape == (10 * EACH, 28, 28)
    assert len(np.unique(images, axis=0)) == 10 * EACH

    digits, cpu = prepared.load(trained / "data/prepared"), torch.device("cpu")
    network = weights.load(trained / "reader.safetensors", Classifier, cpu)
    reading = FeatureExtractor(network, standardized(digits.mean, digits.std), cpu).read(images)
    right = (reading.probabilities.argmax(axis=1) == np.arange(10).repeat(EACH)).mean()
    tell(f"another classifier reads {right:.1%} of {10 * EACH} served digits as what was asked for")
    assert right >= 0.98


def test_the_same_request_has_the_same_answer_and_another_seed_another(post: Post) -> None:
    first, again, other = (post([{"digit": 4, "seed": seed}, {"digit": None, "seed": seed}]) for seed in (1, 1, 2))
    assert first == again
    assert first[1] != other[1]


def test_a_request_for_what_there_is_not_is_refused_and_says_why(post: Post) -> None:
    status, body = post([{"digit": 10, "seed": 1}])
    assert status == 400
    assert "digit: found 10; allowed: whole numbers from -1 to 9" in body["message"]
