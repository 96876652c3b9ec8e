"""params.yaml: what it may hold, as a frozen, strict model for each section, and how it is read.

No field has a default and no value is changed on its way. A refusal names the key, what was found and what is allowed,
in the words of the comments in params.yaml.
"""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator, validate_call
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from genbalance.runtime.errors import UserError, in_a_line

Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=2, le=65_536)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(ge=0.01, le=0.5)]
KlWeight = Annotated[float, Field(ge=0.01, le=1000)]
BetaRange = Annotated[list[KlWeight], Field(min_length=2, max_length=2)]
"""[least, largest]."""
Decay = Annotated[float, Field(ge=0, lt=1)]
Latents = Annotated[int, Field(ge=1, le=4096)]
ClassifierWidth = Annotated[int, Field(ge=4, le=512)]
GanArch = Literal["dcgan", "mlp", "style", "dense"]
GanWidth = Annotated[int, Field(ge=4, le=512)]
Truncation = Annotated[float, Field(gt=0, le=1)]
VaeArch = Literal["mlp", "conv", "ladder", "nvae"]
Likelihood = Literal["bernoulli", "gaussian", "gaussian_shared", "logistic_mixture"]
VaeWidth = Annotated[int, Field(ge=16, le=8192)]
LogSigmaFloor = Annotated[float, Field(ge=-12, le=0)]
PriorName = Literal["normal", "mixture", "flow", "vamp"]

# what a network is made with beside these: given by the data, and by the weights' file
Side = Annotated[int, Field(ge=4, le=65_536)]
ImageShape = Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=3, max_length=3)]
"""[channels, height, width]."""
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


INERT = ("checkpoint.", "families.", "tracking.")  # keys that cannot change a number
HIERARCHIES = {"ladder": ("normal", "mixture"), "nvae": ("normal",)}  # `vae.arch` of several layers → `vae.prior`


class Section(BaseModel):
    """Frozen and strict: no unknown key, no text for a number, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, populate_by_name=False)


class ComputeConfig(Section):
    """Where the arithmetic runs."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=256)]
    processes: Annotated[int, Field(ge=1, le=64)]
    precision: Literal["fp32", "bf16", "auto"]
    bits: Literal["portable", "native"]


MIN_SIDE, MAX_SIDE = 8, 128  # pixels of an image to train on
Pixels = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]


class DataConfig(Section):
    """Where the images come from and how they are split."""

    source: Literal[
        "bundled",
        "mnist",
        "fashion_mnist",
        "kmnist",
        "qmnist",
        "cifar10",
        "cifar100",
        "svhn",
        "stacked",
        "stacked_mnist",
        "sprites",
        "idx",
        "folder",
        "array",
    ]
    path: Annotated[str, Field(min_length=1)]
    size: Literal["original"] | Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=2)]
    channels: Literal["auto", 1, 3]
    limit: Annotated[int, Field(ge=100)] | Literal["all"]
    val_fraction: Fraction
    test_fraction: Fraction
    class_shares: Annotated[str, Field(min_length=1)]

    @property
    def shares(self) -> dict[str, float]:
        """``class_shares`` by the class's name: which share of its training images is kept."""
        if self.class_shares == "none":
            return {}
        parsed: dict[str, float] = {}
        for entry in self.class_shares.split(","):
            name, _, text = (part.strip() for part in entry.rpartition(":"))
            share = float(text) if re.fullmatch(r"\d*\.?\d+", text) else 0.0
            if not name or name in parsed or not 0 < share <= 1:
                raise ValueError(
                    f"class_shares is {self.class_shares}, of which {entry.strip()!r} is no share of a further class; "
                    "allowed: none, or class:share of each class, such as 4:0.1, 7:0.5; shares above 0, at most 1"
                )
            parsed[name] = share
        return parsed

    @model_validator(mode="after")
    def _class_shares_can_be_read(self) -> "DataConfig":
        self.shares  # noqa: B018 (which raises)
        return self

    @property
    def sides(self) -> int | list[int] | None:
        """``size``; None: as the images are."""
        return None if isinstance(self.size, str) else self.size

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "DataConfig":
        if self.val_fraction + self.test_fraction > 0.8:
            raise ValueError(
                f"val_fraction + test_fraction is {self.val_fraction + self.test_fraction:g}; "
                "allowed: at most 0.8, so that something is left to train on"
            )
        return self


