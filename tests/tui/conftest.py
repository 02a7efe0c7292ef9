"""Fixtures of the screens' tests: canned journals under a frozen clock, a small dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import journals
import pytest

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No animation, no blinking, no colour setting of whoever runs the tests."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the app keeps of a person is kept of nobody."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("user-state")))


@pytest.fixture(scope="session", autouse=True)
def _clean_folder() -> Iterator[None]:
    """Nothing that the app writes lands in the folder one happens to be in."""
    here = Path.cwd()

    def left() -> set[str]:
        kinds = ("csv", "json", "parquet", "svg", "txt", "yaml")
        return {path.name for kind in kinds for path in here.glob(f"*.{kind}")}

    before = left()
    yield
    assert left() - before == set(), here


@pytest.fixture
def canned(tmp_path: Path) -> Callable[..., BronzeApp]:
    """``canned(records, **session)``: an app on a journal at its end, its clock standing still."""

    def make(records: list[dict[str, Any]], **changes: Any) -> BronzeApp:
        state = tmp_path / "state"
        path = journals.write_journal(state / "bronze.jsonl", records)
        values = {"kind": "replay", "journal": path, "state_dir": state, "speed": 0.0, **changes}
        end = journals.end_of(records)
        return BronzeApp(Session(**values), clock=lambda: end)

    return make


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Partitions 0 to 4, the third a declared hole."""
    root = tmp_path / "data"
    for number in (0, 1, 3, 4):
        datasets.commit(root, number)
    datasets.hole(root, 2, "[red] ledger 23 is missing")
    return root
