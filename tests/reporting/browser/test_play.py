"""The page of `genbalance play` in a real browser: what is moved changes what is drawn."""

import base64
import io
import threading
from contextlib import ExitStack, contextmanager

import browsing
import numpy as np
import pytest
import torch
from browsing import SCREENS, Seen
from PIL import Image

from genbalance.models import weights
from genbalance.models.vae import Vae
from genbalance.runtime.device import initialised
from genbalance.sampling.context import Context
from genbalance.sampling.play import serving
from tests.sampling.conftest import COMMON, CPU, unlearned

__all__ = ["unlearned"]  # a fixture
BETAS = COMMON | {"likelihood": "bernoulli", "width": 32, "log_sigma_floor": -6.0, "beta_range": [0.1, 10.0]}
KINDS = {"gan": "gan", "vae_of_classes": "vae", "vae_of_betas": "vae"}


@pytest.fixture(scope="module")
def addresses(unlearned):
    """Where the page of each model is, by its name."""
    model = initialised(lambda: Vae(**BETAS), 0, "betas", CPU)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "modulation" in key:
                parameter.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    weights.save(unlearned / "models/vae_of_betas.safetensors", BETAS, model.state_dict())
    threads, deterministic, state = (
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    )  # fmt: skip
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        yield {name: stack.enter_context(served(unlearned, name)) for name in KINDS}
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_rng_state(state)


@contextmanager
def served(folder, name):
    """A server for a model, with the seed 7: its address."""
    models = folder / "models"
    files = (models / f"{name}.safetensors", folder / "data/prepared", models / "classifier.safetensors")
    with serving(Context(KINDS[name], *files, folder / "params.yaml", 7, 1), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.address
        server.shutdown()
        thread.join()


@contextmanager
def opened(browser, address, screen="desktop", scheme="light"):
    context = browser.new_context(**SCREENS[screen], color_scheme=scheme, reduced_motion="reduce")
    seen = Seen(context.new_page())
    seen.page.on("console", lambda it: seen.said.append(f"{it.type}: {it.text}"))
    seen.page.on("pageerror", lambda it: seen.said.append(f"error: {it}"))
    seen.page.on("request", lambda it: seen.requests.append(it.url))
    seen.page.goto(address)
    drawn(seen.page)
    yield seen
    assert seen.said == []
    assert {it for it in seen.requests if not it.startswith("data:")} == {address, f"{address}image"}
    context.close()


def drawn(page):
    """Waits until nothing is asked for."""
    page.wait_for_selector("body[data-idle]")


def state(page):
    """What the page shows."""
    return page.evaluate("""() => {
      const text = selector => [...document.querySelectorAll(selector)].map(it => it.textContent.trim());
      const source = selector => document.querySelector(selector)?.src;
      return {
        image: source("#image"), row: source("#row"), original: source("#original:not([hidden]) img"),
        said: text("#said")[0], along: text("#named")[0], alt: document.querySelector("#image").alt,
        numbers: text(".latents output"), seed: document.querySelector("[name=seed]").value,
        bars: [...document.querySelectorAll(".reading b")].map(it => parseFloat(it.style.width) || 0),
      };
    }""")


def pixels(source):
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
        return np.asarray(picture)


@pytest.fixture(params=["phone", "desktop"])
def page(request, browser, addresses):
    """That of the GAN of clusters."""
    with opened(browser, addresses["gan"], request.param) as seen:
        yield seen.page


def slider(page, place=0):
    return page.locator(".latents input").nth(place)


def test_it_starts_with_an_image_its_reading_and_a_row(page):
    now = state(page)
    assert pixels(now["image"]).shape == (8, 8)
    assert pixels(now["row"]).shape == (8, 72)
    assert now["seed"] == "7"
    assert now["said"].startswith("read as ")
    assert now["said"].removeprefix("read as ").split(",")[0] in now["alt"]
    assert len(now["bars"]) == 3
    assert sum(now["bars"]) == pytest.approx(100, abs=2)
    assert len(now["numbers"]) == 6


def test_keys_move_a_latent_and_the_picture(page):
    start = state(page)
    slider(page).focus()
    page.keyboard.press("Home")
    drawn(page)
    low = state(page)
    page.keyboard.press("End")
    drawn(page)
    high = state(page)
    assert (low["numbers"][0], high["numbers"][0]) == ("−3.00", "3.00")
    assert low["numbers"][1:] == high["numbers"][1:] == start["numbers"][1:]
    assert len({start["image"], low["image"], high["image"]}) == 3
    np.testing.assert_allclose(pixels(low["row"])[:, :8], pixels(low["image"]), atol=1)
    np.testing.assert_allclose(pixels(low["row"])[:, -8:], pixels(high["image"]), atol=1)
    page.keyboard.press("ArrowLeft")
    drawn(page)
    assert -3 < float(state(page)["numbers"][0].replace("−", "-")) < 3
    page.get_by_role("button", name="Reset the latents").press("Enter")
    drawn(page)
    assert state(page) == start


def test_mouse_and_finger_move_a_latent(page):
    touch = page.evaluate("navigator.maxTouchPoints > 0")
    control, start = slider(page, 1), state(page)
    control.scroll_into_view_if_needed()
    box = control.bounding_box()
    found = []
    for share in (0.03, 0.97):
        position = {"x": share * box["width"], "y": box["height"] / 2}
        control.tap(position=position) if touch else control.click(position=position)
        drawn(page)
        found.append(state(page))
    low, high = (float(it["numbers"][1].replace("−", "-")) for it in found)
    assert low < -2.5 < 2.5 < high
    assert len({start["image"], *(it["image"] for it in found)}) == 3
    assert found[0]["along"] == f"latent {control.get_attribute('data-latent')}"
    assert box["height"] >= browsing.TOUCH


def test_dragging_ends_at_the_picture_of_where_it_ends(browser, addresses):
    with opened(browser, addresses["gan"]) as seen:
        page, control = seen.page, slider(seen.page)
        box = control.bounding_box()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, y)
        page.mouse.down()
        for share in np.linspace(0.5, 0, 40):
            page.mouse.move(box["x"] + share * box["width"], y)
        page.mouse.up()
        drawn(page)
        dragged = state(page)
        assert dragged["numbers"][0] == "−3.00"
        control.focus()
        page.keyboard.press("End")
        page.keyboard.press("Home")
        drawn(page)
        assert state(page)["image"] == dragged["image"]