class FamiliesConfig(Section):
    """Which model families are trained and evaluated."""

    gan: bool
    vae: bool
    vae_gan: bool

    @model_validator(mode="after")
    def _something_is_trained(self) -> "FamiliesConfig":
        if not self.names:
            raise ValueError(f"all are false; allowed: true for one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the families that are on."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))


class ClassifierConfig(Section):
    """The reference classifier."""

    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    width: ClassifierWidth
    shift: Annotated[float, Field(ge=0, le=8)]
    rotation: Annotated[float, Field(ge=0, le=45)]
    flip: bool


class GanConfig(Section):
    """Generator and discriminator."""

    arch: GanArch
    epochs: Epochs
    batch_size: BatchSize
    latents: Latents
    width: GanWidth
    optimizer: Literal["adam", "sgd"]
    learning_rate: LearningRate
    adam_beta1: Decay
    adam_beta2: Decay
    ema_decay: Decay
    lr_decay: Annotated[float, Field(ge=0, le=1)]
    clusters: Annotated[int, Field(ge=0, le=4096)]
    truncation: Truncation
    conditional: bool
    loss: Literal["non_saturating", "hinge", "relativistic", "wasserstein"]
    r1: Annotated[float, Field(ge=0, le=1000)]
    r2: Annotated[float, Field(ge=0, le=1000)]
    r1_every: Annotated[int, Field(ge=1, le=1000)]
    gradient_penalty: Annotated[float, Field(ge=0, le=1000)]
    spectral_norm: bool
    d_steps: Annotated[int, Field(ge=1, le=100)]
    unrolled_steps: Annotated[int, Field(ge=0, le=20)]
    augment: Literal["none", "translation", "cutout", "translation_cutout", "color_translation_cutout"]
    rebalance: bool
    balance: Literal["fixed", "accuracy"]
    target_accuracy: Annotated[float, Field(ge=0.01, le=0.99)]
    stop_when_balanced: bool

    @model_validator(mode="after")
    def _an_accuracy_has_a_threshold(self) -> "GanConfig":
        if self.balance == "accuracy" and self.loss not in ("non_saturating", "hinge"):
            raise ValueError(
                f"loss is {self.loss} with balance = accuracy, whose D has no threshold at zero; "
                "allowed: non_saturating or hinge"
            )
        return self


class VaeConfig(Section):
    """Encoder and decoder."""

    arch: VaeArch
    likelihood: Literal["auto"] | Likelihood
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
    balance: Literal["fixed", "geco", "sigma"]
    target_distortion: Annotated[float, Field(ge=-99999, le=99999)]
    beta_range: Literal["none"] | BetaRange
    updates: Literal["joint", "alternating"]
    rebalance: bool

    @model_validator(mode="after")
    def _a_range_of_beta_has_a_model_that_knows_it(self) -> "VaeConfig":
        if isinstance(self.beta_range, str):
            return self
        least, largest = self.beta_range
        if least >= largest:
            raise ValueError(f"beta_range is [{least:g}, {largest:g}]; allowed: the lesser value first")
        fixed = {"importance_samples": 1, "kl_warmup": 0, "free_bits": 0, "balance": "fixed", "updates": "joint"}
        allowed = {"arch": ("mlp", "conv"), "prior": ("normal", "mixture"), **{k: (v,) for k, v in fixed.items()}}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} is {getattr(self, name)} with a beta_range; allowed: {' or '.join(map(str, values))}"
                )
        return self

    @model_validator(mode="after")
    def _a_balance_is_of_one_draw_and_a_weight_of_its_own(self) -> "VaeConfig":
        if self.balance == "fixed":
            return self
        allowed: dict[str, tuple[Any, ...]] = {"importance_samples": (1,)}
        if self.balance == "geco":  # which each of these would undo
            allowed |= {"kl_warmup": (0,), "free_bits": (0,)}
        else:
            allowed |= {"likelihood": ("gaussian_shared", "auto")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} is {getattr(self, name)} with balance = {self.balance}; "
                    f"allowed: {' or '.join(map(str, values))}"
                )
        return self

    @model_validator(mode="after")
    def _free_bits_have_a_kl_for_each_latent(self) -> "VaeConfig":
        if self.free_bits > 0 and (self.importance_samples > 1 or self.prior not in ("normal", "mixture")):
            raise ValueError(
                f"free_bits is {self.free_bits:g} with importance_samples = {self.importance_samples} and "
                f"prior = {self.prior}; allowed: 0, or importance_samples = 1 and prior = normal or mixture, whose "
                "KL in training has a term for each latent"
            )
        return self

    @model_validator(mode="after")
    def _the_warm_up_ends(self) -> "VaeConfig":
        if self.kl_warmup > self.epochs:
            raise ValueError(
                f"kl_warmup is {self.kl_warmup} with epochs = {self.epochs}, so that the weight of the KL would never "
                "reach beta; allowed: at most epochs"
            )
        return self

    @model_validator(mode="after")
    def _a_learned_prior_has_two_latents(self) -> "VaeConfig":
        if self.prior != "normal" and self.latents < 2:
            raise ValueError(
                f"latents is {self.latents} with prior = {self.prior}; allowed: at least 2, or prior = normal"
            )
        return self

    @model_validator(mode="after")
    def _a_hierarchy_has_layers_of_its_own_prior(self) -> "VaeConfig":
        if self.arch not in HIERARCHIES:
            return self
        if self.arch == "ladder" and self.latents < 3:
            raise ValueError(f"latents is {self.latents} with arch = ladder; allowed: at least 3, one for each layer")
        if self.prior not in (priors := HIERARCHIES[self.arch]):
            raise ValueError(
                f"prior is {self.prior} with arch = {self.arch}; allowed: {' or '.join(priors)}, as the lower layers "
                "have learned priors already"
            )
        if self.updates != "joint":
            raise ValueError(
                f"updates is {self.updates} with arch = {self.arch}, whose q(z|x) and p(z) share a network; "
                "allowed: joint"
            )
        return self


class VaeGanConfig(Section):
    """Encoder, decoder and discriminator."""

    epochs: Epochs
    batch_size: BatchSize
    latents: Latents
    width: GanWidth
    encoder_width: VaeWidth
    learning_rate: LearningRate
    adam_beta1: Decay
    adam_beta2: Decay
    ema_decay: Decay
    lr_decay: Annotated[float, Field(ge=0, le=1)]
    r1: Annotated[float, Field(ge=0, le=1000)]
    r1_every: Annotated[int, Field(ge=1, le=1000)]


class EvaluateConfig(Section):
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
    def _subsets_fit(self) -> "EvaluateConfig":
        if 2 * self.kid_subset_size > self.samples:
            raise ValueError(
                f"kid_subset_size is {self.kid_subset_size} with samples = {self.samples}; "
                "allowed: at most half of samples"
            )
        return self


class PrivacyConfig(Section):
    """Whether, and how well, a training keeps its images private."""

    epsilon: Literal["none"] | Annotated[float, Field(ge=0.1, le=1000)]
    delta: Annotated[float, Field(gt=0, le=0.01)]
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)]


class FederatedConfig(Section):
    """Whether, and how, the training images are divided among clients."""

    clients: Literal["none"] | Annotated[int, Field(ge=1, le=1000)]
    rounds: Annotated[int, Field(ge=1, le=10_000)]
    split: Literal["iid", "classes"]
    concentration: Annotated[float, Field(ge=0.01, le=1000)]

    @property
    def count(self) -> int:
        """How many clients; 0: the training is not federated."""
        return 0 if isinstance(self.clients, str) else self.clients


