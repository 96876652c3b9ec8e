"""The house rules: which way imports point, and that dvc.yaml declares all that a stage reaches and reads."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import genbalance
from genbalance.families.registry import known
from genbalance.params import INERT, Params, read_yaml
from genbalance.tracking.models import NEEDED

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path for path in SRC.rglob("*.py")
}
HARMLESS = ("genbalance.tracking", "genbalance.params")  # cannot change a result: see dvc.yaml
WIRING = {  # the modules of a package that know the networks and their losses
    "training": {*known(), "classifier", "epochs"},
    "evaluation": {*known(), "curve", "elbo", "figures", "likelihood", "own_images", "reference_classifier"},
}
PROGRAMS = ("genbalance.tracking.served", "genbalance.tracking.trained")  # of their own, as stages are
PIPELINE = read_yaml(ROOT / "dvc.yaml")["stages"]
STAGES = [
    (name, family)
    for name, stage in PIPELINE.items()
    for family in (stage["matrix"]["family"] if "matrix" in stage else [""])
]
# a family is named in its own files alone; a VAE's likelihood stands in three more
ROOMS = "families|models|losses|training|evaluation|sampling"
OF_ONE_FAMILY = re.compile(rf"({ROOMS})/({'|'.join(known())})(/|\.py)|params\.py$")
OF_LIKELIHOODS = {"api.py", "evaluation/curve.py", "evaluation/elbo.py", "evaluation/likelihood.py"}


def for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted names that a file imports anywhere in it, functions included. Names of the API count as a way to it;
    not those that the root imports for type checkers alone: it hands them out when they are asked for."""
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    if path == MODULES["genbalance"]:
        tree.body = [n for node in tree.body for n in (node.orelse if for_types_alone(node) else [node])]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "genbalance":
            names.add(ast.unparse(node))
    public = {f"genbalance.{name}" for name in genbalance.__all__}
    return frozenset(names | {"genbalance.api"} if names & public else names)


def own(path: Path) -> set[str]:
    """The modules of the package that a file imports, packages on the way included."""
    hits = {name for name in imported(path) if name in MODULES}
    return hits | {name.rsplit(".", 1)[0] for name in hits if "." in name}


def reached(path: Path, through: tuple[str, ...] = ()) -> set[str]:
    """The modules that a file reaches over all imports, not looking behind those of ``through``."""
    found: set[str] = set()
    waiting = own(path)
    while waiting:
        module = waiting.pop()
        if module not in found and not module.startswith(through or ("-",)):
            found.add(module)
            waiting |= own(MODULES[module])
    return found


def package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def within(*packages: str) -> Iterator[tuple[str, Path]]:
    return ((m, path) for m, path in MODULES.items() if package(m) in {f"genbalance.{name}" for name in packages})


def stage_program(name: str, family: str) -> Path:
    command = PIPELINE[name]["cmd"].replace("${item.family}", family)
    return ROOT / "stages" / f"{command.removeprefix('sh stages/run ')}.py"