def test_the_row_follows_the_latent_under_the_pointer(browser, addresses):
    with opened(browser, addresses["gan"]) as seen:
        start = state(seen.page)
        slider(seen.page, 2).hover()
        drawn(seen.page)
        now = state(seen.page)
        assert now["row"] != start["row"]
        assert now["along"] != start["along"]
        assert now["image"] == start["image"]


def test_a_new_digit_has_a_seed_that_finds_it_again(page):
    start = state(page)
    page.get_by_role("button", name="New").click()
    drawn(page)
    new = state(page)
    assert new["image"] != start["image"]
    assert new["seed"] != "7"
    seed = page.get_by_role("spinbutton", name="Seed")
    seed.fill("7")
    drawn(page)
    assert state(page) == start
    seed.fill(new["seed"])
    drawn(page)
    assert state(page) == new
    seed.fill("-1")
    assert state(page) == new | {"seed": "-1"}  # no seed: nothing is asked for


def test_clusters_and_truncation_change_the_image(page):
    start = state(page)
    clusters = page.get_by_role("radio", name="Cluster")
    assert clusters.count() == 5
    images = set()
    for place in range(5):
        clusters.nth(place).check()
        drawn(page)
        images.add(state(page)["image"])
    assert start["image"] in images
    assert len(images) > 1
    clusters.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert clusters.nth(1).is_checked()
    page.get_by_role("radio", name="by the seed").check()
    drawn(page)
    assert state(page) == start
    page.get_by_label("Truncation").focus()
    page.keyboard.press("Home")
    drawn(page)
    assert state(page)["image"] != start["image"]
    page.keyboard.press("End")
    drawn(page)
    assert state(page) == start


@pytest.fixture(params=["phone", "desktop"])
def conditional(request, browser, addresses):
    with opened(browser, addresses["vae_of_classes"], request.param) as seen:
        yield seen.page


def test_classes_and_pixels_are_chosen(conditional):
    images = set()
    for name in ("0", "1", "2"):
        conditional.get_by_role("radio", name=name, exact=True).check()
        drawn(conditional)
        images.add(state(conditional)["image"])
    assert len(images) > 1
    conditional.get_by_role("radio", name="a sample of it").check()
    drawn(conditional)
    assert state(conditional)["image"] not in images


