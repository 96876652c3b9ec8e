"""What params.yaml may hold: a frozen, strict model for each section.

No field has a default and no value is changed on its way.
"""

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator, validate_call

from genbalance.errors import in_a_line

Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=2, le=65_536)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0.01, le=0.5)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Latents = Annotated[int, Field(ge=1, le=4096)]
ClassifierWidth = Annotated[int, Field(ge=4, le=512)]
GanArch = Literal["dcgan", "mlp"]
GanWidth = Annotated[int, Field(ge=4, le=512)]
Truncation = Annotated[float, Field(gt=0, le=1)]
VaeArch = Literal["mlp", "conv"]
Likelihood = Literal["bernoulli", "gaussian"]
VaeWidth = Annotated[int, Field(ge=16, le=8192)]
LogSigmaFloor = Annotated[float, Field(ge=-12, le=0)]
PriorName = Literal["normal", "flow"]

# what a network is made with beside these: told by the data, and by the weights' file
Side = Annotated[int, Field(ge=4, le=65_536)]
Count = Annotated[int, Field(ge=0, le=65_536)]

checked = validate_call(config=ConfigDict(strict=True, allow_inf_nan=False))
"""A function or constructor that takes no argument but of the annotated type and range.

Raises:
    ValidationError: a ``ValueError``; an argument is another, is missing, or is unknown.
"""


def first_problem(error: ValidationError) -> str:
    """The first of what was wrong with values out of a file, in a line: key, what was found, what should be."""
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    return in_a_line(f"{where}: found {reprlib.repr(problem['input'])}: {problem['msg']}")


INERT = ("checkpoint.", "tracking.")  # keys that cannot change a result


class Section(BaseModel):
    """Frozen and strict: no unknown key, no text for a number, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=False)


class Compute(Section):
    """Where the arithmetic runs."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]
    precision: Literal["fp32", "bf16", "auto"]
    bits: Literal["portable", "native"]
    compile: bool

    @model_validator(mode="after")
    def _what_is_compiled_runs_on_a_gpu(self) -> "Compute":
        if self.compile and self.device == "cpu":
            raise ValueError("compile is true with device = cpu; allowed there: false")
        return self


class Data(Section):
    """Where the digits come from and how they are split."""

    source: Literal["bundled", "mnist", "fashion_mnist", "kmnist", "qmnist", "idx"]
    path: Annotated[str, Field(min_length=1)]
    limit: Annotated[int, Field(ge=100)] | Literal["all"]
    val_fraction: Fraction
    test_fraction: Fraction

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "Data":
        if self.val_fraction + self.test_fraction > 0.8:
            raise ValueError(
                f"val_fraction + test_fraction is {self.val_fraction + self.test_fraction:g}; "
                "allowed: at most 0.8, so that something is left to train on"
            )
        return self


class Classifier(Section):
    """The judge."""

    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    width: ClassifierWidth
    shift: Annotated[float, Field(ge=0, le=8)]
    rotation: Annotated[float, Field(ge=0, le=45)]


class Gan(Section):
    """Generator and discriminator."""

    arch: GanArch
    epochs: Epochs
    batch_size: BatchSize
    latents: Latents
    width: GanWidth
    learning_rate: LearningRate
    adam_beta1: Decay
    adam_beta2: Decay
    ema_decay: Decay
    lr_decay: Annotated[float, Field(ge=0, le=1)]
    clusters: Annotated[int, Field(ge=0, le=4096)]
    truncation: Truncation
    conditional: bool
    loss: Literal["non_saturating", "hinge", "wasserstein"]
    r1: Annotated[float, Field(ge=0, le=1000)]
    r1_every: Annotated[int, Field(ge=1, le=1000)]
    gradient_penalty: Annotated[float, Field(ge=0, le=1000)]
    spectral_norm: bool
    d_steps: Annotated[int, Field(ge=1, le=100)]
    stop_when_balanced: bool


