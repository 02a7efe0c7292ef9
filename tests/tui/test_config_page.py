"""The config page: values, origins, locks, preflight, editing, and writing without secrets."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import KEY
from lakesite import (
    app_of,
    calm,
    copied,  # noqa: F401
    kept,  # noqa: F401
    own,  # noqa: F401
    press,
    reading,  # noqa: F401
    toasts,
    type_in,
    visit,
)
from piloting import text_of, widget_text
from textual.pilot import Pilot

from bronze_tui.config.export import effective
from bronze_tui.config.load import Loaded, load
from bronze_tui.config.show import as_yaml
from bronze_tui.tui.screens.config import ConfigPage
from bronze_tui.tui.widgets import config_facts
from bronze_tui.tui.widgets.rows import RowTable

SIZES = [(80, 24), (120, 40), (200, 60)]
SECRET = "hunter2-planted"
CONFIG = """
era: {network: testnet, era_id: first, version_label: "1.10", ledger_start: 2, ledger_end: 99}
source:
  mode: local
  local_path: /srv/lake
  options: {api_token: "SECRET", other: "a$${b}", region: "${REGION}"}
catalog: {postgres_dsn: "postgres://u:SECRET@db/x"}
plugins: {allow: ["x-${REGION}", y]}
"""


def configured(tmp_path: Path) -> Loaded:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("SECRET", SECRET))
    path.chmod(0o600)
    return load(path, ["perf.workers=3"], {"REGION": "eu"})


# Values.


def test_every_key_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    loaded = configured(tmp_path)
    found = {entry.key: entry for entry in config_facts.entries(loaded)}
    assert found["era.partition_size"].value == "10,000"
    assert not found["era.partition_size"].changed
    assert found["era.ledger_end"].changed
    assert found["era.ledger_end"].origin == "file:2"
    assert found["perf.workers"].origin == "--set"
    assert found["source.options.api_token"].value == "***"
    assert SECRET not in repr(found)
    text = as_yaml(loaded, origins=True)
    for entry in found.values():
        if entry.origin != "default":
            name = entry.key.rpartition(".")[2]
            assert any(
                row.strip().startswith(f"{name}:") and row.endswith(f"# {entry.origin}")
                for row in text.splitlines()
            ), entry


def test_a_detail_says_all_of_a_key(tmp_path: Path) -> None:
    found = {entry.key: entry for entry in config_facts.entries(configured(tmp_path))}
    standing = config_facts.Standing(KEY, 4, (2, 16))
    text = config_facts.detail(found["era.partition_size"], standing).plain
    for part in [
        "Ledgers in one partition.",
        "whole number, 1 to 10000000",
        "PARTITION_SIZE",
        "--set era.partition_size=",
        "differs: counted from where a run starts there",
        "LOCKED BY COMMIT RECORDS",
        "4 partitions of testnet/first/v1 are committed, 16 ledgers each, counted from ledger 2.",
        "new version_label",
    ]:
        assert part in text
    assert "IDENTITY" in config_facts.detail(found["era.network"], standing).plain
    assert "LOCKED" not in config_facts.detail(found["era.partition_size"], None).plain
    assert "does not know this key" in config_facts.detail(found["perf.fetchers"], None).plain


def test_locks_follow_the_era_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "eras:\n"
        "  - {era_id: a, network: testnet, ledger_start: 2, ledger_end: 9}\n"
        "  - {era_id: b, network: testnet, ledger_start: 10, ledger_end: 19}\n"
        "source: {mode: local, local_path: /srv/lake}\n"
    )
    loaded = load(path, [], {})
    found = {"testnet/b/v1": config_facts.Standing("testnet/b/v1", 2, (10, 5))}
    assert config_facts.standing_of("eras.0.network", loaded, found) is None
    assert config_facts.standing_of("eras.1.network", loaded, found) is not None
    assert config_facts.standing_of("source.mode", loaded, found) is None
    assert config_facts.standing_of("era.network", loaded, found) is None


# The effective file.


def test_the_written_file_loads_to_the_same_settings_without_secrets(tmp_path: Path) -> None:
    loaded = configured(tmp_path)
    made = effective(loaded)
    assert SECRET not in made.text
    assert made.variables == ("BRONZE_SOURCE_OPTIONS_API_TOKEN", "REGION", "CATALOG_DSN")
    again = tmp_path / "again.yaml"
    again.write_text(made.text)
    environ = {
        "BRONZE_SOURCE_OPTIONS_API_TOKEN": SECRET,
        "REGION": "eu",
        "CATALOG_DSN": f"postgres://u:{SECRET}@db/x",
    }
    assert load(again, [], environ).settings == loaded.settings


def test_a_secret_beside_a_reference_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "era: {ledger_end: 9}\n"
        "source: {mode: local, local_path: /srv}\n"
        f'catalog: {{postgres_dsn: "postgres://u:{SECRET}@${{HOST}}/x"}}\n'
    )
    made = effective(load(path, [], {"HOST": "db"}))
    assert SECRET not in made.text
    assert "${CATALOG_DSN}" in made.text


# Preflight.


def test_preflight_on_the_page(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        assert "it writes nothing" in widget_text(pilot.app, "#preflight")
        before = sorted(reading.data.rglob("*"))
        await press(pilot, "c")
        page = pilot.app.screen
        assert isinstance(page, ConfigPage)
        text = config_facts.finding_lines(page._checks).plain
        assert "FAILED" not in widget_text(pilot.app, "#preflight")
        assert "newest ledger 65" in text
        assert "audit head is the last of 4 events" in text
        assert "store folder writable" in text
        assert sorted(reading.data.rglob("*")) == before
        number = len(page._checks)
        await press(pilot, "c")
        assert len(page._checks) == number

    visit(app_of(reading), "config", step)


def test_findings_stand_by_group_with_what_to_do() -> None:
    def found(group: str, state: str, text: str, detail: str = "", todo: str = "") -> Any:
        return {"group": group, "state": state, "text": text, "detail": detail, "todo": todo}

    rows = config_facts.finding_lines(
        [
            found("store", "ok", "store readable", "file:///srv"),
            found("source", "fail", "source NOT reachable", "[/red]", "check the network"),
            found("store", "warn", "slow"),
        ]
    ).plain.split("\n")
    assert [row.split()[0] for row in rows[:3]] == ["[ok]", "[warn]", "[FAIL]"]
    assert "file:///srv" in rows[0]
    assert [row.strip() for row in rows[3:]] == ["[/red]", "check the network"]
    title = config_facts.preflight_title([found("a", "fail", "x"), found("a", "ok", "y")])
    assert title == "PREFLIGHT  1 ok  1 FAILED"


# The page.


def test_locks_are_shown_and_only_changed_values(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        table = pilot.app.screen.query_one(RowTable)
        whole = len(table.keys)
        assert table.select("era.partition_size")
        await calm(pilot)
        assert "LOCKED BY COMMIT RECORDS" in widget_text(pilot.app, "#detail")
        rows = widget_text(pilot.app, "#values").split("\n")
        assert any("era.partition_size" in r and "locked" in r and "--set" in r for r in rows)
        assert any("era.network" in r and "identity" in r for r in rows)
        await press(pilot, "d")
        assert 5 < len(table.keys) < whole / 2
        assert table.key == "era.partition_size"
        await press(pilot, "slash")
        await type_in(pilot, "local_dir")
        assert table.keys == ["storage.local_dir"]
        await press(pilot, "y")
        assert pilot.app.clipboard == f"storage.local_dir: {reading.data}"
        await press(pilot, "d", "slash", "escape")
        assert len(table.keys) == whole
        await press(pilot, "Y")
        loaded = pilot.app.session.loaded  # type: ignore[attr-defined]
        assert pilot.app.clipboard == as_yaml(loaded, origins=True)

    visit(app_of(reading), "config", step)


def test_edit_write_and_no_secret_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = configured(tmp_path)
    assert loaded.path is not None
    editor = tmp_path / "my editor.sh"
    editor.write_text('#!/bin/sh\necho "nonsense: 1" >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"'{editor}'")
    monkeypatch.setenv("REGION", "eu")
    target = tmp_path / "effective.yaml"

    async def step(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert "CONFIG  valid" in text_of(app)
        await press(pilot, "e")
        assert any("cannot be lent" in text for text in toasts(app))
        monkeypatch.setattr(app, "suspend", nullcontext)
        await press(pilot, "e")
        assert any("not valid now" in text and "nonsense" in text for text in toasts(app))
        monkeypatch.setenv("VISUAL", "/nonexistent/editor")
        await press(pilot, "e")
        assert any("/nonexistent/editor" in text for text in toasts(app))
        await press(pilot, "w")
        await type_in(pilot, str(target))
        assert target.stat().st_mode & 0o777 == 0o600
        assert target.read_text() == effective(loaded).text
        assert any("set BRONZE_SOURCE_OPTIONS_API_TOKEN" in text for text in toasts(app))
        await press(pilot, "w")
        await type_in(pilot, str(target))
        assert any("it exists" in text for text in toasts(app))
        await press(pilot, "end")
        for _ in range(3):
            assert SECRET not in text_of(app)
            await press(pilot, "pageup")

    visit(app_of(None, loaded=loaded, state_dir=tmp_path), "config", step)


def test_hostile_values_are_literal(tmp_path: Path) -> None:
    evil = "[/red][@click=app.quit]" + "x" * 3_000
    sets = ["era.ledger_end=9", f"source.local_path={tmp_path}", f"source.s3_region={evil}"]
    loaded = load(None, sets, {})

    async def step(pilot: Pilot[Any]) -> None:
        table = pilot.app.screen.query_one(RowTable)
        assert table.select("source.s3_region")
        await calm(pilot)
        assert "[/red]" in widget_text(pilot.app, "#values")
        assert "[/red][@click=app.quit]xxx" in widget_text(pilot.app, "#detail")

    visit(app_of(None, loaded=loaded), "config", step)


def test_without_a_configuration_it_says_why_and_keys_are_harmless() -> None:
    async def step(pilot: Pilot[Any]) -> None:
        for key in ["c", "d", "e", "y", "Y", "w", "slash"]:
            await pilot.press(key)
        await calm(pilot)
        assert "No configuration here" in text_of(pilot.app)

    visit(app_of(None), "config", step)


def test_values_from_the_environment_have_no_file_to_edit(tmp_path: Path) -> None:
    environ = {"LEDGER_END": "9", "SOURCE_LOCAL_PATH": str(tmp_path)}

    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "e")
        assert any("no file to edit" in text for text in toasts(pilot.app))

    visit(app_of(None, loaded=load(None, [], environ)), "config", step)


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    for binding in ConfigPage.BINDINGS:
        assert binding.id  # type: ignore[union-attr]
        assert binding.tooltip  # type: ignore[union-attr]


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(size: tuple[int, int], snap_compare: Any) -> None:
    sets = ["era.ledger_end=9", "source.local_path=/srv/lake", "storage.local_dir=/srv/bronze"]
    app = app_of(None, loaded=load(None, sets, {}))

    async def before(pilot: Pilot[Any]) -> None:
        app.go("config")
        await calm(pilot)
        await press(pilot, "down", "down", "down")

    assert snap_compare(app, terminal_size=size, run_before=before)
