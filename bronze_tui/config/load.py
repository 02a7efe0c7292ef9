"""From files, environment and ``--set`` to checked settings that remember their origins.

With a file (``--config`` or ``CONFIG_FILE``) the Go copier's variables do not apply, as there;
without one they do. ``--set`` wins over both.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bronze_tui.config import check, keys, layers
from bronze_tui.config.document import read_file
from bronze_tui.config.keys import Shape
from bronze_tui.config.layers import Layer
from bronze_tui.config.models import Settings
from bronze_tui.config.problem import Problem
from bronze_tui.config.redact import holds_secret, redact
from bronze_tui.domain.errors import ConfigError
from bronze_tui.domain.text import safe_text

_SHOWN = 80
_BOUNDS = {
    "greater_than_equal": ("ge", "below the least allowed"),
    "greater_than": ("gt", "not above"),
    "less_than_equal": ("le", "above the most allowed"),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that is valid, and where each of its values came from."""

    settings: Settings
    origins: Mapping[str, str]
    """Dotted key to ``default``, ``file:LINE``, ``environment NAME`` or ``--set``."""
    path: Path | None
    warnings: tuple[str, ...]
    references: Mapping[str, str]
    """Dotted key to the text as written, for values that hold ``${NAME}``."""


def find_config(config_path: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: ``--config``, else ``CONFIG_FILE``, else none."""
    if config_path is not None:
        return config_path
    named = environ.get("CONFIG_FILE", "")
    return Path(named) if named else None


def load(
    config_path: Path | None,
    sets: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Read, type and check a configuration.

    Raises:
        ConfigError: with one line for everything that is wrong, secrets hidden.
    """
    path = find_config(config_path, environ)
    layer, problems = _read(path, environ)
    if layer is None:
        raise _error(problems, path)
    problems += layers.apply_sets(layer, sets)
    problems += layers.substitute(layer, environ)
    settings, found = _typed(layer)
    seen = {(problem.where, problem.key) for problem in problems}
    problems += [problem for problem in found if (problem.where, problem.key) not in seen]
    bad = {problem.key for problem in problems}
    if settings is not None:
        for finding in check.findings(settings):
            if not any(_touches(key, bad) for key in finding.keys):
                problems.append(_locate(finding, layer, path))
    if problems or settings is None:
        raise _error(problems, path)
    given = frozenset(key for key, entry in layer.items() if entry.text)
    return Loaded(
        settings=settings,
        origins=_origins(settings, layer),
        path=path,
        warnings=tuple(_warnings(settings, given, layer, path, environ)),
        references={key: entry.written for key, entry in layer.items() if entry.written},
    )


def _read(path: Path | None, environ: Mapping[str, str]) -> tuple[Layer | None, list[Problem]]:
    if path is None:
        return layers.from_environment(environ)
    document = read_file(path)
    if document.root is None:
        return None, list(document.problems)
    layer, problems = layers.from_fields(document.root, str(path))
    return layer, [*document.problems, *problems]


def _typed(layer: Layer) -> tuple[Settings | None, list[Problem]]:
    """Typed settings; on errors those of the sound keys, so that more rules can be checked."""
    try:
        return Settings.model_validate(_nested(layer)[0]), []
    except ValidationError as error:
        problems = _problems(error, layer, _nested(layer)[1])
    bad = {problem.key for problem in problems}
    sound = {k: e for k, e in layer.items() if k not in bad and not _in_bad_era(k, bad)}
    try:
        return Settings.model_validate(_nested(sound)[0]), problems
    except ValidationError:
        return None, problems


def _in_bad_era(key: str, bad: set[str]) -> bool:
    return key.startswith("eras.") and any(other.startswith("eras.") for other in bad)


def _touches(key: str, bad: set[str]) -> bool:
    if any(f"{key}.".startswith(f"{o}.") or o.startswith(f"{key}.") for o in bad if o):
        return True
    return key.startswith("eras") and any(other.startswith("eras") for other in bad)


def _nested(layer: Layer) -> tuple[dict[str, Any], list[int]]:
    """The layer as pydantic takes it, and the written index of each era in the list."""
    tree: dict[str, Any] = {}
    for dotted, entry in layer.items():
        _place(tree, Settings, dotted.split("."), entry.text)
    numbers = sorted(tree.get("eras", {}))
    return _listed(tree), numbers


def _place(tree: dict[Any, Any], model: type[BaseModel], parts: list[str], text: str) -> None:
    name, *rest = parts
    slot = keys.slots(model)[name]
    if slot.shape is Shape.VALUE:
        # As in the Go copier, an empty text is no value.
        if text:
            tree[name] = text
        return
    below = tree.setdefault(name, {})
    if slot.shape is Shape.TEXTS:
        below[int(rest[0])] = text
    elif slot.shape is Shape.PAIRS:
        below[".".join(rest)] = text
    elif slot.shape is Shape.SECTIONS and slot.model:
        _place(below.setdefault(int(rest[0]), {}), slot.model, rest[1:], text)
    elif slot.model:
        _place(below, slot.model, rest, text)


def _listed(tree: dict[Any, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value and all(isinstance(k, int) for k in value):
            items = [value[index] for index in sorted(value)]
            result[name] = [_listed(i) if isinstance(i, dict) else i for i in items]
        else:
            result[name] = _listed(value) if isinstance(value, dict) else value
    return result


def _problems(error: ValidationError, layer: Layer, numbers: list[int]) -> list[Problem]:
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        parts = [str(part) for part in detail["loc"]]
        if parts[0] == "eras" and len(parts) > 1:
            parts[1] = str(numbers[int(parts[1])])
        dotted = ".".join(parts)
        what, _, todo = _rule(detail).partition("; ")
        entry = layer.get(dotted)
        if entry is None:
            where = _nearest(dotted, layer)
            problems.append(Problem(where, dotted, what, todo))
        else:
            shown = _shown(dotted, entry)
            problems.append(Problem(entry.where, dotted, f"{shown} {what}", todo))
    return problems


def _rule(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"is {words}, {context[name]}; change it"
    if kind == "literal_error":
        return f"is not allowed; write {context['expected']}".replace("''", "nothing")
    if kind == "missing":
        return "is missing; write it"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters; shorten it"
    return f"is refused ({detail['msg']}); see bronze config schema"


def _shown(dotted: str, entry: layers.Entry) -> str:
    slot = keys.find(dotted)
    if slot is None or slot.secret:
        return "(not shown)"
    text = entry.written or entry.text
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _nearest(dotted: str, layer: Layer) -> str:
    section = dotted.rpartition(".")[0] + "."
    return next((e.where for key, e in layer.items() if key.startswith(section)), "")


def _locate(finding: check.Finding, layer: Layer, path: Path | None) -> Problem:
    for key in finding.keys:
        entry = layer.get(key) or next(
            (e for k, e in layer.items() if k.startswith(f"{key}.")), None
        )
        if entry is not None:
            return Problem(entry.where, finding.keys[0], finding.what, finding.todo)
    slot = keys.find(finding.keys[0])
    if path is None and slot is not None and slot.key.env:
        todo = f"{finding.todo}; or give --config FILE"
        return Problem(f"environment {slot.key.env}", finding.keys[0], finding.what, todo)
    return Problem(str(path or "environment"), finding.keys[0], finding.what, finding.todo)


def _error(problems: Iterable[Problem], path: Path | None) -> ConfigError:
    in_order = sorted(problems, key=lambda problem: _place_in_file(problem.where))
    lines = dict.fromkeys(redact(safe_text(str(problem))) for problem in in_order)
    return ConfigError(list(lines), where=str(path or ""))


def _place_in_file(where: str) -> tuple[int, int]:
    place = re.search(r":(\d+):(\d+)$", where)
    return (int(place[1]), int(place[2])) if place else (sys.maxsize, 0)


def _origins(settings: Settings, layer: Layer) -> dict[str, str]:
    origins = {}
    for dotted, slot in keys.leaves():
        if dotted.startswith("eras[]."):
            continue
        below = [e for k, e in layer.items() if k == dotted or k.startswith(f"{dotted}.")]
        entry = next((e for e in below if e.text), None)
        origins[dotted] = entry.origin if entry else "default"
        if slot.shape is Shape.PAIRS:
            origins |= {k: e.origin for k, e in layer.items() if k.startswith(f"{dotted}.")}
    numbers = sorted({int(key.split(".")[1]) for key in layer if key.startswith("eras.")})
    for position, number in enumerate(numbers[: len(settings.eras)]):
        for name in type(settings.eras[0]).model_fields:
            entry = layer.get(f"eras.{number}.{name}")
            origin = entry.origin if entry and entry.text else "default"
            origins[f"eras.{position}.{name}"] = origin
    return origins


def _warnings(
    settings: Settings,
    given: frozenset[str],
    layer: Layer,
    path: Path | None,
    environ: Mapping[str, str],
) -> Iterable[str]:
    yield from (redact(line) for line in check.warnings(settings, given))
    prefix = layer.get("storage.prefix")
    if prefix and prefix.text and not prefix.text.endswith("/"):
        yield f"storage.prefix: taken as {settings.storage.prefix}, with a slash at its end"
    if path is None:
        return
    names = [slot.key.env for _, slot in keys.leaves() if environ.get(slot.key.env)]
    if names:
        many = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        yield f"{path}: environment variables do not apply beside a file: {many}"
    secrets = [k for k, e in layer.items() if e.origin.startswith("file") and _secret(k, e)]
    if secrets and _readable_by_others(path):
        yield f"{path}: others may read it and it holds {secrets[0]}; chmod 600, or use ${{NAME}}"


def _secret(dotted: str, entry: layers.Entry) -> bool:
    slot = keys.find(dotted)
    if slot is None or not slot.secret or entry.written:
        return False
    return bool(entry.text) if not dotted.endswith("dsn") else holds_secret(entry.text)


def _readable_by_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o077)
