"""docs/plugins.md says what the hook specifications, switches and stages are today."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from bronze_tui.hooks import specs
from bronze_tui.hooks.markers import ENTRY_POINTS, HOOK_API
from bronze_tui.hooks.records import DISABLE_VARIABLE, Stage

REPO = Path(__file__).resolve().parents[2]
TEXT = (REPO / "docs" / "plugins.md").read_text()
HOOKS = {name: f for name, f in vars(specs).items() if name.startswith("bronze_")}


def headings() -> list[str]:
    return re.findall(r"^### `(.+)`$", TEXT, re.MULTILINE)


def test_each_hook_has_a_heading_with_its_exact_arguments() -> None:
    expected = [
        f"{name}({', '.join(inspect.signature(f).parameters)})" for name, f in HOOKS.items()
    ]
    assert sorted(headings()) == sorted(expected)


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_each_hook_says_what_it_gets_and_since_when(name: str) -> None:
    body = re.split(r"^#", TEXT.partition(f"### `{name}(")[2], maxsplit=1, flags=re.MULTILINE)[0]
    added = re.search(r"Added in \d+\.\d+", HOOKS[name].__doc__ or "")
    assert added is not None
    assert added[0] in body
    annotation = inspect.signature(HOOKS[name]).parameters
    if "event" in annotation:
        assert f"`event: {annotation['event'].annotation}`" in body
    else:
        assert "`factory(" in body


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_each_hook_has_a_test(name: str) -> None:
    tests = [*(REPO / "tests").rglob("test_*.py"), *(REPO / "plugins" / "_template").rglob("*.py")]
    here = Path(__file__).resolve()
    assert any(name in path.read_text() for path in tests if path.resolve() != here)


def test_each_stage_is_explained() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", TEXT, re.MULTILINE)
    assert rows == [stage for stage in get_args(Stage) if stage]


def test_numbers_groups_and_switches_are_those_of_the_code() -> None:
    from bronze_tui.commands import plugins, run

    assert f"`bronze_hook_api` is not the number of this release ({HOOK_API})" in TEXT
    assert f'"{ENTRY_POINTS}"' in TEXT
    assert f"`{DISABLE_VARIABLE}`" in TEXT
    for command in (plugins.command, run.command):
        flags = {o for p in command.params for o in p.opts if "plugin" in o}
        assert flags
        for flag in flags:
            assert f"`{flag}" in TEXT, flag


def test_named_files_exist() -> None:
    assert (REPO / "plugins" / "_template" / "pyproject.toml").is_file()
    for name in ("source", "store", "emitter"):
        assert (REPO / "bronze_tui" / "testing" / f"{name}_contract.py").is_file()
        assert f"{name}_contract.{name.capitalize()}Contract" in TEXT