class Vae(Section):
    """Encoder and decoder."""

    arch: VaeArch
    likelihood: Likelihood
    epochs: Epochs
    batch_size: BatchSize
    latents: Latents
    width: VaeWidth
    learning_rate: LearningRate
    lr_decay: Annotated[float, Field(ge=0, le=1)]
    ema_decay: Decay
    log_sigma_floor: LogSigmaFloor
    conditional: bool
    prior: PriorName
    importance_samples: Annotated[int, Field(ge=1, le=1000)]
    kl_warmup: Annotated[int, Field(ge=0, le=10_000)]
    free_bits: Annotated[float, Field(ge=0, le=10)]
    updates: Literal["joint", "alternating"]

    @model_validator(mode="after")
    def _free_bits_have_a_kl_for_each_latent(self) -> "Vae":
        if self.free_bits > 0 and (self.importance_samples > 1 or self.prior != "normal"):
            raise ValueError(
                f"free_bits is {self.free_bits:g} with importance_samples = {self.importance_samples} and "
                f"prior = {self.prior}; allowed: 0, or importance_samples = 1 and prior = normal, whose KL has a term "
                "for each latent"
            )
        return self

    @model_validator(mode="after")
    def _the_warm_up_ends(self) -> "Vae":
        if self.kl_warmup > self.epochs:
            raise ValueError(
                f"kl_warmup is {self.kl_warmup} with epochs = {self.epochs}, so that the weight of the KL would never "
                "reach beta; allowed: at most epochs"
            )
        return self

    @model_validator(mode="after")
    def _a_flow_has_two_halves(self) -> "Vae":
        if self.prior == "flow" and self.latents < 2:
            raise ValueError(f"latents is {self.latents} with prior = flow; allowed: at least 2, or prior = normal")
        return self


class Evaluate(Section):
    """How much is measured."""

    samples: Annotated[int, Field(ge=100, le=1_000_000)]
    kid_subsets: Annotated[int, Field(ge=1, le=10_000)]
    kid_subset_size: Annotated[int, Field(ge=2, le=100_000)]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    resamples: Annotated[int, Field(ge=10, le=100_000)]
    importance_draws: Annotated[int, Field(ge=1, le=1_000_000)]
    inversion_images: Annotated[int, Field(ge=1, le=1_000_000)]
    inversion_steps: Annotated[int, Field(ge=1, le=100_000)]

    @model_validator(mode="after")
    def _subsets_fit(self) -> "Evaluate":
        if 2 * self.kid_subset_size > self.samples:
            raise ValueError(
                f"kid_subset_size is {self.kid_subset_size} with samples = {self.samples}; "
                "allowed: at most half of samples"
            )
        return self


class Checkpoint(Section):
    """How often a training is kept."""

    seconds: Annotated[float, Field(ge=0, le=100_000)]


class Tracking(Section):
    """What the MLflow experiment is called."""

    experiment: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _has_a_place(self) -> "Tracking":
        if self.experiment == "Default":  # MLflow's own, whose artifacts lie wherever the store was used first
            raise ValueError("experiment is Default, which MLflow keeps for itself; allowed: any other name")
        return self


class Params(Section):
    """All of params.yaml."""

    lambda_: Annotated[float, Field(alias="lambda", ge=1e-3, le=1e3)]
    beta: Annotated[float, Field(ge=0, le=1e3)]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    compute: Compute
    data: Data
    classifier: Classifier
    gan: Gan
    vae: Vae
    evaluate: Evaluate
    checkpoint: Checkpoint
    tracking: Tracking

    @model_validator(mode="after")
    def _generator_steps_stay_sane(self) -> "Params":
        if self.lambda_ * self.gan.learning_rate > 1:
            raise ValueError(
                f"lambda × gan.learning_rate, the generator's step size, is {self.lambda_ * self.gan.learning_rate:g}; "
                "allowed: at most 1"
            )
        return self

    @model_validator(mode="after")
    def _batches_fit_the_limit(self) -> "Params":
        if self.data.limit != "all":
            most = int(self.data.limit * (1 - self.data.val_fraction))
            for name, section in (("classifier", self.classifier), ("gan", self.gan), ("vae", self.vae)):
                if section.batch_size > most:
                    raise ValueError(
                        f"{name}.batch_size is {section.batch_size} with data.limit = {self.data.limit}, "
                        f"which leaves at most {most} images to train on; allowed: at most that"
                    )
            turns = most // self.gan.batch_size
            if self.gan.d_steps > turns:
                raise ValueError(
                    f"gan.d_steps is {self.gan.d_steps} with data.limit = {self.data.limit}, which leaves at most "
                    f"{turns} steps an epoch; allowed: at most that"
                )
        return self

    def flat(self) -> dict[str, Any]:
        """Every parameter by its dotted key, as `dvc exp run -S` spells it."""
        return flatten(self.model_dump(by_alias=True))


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values and sections of values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat
