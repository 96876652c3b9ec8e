"""The one reader of params.yaml: what it hands out, and what it says when it refuses."""

import re
from functools import reduce

import pytest
from committed import PARAMS
from pydantic import ValidationError
from ruamel.yaml import YAML

from genbalance.params import Params, Section, read_params, read_yaml
from genbalance.runtime.errors import UserError

TEXT = PARAMS.read_text(encoding="utf-8")
ROWS = TEXT.splitlines()
LINE = re.compile(r"^(?P<indent> *)(?P<key>\w+):(?: +(?P<value>[^#\s]+))? *(?P<comment>#.*)?$")


def lines():
    """(dotted key, value as written or None for a section, comment) of each key of the committed file."""
    section = ""
    for line in ROWS:
        if found := LINE.match(line):
            section = section if found["indent"] else ""
            yield section + found["key"], found["value"], found["comment"]
            if found["value"] is None:
                section = found["key"] + "."


KEYS = {key: (value, comment) for key, value, comment in lines() if value is not None}


def written(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def with_value(changes, text=TEXT):
    """The committed text with other words behind some keys, as a user would type them."""
    section, rows = "", []
    left = dict(changes)
    for line in text.splitlines():
        if found := LINE.match(line):
            section = section if found["indent"] else ""
            key = section + found["key"]
            if found["value"] is None:
                section = found["key"] + "."
            if key in left:
                line = f"{found['indent']}{found['key']}: {left.pop(key)}"
        rows.append(line)
    assert not left, f"no such keys: {left}"
    return "\n".join(rows) + "\n"


def refusal(tmp_path, text):
    """The lines of the refusal, without the file's name."""
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_params(path)
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None
    problems = str(caught.value).splitlines()
    assert all(problem.startswith(str(path)) for problem in problems)
    return [problem.removeprefix(str(path)) for problem in problems]


# ── the committed file ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_committed_file_is_valid_and_the_parser_of_this_test_sees_all_of_it():
    assert set(read_params(PARAMS).flat()) == set(KEYS)


def test_no_value_is_changed_on_its_way():
    values = YAML(typ="safe", pure=True).load(TEXT)
    flat = read_params(PARAMS).flat()
    for key, value in flat.items():
        plain = reduce(lambda node, part: node[part], key.split("."), values)
        assert value == plain, key
        assert type(value) is type(plain) or (type(value), type(plain)) == (float, int), key


def test_lambda_and_beta_and_seed_stand_on_top():
    assert list(KEYS)[:3] == ["lambda", "beta", "seed"]
    assert read_params(PARAMS).lambda_ == float(KEYS["lambda"][0])


def test_every_key_has_a_comment():
    bare = [key for key, (_, comment) in KEYS.items() if not comment or len(comment) < 8]
    assert bare == []


def models(model=Params):
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from models(field.annotation)


def test_no_field_has_a_default():
    """A default would be a value of an experiment that params.yaml, and with it DVC and MLflow, does not know of."""
    assert len(list(models())) == 13
    assert [f"{m.__name__}.{name}" for m in models() for name, f in m.model_fields.items() if not f.is_required()] == []


def test_params_cannot_be_changed_after_they_are_read():
    params = read_params(PARAMS)
    for section, name in ((params, "beta"), (params.gan, "epochs")):
        with pytest.raises(ValidationError):
            setattr(section, name, 1)


# ── what is a number ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "value"), [("1e-3", 1e-3), ("1E+2", 100.0), ("4", 4.0), ("+.5", 0.5), ("0", 0.0), ("1000", 1000.0)]
)
def test_numbers_are_numbers_as_dvc_spells_them(tmp_path, typed, value):
    beta = read_params(written(tmp_path, with_value({"beta": typed}))).flat()["beta"]
    assert beta == value
    assert isinstance(beta, float)


def test_a_limit_that_leaves_less_than_a_batch_is_refused_and_one_more_batch_is_not(tmp_path):
    with pytest.raises(UserError, match=r"classifier\.batch_size is 128 with data\.limit = 140"):
        read_params(written(tmp_path, with_value({"data.limit": "140"})))
    assert read_params(written(tmp_path, with_value({"data.limit": "143"}))).data.limit == 143


