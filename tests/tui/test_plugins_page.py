"""The plugins page: the records of the command, failures, hostile names, and what is not done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import journals
import pytest
from lakesite import app_of, calm, press, toasts, type_in, visit
from piloting import text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.config.load import load
from bronze_tui.domain.events import Alert
from bronze_tui.inspect.client import InspectClient
from bronze_tui.inspect.setup import Setup
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.plugins import PluginsPage
from bronze_tui.tui.widgets import plugin_facts

SIZES = [(80, 24), (120, 40), (200, 60)]
EVIL = "[/red][@click=app.quit]\x1b[31m\u202e"


def record(name: str, **changes: Any) -> dict[str, Any]:
    values = {
        "name": name,
        "distribution": f"acme-{name}",
        "version": "1.2",
        "status": "active",
        "stage": "",
        "hooks": ["bronze_register_sources"],
        "offers": [f"source:{name}"],
        "load_ms": 3.2,
        "error": "",
        "builtin": False,
        "traceback": "",
    }
    return {**values, **changes}


FAILED = record(
    "kafka",
    status="failed",
    stage="import",
    error="ModuleNotFoundError: No module named 'confluent_kafka'",
    traceback='Traceback (most recent call last):\n  File "kafka.py", line 3\n' + EVIL,
    hooks=[],
    offers=[],
)
RECORDS = [
    record("lake", builtin=True, offers=["source:lake", "source:local"], load_ms=431.0),
    record("local", builtin=True, offers=["store:local"], hooks=["bronze_register_stores"]),
    FAILED,
    record("slack", status="disabled", hooks=[], offers=[], load_ms=0.0),
    record(EVIL, distribution=EVIL, status="listed", hooks=[], offers=[], load_ms=0.0),
]


@pytest.fixture
def canned_records(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(self: InspectClient, op: str, **args: Any) -> Any:
        assert op == "plugins"
        return [dict(r) for r in RECORDS]

    monkeypatch.setattr(InspectClient, "ask", ask)


def with_config(tmp_path: Path, **changes: Any) -> BronzeApp:
    sets = ["era.ledger_end=9", f"source.local_path={tmp_path}", f"storage.local_dir={tmp_path}"]
    return app_of(None, loaded=load(None, sets, {}), **changes)


def test_the_same_records_as_the_command() -> None:
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "Y")
        records = json.loads(pilot.app.clipboard)
        assert {r["name"] for r in records} >= {"lake", "local", "object", "file"}
        from bronze_tui.hooks.manager import load_plugins

        expected = [r.to_json() for r in load_plugins().records]
        for each in [*records, *expected]:
            each["load_ms"] = 0
        assert records == json.loads(json.dumps(expected))

    visit(app_of(None), "plugins", step)


@pytest.mark.usefixtures("canned_records")
def test_what_is_used_what_failed_and_how_to_mend_it(tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        text = text_of(pilot.app)
        assert "PLUGINS  2 active  1 listed  1 failed  1 disabled" in text
        rows = widget_text(pilot.app, "#plugins").split("\n")
        assert any("lake" in row and "source" in row and "431.0" in row for row in rows)
        assert any("local" in row and "store" in row for row in rows)
        await press(pilot, "down", "down")
        shown = widget_text(pilot.app, "#detail")
        assert "FAILED while it was imported" in shown
        assert "No module named 'confluent_kafka'" in " ".join(shown.replace("│", "").split())
        assert "install what it lacks" in shown
        assert "line 3" not in shown
        await press(pilot, "t")
        shown = widget_text(pilot.app, "#detail")
        assert 'File "kafka.py", line 3' in shown
        assert "[/red][@click=app.quit]\\x1b[31m\\u202e" in shown
        await press(pilot, "t")
        assert "line 3" not in widget_text(pilot.app, "#detail")
        await press(pilot, "y")
        assert json.loads(pilot.app.clipboard) == FAILED

    visit(with_config(tmp_path), "plugins", step)


@pytest.mark.usefixtures("canned_records")
def test_filter_hooks_and_hostile_names(tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "end")
        assert "[/red][@click=app.quit]\\x1b[31m\\u202e" in widget_text(pilot.app, "#detail")
        assert "\x1b" not in text_of(pilot.app)
        await press(pilot, "x")
        assert "'[/red][@click=app.quit]" in text_of(pilot.app)
        await press(pilot, "escape", "slash")
        await type_in(pilot, "acme-kafka")
        rows = widget_text(pilot.app, "#plugins")
        assert "kafka" in rows
        assert "slack" not in rows
        assert "1 of 5" in rows
        await press(pilot, "slash")
        await type_in(pilot, "nothing like it")
        assert "no plugin matches the filter" in text_of(pilot.app)
        await press(pilot, "slash", "escape", "H")
        shown = widget_text(pilot.app, "#detail")
        assert "register_sources" in shown
        assert "lake" in shown
        await press(pilot, "H", "home", "t")
        assert any("no traceback" in text for text in toasts(pilot.app))

    visit(with_config(tmp_path), "plugins", step)


@pytest.mark.usefixtures("canned_records")
def test_doing_without_one_is_a_command_for_the_next_start(tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "x")
        text = text_of(pilot.app)
        assert "A running engine keeps what it has loaded" in text
        assert "bronze run --disable-plugin lake" in text
        assert "disable: [lake]" in text
        assert "uses it as source" in text
        await press(pilot, "y")
        assert pilot.app.clipboard == "bronze run --disable-plugin lake"

    visit(with_config(tmp_path), "plugins", step)


def test_a_plugin_that_ends_its_process_leaves_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killer.py").write_text("import os\nos._exit(7)\n")
    info = tmp_path / "acme_killer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bronze_tui.plugins]\nkiller = killer\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load(None, ["plugins.allow=killer", f"source.local_path={tmp_path}"], {})

    async def step(pilot: Pilot[Any]) -> None:
        text = text_of(pilot.app)
        assert "NOT LOADED" in text
        assert "ended with code 7" in text
        assert "killer" in widget_text(pilot.app, "#plugins")

    visit(app_of(None, loaded=loaded), "plugins", step)


@pytest.mark.usefixtures("canned_records")
def test_what_the_run_said_of_a_plugin_stands_beside_it(tmp_path: Path) -> None:
    tape = journals.Tape()
    tape.start(4)
    tape.say(Alert("error", "plugins", f"plugin 'lake' failed 3 times ({EVIL})"))
    path = journals.write_journal(tmp_path / "bronze.jsonl", tape.records)
    app = with_config(tmp_path, kind="replay", journal=path, speed=0.0)

    async def step(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: app.bridge.ended)
        app.tick()
        await until(pilot, lambda: "IN THIS RUN" in widget_text(app, "#detail"))
        assert "[/red][@click" in widget_text(app, "#detail")

    visit(app, "plugins", step)


def test_by_hook_without_hooks() -> None:
    assert "no loaded plugin" in plugin_facts.by_hook([FAILED]).plain


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    for binding in PluginsPage.BINDINGS:
        assert binding.id  # type: ignore[union-attr]
        assert binding.tooltip  # type: ignore[union-attr]


def test_a_setup_without_a_configuration_loads_built_in_ones_only() -> None:
    assert Setup.of(None, None, "").allow == ()


@pytest.mark.usefixtures("canned_records")
@pytest.mark.parametrize("size", SIZES)
def test_snapshot(size: tuple[int, int], snap_compare: Any) -> None:
    sets = ["era.ledger_end=9", "source.local_path=/srv/lake"]
    app = app_of(None, loaded=load(None, sets, {}))

    async def before(pilot: Pilot[Any]) -> None:
        app.go("plugins")
        await calm(pilot)
        await press(pilot, "down", "down", "t")

    assert snap_compare(app, terminal_size=size, run_before=before)