class CheckpointConfig(Section):
    """How often a training is kept."""

    seconds: Annotated[float, Field(ge=0, le=100_000)]


class TrackingConfig(Section):
    """What the MLflow experiment is called."""

    experiment: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _has_a_place(self) -> "TrackingConfig":
        if self.experiment == "Default":  # MLflow's own, whose artifacts lie wherever the store was used first
            raise ValueError("experiment is Default, which MLflow keeps for itself; allowed: any other name")
        return self


class Params(Section):
    """All of params.yaml."""

    lambda_: Annotated[float, Field(alias="lambda", ge=1e-3, le=1e3)]
    beta: Annotated[float, Field(ge=0, le=1e3)]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)]
    families: FamiliesConfig
    compute: ComputeConfig
    data: DataConfig
    classifier: ClassifierConfig
    gan: GanConfig
    vae: VaeConfig
    vae_gan: VaeGanConfig
    privacy: PrivacyConfig
    federated: FederatedConfig
    evaluate: EvaluateConfig
    checkpoint: CheckpointConfig
    tracking: TrackingConfig

    @model_validator(mode="after")
    def _generator_steps_stay_sane(self) -> "Params":
        for name in (name for name in ("gan", "vae_gan") if name in self.families.names):
            step = self.lambda_ * getattr(self, name).learning_rate
            if step > 1:
                raise ValueError(
                    f"lambda × {name}.learning_rate, the generator's step size, is {step:g}; allowed: at most 1"
                )
        return self

    @model_validator(mode="after")
    def _beta_lies_in_its_range(self) -> "Params":
        if self.families.vae and not isinstance(self.vae.beta_range, str):
            least, largest = self.vae.beta_range
            if not least <= self.beta <= largest:
                raise ValueError(
                    f"beta is {self.beta:g} with vae.beta_range = [{least:g}, {largest:g}]; allowed: within it"
                )
        return self

    @model_validator(mode="after")
    def _an_adapted_beta_starts_on_a_logarithmic_axis(self) -> "Params":
        if self.families.vae and self.vae.balance == "geco" and self.beta < 1e-6:
            raise ValueError(
                f"beta is {self.beta:g} with vae.balance = geco, which moves log β from there on; allowed: 1e-06 … 1000"
            )
        return self

    @model_validator(mode="after")
    def _what_is_private_sees_images_by_private_steps_alone(self) -> "Params":
        if isinstance(self.privacy.epsilon, str):
            return self
        wasserstein = self.gan.loss == "wasserstein"
        allowed: dict[str, dict[str, tuple[Any, ...]]] = {
            "vae": {
                "prior": ("normal", "flow", "vamp"),
                "balance": ("fixed",),
                "free_bits": (0,),
                "beta_range": ("none",),
                "updates": ("joint",),
                "rebalance": (False,),
            },
            "gan": {
                "arch": ("dcgan", "mlp", "dense"),
                "clusters": (0,),
                "loss": ("non_saturating", "hinge", "wasserstein"),
                **({"gradient_penalty": (0,)} if wasserstein else {"r1": (0,), "r2": (0,)}),
                "spectral_norm": (False,),
                "unrolled_steps": (0,),
                "rebalance": (False,),
            },
        }
        fixed = {"families.vae_gan": (False,), "federated.clients": ("none",)}
        self._refuse(fixed, allowed, f"privacy.epsilon = {self.privacy.epsilon:g}")
        return self

    @model_validator(mode="after")
    def _clients_give_weights_alone(self) -> "Params":
        config = self.federated
        if not config.count:
            return self
        several: dict[str, dict[str, tuple[Any, ...]]] = {
            "vae": {"prior": ("normal", "flow", "vamp"), "balance": ("fixed", "sigma")},
            "gan": {"clusters": (0,), "balance": ("fixed",), "stop_when_balanced": (False,)},
        }
        count = f"federated.clients = {config.count}"
        self._refuse({"families.vae_gan": (False,)}, several if config.count > 1 else {}, count)
        for name in self.families.names:
            epochs = getattr(self, name).epochs
            if config.rounds > epochs:
                raise ValueError(
                    f"federated.rounds is {config.rounds} with {name}.epochs = {epochs}; allowed: at most that"
                )
        return self

    def _refuse(
        self, fixed: Mapping[str, tuple[Any, ...]], of_families: Mapping[str, Mapping[str, tuple[Any, ...]]], given: str
    ) -> None:
        """Refuses values other than these, by the key, those of a family where it is on, beside what is ``given``."""
        names, values = self.families.names, self.flat()
        choices = {
            **fixed,
            **{f"{of}.{k}": own for of in of_families if of in names for k, own in of_families[of].items()},
        }
        wrong = {key: [_spelled(it) for it in own] for key, own in choices.items() if values[key] not in own}
        if wrong:
            found = ", ".join(f"{key} is {_spelled(values[key])} (allowed: {' | '.join(wrong[key])})" for key in wrong)
            flags = " ".join(f"-S {key}={wrong[key][0]}" for key in wrong)
            raise ValueError(f"{found} with {given}; add {flags}")

    @model_validator(mode="after")
    def _several_processes_can_share_a_batch(self) -> "Params":
        count = self.compute.processes
        if count == 1:
            return self
        fixed = {"privacy.epsilon": ("none",), "families.vae_gan": (False,)}
        given = f"compute.processes = {count}"
        self._refuse(fixed, {"gan": {"unrolled_steps": (0,)}, "vae": {"balance": ("fixed", "geco")}}, given)
        clients = self.federated.count
        if 0 < clients < count:
            raise ValueError(f"federated.clients is {clients} with {given}; allowed: none, or a client for each")
        for name in ("classifier", *self.families.names):
            size = getattr(self, name).batch_size
            if size < count:
                raise ValueError(f"{name}.batch_size is {size} with {given}; allowed: at least as many images")
        if self.families.gan and self.gan.arch == "style" and self.gan.batch_size % (4 * count):
            raise ValueError(
                f"gan.batch_size is {self.gan.batch_size} with {given} and gan.arch = style, whose discriminator "
                f"compares four images; allowed: multiples of {4 * count}"
            )
        return self

    @model_validator(mode="after")
    def _batches_fit_the_limit(self) -> "Params":
        if self.data.limit != "all":
            most = int(self.data.limit * (1 - self.data.val_fraction))
            for name in ("classifier", *self.families.names):
                size = getattr(self, name).batch_size
                if size > most:
                    raise ValueError(
                        f"{name}.batch_size is {size} with data.limit = {self.data.limit}, "
                        f"which leaves at most {most} images to train on; allowed: at most that"
                    )
            turns = most // self.gan.batch_size
            if self.families.gan and self.gan.d_steps > turns:
                raise ValueError(
                    f"gan.d_steps is {self.gan.d_steps} with data.limit = {self.data.limit}, which leaves at most "
                    f"{turns} steps an epoch; allowed: at most that"
                )
        return self

    def family_off(self, stage: str) -> str:
        """The family that ``stage`` trains or evaluates, where it is off; else "". In the name ``@`` may be ``_``."""
        family = re.split("[@_]", stage, maxsplit=1)[-1]
        return family if getattr(self.families, family, True) is False else ""

    def flat(self) -> dict[str, Any]:
        """Every parameter by its dotted key, as `dvc exp run -S` spells it."""
        return flatten(self.model_dump(by_alias=True))


def _spelled(value: Any) -> str:
    """A value as params.yaml spells it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values and sections of values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat


def allowed(where: tuple[str, ...]) -> str:
    """What the key at ``where`` takes, out of its annotation."""
    return " or ".join(_words(option) for option in _options(where))


def number_type(where: tuple[str, ...]) -> type[float] | type[int] | None:
    """``float`` or ``int`` where the key at ``where`` takes numbers of a range, else None.

    Raises:
        KeyError: there is no such key.
    """
    kinds = {option.get("type") for option in _options(where)}
    return float if "number" in kinds else int if "integer" in kinds else None


def _options(where: tuple[str, ...]) -> list[dict[str, Any]]:
    schema = Params.model_json_schema()
    node = schema
    for part in where:
        node = node["properties"][part]
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    options: list[dict[str, Any]] = node.get("anyOf", [node])
    return options


def _words(node: dict[str, Any]) -> str:
    match node:
        case {"enum": choices}:
            return " | ".join(map(str, choices))
        case {"const": word}:
            return str(word)
        case {"type": "null"}:
            return "null"
        case {"type": "array", "items": item, "minItems": count}:
            return f"[{', '.join([_words(item)] * count)}]"
        case {"type": "object", "properties": keys}:
            return f"a mapping of {', '.join(keys)}"
        case {"type": "integer" | "number" as kind, **limits}:
            return f"{'a whole number' if kind == 'integer' else 'a number'}, {_range(limits)}"
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "string"}:
            return "text that is not empty"
    raise TypeError(node)


def _range(limits: dict[str, Any]) -> str:
    match {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in limits.items()}:
        case {"minimum": low, "maximum": high}:
            return f"{low} … {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f"{low} < … ≤ {high}"
        case {"minimum": low, "exclusiveMaximum": high}:
            return f"{low} ≤ … < {high}"
        case {"minimum": low}:
            return f"≥ {low}"
    return "finite"


PARAMS_FILE = Path("params.yaml")
SHORT = reprlib.Repr()
SHORT.maxlevel = 2  # aliases of aliases: each level would be six times as long


def read_yaml(path: Path) -> Any:
    """A YAML 1.2 file as plain Python values.

    Raises:
        UserError: no such file, or not YAML; the text names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; run this at the repository's root") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """YAML 1.2 text as plain Python values; ``name`` is what a refusal calls it.

    Raises:
        UserError: not YAML; the text names the line.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{name}{line}: is not valid YAML: {in_a_line(str(error.problem))}") from None
    except (YAMLError, ValueError, RecursionError, LookupError, OverflowError) as error:
        # a control character, the 45th of May; ruamel.yaml looks a `!!bool maybe` up in a table of its own
        raise UserError(f"{name}: is not valid YAML: {in_a_line(str(error).splitlines()[0])}") from None