@pytest.mark.parametrize(
    ("key", "typed"),
    [
        ("lambda", "0.001"),
        ("lambda", "1000"),
        ("seed", "0"),
        ("seed", "4294967295"),
        ("compute.threads", "256"),
        ("data.limit", "all"),
        ("classifier.rotation", "0"),
        ("gan.adam_beta1", "0"),
        ("gan.adam_beta2", "0.9999"),
        ("vae.learning_rate", "1"),
        ("vae.log_sigma_floor", "-12"),
        ("evaluate.kid_subset_size", "2"),
    ],
)
def test_the_ends_of_a_range_belong_to_it(tmp_path, key, typed):
    changes = {key: typed} | ({"gan.learning_rate": "0.001"} if key == "lambda" else {})
    assert str(read_params(written(tmp_path, with_value(changes))).flat()[key]) in (typed, f"{typed}.0", "None")


def choices():
    """Every word that a comment lists as a choice: `a | b (…) | c`."""
    for key, (_, comment) in KEYS.items():
        listed = re.match(r"# (\w+(?: \([^)]*\))?(?: \| \w+(?: \([^)]*\))?)+)", comment)
        if listed:
            for choice in listed[1].split(" | "):
                yield key, choice.split(" ")[0]


def test_every_choice_that_a_comment_lists_is_taken(tmp_path):
    found = list(choices())
    assert len(found) == 50
    for key, choice in found:
        assert read_params(written(tmp_path, with_value({key: choice}))).flat()[key] == {
            "true": True,
            "false": False,
            "1": 1,
            "3": 3,
        }.get(choice, choice)


# ── refusals: key, what was found, what is allowed ───────────────────────────────────────────────────────────────