def test_a_test_image_is_reconstructed_beside_it(conditional):
    start = state(conditional)
    assert start["original"] is None
    conditional.get_by_role("radio", name="Test image 4").check()
    drawn(conditional)
    now = state(conditional)
    tile = conditional.get_by_role("img", name="Test image 4").first.get_attribute("src")
    np.testing.assert_array_equal(pixels(now["original"]), pixels(tile))
    assert now["numbers"] != start["numbers"]
    conditional.get_by_role("radio", name="none: by the seed").check()
    drawn(conditional)
    assert state(conditional) == start


def test_beta_is_dragged_over_its_range(browser, addresses):
    with opened(browser, addresses["vae_of_betas"]) as seen:
        page, start = seen.page, state(seen.page)
        beta = page.get_by_label("β, the weight of the KL term")
        assert beta.get_attribute("aria-valuetext") == "1"
        assert float(beta.input_value()) == pytest.approx(0.5)  # the middle of a logarithmic axis
        beta.focus()
        images = []
        for key, value in (("Home", "0.1"), ("End", "10")):
            page.keyboard.press(key)
            drawn(page)
            assert beta.get_attribute("aria-valuetext") == value
            images.append(state(page)["image"])
        assert len({*images, start["image"]}) == 3
        assert page.locator("#failed").is_hidden()


def test_a_server_that_does_not_answer_is_named(browser, addresses):
    context = browser.new_context()
    page = context.new_page()
    page.goto(addresses["gan"])
    drawn(page)
    context.set_offline(True)
    page.get_by_role("button", name="New").click()
    drawn(page)
    assert page.get_by_role("alert").inner_text().startswith("The server does not answer")
    context.set_offline(False)
    page.get_by_role("button", name="New").click()
    drawn(page)
    assert page.get_by_role("alert").count() == 0  # it is hidden
    context.close()


@pytest.fixture(scope="module", params=["gan", "vae_of_classes", "vae_of_betas"])
def model(request):
    return request.param


@pytest.fixture(scope="module", params=["phone-light", "phone-dark", "desktop-light", "desktop-dark"])
def looked(request, browser, addresses, model):
    with opened(browser, addresses[model], *request.param.split("-")) as seen:
        if model != "gan":
            seen.page.get_by_role("radio", name="Test image 0").check()
            drawn(seen.page)
        yield seen


@pytest.mark.parametrize("check", ["broken_images", "overflow", "clipped", "spilled", "tiny_text", "barriers"])
def test_it_looks_as_it_should(looked, check):
    assert getattr(browsing, check)(looked) == []


def test_images_are_large_and_not_smoothed(looked):
    rendering, width = looked.page.locator("#image").evaluate(
        "it => [getComputedStyle(it).imageRendering, it.getBoundingClientRect().width]"
    )
    assert rendering == "pixelated"
    phone = looked.page.viewport_size["width"] == 390
    both = looked.page.locator("#original").is_visible() if looked.page.locator("#original").count() else False
    assert width == pytest.approx({(0, 0): 280, (0, 1): 168, (1, 0): 168, (1, 1): 84}[phone, both], abs=8)


def test_what_is_touched_is_as_large_as_a_finger(looked):
    small = looked.ask(f"""return all("button, input").filter(visible).map(it => [it, it.getBoundingClientRect()])
      .filter(([it, box]) => Math.min(box.width, box.height) < {browsing.TOUCH})
      .map(([it, box]) => `${{it.name}} ${{it.value}}: ${{box.width}} × ${{box.height}}`)""")
    assert small == []


def test_dark_is_dark(browser, addresses):
    shades = []
    for scheme in ("light", "dark"):
        with opened(browser, addresses["gan"], "phone", scheme) as seen:
            shades.append(seen.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert [sum(map(int, shade[4:-1].split(","))) > 384 for shade in shades] == [True, False]


def test_the_image_stays_in_sight_while_the_controls_are_scrolled(page):
    page.locator("footer").scroll_into_view_if_needed()
    last = page.locator(".tiles label").last
    last.scroll_into_view_if_needed()
    box = page.locator("#image").bounding_box()
    assert 0 <= box["y"] < page.viewport_size["height"] - box["height"]