def test_the_repository_holds_no_symbolic_link() -> None:
    """Where git makes none, as on some file systems, it leaves a text file."""
    command = ["git", "ls-files", "--stage", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    assert not [entry for entry in listed if entry.startswith("120000")]


def test_the_package_never_imports_a_stage() -> None:
    assert not {m for m, path in MODULES.items() for name in imported(path) if name.split(".")[0] == "stages"}


@pytest.mark.parametrize(
    ("library", "home"), [("mlflow", "genbalance.tracking"), ("ruamel", "genbalance.params"), ("yaml", "nowhere")]
)
def test_a_tool_is_imported_in_its_own_place_alone(library: str, home: str) -> None:
    places = {m for m, path in MODULES.items() for name in imported(path) if name.split(".")[0] == library}
    assert {package(place) for place in places} <= {home}
    for program in (ROOT / "stages").glob("*.py"):
        assert not {name for name in imported(program) if name.split(".")[0] == library}, program
    assert bool(places) == (home != "nowhere")


def test_tracking_and_reporting_reach_no_torch() -> None:
    for module, path in within("tracking", "reporting"):
        if module in PROGRAMS:
            continue
        for behind in {module} | reached(path):
            assert not {n for n in imported(MODULES[behind]) if n.split(".")[0].startswith("torch")}, (module, behind)


def test_what_mlflow_runs_to_serve_is_imported_by_nothing() -> None:
    assert set(PROGRAMS) <= MODULES.keys()
    assert not {module for module, path in MODULES.items() if set(PROGRAMS) & imported(path)}


def test_a_served_model_asks_for_all_that_it_reaches() -> None:
    behind = {*PROGRAMS}.union(*(reached(MODULES[program]) for program in PROGRAMS))
    libraries = {name.split(".")[0] for module in behind for name in imported(MODULES[module])}
    packages = packages_distributions()  # reads the metadata of every package: seconds
    wanted = {name for library in libraries - {"genbalance"} for name in packages.get(library, ())}
    assert {name.lower() for name in wanted if not name.startswith("mlflow-")} == set(NEEDED)


def test_models_losses_the_loop_and_the_metrics_do_not_know_one_another() -> None:
    """A family's `train` and `evaluate` wire them."""
    rooms = ("models", "losses", "training", "evaluation")
    wired = {f"genbalance.{room}.{name}" for room in ("training", "evaluation") for name in WIRING[room]}
    for module, path in within(*rooms):
        if module not in wired:
            others = {package(name) for name in own(path)} & {f"genbalance.{room}" for room in rooms}
            assert others <= {package(module)}, module


def test_data_reaches_nothing_that_is_made_of_it() -> None:
    for module, path in within("data"):
        above = {"models", "losses", "training", "evaluation", "sampling", "reporting", "tracking", "experiments"}
        assert not {package(name) for name in reached(path)} & {f"genbalance.{name}" for name in above}, module


def test_imports_go_round_in_no_circle() -> None:
    for module in MODULES:
        seen, waiting = set(), [module]
        while waiting:
            behind = {name for name in imported(MODULES[waiting.pop()]) if name in MODULES} - seen
            assert module not in behind, module
            seen |= behind
            waiting += behind


def test_nothing_reads_a_pickle_that_could_run_code() -> None:
    """Checkpoints are torch's own files, read with weights only. CIFAR's files are read by a class that says which
    names a pickle may call."""
    for path in [*MODULES.values(), *(ROOT / "stages").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        libraries = {"pickle", "joblib", "shelve", "dill", "cloudpickle"} & {n.split(".")[0] for n in imported(path)}
        names = {name for name in imported(path) if name.startswith("pickle.")}
        assert not libraries or names - {"pickle.Unpickler"} == {"pickle.UnpicklingError"}, path
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), path
        bases = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and reads_pickles(node)]
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Unpickler"]
        assert len(bases) == len(used) == ("pickle.Unpickler" in names), path


def reads_pickles(node: ast.ClassDef) -> bool:
    """Whether it is an Unpickler that decides itself what a name in a pickle stands for."""
    own_names = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    return [ast.unparse(base) for base in node.bases] == ["Unpickler"] and "find_class" in own_names


