"""The tree of keys, read off the models: names, shapes, environment variables, near misses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bronze_tui.config.models import Settings
from bronze_tui.config.sections import IGNORED_THERE, EraEntry, Key

_INDEX = re.compile(r"[0-9]{1,9}")


class Shape(Enum):
    """What stands behind a key."""

    VALUE = "a single value"
    TEXTS = "a list of names"
    PAIRS = "a mapping of names to values"
    SECTION = "a section with keys below it"
    SECTIONS = "a list of eras"


@dataclass(frozen=True, slots=True)
class Slot:
    """One key of a section; ``model`` is what is below a section key."""

    name: str
    shape: Shape
    field: FieldInfo
    model: type[BaseModel] | None
    key: Key

    @property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        return self.field.annotation is SecretStr


@cache
def slots(model: type[BaseModel]) -> dict[str, Slot]:
    """The keys of one section in their order."""
    found = {name: _slot(name, field) for name, field in model.model_fields.items()}
    if model is EraEntry:
        # The variables speak of the one era, never of a list's.
        return {name: replace(slot, key=IGNORED_THERE) for name, slot in found.items()}
    return found


def leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Slot]]:
    """Every key that holds values, dotted; keys of the era list read ``eras[].era_id``."""
    for name, slot in slots(model).items():
        if slot.model is None:
            yield prefix + name, slot
        else:
            below = "[]." if slot.shape is Shape.SECTIONS else "."
            yield from leaves(slot.model, f"{prefix}{name}{below}")


def find(dotted: str) -> Slot | None:
    """The slot of ``source.mode``, ``eras.0.era_id`` or ``source.options.token``; None if none."""
    model: type[BaseModel] | None = Settings
    slot: Slot | None = None
    parts = dotted.split(".")
    while parts:
        part = parts.pop(0)
        if model is None:
            is_entry = slot is not None and slot.shape is Shape.PAIRS and part and not parts
            return slot if is_entry else None
        slot = slots(model).get(part)
        if slot is None:
            return None
        model = slot.model
        if slot.shape is Shape.SECTIONS and parts and not _INDEX.fullmatch(parts.pop(0)):
            return None
    return slot


def near(name: str, section: str, model: type[BaseModel]) -> str:
    """What to do about the unknown key ``name`` of ``section``: did you mean, or where it goes."""
    wanted = name.strip().lower().replace("-", "_")
    elsewhere = [d for d, _ in leaves() if d.rpartition(".")[2] == wanted and "[]" not in d]
    siblings = slots(model)
    if wanted not in siblings and elsewhere:
        return f"it belongs elsewhere: write {' or '.join(elsewhere[:3])}"
    close = difflib.get_close_matches(wanted, siblings, n=1, cutoff=0.6)
    if close:
        return f"did you mean {section + close[0]}?"
    return f"known here: {', '.join(siblings)}"


def _slot(name: str, field: FieldInfo) -> Slot:
    annotation: Any = field.annotation
    key = next((m for m in field.metadata if isinstance(m, Key)), Key())
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Slot(name, Shape.SECTION, field, annotation, key)
    if get_origin(annotation) is tuple:
        item = get_args(annotation)[0]
        if item is EraEntry:
            return Slot(name, Shape.SECTIONS, field, EraEntry, key)
        return Slot(name, Shape.TEXTS, field, None, key)
    shape = Shape.PAIRS if get_origin(annotation) is dict else Shape.VALUE
    return Slot(name, shape, field, None, key)
