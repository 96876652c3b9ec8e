"""The points of a sweep: what `-S` means, which stages of them are equal, and which point may start when."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from genbalance.params import PARAMS_FILE, Params, parse_yaml, validated
from genbalance.runtime.errors import UserError, in_a_line

KEY = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
RANGE = re.compile(r"range\((-?\d+),\s*(-?\d+)(?:,\s*(-?[1-9]\d*))?\)")
MOST = 10_000  # points of a sweep


@dataclass(frozen=True)
class Point:
    """One experiment of a sweep.

    Attributes:
        name: of the experiment.
        settings: each ``key=value``, as `dvc exp run -S` takes it.
    """

    name: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml, so far as it decides whether two points share it.

    Attributes:
        name: of the stage, such as ``evaluate@vae``.
        command: that it runs.
        params: keys of params.yaml that it depends on; a section stands for all keys in it.
        after: the stages whose outs it reads.
        known: whether dvc.lock describes it as it is now, and DVC's cache has its outs.
    """

    name: str
    command: str
    params: tuple[str, ...]
    after: tuple[str, ...]
    known: bool = False


def parse_points(name: str, settings: Sequence[str], base: Params) -> list[Point]:
    """All combinations of the values of ``settings``, the last one varying fastest, as NAME-1, NAME-2, …

    Args:
        name: of the sweep.
        settings: ``key=a,b,c``, ``key=range(1,4)`` (without its end, as for DVC) or ``key=value``.
        base: params.yaml, with which each point's settings are checked.

    Raises:
        UserError: a setting or a point is refused; the line names it.
    """
    check_name(name)
    values: dict[str, list[str]] = {}
    for setting in settings:
        key, text = parse_setting(setting, "KEY=A,B,C, KEY=range(1,4) or KEY=VALUE")
        if key in values:
            raise UserError(f"-S {key}: is given twice; allowed: once")
        values[key] = _values(key, text)
    if not values:
        raise UserError("-S: none is given; allowed: values, such as -S beta=0.5,1,2")
    count = 1
    for each in values.values():
        count *= len(each)
    if count > MOST:
        raise UserError(f"-S: found {count} points; allowed: at most {MOST}")
    points = []
    for number, chosen in enumerate(product(*values.values()), start=1):
        with_settings(base, dict(zip(values, chosen, strict=True)))
        pairs = (f"{key}={text}" for key, text in zip(values, chosen, strict=True))
        points.append(Point(f"{name}-{number}", tuple(pairs)))
    return points


def check_name(name: str) -> None:
    """Refuses a name that a file, a tag or a ref could not have.

    Raises:
        UserError: it is refused.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"-n {in_a_line(name)}: allowed: letters, digits, - and _, a letter or digit first")


def parse_setting(setting: str, allowed: str) -> tuple[str, str]:
    """Key and text of ``key=text``.

    Raises:
        UserError: it has another form.
    """
    key, equals, text = setting.partition("=")
    if not equals or not text or not KEY.fullmatch(key):
        raise UserError(f"-S {in_a_line(setting)}: allowed: {allowed}")
    return key, text


def _values(key: str, text: str) -> list[str]:
    if match := RANGE.fullmatch(text):
        found = [str(value) for value in range(int(match[1]), int(match[2]), int(match[3] or 1))]
    else:
        found = divided(text)
    if not all(found) or not found:
        raise UserError(f"-S {key}={in_a_line(text)}: holds no value; allowed: values with commas between")
    seen: list[Any] = []
    for value in (parse_yaml(each, f"-S {key}") for each in found):
        if value in seen:  # 1 and 1.0 are equal to DVC
            raise UserError(f"-S {key}={in_a_line(text)}: has the value {value} twice; allowed: each once")
        seen.append(value)
    return found


def divided(text: str) -> list[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        elif not quote:
            depth += (letter in "[{(") - (letter in "]})")
        parts[-1] += letter
    return parts


def with_settings(base: Params, settings: Mapping[str, str]) -> Params:
    """Params with other values, each as `-S` takes it, by dotted key.

    Raises:
        UserError: params.yaml could not hold them; the line names the settings.
    """
    values = base.model_dump(by_alias=True)
    name = " ".join(f"-S {key}={in_a_line(text)}" for key, text in settings.items())
    for key, text in settings.items():
        *sections, last = key.split(".")
        section = values
        for part in sections:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[last] = parse_yaml(text, f"-S {key}")
    try:
        return validated(values, name)
    except UserError as error:
        raise UserError(str(error).splitlines()[0]) from None


# Which stages are equal


def read_stages(folder: Path) -> list[Stage]:
    """The stages of the project in ``folder``, each after those whose outs it reads.

    Raises:
        UserError: DVC cannot read dvc.yaml.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repository, repository.lock:
            found = {each.addressing: each for each in repository.index.stages if getattr(each, "cmd", None)}
            makers = {out.fs_path: stage for stage in found.values() for out in stage.outs}
            stages = {name: _stage(stage, makers) for name, stage in found.items()}
    except DvcException as error:
        raise UserError(f"dvc.yaml: {in_a_line(str(error).splitlines()[0])}") from None
    return _sorted(stages)


