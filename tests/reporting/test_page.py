"""The page, as a browser's parser sees it."""

import base64
import itertools
import re
from pathlib import Path

import pytest
from reported import FAMILIES, write

from genbalance.families.registry import known
from genbalance.params import read_params
from genbalance.reporting.measures import side_by_side
from genbalance.reporting.page import figures, page
from genbalance.reporting.results import files, read_results
from genbalance.reporting.text import flat, parameter


@pytest.fixture(scope="module")
def render(settings, drawn):
    """A function that makes the page of a workspace."""
    return lambda root, **params: page(read_results(root, FAMILIES), settings(root, **params), drawn)


@pytest.fixture(scope="module")
def html(finished, render):
    return render(finished)


@pytest.fixture(scope="module")
def parsed(html, parse):
    return parse(html)


def test_every_element_that_is_opened_is_closed(parsed):
    assert parsed.open == []


def test_the_page_names_its_language_its_title_and_its_width(html, parsed):
    assert html.startswith("<!doctype html>\n<html lang=")
    assert parsed.all("html") == [{"lang": "en"}]
    assert html[: html.index("<body>")].count("<title>") == 1
    assert any(meta.get("name") == "viewport" for meta in parsed.all("meta"))


def test_every_picture_is_in_the_page_and_has_an_alternative_text(parsed):
    pictures = parsed.all("img")
    assert len(pictures) >= 10
    for picture in pictures:
        assert picture["src"].startswith("data:image/png;base64,")
        assert picture["alt"].strip()
    themes = [picture["class"] for picture in pictures if "class" in picture]
    assert themes == ["light", "dark"] * (len(themes) // 2)
    assert themes


@pytest.mark.parametrize("name", files([*FAMILIES.values()]).pictures)
def test_every_grid_that_the_stages_drew_is_in_the_page_once(finished, parsed, name):
    source = "data:image/png;base64," + base64.b64encode((finished / f"{name}.png").read_bytes()).decode()
    assert [picture["src"] for picture in parsed.all("img")].count(source) == 1


def test_a_coefficient_that_training_moves_is_said_to_start_there(finished, render, html):
    said = {"λ": "λ = 1 is where it starts", "β": "β = 1 is where it starts", "σ": "the weight β·σ²"}
    changes = {"λ": {"gan__balance": "accuracy"}, "β": {"vae__balance": "geco"}, "σ": {"vae__balance": "sigma"}}
    for symbol, changed in changes.items():
        text = " ".join(render(finished, **changed).split())
        assert [each for each in said if said[each] in text] == [symbol]
        family = FAMILIES[next(iter(changed)).partition("__")[0]]
        assert text.count(f"at the start of the {family.title}’s training") == 2 * (symbol != "σ")  # setting and effect
    assert not any(text in " ".join(html.split()) for text in (*said.values(), "at the start of"))


def test_mixed_styles_are_shown_where_the_generator_has_styles(workspace, render, html, parse):
    assert "style mixing" not in html
    root = workspace()
    (root / "artifacts/evaluate_gan/style_mixing.png").write_bytes(b"a table of images")
    with_mixing = render(root, gan__arch="style")
    source = "data:image/png;base64," + base64.b64encode(b"a table of images").decode()
    assert [picture["src"] for picture in parse(with_mixing).all("img")].count(source) == 1
    assert "<h3>GAN: style mixing</h3>" in with_mixing


def test_rows_of_a_grid_are_named_beside_it(html):
    for family in FAMILIES.values():
        name = f'<h4 class="{family.name}">{family.title}</h4>\n  <div>'
        assert re.findall("<li>(.*?)</li>", html[html.index(name) :].split("</figure>")[0]) == [
            *("sample", "training", "test")
        ]


def test_nothing_is_loaded_from_elsewhere(html, parsed):
    assert all(address.startswith(("data:", "#")) for address in parsed.loaded)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert parsed.all("script") == [{}]  # the slider's, in the page itself
    assert not parsed.all("iframe", "object", "embed")


def test_links_within_the_page_lead_somewhere(parsed):
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in parsed.all("a")]
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= set(ids)
    labels = " ".join(attrs["aria-labelledby"] for _, attrs in parsed.elements if "aria-labelledby" in attrs)
    assert set(labels.split()) <= set(ids)


def test_headings_go_down_a_step_at_a_time(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_parameter_appears_with_its_value(finished, html):
    for key, value in read_params(finished / "params.yaml").flat().items():
        assert f'<tr><th scope="row">{key}</th><td>{parameter(value)}</td></tr>' in html


def test_every_metric_appears_with_its_value(finished, html):
    numbers = {stage: flat(values) for stage, values in read_results(finished, FAMILIES).metrics.items()}
    assert sum(map(len, numbers.values())) > 80
    for stage, rows in numbers.items():
        table = html[html.index(f"<caption>{stage}</caption>") :].split("</table>")[0]
        for key, value in rows.items():
            assert f'<tr><th scope="row">{key}</th><td>{value}</td></tr>' in table


def test_every_row_of_the_comparison_has_a_cell_for_each_column(finished, html):
    table = html[html.index('<table class="compare">') :].split("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', table, re.DOTALL)
    groups = side_by_side(read_results(finished, FAMILIES))
    assert len(rows) == sum(map(len, groups.values()))
    columns = len(FAMILIES) + 2
    assert all(row.count("<td>") == row.count("</td>") == columns for row in rows)
    assert re.findall(rf'colspan="{columns + 1}">(.*?)</th>', table) == list(groups)


def test_an_interval_stands_with_its_number(html):
    row = html[html.index('<th scope="row">precision') :].split("</tr>")[0]
    assert "<td>0.749 <small>0.67 … 0.82</small></td>" in row


def test_the_page_says_how_many_images_were_reconstructed(parsed):
    assert "of 24 test images for the GAN, by GAN inversion, and of 100 for the VAE" in parsed.text
    assert "takes k = 200 draws" in parsed.text


def test_the_page_says_how_fair_the_models_are(parsed):
    assert parsed.text.count(
        "the worst class has 0.420 of the mean; of the Fréchet distance within a class, the worst has 1.13 times"
    ) == len(FAMILIES)


def test_the_data_s_provenance_appears(parsed):
    for words in (
        "some digits",
        "360 training, 40 validation, 100 test",
        "digits.csv.gz",
        "00112233445566778899aabbccddeeff",
    ):
        assert words in parsed.text


def test_every_stage_and_every_arrow_is_named(parsed):
    for words in ("evaluate@gan", "evaluate@vae", "train_vae feeds evaluate@vae.", "prepare feeds train_gan."):
        assert words in parsed.text


def test_the_page_says_that_its_distances_are_not_inception_fid(parsed):
    assert parsed.text.count("not comparable with Inception-FID") >= 2


def test_marks_stand_where_the_numbers_are(html):
    """Fréchet distance 22.81 between floor 3.114 and ceiling 1210.5, in per cent of a logarithmic scale."""
    card = html[html.index("<h3>Fréchet distance</h3>") :].split("</article>")[0]
    assert re.findall(r"width: ([\d.]+)%", card) == ["33.39", "49.99"]
    assert "20.5 … 25.1" in card
    assert "floor 3.114" in card
    assert "ceiling 1,210" in card


def test_an_alarm_of_a_training_stands_at_the_head(workspace, change, render, html, parse):
    sentence = "epoch 9: posterior collapse: the latents carry 0.01 nats of an image; try a smaller beta"
    root = workspace()
    change(root / "metrics/train_vae.json", alarms={"posterior_collapse": sentence})
    text = render(root)
    assert sentence in parse(text).text
    assert text.index('class="alarm"') < text.index("<main")
    assert 'class="alarm"' not in html


def test_html_in_names_and_parameters_is_shown_and_not_obeyed(workspace, change, render, parse):
    evil = '<script>alert("&1")</script>'
    root = workspace()
    change(root / "metrics/prepare.json", title=evil, source=evil, files={evil: evil})
    pipeline = root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("  report:", "  <b>report</b>:"), encoding="utf-8")
    seen = parse(render(root, data__path=evil, tracking__experiment='"><img src=http://x>'))
    assert seen.all("script") == [{}]  # the slider's
    assert all(picture["src"].startswith("data:") for picture in seen.all("img"))
    assert seen.text.count(evil) >= 5
    assert "<b>report</b>" in seen.text


def test_equal_input_gives_an_equal_page(finished, render, html):
    assert render(finished) == html


def test_the_page_holds_no_path_of_the_machine(finished, html):
    assert str(finished) not in html
    assert str(Path.home()) not in html


def test_another_number_of_classes_and_another_size_appear(workspace, render, parse):
    seen = parse(render(workspace(classes=4, side=16, epochs=1)))
    assert "16 × 16 pixels, one of 4 classes" in seen.text
    assert "our classifier, 1 to 4;" in seen.text


def test_what_differs_from_the_defaults_is_listed_and_nothing_else(finished, render, html, parse):
    assert "Every parameter is at its default." in parse(html).text
    changed = render(finished, beta=4.0, gan__arch="mlp", data__limit=500)
    table = changed[changed.index("What differs from the defaults") :].split("</table>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>', table)
    assert rows == [("beta", "4.0", "1.0"), ("data.limit", "500", "all"), ("gan.arch", "mlp", "dcgan")]


def test_every_way_through_the_latents_is_named_beside_it(html):
    section = html[html.index('<section id="latents"') :].split("</section>")[0]
    lists = [re.findall("<li>(.*?)</li>", part) for part in section.split("</figure>")]
    assert lists[:4] == [["0 → 1", "2 → 3"]] * 2 + [["z 5", "z 0"]] * 2
    assert "VAE, a 3" in section
    assert "one latent goes from −2 to 2" in section


def test_sweeps_are_shown_where_there_are_some(html, parsed, workspace, render, parse):
    assert len(parsed.all("input")) == 2
    assert "seed 42; all other parameters as in this run." in parsed.text
    assert "gan.epochs = 8 (this run: " in parsed.text
    assert 'id="sweeps"' not in html  # both answer a question at the head of the page
    root = workspace()
    for file in (root / "metrics/sweeps").glob("*.json"):
        file.unlink()
    bare = render(root)
    assert "#sweeps" not in bare
    assert 'id="sweeps"' not in bare
    seen = parse(bare)
    assert not seen.all("script", "input")
    assert 'class="slider' not in bare
    for key, symbol in (("beta", "β"), ("lambda", "λ")):
        assert f"What does {symbol} do?" in seen.text
        assert re.search(rf"No sweep of {symbol} in the (GAN|VAE) is in metrics/sweeps\. To make one:", seen.text)
        assert re.search(rf"genbalance sweep show '{key}-\*' --json metrics/sweeps/{key}_(gan|vae)\.json", seen.text)


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_that_answers_no_question_stands_further_down(workspace, settings, parse):
    root = workspace()
    text = (root / "metrics/sweeps/beta.json").read_text(encoding="utf-8")
    (root / "metrics/sweeps/beta_again.json").write_text(text, encoding="utf-8")
    results, own = read_results(root, FAMILIES), settings(root)
    html = page(results, own, figures(results, own))
    below = html[html.index('<section id="sweeps"') :].split("</section>")[0]
    assert "<h3>What β does</h3>" in below
    assert below.count('<figure class="slider') == 1
    assert below.count("<img") == 0  # beside it are no pictures
    seen = parse(html)
    assert seen.open == []
    assert len(seen.all("input")) == 3
    names = [attrs["aria-label"] for _, attrs in seen.elements if attrs.get("role") == "region"]
    assert len(names) == len(set(names)) > 0


def test_the_answers_stand_before_all_else(html, parsed):
    sections = [attrs["id"] for tag, attrs in parsed.elements if tag == "section"]
    assert sections[0] == "effect"
    effect = html[html.index('<section id="effect"') :].split("</section>")[0]
    assert effect.count('<p class="answer">') == 2


def test_a_coefficient_is_described_in_the_same_words_each_time(parsed):
    assert (
        parsed.text.count("acts as the ratio of step sizes: lrG = λ·lrD") == 3
    )  # the answer, the settings, the method
    assert parsed.text.count("L = LD + λ·LG. Adam") == 3
    assert "weight of the generator" not in parsed.text


def test_pictures_of_a_sweep_are_shown_once_each_and_missed_without_a_word(finished, html, workspace, render, parse):
    shown = html[html.index('<section id="effect"') :].split("</section>")[0]
    assert re.findall(r"<li [^>]*><span>(.*?)</span>", shown) == [
        *("β = 0.5", "β = 1", "β = 2"),
        *("β = 0.5", "β = 1", "β = 2"),
        *("λ = 0.5", "λ = 1", "λ = 2"),
    ]
    assert re.findall(r"(.) = 1 <small>this run</small>", shown) == ["β"]  # λ is of another schedule
    for path in (finished / "metrics/sweeps").glob("*/*.png"):
        assert html.count(base64.b64encode(path.read_bytes()).decode()) == 1
    root = workspace()
    for file in (root / "metrics/sweeps").glob("*/*.png"):
        file.unlink()
    bare = parse(render(root))
    assert "the same latents" not in bare.text
    assert len(bare.all("input")) == 2
    assert bare.text.count("What does") == parse(html).text.count("What does") == 2


def test_holes_in_the_latent_space_are_named_where_the_numbers_show_them(workspace, change, render, parse):
    def named():
        return "latent space has holes" in parse(render(root)).text

    root = workspace()
    change(root / "metrics/evaluate_vae.json", prior_discrepancy=0.0003)
    assert not named()  # few real images are reached, and not for holes
    change(root / "metrics/evaluate_vae.json", prior_discrepancy=0.03)
    assert named()
    change(root / "metrics/evaluate_vae.json", coverage=0.96)
    assert not named()  # codes lie apart, and nothing is missed for it


def test_the_terms_of_the_kl_are_explained_where_they_are_measured(workspace, change, render, parse):
    root = workspace()
    assert "Terms of the KL" not in parse(render(root)).text  # older results have none
    change(root / "metrics/evaluate_vae.json", index_code_mi=6.875, total_correlation=13.75)
    two = parse(render(root)).text
    assert two.count("Terms of the KL") == 1
    assert {"6.875", "13.75"} <= set(re.findall(r"\d+\.\d+", two))
    assert "dimension-wise" not in two
    change(root / "metrics/evaluate_vae.json", dimension_wise_kl=0.125)
    assert "together KL(q(z|x) ‖ N(0, I))" in parse(render(root)).text


def test_the_command_that_reproduces_the_run_sets_what_is_not_the_default(finished, render, html, parse):
    assert "<pre" in html
    assert "dvc repro" in re.search(r"<pre.*?</pre>", html)[0]
    changed = re.search(r"<pre.*?</pre>", render(finished, beta=4.0, data__path="a b"))[0]
    assert changed.count('<span class="option">-S ') == 2  # within which no line breaks
    changed = re.sub(r"</?span.*?>", "", changed)
    assert "dvc exp run -S beta=4.0 -S &#39;data.path=a b&#39;" in changed


def test_models_versions_and_machine_are_named(parsed):
    assert "trained models, MD5" in parsed.text
    assert "models/gan.safetensorsf1253bc7b6c0b1d62eb9b97cfebf0f63" in parsed.text  # two cells
    assert "torch 2.0, numpy 1.9, as requirements.txt pins them" in parsed.text
    assert "cpu of some kind, threads 2" in parsed.text


def test_a_further_family_is_on_the_page_by_its_record_alone(a_third, tmp_path, settings, parse):
    """A family with an encoder and a discriminator, without a likelihood, and of both coefficients."""
    write(tmp_path)
    family = known()[a_third]
    results = read_results(tmp_path, [*FAMILIES, a_third])
    own = settings(tmp_path, **{f"{a_third}__latents": 6, f"{a_third}__epochs": 3})
    drawn = figures(results, own)
    html = page(results, own, drawn)
    seen = parse(html)
    assert seen.open == []
    assert {f"{chart.name}.png" for chart in family.charts} < drawn.keys()
    assert {"vae_kl_per_latent.png", f"{a_third}_kl_per_latent.png", f"{a_third}_code_map.png"} < drawn.keys()
    assert f"a {family.title} with λ = 1 and β = 1" in seen.text
    assert f'<th scope="col" class="family {a_third}">{family.title}</th>' in html
    assert f"--{a_third}: {family.inks[0]};" in html
    for words in (": samples", ": validation images", ": reconstructions", ": KL term of each latent", ": training"):
        assert f"{family.title}{words}" in seen.text
    assert f"{family.title}: −ELBO" not in seen.text
    assert f"The VAE and the {family.title} encode and decode." in seen.text
    assert family.objective in seen.text


@pytest.fixture
def whole(workspace, settings, parse, light_alone):
    """A function that makes the page of such a workspace, with figures of its own, as a parser sees it."""

    def make(**sizes):
        root = workspace(**sizes)
        results, own = read_results(root, FAMILIES), settings(root)
        return parse(page(results, own, figures(results, own)))

    return make


@pytest.mark.parametrize("classes", [0, 1])
def test_without_classes_that_is_said_once_and_what_needs_them_is_left_out(whole, classes):
    seen = whole(classes=classes, epochs=1)
    assert seen.open == []
    assert seen.text.count("have no classes to tell apart") == 1
    results = seen.text[: seen.text.index("In short, with limits")]
    for words in ("lassifier score", "Class by class", "class preserved", "probe", "otal variation", "Worst to mean"):
        assert words not in seen.text, words
    assert "predicted class" not in results
    assert "VAE, the first sample" in seen.text
    titles = [picture["alt"] for picture in seen.all("img")]
    assert not [title for title in titles if "share of each class" in title or "of each class's samples" in title]
    assert [title for title in titles if "test images in 4 rotations" in title]


def test_classes_have_their_names_on_the_page(whole):
    seen = whole(classes=4, names=("airplane", "bird & <b>", "cat", "deer"), channels=3, epochs=1)
    assert seen.open == []
    assert "8 × 8 pixels in colour, one of 4 classes: airplane, bird & <b>, cat and deer" in seen.text
    assert "airplane → bird & <b>" in seen.text
    assert "VAE, deer" in seen.text
    assert "at most 33, for class deer" in " ".join(picture["alt"] for picture in seen.all("img"))


def test_of_many_classes_the_page_shows_some(whole):
    seen = whole(classes=120, names=tuple(f"kind {label}" for label in range(120)), epochs=1)
    assert "Of 120 classes, the 10 with the least and the 10 with the largest distance." in seen.text
    assert "Of 120 classes, the 20 with the most errors." in seen.text
    assert "120 values in metrics/evaluate_gan.json" in seen.text
    assert seen.text.count("kind ") < 60
