"""Where texts come from before they are typed: file, environment, ``--set``; and ``${NAME}``.

A layer maps dotted leaf keys (``eras.0.era_id``, ``plugins.allow.1``) to entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from bronze_tui.config import keys
from bronze_tui.config.document import Fields, Items, Node, Scalar, bad_text, read_bytes
from bronze_tui.config.keys import Shape
from bronze_tui.config.models import Settings
from bronze_tui.config.problem import Problem

_REFERENCE = re.compile(r"\$\$(?=\{)|\$\{([^}]*)(\}?)")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One text, where it came from, and what may be shown of it."""

    text: str
    origin: str
    """``file:LINE``, ``environment NAME`` or ``--set``."""
    where: str
    written: str = ""
    """The text with its ``${NAME}``, when it had any."""


Layer = dict[str, Entry]


def from_fields(root: Fields, name: str) -> tuple[Layer, list[Problem]]:
    """The layer of a file; every unknown or misshapen key is a problem."""
    binder = _Binder(name)
    binder.section(root, Settings, "")
    return binder.layer, binder.problems


class _Binder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.layer: Layer = {}
        self.problems: list[Problem] = []

    def report(self, node: Node, key: str, what: str, todo: str) -> None:
        where = f"{self.name}:{node.mark.line}:{node.mark.column}"
        self.problems.append(Problem(where, key, what, todo))

    def section(self, fields: Fields, model: type[BaseModel], prefix: str) -> None:
        for field in fields.fields:
            dotted = prefix + field.key
            slot = keys.slots(model).get(field.key)
            if slot is None:
                where = f"{self.name}:{field.mark.line}:{field.mark.column}"
                todo = keys.near(field.key, prefix, model)
                self.problems.append(Problem(where, dotted, "unknown key", todo))
            elif not (isinstance(field.value, Scalar) and not field.value.text):
                self.value(field.value, slot, dotted)

    def value(self, node: Node, slot: keys.Slot, dotted: str) -> None:
        if slot.shape is Shape.SECTION and slot.model and isinstance(node, Fields):
            self.section(node, slot.model, f"{dotted}.")
        elif slot.shape is Shape.SECTIONS and slot.model and isinstance(node, Items):
            for index, item in enumerate(node.items):
                if isinstance(item, Fields) and item.fields:
                    self.section(item, slot.model, f"{dotted}.{index}.")
                else:
                    todo = "write - era_id: NAME and the other keys below it"
                    self.report(item, f"{dotted}.{index}", "is not an era", todo)
        elif slot.shape is Shape.TEXTS and isinstance(node, Items):
            for index, item in enumerate(node.items):
                self.scalar(item, f"{dotted}.{index}")
        elif slot.shape is Shape.PAIRS and isinstance(node, Fields):
            for field in node.fields:
                self.scalar(field.value, f"{dotted}.{field.key}")
        elif slot.shape is Shape.VALUE:
            self.scalar(node, dotted)
        else:
            self.report(node, dotted, f"must be {slot.shape.value}", "see bronze config schema")

    def scalar(self, node: Node, dotted: str) -> None:
        if not isinstance(node, Scalar):
            self.report(node, dotted, "must be a single value", "write text or a number")
            return
        mark = node.mark
        self.layer[dotted] = Entry(
            node.text, f"file:{mark.line}", f"{self.name}:{mark.line}:{mark.column}"
        )


def from_environment(environ: Mapping[str, str]) -> tuple[Layer, list[Problem]]:
    """The layer of the Go copier's variables; an empty variable counts as unset, as there."""
    layer: Layer = {}
    problems = []
    for dotted, slot in keys.leaves():
        text = environ.get(slot.key.env, "") if slot.key.env else ""
        where = f"environment {slot.key.env}"
        if text and (why := bad_text(text)):
            problems.append(Problem(where, dotted, why, "remove it"))
        elif text:
            layer[dotted] = Entry(text, where, where)
    return layer, problems


def apply_sets(layer: Layer, sets: Iterable[str]) -> list[Problem]:
    """Put ``KEY=VALUE`` arguments over ``layer``; an empty value restores the default."""
    problems = []
    for argument in sets:
        dotted, equals, text = argument.partition("=")
        dotted = dotted.strip()
        slot = keys.find(dotted)
        if not equals:
            problems.append(Problem(f"--set {dotted}", "", "no value", "write --set KEY=VALUE"))
        elif slot is None:
            problems.append(Problem("--set", dotted, "unknown key", _near_dotted(dotted)))
        elif slot.model is not None or (
            slot.shape is Shape.PAIRS and dotted in dict(keys.leaves())
        ):
            todo = f"set the keys below it, such as {dotted}.KEY=VALUE"
            problems.append(Problem("--set", dotted, f"is {slot.shape.value}", todo))
        else:
            problems += _set(layer, dotted, slot, text)
    return problems


def _set(layer: Layer, dotted: str, slot: keys.Slot, text: str) -> list[Problem]:
    if why := bad_text(text):
        return [Problem("--set", dotted, why, "remove it")]
    for old in [k for k in layer if k == dotted or k.startswith(f"{dotted}.")]:
        del layer[old]
    if not text:
        return []
    if slot.shape is not Shape.TEXTS:
        layer[dotted] = Entry(text, "--set", "--set")
        return []
    document = read_bytes(f"_: {_flow(text)}".encode(), "--set")
    items = document.root.fields[0].value if document.root and document.root.fields else None
    if document.problems or not isinstance(items, Items):
        return [Problem("--set", dotted, "is not a list", "write names with commas between")]
    for index, item in enumerate(items.items):
        if not isinstance(item, Scalar):
            return [Problem("--set", dotted, "is not a list of names", "write only names")]
        layer[f"{dotted}.{index}"] = Entry(item.text, "--set", "--set")
    return []


def _flow(text: str) -> str:
    return text if text.startswith("[") else f"[{text}]"


def _near_dotted(dotted: str) -> str:
    section, _, name = dotted.rpartition(".")
    slot = keys.find(section) if section else None
    if slot is not None and slot.model is not None:
        return keys.near(name, f"{section}.", slot.model)
    return keys.near(dotted.partition(".")[0], "", Settings)


def substitute(layer: Layer, environ: Mapping[str, str]) -> list[Problem]:
    """Replace ``${NAME}`` by the environment's text, in place; ``$${`` stands for ``${``."""
    problems = []
    for dotted, entry in layer.items():
        if "${" not in entry.text or entry.origin.startswith("environment"):
            continue
        text, wrong = _resolve(entry.text, environ)
        problems += [Problem(entry.where, dotted, line) for line in wrong]
        layer[dotted] = Entry("" if wrong else text, entry.origin, entry.where, entry.text)
    return problems


def _resolve(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    wrong: list[str] = []

    def lookup(found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        name, closed = found.group(1), found.group(2)
        if not closed or _ENV_NAME.fullmatch(name) is None:
            wrong.append("not a reference; write ${NAME}, or $${ where ${ is meant")
        elif name not in environ:
            wrong.append(f"environment variable {name} is not set; set it or write the value")
        elif why := bad_text(environ[name]):
            wrong.append(f"environment variable {name} {why}; remove it")
        else:
            return environ[name]
        return ""

    return _REFERENCE.sub(lookup, text), wrong
