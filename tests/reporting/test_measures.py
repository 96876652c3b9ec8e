"""The families side by side."""

import itertools
from dataclasses import replace

import pytest
from reported import FAMILIES

from genbalance.families.registry import LIKELIHOOD
from genbalance.reporting.measures import GROUPS, LOWER, NONE, labels, side_by_side
from genbalance.reporting.results import read_results
from genbalance.runtime.errors import UserError

MEASURES = list(itertools.chain(*GROUPS.values()))
SETTINGS = {"n", "membership_n", "kid_std", "nll_draws", "reconstructed", "class_histogram", "ci95"}
"""Of the evaluation's metrics those that stand elsewhere on the page."""


@pytest.fixture(scope="module")
def results(finished):
    return read_results(finished, FAMILIES)


def line(results, label):
    return next(line for lines in side_by_side(results).values() for line in lines if line.label == label)


def cells(found):
    return dict(zip(FAMILIES, found.cells, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_metric_of_the_evaluation_has_its_place(results, name):
    ours = [measure for measure in MEASURES if measure.of(FAMILIES[name]) and not measure.optional]
    sources = [source for m in ours for source in (m.key, m.real, m.mean_image) if isinstance(source, str)]
    assert len(sources) == len(set(sources))
    assert set(sources) == set(results.metrics[f"evaluate_{name}"]) - SETTINGS


def test_no_two_rows_have_one_name():
    assert len({measure.label for measure in MEASURES}) == len(MEASURES)


def test_a_number_stands_beside_its_interval_and_what_real_images_get(results):
    found = line(results, "precision")
    assert (cells(found)["gan"].text, cells(found)["gan"].span) == ("0.749", "0.67 … 0.82")
    assert (cells(found)["vae"].text, cells(found)["vae"].span) == ("0.693", "0.62 … 0.76")
    assert (found.real, found.mean_image, found.better) == ("0.951", NONE, "higher is better")


def test_a_distance_stands_between_its_floor_and_its_ceiling(results):
    found = line(results, "Fréchet distance")
    assert (found.real, cells(found)["gan"].text, found.mean_image) == ("3.114", "22.81", "1,210")


def test_a_share_and_its_interval_are_fractions(results):
    found = line(results, "D’s accuracy on test images")
    assert (cells(found)["gan"].text, cells(found)["gan"].span) == ("0.284", "0.256 … 0.312")


def test_a_family_without_the_part_has_no_number(results):
    assert cells(line(results, "D’s accuracy on test images"))["vae"].text == NONE
    assert cells(line(results, "rate [nats]"))["gan"].text == NONE
    assert cells(line(results, "rate [nats]"))["vae"].text == "25.20"


def test_a_metric_that_no_family_has_has_no_row(finished):
    labels = [line.label for lines in side_by_side(read_results(finished, ["gan"])).values() for line in lines]
    assert "rate [nats]" not in labels
    assert "precision" in labels


@pytest.mark.parametrize(
    ("key", "label", "better"),
    [("nn_accuracy", "1-NN accuracy, real against generated", "½"), ("copying_z", "copying z-score", "0")],
)
def test_the_best_value_is_named_where_it_is_neither_high_nor_low(results, key, label, better):
    assert line(results, label).better == f"best at {better}"


def test_real_images_have_two_values_only_where_they_were_measured_unlike(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", coverage_real=0.5)
    assert line(read_results(root, FAMILIES), "coverage").real == "0.972 / 0.500"


def test_the_floor_within_classes_leaves_out_those_that_were_not_measured(workspace):
    root = workspace(classes=3)
    head = "class,generated,generated_low,generated_high,real,n,fd,fd_low,fd_high,fd_floor,confidence"
    for name in FAMILIES:
        path = root / f"artifacts/evaluate_{name}/classes.csv"
        path.write_text(
            f"{head}\n0,0.5,0,1,0.6,9,30,28,33,3,1\n1,0.5,0,1,0.4,8,40,37,42,5,1\n2,0,0,1,0,0,0,0,0,0,0\n",
            encoding="utf-8",
        )
    results = read_results(root, FAMILIES)
    assert line(results, "Fréchet distance within a class, mean").real == "4"
    assert line(results, "Fréchet distance within a class, worst").real == "5"
    assert line(results, "share of the rarest class").real == "0.000"
    assert line(results, "share of the commonest class").real == "0.600"


def test_where_no_class_was_measured_the_floor_is_that_of_all_images(workspace):
    root = workspace(classes=2)
    for name in FAMILIES:
        path = root / f"artifacts/evaluate_{name}/classes.csv"
        path.write_text(
            "class,generated,generated_low,generated_high,real,n,fd,fd_low,fd_high,fd_floor\n"
            "0,1,1,1,1,0,0,0,0,0\n1,0,0,0,0,0,0,0,0,0\n",
            encoding="utf-8",
        )
    assert line(read_results(root, FAMILIES), "Fréchet distance within a class, mean").real == "3.114"


def test_what_is_measured_on_some_data_alone_has_a_row_where_it_is_measured(finished, workspace, change):
    optional = [measure for measure in MEASURES if measure.optional and not measure.part]
    evaluated = [measure for measure in optional if measure.stage == "evaluate"]
    labels, keys = {measure.label for measure in evaluated}, {measure.key: 7 for measure in evaluated}
    shown = {line.label for lines in side_by_side(read_results(finished, FAMILIES)).values() for line in lines}
    assert labels
    assert not {measure.label for measure in optional} & shown
    root = workspace()
    reals = {f"{key}_real": 8 for key in keys}
    change(root / "metrics/evaluate_gan.json", **keys, **reals)
    with pytest.raises(UserError, match=r"metrics/evaluate_vae.json: modes_covered"):  # one family has it
        side_by_side(read_results(root, FAMILIES))
    change(root / "metrics/evaluate_vae.json", **keys, **reals)
    lines = [line for lines in side_by_side(read_results(root, FAMILIES)).values() for line in lines]
    found = {line.label: (line.cells[0].text, line.cells[1].text, line.real) for line in lines if line.label in labels}
    assert found == dict.fromkeys(labels, ("7", "7", "8"))


def test_what_private_trainings_spent_is_a_group(workspace, change):
    root = workspace()
    for name, epsilon in zip(FAMILIES, (9.98, 3.0, 1.0), strict=False):
        spent = {"epsilon": epsilon, "delta": 1e-5, "noise_multiplier": 0.8, "sampling_rate": 0.1, "private_steps": 70}
        change(root / f"metrics/train_{name}.json", **spent)
    found = side_by_side(read_results(root, FAMILIES))["Differential privacy of the training"]
    assert [(row.label, row.better) for row in found][:2] == [("ε of a training image", "lower is better"), ("δ", "")]
    assert [cell.text for cell in found[0].cells][:2] == ["9.980", "3"]
    assert found[1].cells[0].text not in ("0", "0.000")
    assert {(cell.span, row.real) for row in found for cell in row.cells} == {("", NONE)}


def test_what_federated_trainings_sent_is_a_group(workspace, change):
    root = workspace()
    assert "Federated training" not in side_by_side(read_results(root, FAMILIES))
    sent = {"clients": 10, "fewest_images": 360, "most_images": 360, "rounds": 12, "bytes_sent": 123_456_789}
    for name in FAMILIES:
        change(root / f"metrics/train_{name}.json", **sent)
    found = side_by_side(read_results(root, FAMILIES))["Federated training"]
    assert [row.label for row in found][-1] == "bytes sent"
    assert [row.cells[0].text for row in found][:4] == ["10", "360", "360", "12"]


def test_what_is_measured_of_known_factors_is_a_group_of_the_families_with_an_encoder(workspace, change):
    root = workspace()
    assert "Disentanglement" not in side_by_side(read_results(root, FAMILIES))
    change(root / "metrics/evaluate_vae.json", mig=0.1234, sap=0.05)
    (mig, sap) = side_by_side(read_results(root, FAMILIES))["Disentanglement"]
    assert [each.text for each in mig.cells] == ["0.123" if name == "vae" else NONE for name in FAMILIES]
    assert (mig.label, sap.label) == ("mutual information gap (MIG)", "separated attribute predictability (SAP)")
    assert (mig.better, mig.real, mig.mean_image) == ("higher is better", NONE, NONE)


def test_the_terms_of_the_kl_have_rows_where_a_model_has_them(workspace, change):
    root = workspace()
    group = "Reconstruction and likelihood"
    before = [line.label for line in side_by_side(read_results(root, FAMILIES))[group]]
    change(root / "metrics/evaluate_vae.json", index_code_mi=6.9, total_correlation=13.7)
    lines = side_by_side(read_results(root, FAMILIES))[group]
    added = {line.label: line for line in lines if line.label not in before}
    assert [*added] == ["index-code mutual information [nats]", "total correlation [nats]"]
    for line, text in zip(added.values(), ("6.9", "13.7"), strict=True):
        assert [each.text.rstrip("0") for each in line.cells] == [text if name == "vae" else NONE for name in FAMILIES]
        assert (line.better, line.real, line.mean_image) == ("", NONE, NONE)


def test_another_family_with_a_likelihood_may_lack_the_terms_of_the_kl(workspace, change):
    root = workspace()
    change(root / "metrics/evaluate_vae.json", index_code_mi=6.9)
    change(
        root / "metrics/evaluate_gan.json", nelbo=1, distortion=1, nll=1, membership_auc_elbo=1, membership_tpr_elbo=1
    )
    other = replace(FAMILIES["gan"], parts=FAMILIES["gan"].parts | {LIKELIHOOD})
    results = replace(read_results(root, FAMILIES), families=(other, FAMILIES["vae"]))
    found = line(results, "index-code mutual information [nats]")
    assert [each.text for each in found.cells] == [NONE, "6.900"]


@pytest.mark.parametrize("measure", [m for m in MEASURES if not m.optional], ids=lambda measure: measure.key)
def test_a_missing_metric_is_named(workspace, change, measure):
    root = workspace()
    name = next(name for name, family in FAMILIES.items() if measure.of(family))
    change(root / f"metrics/evaluate_{name}.json", **{measure.key: None})
    with pytest.raises(UserError, match=rf"metrics/evaluate_{name}\.json: {measure.key}: .*dvc repro"):
        side_by_side(read_results(root, FAMILIES))


def test_a_metric_is_called_by_the_file_of_the_stage_that_measures_it(results):
    called = labels()
    for stage in ("evaluate_gan", "evaluate_vae"):
        own = {name.partition(".")[2] for name in called if name.startswith(f"{stage}.")}
        optional = {measure.key for measure in MEASURES if measure.optional}
        assert own - optional <= results.metrics[stage].keys()
    assert called["train_gan.epsilon"] == ("GAN: ε of a training image", LOWER)
    assert "evaluate_gan.epsilon" not in called
    assert called["train_vae.val_loss"] == ("VAE: validation loss [nats]", LOWER)
    assert "train_gan.val_loss" not in called