def read_params(path: Path = PARAMS_FILE) -> Params:
    """The validated parameters.

    Raises:
        UserError: a line for each thing wrong: key, what was found, what is allowed.
    """
    return validated(read_yaml(path), str(path))


def validated(values: Any, name: str) -> Params:
    """The parameters that ``values`` hold; ``name`` is what a refusal calls them.

    Raises:
        UserError: as :func:`read_params`.
    """
    if not isinstance(values, dict):
        raise UserError(f"{name}: found {in_a_line(SHORT.repr(values))}; allowed: {allowed(())}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = dict.fromkeys(f"{name}: {_explain(problem)}" for problem in error.errors())
        raise UserError("\n".join(lines)) from None


def _explain(problem: Any) -> str:
    where = problem["loc"][:2]  # section and key; what follows names a member of a union
    key = ".".join(in_a_line(str(part)) for part in where)
    found = in_a_line(SHORT.repr(problem["input"]))
    match problem["type"]:
        case "extra_forbidden" | "invalid_key":
            return f"{key}: found {found}, but there is no such key; allowed: {allowed(where[:-1])}"
        case "missing":
            return f"{key}: found nothing; every key must be there; allowed: {allowed(where)}"
        case "value_error":
            return f"{key + ': ' if key else ''}{problem['ctx']['error']}"
        case _:
            return f"{key}: found {found}; allowed: {allowed(where)}"