def test_a_family_is_named_in_its_own_files_alone() -> None:
    """So that another family is a few new files and no change of others."""
    named = re.compile(rf"(^|[^a-z])({'|'.join(known())})([^a-z_]|$)|_({'|'.join(known())})\b")
    for path in [*MODULES.values(), *(SRC / "genbalance").rglob("*.j2")]:
        file = path.relative_to(SRC / "genbalance").as_posix()
        if OF_ONE_FAMILY.search(file) or file in OF_LIKELIHOODS or "/families/" in file:
            continue
        if path.suffix == ".j2":
            words = re.findall(r"\"([^\"]*)\"", path.read_text())
        else:
            tree = ast.parse(path.read_text())
            prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            texts = (n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
            words = [node.value for node in texts if id(node) not in prose]
            words += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
        assert not [word for word in words if named.search(word)], file


def test_the_package_has_few_rooms() -> None:
    rooms = {package(module) for module in MODULES if "." in module and "__" not in module}  # not what caches left
    assert len(rooms) <= 14, sorted(rooms)


@pytest.mark.parametrize("program", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_is_one_screen(program: Path) -> None:
    text = program.read_text()
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    assert len(text.splitlines()) <= 50
    assert sum(len(node.names) for node in imports if node.module.startswith("genbalance")) <= 10


@pytest.mark.parametrize(("name", "family"), STAGES)
def test_a_stage_declares_every_file_that_it_reaches(name: str, family: str) -> None:
    program = stage_program(name, family)
    files = {MODULES[module] for module in reached(program, through=HARMLESS)}
    files = {program, *(file for file in files if file.name != "__init__.py")}  # those hold docstrings alone
    deps = [ROOT / str(dep).replace("${item.family}", family) for dep in PIPELINE[name]["deps"]]
    undeclared = {f for f in files if not any(f == dep or dep in f.parents for dep in deps)}
    assert not {str(file.relative_to(ROOT)) for file in undeclared}


@pytest.mark.parametrize(("name", "family"), STAGES)
def test_every_declared_source_file_exists(name: str, family: str) -> None:
    for dep in PIPELINE[name]["deps"]:
        if dep.startswith(("src/", "stages/")):
            assert (ROOT / dep.replace("${item.family}", family)).exists(), dep


@pytest.mark.parametrize(("name", "family"), STAGES)
def test_a_stage_reads_the_params_that_it_declares(name: str, family: str) -> None:
    program, read = stage_program(name, family), set()
    trainings = [MODULES[module] for module in reached(program) if package(module) == "genbalance.training"]
    for file in (program, *trainings):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params":
                read.add(node.attr)
    if "flat" in read:  # the report tells them all
        read = set(Params.model_fields)
    read -= {key.rstrip(".") for key in INERT}
    declared = {key.replace("${item.family}", family) for key in PIPELINE[name]["params"]}
    on = {"families"} if name == "report" else {f"families.{each}" for each in known() if name == f"train_{each}"}
    on |= {f"families.{family}"} if family else set()
    assert {key.removesuffix("_") for key in read} | on == declared


def test_a_stage_program_loads_no_arithmetic_before_its_instructions_are_pinned() -> None:
    """NumPy, once loaded, keeps the kernels that its OpenBLAS chose."""
    script = """
import importlib.util, sys
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("program", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    loaded = {"numpy", "torch", "scipy", "pandas", "sklearn", "mlflow", "matplotlib"} & sys.modules.keys()
    assert not loaded, (path, loaded)
"""
    programs = map(str, sorted((ROOT / "stages").glob("*.py")))
    subprocess.run([sys.executable, "-c", script, *programs], check=True)


def test_package_files_hold_docstrings_and_names_alone() -> None:
    for path in SRC.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_lazy = isinstance(node, ast.FunctionDef) and node.name == "__dir__"  # as `__getattr__`
            names = isinstance(node, ast.ImportFrom | ast.Assign) or for_types_alone(node) or is_lazy
            assert is_docstring or names, path


def test_the_api_is_for_users_alone() -> None:
    """Nothing of the package and no stage reaches it, so that the root, which all of them import, adds nothing."""
    programs = [*MODULES.items(), *((path.stem, path) for path in (ROOT / "stages").glob("*.py"))]
    assert not {name for name, path in programs if "genbalance.api" in imported(path)}
    lazily = [node for node in ast.parse(MODULES["genbalance"].read_text()).body if for_types_alone(node)]
    (names,) = [node for block in lazily for node in block.body]
    assert (names.module, [alias.name for alias in names.names]) == ("genbalance.api", genbalance.__all__)
