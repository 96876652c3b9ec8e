"""`genbalance usefulness`: what a classifier learns of samples, beside what it learns of real images."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from committed import PARAMS
from killed_run import Run
from sklearn.datasets import load_digits
from typed import genbalance, refused

from genbalance.data import prepared
from genbalance.data.pixels import measure
from genbalance.data.prepared import Prepared, Split
from genbalance.evaluation.bootstrap import wilson
from genbalance.params import read_params
from genbalance.runtime.device import generator
from genbalance.sampling.context import Context
from genbalance.sampling.usefulness import labelled_samples, trained_on
from genbalance.training.classifier import train
from tests.sampling.conftest import CLASSES, CPU, SIDE

GAN = ["--model", "gan", "--weights", "models/gan_of_classes.safetensors"]


def small(**classifier):
    params = read_params(PARAMS)
    given = {"epochs": 6, "batch_size": 50, "width": 8, "shift": 0.0, "rotation": 0.0} | classifier
    return params.model_copy(update={"classifier": params.classifier.model_copy(update=given)})


@pytest.fixture(scope="module")
def digits():
    """600 training, 50 validation and 400 test digits of 8 × 8 pixels."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    splits = [Split(images[rows], labels[rows].astype(np.int64)) for rows in np.split(np.arange(1050), [600, 650])]
    return Prepared(*splits, "made", "Digits", 10, *measure(splits[0].images))


def test_real_images_in_the_samples_place_give_the_classifier_s_own_accuracy(digits, settings):
    own = train(small(), digits, CPU, Run()).metrics["test_accuracy"]
    right = trained_on(digits.train, digits, small(), CPU)
    assert right.shape == (400,)
    assert right.mean() == own > 0.8


def test_nothing_of_the_real_training_images_is_used(digits, settings):
    empty = Split(digits.train.images[:0], digits.train.labels[:0])
    samples = Split(digits.val.images, digits.val.labels)
    found = [
        trained_on(samples, replace(digits, train=t, mean=m), small(), CPU) for t, m in ((empty, 0.9), (samples, 0))
    ]
    np.testing.assert_array_equal(*found)


def test_samples_with_shuffled_labels_are_at_chance(digits, settings):
    shuffled = np.random.default_rng(0).permutation(digits.train.labels)
    right = trained_on(Split(digits.train.images, shuffled), digits, small(), CPU)
    assert right.mean() < 0.35  # of ten classes: 0.1, and what a class has by chance


def context_of(folder, model="gan", name="gan_of_classes"):
    files = (folder / f"models/{name}.safetensors", folder / "data/prepared", folder / "models/classifier.safetensors")
    return Context(model, *files, folder / "params.yaml", None, 1)


@pytest.mark.parametrize(("count", "counts"), [(90, [30, 30, 30]), (8, [3, 3, 2]), (760, [254, 253, 253])])
@pytest.mark.parametrize("model", ["gan", "vae"])
def test_each_class_is_asked_for_equally_often(context, model, count, counts):
    samples = labelled_samples(context_of(context, model, f"{model}_of_classes"), count)
    assert np.bincount(samples.labels).tolist() == counts
    assert samples.images.shape == (count, SIDE, SIDE)
    assert samples.images.dtype == np.uint8


def test_a_sample_s_label_is_the_class_that_the_model_was_asked_for(context):
    asked = context_of(context, "vae", "vae_of_classes")
    samples = labelled_samples(asked, 30)
    noise = generator(asked.root, "usefulness/vae", CPU)
    for label in range(CLASSES):
        z, labels = asked.sampler.draw(10, noise, label)
        assert torch.equal(labels, torch.full((10,), label))
        np.testing.assert_array_equal(samples.images[samples.labels == label], asked.sampler.images(z, labels))


@pytest.fixture
def fewer(context, tmp_path):
    """Params with a classifier that a small number of samples can train."""
    text = (context / "params.yaml").read_text(encoding="utf-8")
    classifier = re.search(r"^classifier:\n(?:  .*\n)+", text, re.MULTILINE)[0]
    less = re.sub(r"(epochs: +)16", r"\g<1>2", re.sub(r"(batch_size: +)128", r"\g<1>10", classifier))
    (tmp_path / "params.yaml").write_text(text.replace(classifier, less), encoding="utf-8")
    return ["--params", tmp_path / "params.yaml"]


def test_the_command_prints_both_accuracies_with_intervals_and_the_same_again(fewer, context, tmp_path):
    files = [tmp_path / f"{name}.json" for name in "abc"]
    seeds = [[], [], ["--seed", 7]]
    done = [genbalance("usefulness", *GAN, *fewer, *seed, "--json", f) for f, seed in zip(files, seeds, strict=True)]
    assert [result.exit_code for result in done] == [0, 0, 0], done[0].output
    assert done[0].stdout == done[1].stdout
    assert files[0].read_bytes() == files[1].read_bytes()
    found, other = (json.loads(file.read_text(encoding="utf-8")) for file in (files[0], files[2]))
    assert (found["samples"], found["real"], found["tested"], found["seed"], other["seed"]) == (90, 90, 90, 42, 7)
    real = prepared.load(context / "data/prepared").test
    own = context_of(context).extractor.read(real.images).probabilities.argmax(axis=1) == real.labels
    assert found["accuracy_real"] == pytest.approx(own.mean(), rel=1e-5)
    for name in ("accuracy", "accuracy_real"):
        low, high = wilson(np.array([found[name]]), 90)
        assert found["ci95"][name] == pytest.approx({"low": low[0], "high": high[0]}, rel=1e-4)
        assert f"{found[name]:.3f}" in done[0].stdout
    assert str(context) not in files[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_a_model_without_classes_is_refused_and_the_setting_is_named(context, model):
    line = refused("usefulness", "--model", model, "--count", 128)
    assert line.startswith(f"models/{model}.safetensors: draws no class that is asked for")
    assert line.endswith(f"allowed: a model trained with {model}.conditional=true\n")


def test_too_few_samples_are_refused(context):
    line = refused("usefulness", *GAN, "--count", 20)
    assert line == "--count: found 20; allowed: at least classifier.batch_size, 128\n"


def test_images_without_classes_are_refused(context, tmp_path):
    whole = prepared.load(context / "data/prepared")
    parts = [Split(part.images, np.zeros(len(part), np.int64)) for part in (whole.train, whole.val, whole.test)]
    prepared.save(Prepared(*parts, "made", "Stripes", 0, 0.5, 0.3), tmp_path / "data")
    line = refused("usefulness", *GAN, "--data", tmp_path / "data")
    assert line.endswith("the images have no classes to learn; allowed: labelled images\n")