def _stage(stage: Any, makers: Mapping[str, Any]) -> Stage:
    """A stage of DVC's; ``makers`` are the stages by the paths of their outs."""
    from dvc.dependency.param import ParamsDependency

    params: list[str] = []
    after: set[str] = set()
    is_current = not stage.cmd_changed
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            params += dep.params if Path(dep.fs_path).name == str(PARAMS_FILE) else []
            is_current = is_current and not dep.status()
            continue
        behind = {path: maker for path, maker in makers.items() if _overlap(dep.fs_path, path)}
        after |= {maker.addressing for maker in behind.values()}
        if behind:
            left = {out.fs_path: out.hash_info for maker in behind.values() for out in maker.outs}
            is_current = is_current and left.get(dep.fs_path) == dep.hash_info
        else:
            is_current = is_current and not dep.changed_checksum()
    known = is_current and not any(not out.hash_info or (out.use_cache and out.changed_cache()) for out in stage.outs)
    return Stage(stage.addressing, str(stage.cmd), tuple(sorted(params)), tuple(sorted(after)), known)


def _overlap(a: str, b: str) -> bool:
    return Path(a) == Path(b) or Path(b) in Path(a).parents or Path(a) in Path(b).parents


def _sorted(stages: Mapping[str, Stage]) -> list[Stage]:
    found: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        for name in stage.after:
            add(stages[name])
        found.setdefault(stage.name, stage)

    for stage in stages.values():
        add(stage)
    return list(found.values())


def stage_keys(stages: Sequence[Stage], params: Mapping[str, Any]) -> dict[str, str]:
    """An id for each stage by its name, the same for two points exactly if their stages have equal params and read the
    outs of equal stages.

    Args:
        stages: in the order of :func:`read_stages`.
        params: of the point, by dotted key.
    """
    keys: dict[str, str] = {}
    for stage in stages:
        read = {
            key: value
            for key, value in params.items()
            if any(key == each or key.startswith(f"{each}.") for each in stage.params)
        }
        whole = [stage.name, stage.command, read, [keys[name] for name in stage.after]]
        keys[stage.name] = hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()
    return keys


def known_keys(stages: Sequence[Stage], params: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the stages that need not run again with the commit's own ``params``."""
    keys = stage_keys(stages, params)
    known = {stage.name for stage in stages if stage.known}
    known -= {stage.name for stage in stages if not known.issuperset(stage.after)}
    return frozenset(keys[name] for name in known)


def startable(
    waiting: Iterable[str], keys: Mapping[str, frozenset[str]], running: Iterable[str], made: Collection[str]
) -> str | None:
    """The first point of ``waiting`` none of whose stages a running point is about to make for the first time; None
    where there is none. So of the points that share a stage, the first runs alone, and the others find it in DVC's
    cache.

    Args:
        waiting: names of points, in their order.
        keys: the ids of all points' stages.
        running: names of the points that run.
        made: ids of the stages that have run.
    """
    making = frozenset().union(*(keys[name] for name in running)).difference(made)
    return next((name for name in waiting if not keys[name] & making), None)