POSITIVE, UNIT, SHORT = "0 < … ≤ 1", "0 … 1", "0 ≤ … < 1"
WRONG = [
    # key, what the user types, what the line shows as found, what it shows as allowed
    ("lambda", "0", "0", "0.001 … 1000"),
    ("lambda", "-1", "-1", "0.001 … 1000"),
    ("lambda", "1001", "1001", "0.001 … 1000"),
    ("lambda", "strong", "'strong'", "0.001 … 1000"),
    ("beta", "-0.1", "-0.1", "0 … 1000"),
    ("beta", "1000.5", "1000.5", "0 … 1000"),
    ("beta", ".nan", "nan", "0 … 1000"),
    ("beta", ".inf", "inf", "0 … 1000"),
    ("beta", "-.inf", "-inf", "0 … 1000"),
    ("beta", "1e400", "inf", "0 … 1000"),
    ("beta", "true", "True", "0 … 1000"),
    ("beta", "null", "None", "0 … 1000"),
    ("beta", "", "None", "0 … 1000"),
    ("beta", '"4"', "'4'", "0 … 1000"),
    ("beta", "[1, 2, 4]", "[1, 2, 4]", "0 … 1000"),
    ("beta", "{a: 1}", "{'a': 1}", "0 … 1000"),
    ("beta", "4,5", "'4,5'", "0 … 1000"),
    ("seed", "-1", "-1", "0 … 4294967295"),
    ("seed", "4294967296", "4294967296", "0 … 4294967295"),
    ("seed", "1.5", "1.5", "0 … 4294967295"),
    ("seed", "42.0", "42.0", "0 … 4294967295"),
    ("seed", "yes", "'yes'", "0 … 4294967295"),
    ("seed", "false", "False", "0 … 4294967295"),
    ("compute", "cpu", "'cpu'", "device, threads, processes, precision, bits"),
    ("compute.device", "gpu", "'gpu'", "auto | cpu | cuda"),
    ("compute.device", "0", "0", "auto | cpu | cuda"),
    ("compute.threads", "0", "0", "1 … 256"),
    ("compute.threads", "257", "257", "1 … 256"),
    ("compute.threads", "two", "'two'", "1 … 256"),
    ("compute.processes", "0", "0", "1 … 64"),
    ("compute.processes", "auto", "'auto'", "1 … 64"),
    ("compute.precision", "fp16", "'fp16'", "fp32 | bf16 | auto"),
    ("compute.bits", "same", "'same'", "portable | native"),
    ("families.gan", "1", "1", "true | false"),
    ("families.vae", "[]", "[]", "true | false"),
    ("families.vae_gan", "on", "'on'", "true | false"),
    ("vae_gan.encoder_width", "8", "8", "16 … 8192"),
    ("privacy.epsilon", "0.05", "0.05", "none or a number, 0.1 … 1000"),
    ("privacy.epsilon", "off", "'off'", "none or a number, 0.1 … 1000"),
    ("privacy.delta", "0", "0", "0 < … ≤ 0.01"),
    ("privacy.max_grad_norm", "0", "0", "0 < … ≤ 1000"),
    ("federated.clients", "0", "0", "none or a whole number, 1 … 1000"),
    ("federated.clients", "two", "'two'", "none or a whole number, 1 … 1000"),
    ("federated.rounds", "0", "0", "1 … 10000"),
    ("federated.split", "random", "'random'", "iid | classes"),
    ("federated.concentration", "0", "0", "0.01 … 1000"),
    ("data.source", "imagenet", "'imagenet'", "bundled | mnist | fashion_mnist"),
    ("data.source", "MNIST", "'MNIST'", "bundled | mnist | fashion_mnist"),
    ("data.path", "7", "7", "text"),
    ("data.path", '""', "''", "text that is not empty"),
    ("data.path", "null", "None", "text"),
    ("data.limit", "99", "99", "≥ 100 or all"),
    ("data.limit", "null", "None", "≥ 100 or all"),
    ("data.limit", "500.0", "500.0", "≥ 100 or all"),
    ("data.class_shares", "null", "None", "text"),
    ("data.class_shares", "0.1", "0.1", "text"),
    ("data.class_shares", "{4: 0.1}", "{4: 0.1}", "text"),
    ("gan.rebalance", "1", "1", "true"),
    ("vae.rebalance", "yes", "'yes'", "true"),
    ("data.val_fraction", "0", "0", "0.01 … 0.5"),
    ("data.val_fraction", "0.6", "0.6", "0.01 … 0.5"),
    ("data.test_fraction", "20%", "'20%'", "0.01 … 0.5"),
    ("classifier.epochs", "0", "0", "1 … 10000"),
    ("classifier.epochs", "10001", "10001", "1 … 10000"),
    ("classifier.batch_size", "1", "1", "2 … 65536"),
    ("classifier.batch_size", "65537", "65537", "2 … 65536"),
    ("classifier.learning_rate", "0", "0", POSITIVE),
    ("classifier.learning_rate", "1.01", "1.01", POSITIVE),
    ("classifier.weight_decay", "-0.1", "-0.1", UNIT),
    ("classifier.width", "3", "3", "4 … 512"),
    ("classifier.shift", "8.5", "8.5", "0 … 8"),
    ("classifier.rotation", "-1", "-1", "0 … 45"),
    ("classifier.rotation", "46", "46", "0 … 45"),
    ("gan.arch", "wgan", "'wgan'", "dcgan | mlp"),
    ("gan.arch", "[mlp]", "['mlp']", "dcgan | mlp"),
    ("gan.epochs", "2.5", "2.5", "1 … 10000"),
    ("gan.latents", "0", "0", "1 … 4096"),
    ("gan.latents", "4097", "4097", "1 … 4096"),
    ("gan.width", "513", "513", "4 … 512"),
    ("gan.learning_rate", "fast", "'fast'", POSITIVE),
    ("gan.adam_beta1", "1", "1", SHORT),
    ("gan.adam_beta2", "-0.1", "-0.1", SHORT),
    ("gan.ema_decay", "1.0", "1.0", SHORT),
    ("gan.lr_decay", "1.5", "1.5", UNIT),
    ("gan.clusters", "-1", "-1", "0 … 4096"),
    ("gan.clusters", "null", "None", "0 … 4096"),
    ("gan.truncation", "0", "0", POSITIVE),
    ("gan.truncation", "1.1", "1.1", POSITIVE),
    ("gan.conditional", "digits", "'digits'", "true | false"),
    ("gan.loss", "lsgan", "'lsgan'", "non_saturating | hinge | relativistic | wasserstein"),
    ("gan.r1", "-0.1", "-0.1", "0 … 1000"),
    ("gan.r1_every", "0", "0", "1 … 1000"),
    ("gan.r2", "1001.0", "1001.0", "0 … 1000"),
    ("gan.optimizer", "rmsprop", "'rmsprop'", "adam | sgd"),
    ("gan.unrolled_steps", "21", "21", "0 … 20"),
    ("gan.augment", "flips", "'flips'", "none | translation"),
    ("gan.gradient_penalty", "1001", "1001", "0 … 1000"),
    ("gan.spectral_norm", "0", "0", "true | false"),
    ("gan.d_steps", "0", "0", "1 … 100"),
    ("gan.stop_when_balanced", "null", "None", "true | false"),
    ("vae.arch", "dcgan", "'dcgan'", "mlp | conv | ladder | nvae"),
    ("vae.likelihood", "poisson", "'poisson'", "bernoulli | gaussian"),
    ("vae.width", "15", "15", "16 … 8192"),
    ("vae.log_sigma_floor", "-13", "-13", "-12 … 0"),
    ("vae.log_sigma_floor", "0.1", "0.1", "-12 … 0"),
    ("vae.lr_decay", "-0.1", "-0.1", UNIT),
    ("vae.prior", "gmm", "'gmm'", "normal | mixture | flow"),
    ("vae.importance_samples", "0", "0", "1 … 1000"),
    ("vae.kl_warmup", "1.5", "1.5", "0 … 10000"),
    ("vae.free_bits", "-1", "-1", "0 … 10"),
    ("vae.beta_range", "[0.1]", "[0.1]", "[a number, 0.01 … 1000, a number, 0.01 … 1000]"),
    ("vae.beta_range", "wide", "'wide'", "none"),
    ("vae.target_distortion", "low", "'low'", "-99999 … 99999"),
    ("vae.balance", "auto", "'auto'", "fixed | geco | sigma"),
    ("gan.balance", "auto", "'auto'", "fixed | accuracy"),
    ("gan.target_accuracy", "1", "1", "0.01 … 0.99"),
    ("vae.updates", "both", "'both'", "joint | alternating"),
    ("vae.batch_size", "null", "None", "2 … 65536"),
    ("evaluate.samples", "99", "99", "100 … 1000000"),
    ("evaluate.kid_subsets", "0", "0", "1 … 10000"),
    ("evaluate.kid_subset_size", "1", "1", "2 … 100000"),
    ("evaluate.neighbours", "101", "101", "1 … 100"),
    ("data.size", "7", "7", "8 … 128"),
    ("data.size", "129", "129", "8 … 128"),
    ("data.size", "[28]", "[28]", "original"),
    ("data.channels", "2", "2", "auto | 1 | 3"),
    ("classifier.flip", "1", "1", "true | false"),
    ("evaluate.resamples", "9", "9", "10 … 100000"),
    ("evaluate.importance_draws", "0", "0", "1 … 1000000"),
    ("evaluate.inversion_images", "2.5", "2.5", "1 … 1000000"),
    ("evaluate.inversion_steps", "null", "None", "1 … 100000"),
    ("checkpoint.seconds", "-1", "-1", "0 … 100000"),
    ("tracking.experiment", '""', "''", "text that is not empty"),
    ("tracking.experiment", "12", "12", "text"),
    ("tracking", "null", "None", "experiment"),
]


@pytest.mark.parametrize(("key", "typed", "found", "allowed"), WRONG, ids=[f"{k}={v}" for k, v, *_ in WRONG])
def test_a_wrong_value_is_told_with_its_key_what_was_found_and_what_is_allowed(tmp_path, key, typed, found, allowed):
    # a section's own lines become strangers to the mapping when its head gets a value, so they go
    text = re.sub(rf"^{key}:.*\n(?:  .*\n)+", f"{key}: {typed}\n", TEXT, flags=re.M)
    (problem,) = refusal(tmp_path, with_value({key: typed}, text))
    told = re.fullmatch(rf": {re.escape(key)}: found (.*); allowed: (.*)", problem)
    assert told, problem
    assert told[1] == found
    assert allowed in told[2]


def test_every_number_and_choice_of_the_file_is_refused_at_least_once_above():
    free = {"data.path", "tracking.experiment"}
    refused = {key for key, *_ in WRONG}
    siblings = {key.split(".")[-1] for key in refused}
    assert [key for key in KEYS if key not in refused | free and key.split(".")[-1] not in siblings] == []


def test_the_ranges_that_the_comments_tell_are_those_that_are_enforced(tmp_path):
    """A word is refused at each number; the line then tells the range, in the words of the comment."""
    enforced = set()
    for key, (_, comment) in KEYS.items():
        told = re.search(r"(?:-?[\d.]+ )?(?:< |≤ )?…(?: ≤| <)? [\d.]+$|≥ \d+$", comment)
        if told:
            (problem,) = refusal(tmp_path, with_value({key: "word"}))
            assert told[0] in problem, key
            enforced.add(key)
    numbers = {key for key, value in read_params(PARAMS).flat().items() if not isinstance(value, str | bool)}
    assert enforced == numbers - {"seed"}  # its 2³²−1 is easier to read than what it comes to


ALONE = ("checkpoint.seconds", "tracking.experiment")  # a section's only key


@pytest.mark.parametrize("key", list(KEYS))
def test_a_missing_key_is_told(tmp_path, key):
    text = with_value({key: "REMOVED"})
    text = "".join(line for line in text.splitlines(keepends=True) if "REMOVED" not in line)
    if key in ALONE:
        section = key.partition(".")[0]
        text = text.replace(f"{section}:", f"{section}: {{}}")
    (problem,) = refusal(tmp_path, text)
    assert problem.startswith(f": {key}: found nothing; every key must be there")


@pytest.mark.parametrize("section", ["compute", "data", "classifier", "gan", "vae", "evaluate"])
def test_a_missing_section_is_told(tmp_path, section):
    (problem,) = refusal(tmp_path, re.sub(rf"^{section}:\n(?:  .*\n)+", "", TEXT, flags=re.M))
    assert problem.startswith(f": {section}: found nothing")


@pytest.mark.parametrize(
    ("text", "key", "sibling"),
    [
        (TEXT + "gamma: 1\n", "gamma", "beta"),
        (TEXT + "lambda_: 1\n", "lambda_", "lambda"),
        (TEXT + "1: 2\n", "1", "beta"),
        (TEXT.replace("\ngan:\n", "\ngan:\n  momentum: 0.9\n"), "gan.momentum", "adam_beta1"),
        (TEXT.replace("\nvae:\n", "\nvae:\n  beta: 4\n"), "vae.beta", "likelihood"),
    ],
)
def test_an_unknown_key_is_told_with_those_that_there_are(tmp_path, text, key, sibling):
    (problem,) = refusal(tmp_path, text)
    assert problem.startswith(f": {key}: found ")
    assert "no such key" in problem
    assert sibling in problem


def test_every_problem_has_its_line(tmp_path):
    text = with_value({"beta": "-1", "gan.arch": "wgan", "vae.epochs": "0"}) + "gamma: 1\n"
    problems = refusal(tmp_path, text)
    assert [problem.split(": ")[1] for problem in problems] == ["beta", "gan.arch", "vae.epochs", "gamma"]


def test_a_value_of_any_length_is_told_in_a_line_of_readable_length(tmp_path):
    for typed in (str(list(range(10_000))), '"' + "x" * 10_000 + '"', '"two\\nlines"'):
        (problem,) = refusal(tmp_path, with_value({"beta": typed}))
        assert len(problem) < 300


FEDERATED = {"federated.clients": "2", "vae.prior": "normal", "gan.clusters": "0"}
TWO = {"compute.processes": "2"}
PRIVATE = {"privacy.epsilon": "3", "vae.prior": "normal", "gan.clusters": "0", "gan.r1": "0"}


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        (
            {"data.val_fraction": "0.45", "data.test_fraction": "0.4"},
            ["data", "val_fraction + test_fraction", "0.85", "0.8"],
        ),
        (
            {"evaluate.samples": "100", "evaluate.kid_subset_size": "51"},
            ["evaluate", "kid_subset_size is 51", "100", "half"],
        ),
        ({"lambda": "1000", "gan.learning_rate": "0.01"}, ["lambda", "gan.learning_rate", "10", "at most 1"]),
        (
            {"lambda": "600", "families.vae_gan": "true", "gan.learning_rate": "0.001"},
            ["lambda", "vae_gan.learning_rate", "1.2", "at most 1"],
        ),
        (
            {"vae.free_bits": "0.1", "vae.importance_samples": "5", "vae.prior": "normal"},
            ["vae", "free_bits is 0.1", "importance_samples = 5", "each latent"],
        ),
        (
            {"vae.free_bits": "0.1", "vae.importance_samples": "1", "vae.prior": "flow"},
            ["vae", "free_bits is 0.1", "prior = flow", "each latent"],
        ),
        ({"families.gan": "false", "families.vae": "false"}, ["families", "all are false", "true for one of gan, vae"]),
        (
            {"data.limit": "200", "gan.d_steps": "100", "gan.batch_size": "32"},
            ["gan.d_steps is 100", "data.limit = 200", "at most 5 steps"],
        ),
        (
            {"privacy.epsilon": "10", "gan.r1": "0.3", "gan.r2": "0.5"},
            [
                *("vae.prior is mixture (allowed: normal | flow | vamp)", "gan.clusters is 100 (allowed: 0)"),
                *("gan.r1 is 0.3 (allowed: 0)", "gan.r2 is 0.5", "with privacy.epsilon = 10; add"),
                "-S vae.prior=normal -S gan.clusters=0 -S gan.r1=0 -S gan.r2=0",
            ],
        ),
        *(
            (
                PRIVATE | {key: value},
                [f"{key} is {value} (allowed: {allowed})", f"add -S {key}={allowed.split(' ')[0]}"],
            )
            for key, value, allowed in (
                ("vae.balance", "geco", "fixed"),
                ("vae.free_bits", "0.1", "0"),
                ("vae.updates", "alternating", "joint"),
                ("gan.arch", "style", "dcgan | mlp | dense"),
                ("gan.loss", "relativistic", "non_saturating | hinge | wasserstein"),
                ("gan.spectral_norm", "true", "false"),
                ("gan.unrolled_steps", "2", "0"),
                ("families.vae_gan", "true", "false"),
                ("federated.clients", "1", "none"),
            )
        ),
        (
            {"federated.clients": "2"},
            [
                *("vae.prior is mixture (allowed: normal | flow | vamp)", "gan.clusters is 100 (allowed: 0)"),
                "with federated.clients = 2; add -S vae.prior=normal -S gan.clusters=0",
            ],
        ),
        *(
            (
                FEDERATED | {key: value},
                [f"{key} is {value} (allowed: {allowed}) with federated", f"add -S {key}={allowed.split(' ')[0]}"],
            )
            for key, value, allowed in (
                ("vae.balance", "geco", "fixed | sigma"),
                ("gan.balance", "accuracy", "fixed"),
                ("gan.stop_when_balanced", "true", "false"),
                ("families.vae_gan", "true", "false"),
            )
        ),
        (
            {"federated.clients": "1", "families.vae_gan": "true"},
            ["families.vae_gan is true (allowed: false) with federated.clients = 1"],
        ),
        (
            FEDERATED | {"federated.rounds": "25"},
            ["federated.rounds is 25 with gan.epochs = 24; allowed: at most that"],
        ),
        (
            PRIVATE | {"gan.loss": "wasserstein", "gan.r1": "0.2"},
            ["gan.gradient_penalty is 10 (allowed: 0)", "add -S gan.gradient_penalty=0"],
        ),
        ({"vae.kl_warmup": "11", "vae.epochs": "10"}, ["vae", "kl_warmup is 11", "epochs = 10", "at most"]),
        *(
            (
                {"vae.prior": prior, "vae.latents": "1", "vae.free_bits": "0"},
                ["vae", f"latents is 1 with prior = {prior}", "at least 2"],
            )
            for prior in ("mixture", "flow", "vamp")
        ),
        ({"vae.arch": "ladder", "vae.latents": "2"}, ["vae", "latents is 2 with arch = ladder", "at least 3"]),
        *(
            (
                {"vae.arch": arch, "vae.prior": prior, "vae.free_bits": "0"},
                ["vae", f"prior is {prior} with arch = {arch}", allowed],
            )
            for arch, prior, allowed in (
                ("ladder", "flow", "normal or mixture"),
                ("ladder", "vamp", "normal or mixture"),
                ("nvae", "mixture", "allowed: normal"),
            )
        ),
        *(
            (
                {"data.class_shares": text},
                ["data: class_shares is ", f"of which '{bad}' is no share", "allowed: none, or"],
            )
            for text, bad in (
                ("'4'", "4"),
                ("4:0", "4:0"),
                ("4:1.5", "4:1.5"),
                ("4:-0.1", "4:-0.1"),
                ("4:nan", "4:nan"),
                ("4:1e-3", "4:1e-3"),
                ("':0.5'", ":0.5"),
                ("'4:0.5, 4:0.1'", "4:0.1"),
                ("'4:0.5,'", ""),
            )
        ),
        ({"vae.beta_range": "[4, 1]"}, ["vae", "beta_range is [4, 1]", "the lesser value first"]),
        ({"beta": "4", "vae.beta_range": "[0.1, 2]"}, ["beta is 4", "vae.beta_range = [0.1, 2]", "within it"]),
        (
            FEDERATED | {"compute.processes": "3"},
            ["federated.clients is 2", "compute.processes = 3", "allowed: none, or a client for each"],
        ),
        (PRIVATE | TWO, ["privacy.epsilon is 3", "compute.processes = 2", "allowed: none"]),
        (TWO | {"families.vae_gan": "true"}, ["families.vae_gan is true", "compute.processes = 2", "allowed: false"]),
        (TWO | {"gan.unrolled_steps": "1"}, ["gan.unrolled_steps is 1", "compute.processes = 2", "allowed: 0"]),
        (
            TWO | {"vae.balance": "sigma", "vae.likelihood": "gaussian_shared"},
            ["vae.balance is sigma", "compute.processes = 2", "fixed | geco"],
        ),
        (
            {"compute.processes": "20", "gan.batch_size": "19"},
            ["gan.batch_size is 19", "compute.processes = 20", "at least as many"],
        ),
        (
            TWO | {"gan.arch": "style", "gan.batch_size": "36"},
            ["gan.batch_size is 36", "compute.processes = 2", "gan.arch = style", "multiples of 8"],
        ),
        *(
            (
                {"vae.beta_range": "[0.1, 10]", f"vae.{name}": value},
                ["vae", f"{name} is {value} with a beta_range", allowed],
            )
            for name, value, allowed in (
                ("arch", "ladder", "mlp or conv"),
                ("prior", "flow", "normal or mixture"),
                ("importance_samples", "5", "1"),
                ("balance", "geco", "fixed"),
                ("updates", "alternating", "joint"),
            )
        ),
        *(
            (
                {"vae.balance": balance, f"vae.{name}": value},
                ["vae", f"{name} is {value} with balance = {balance}", allowed],
            )
            for balance, name, value, allowed in (
                ("geco", "importance_samples", "5", "1"),
                ("geco", "kl_warmup", "3", "0"),
                ("geco", "free_bits", "0.1", "0"),
                ("sigma", "importance_samples", "5", "1"),
                ("sigma", "likelihood", "bernoulli", "gaussian_shared or auto"),
                ("sigma", "likelihood", "gaussian", "gaussian_shared or auto"),
                ("sigma", "likelihood", "logistic_mixture", "gaussian_shared or auto"),
            )
        ),
        ({"vae.balance": "geco", "beta": "0"}, ["beta is 0 with vae.balance = geco", "1e-06 … 1000"]),
        *(
            (
                {"gan.balance": "accuracy", "gan.loss": loss},
                ["gan", f"loss is {loss} with balance = accuracy", "non_saturating or hinge"],
            )
            for loss in ("relativistic", "wasserstein")
        ),
        *(
            (
                {"vae.arch": arch, "vae.prior": "normal", "vae.updates": "alternating"},
                ["vae", f"updates is alternating with arch = {arch}", "joint"],
            )
            for arch in ("ladder", "nvae")
        ),
    ],
)
def test_combinations_that_make_no_sense_are_told_with_all_their_keys(tmp_path, changes, fragments):
    (problem,) = refusal(tmp_path, with_value(changes))
    assert all(fragment in problem for fragment in fragments), problem


@pytest.mark.parametrize(
    "changes",
    [
        {"data.val_fraction": "0.4", "data.test_fraction": "0.4"},
        {"evaluate.samples": "100", "evaluate.kid_subset_size": "50"},
        {"lambda": "1000", "gan.learning_rate": "0.001"},
    ],
)
def test_combinations_at_the_edge_of_sense_are_taken(tmp_path, changes):
    flat = read_params(written(tmp_path, with_value(changes))).flat()
    assert {key: flat[key] for key in changes} == {key: float(typed) for key, typed in changes.items()}


# ── what is no params.yaml at all ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (TEXT + "beta: 2\n", f'line {len(ROWS) + 1}: is not valid YAML: found duplicate key "beta"'),
        (TEXT.replace("vae:\n", "vae:\n  arch: mlp\n"), 'duplicate key "arch"'),
        (TEXT.replace("  epochs", "\tepochs", 1), f"line {ROWS.index('classifier:') + 2}: is not valid YAML"),
        (with_value({"beta": "[1.0"}), "is not valid YAML"),
        (with_value({"beta": '"1.0'}), "is not valid YAML"),
        (with_value({"beta": "&a"}), "beta: found None"),
        (with_value({"beta": "*nowhere"}), "is not valid YAML"),
        (with_value({"beta": "!!python/object:os.system x"}), "is not valid YAML"),
        (with_value({"beta": "2024-13-45"}), "is not valid YAML"),
        (with_value({"beta": "" + "9" * 5000}), "is not valid YAML"),
        (with_value({"beta": "" + "[" * 3000}), "is not valid YAML"),
        (with_value({"beta": "&a [*a]"}), "beta: found [["),
        (with_value({"beta": "1.0\x07"}), "is not valid YAML"),
        (TEXT + "---\nbeta: 2\n", "is not valid YAML"),
        (TEXT.replace("beta:", "beta"), "is not valid YAML"),
        ("<<<<<<< HEAD\n" + TEXT, "is not valid YAML"),
        ("", "mapping"),
        ("# nothing\n", "mapping"),
        ("- lambda\n- beta\n", "mapping"),
        ("beta", "mapping"),
        ("4\n", "mapping"),
    ],
)
def test_a_file_that_is_no_mapping_is_told_in_one_line(tmp_path, text, fragment):
    (problem,) = refusal(tmp_path, text)
    assert fragment in problem
    assert len(problem) < 300


def test_a_missing_file_a_folder_and_binary_data_are_told_in_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\x00")
    for name, fragment in (("none", "cannot be read"), ("folder", "cannot be read"), ("binary", "not UTF-8")):
        with pytest.raises(UserError) as caught:
            read_params(tmp_path / name)
        assert fragment in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_yaml_is_read_as_plain_values(tmp_path):
    value = read_yaml(written(tmp_path, "a: {b: [1, 1e-3, null, on]}\n"))
    assert value == {"a": {"b": [1, 1e-3, None, "on"]}}
    assert [type(x) for x in (value, value["a"], value["a"]["b"])] == [dict, dict, list]


def test_mlflows_own_experiment_is_refused(tmp_path):
    (problem,) = refusal(tmp_path, with_value({"tracking.experiment": "Default"}))
    assert "experiment is Default, which MLflow keeps for itself; allowed: any other name" in problem


def test_a_key_of_before_is_refused_with_those_that_there_are(tmp_path):
    (problem,) = refusal(tmp_path, PARAMS.read_text().rstrip("\n") + "\n  on_outage: spool\n")
    assert problem.startswith(
        ": tracking.on_outage: found 'spool', but there is no such key; allowed: a mapping of experiment"
    )
