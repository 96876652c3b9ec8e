"""What MLflow shows at the address that `genbalance ui` prints, of a store that trackings of ours have filled."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from committed import PARAMS
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[3]
FILL = """
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from genbalance.params import read_params
from genbalance.tracking import tracked

Image.fromarray(np.eye(571, dtype=np.uint8) * 255).save("grid.png")
grid = np.asarray(Image.open("grid.png"))
values = Path("params.yaml").read_text()
for name, beta, distance in (("", 1.0, 10.25), ("bold-eagle", 4.0, 20.5)):
    Path("params.yaml").write_text(values.replace("\\nbeta: 1.0", f"\\nbeta: {beta}"))
    os.environ["DVC_EXP_NAME"] = name
    for stage in ("train_gan", "report"):
        with tracked(stage, read_params()) as run:
            if stage == "train_gan":
                trained = run.run_id
            for epoch in range(4):
                run.image("samples", grid, step=epoch)
                run.log({"loss_g": 1.0}, step=epoch + 1)
            if stage == "report":
                numbers = {"gan_fd_test": 1.25, "vae_fd_test": distance, "vae_rate": 18.0, "vae_distortion": 90.0}
                run.headline(numbers, {"gan_samples": Path("grid.png")})
print(trained)
"""
# how much of the box that a picture scrolls in it covers, as a share
COVERED = """picture => {
  let box = picture.parentElement;
  while (getComputedStyle(box).overflowY !== "auto") box = box.parentElement;
  const [a, b] = [picture.getBoundingClientRect(), box.getBoundingClientRect()];
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return width * height / (b.width * b.height);
}"""
LOGGED = "img[src*='get-artifact']"  # MLflow shows pictures of its own, too
LOADED = "image => image.complete && image.naturalWidth"
SECONDS = 60_000  # ms that a page may take on a busy machine


@dataclass(frozen=True)
class Repository:
    """A repository with two pipeline runs in its store.

    Attributes:
        folder: where.
        environment: of the programs that run in it.
        trained: the id of the run of a training.
    """

    folder: Path
    environment: dict[str, str]
    trained: str


@pytest.fixture(scope="module")
def repository(browser, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repo = tmp_path_factory.mktemp("repo")
    (repo / "mlflow.db").write_bytes(tables.read_bytes())
    (repo / "params.yaml").write_bytes(PARAMS.read_bytes())
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "params.yaml"], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    dropped = ("MLFLOW_", "DVC_", "GIT_", "DISPLAY", "WAYLAND_DISPLAY")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment["PYTHONPATH"] = str(ROOT / "src")
    filled = subprocess.run(
        [sys.executable, "-c", FILL], cwd=repo, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return Repository(repo, environment, filled.stdout.strip())


@pytest.fixture(scope="module")
def trained(repository: Repository) -> str:
    return repository.trained


@pytest.fixture(scope="module")
def address(repository: Repository) -> Iterator[str]:
    """The line that `genbalance ui` prints there, while it runs."""
    command = [sys.executable, "-m", "genbalance", "ui", "--port", "0"]
    with subprocess.Popen(
        command, cwd=repository.folder, env=repository.environment, stdout=subprocess.PIPE, text=True
    ) as served:
        yield served.stdout.readline().strip()
        served.terminate()
        assert served.stdout.read() == ""  # one address, and nothing else


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(SECONDS)
    yield context.new_page()
    context.close()


def column(page: Page, key: str) -> list[str]:
    """The texts of a column, row by row; it has to be on the screen."""
    cells = page.locator(f"[role=gridcell][col-id='{key}']")
    expect(cells.first).to_be_in_viewport(ratio=1, timeout=SECONDS)
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_table_opens_on_the_coefficients_and_what_they_do(page: Page, address: str) -> None:
    page.goto(address)
    headers = {"params.`lambda`": "lambda", "params.`beta`": "beta"}
    headers |= {f"metrics.`{name}`": name for name in ("gan_fd_test", "vae_fd_test")}
    for key, text in headers.items():
        header = page.locator(f"[role=columnheader][col-id='{key}']")
        expect(header).to_be_in_viewport(ratio=1, timeout=SECONDS)
        assert header.inner_text().strip() == text
    assert [column(page, key) for key in headers] == [["1.0", "1.0"], ["4.0", "1.0"], ["1.25"] * 2, ["20.5", "10.25"]]
    named = column(page, "attributes.`Run Name`")
    assert len(named) == 2  # pipeline runs, with their stages folded
    assert "bold-eagle beta=4" in named[0]


def test_a_training_s_page_begins_with_a_grid_of_step_0(page: Page, address: str, trained: str) -> None:
    page.goto(address.replace("/runs?", f"/runs/{trained}/model-metrics?"))
    picture = page.locator(LOGGED).first
    picture.wait_for()
    page.wait_for_function(LOADED, arg=picture.element_handle())
    assert "step%2B0%2B" in picture.get_attribute("src")
    assert picture.evaluate(COVERED) > 0.5
    expect(picture).to_be_in_viewport(timeout=SECONDS)


def test_the_view_of_charts_has_the_effects_and_the_samples_of_each_run(page: Page, address: str) -> None:
    page.goto(f"{address}&compareRunsMode=CHART")
    for title in ("lambda vs. gan_fd_test", "beta vs. vae_fd_test"):
        expect(page.get_by_text(title).first).to_be_in_viewport(timeout=SECONDS)
    page.get_by_text("grids/gan_samples").first.scroll_into_view_if_needed()
    pictures = page.locator(LOGGED)
    expect(pictures).to_have_count(2, timeout=SECONDS)
    for picture in pictures.all():
        page.wait_for_function(LOADED, arg=picture.element_handle())
