"""Coming back to a run without its configuration: its own record says where all is, and a page that
finds nothing says why and what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from piloting import play, settle, text_of, until
from textual.pilot import Pilot

from bronze_tui.config.load import load
from bronze_tui.tui import launch
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.places import PAS_OFF, recorded
from bronze_tui.tui.session import Session

Check = Callable[[BronzeApp], bool]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copied demo of two partitions, the configuration of it gone."""
    root = tmp_path_factory.mktemp("places")
    command = [sys.executable, "-m", "bronze_tui.cli", "demo", "d", "--no-tui", "--ledgers", "128"]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=60)
    (root / "d" / "demo.yaml").rename(root / "kept.yaml")
    return root / "d"


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """Only its state folder, copied to another place; the rest is not on that machine."""
    shutil.copytree(made / "state", tmp_path / "elsewhere")
    journal = tmp_path / "elsewhere" / "bronze.jsonl"
    journal.write_text(journal.read_text().replace(str(made), str(tmp_path / "gone")))
    return tmp_path / "elsewhere"


def see(session: Session, pages: dict[str, str], *also: Callable[[Pilot[Any]], Any]) -> None:
    """Each page, by its number, comes to say its words."""
    app = BronzeApp(session, clock=lambda: 2e9)

    async def step(pilot: Pilot[Any]) -> None:
        for key, words in pages.items():
            await pilot.press(key)
            await until(pilot, lambda w=words: w in text_of(app))  # type: ignore[misc]
        for check in also:
            await check(pilot)

    play(app, step, size=(120, 40))


WHOLE = {"2": "part-", "3": "header", "4": "2 committed files", "5": "WHOLE   verified 1-2"}


def test_a_state_folder_alone_knows_the_data_and_the_audit_events(made: Path) -> None:
    session = launch.session_of_state(made / "state", control=False)
    assert session.loaded is None
    assert session.pas_dir == made / "pas-backup"
    assert session.data_root == made / "data" / "bronze"

    async def reads_files(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("5", "F")
        await until(pilot, lambda: "2 partitions read: all as announced" in text_of(app))

    see(session, WHOLE | {"8": "No configuration here"}, reads_files)


def test_a_recording_shows_the_data_as_it_is_today(made: Path) -> None:
    session = launch.session_of_journal(made / "state" / "bronze.jsonl", 0.0)
    assert session.kind == "replay"
    see(session, WHOLE)


def test_a_broken_chain_is_no_verdict_on_a_recorded_run(made: Path, tmp_path: Path) -> None:
    pas = tmp_path / "pas-backup"
    shutil.copytree(made / "pas-backup", pas)
    event = min(pas.glob("*-65.json"))
    event.write_bytes(event.read_bytes().replace(b'"network"', b'"netwerk"', 1))
    session = launch.session_of_journal(made / "state" / "bronze.jsonl", 0.0)

    async def verdict(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await settle(pilot)
        assert app.verdict(app.now()).word == "DONE"

    see(replace(session, pas_dir=pas), {"5": "BROKEN"}, verdict)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_what_is_on_another_machine_is_said(moved: Path, size: tuple[int, int]) -> None:
    session = launch.session_of_state(moved, control=False)
    assert session.pas_dir is None
    assert session.data_root is None
    app = BronzeApp(session, clock=lambda: 2e9)

    async def step(pilot: Pilot[Any]) -> None:
        for key, words in (
            ("3", "No folder to read ledgers from"),
            ("4", "No local dataset to query"),
            ("5", "No audit events to look at"),
        ):
            await pilot.press(key)
            await settle(pilot)
            text = text_of(app)
            assert words in text
            assert "which is no folder of this machine" in " ".join(text.split())
            assert "bronze attach FOLDER" in text
        await pilot.press("f5", "F", "b", "w", "h", "y", "enter")
        assert "f5" not in text_of(app).splitlines()[-1], "no key is offered that can do nothing"
        await pilot.press("2")
        await settle(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "no files to verify." in text_of(app))

    play(app, step, size=size)


def test_a_journal_of_an_older_version_names_no_audit_folder(made: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(made / "state", state)
    journal = state / "bronze.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in records:
        record.pop("pas_dir", None)
    journal.write_text("".join(json.dumps(r, separators=(",", ":")) + "\n" for r in records))
    session = launch.session_of_state(state, control=False)
    assert session.pas_dir is None
    see(session, {"5": "does not name the run's audit folder", "3": "header"})


def test_a_run_started_with_other_values_than_its_file_has(made: Path, tmp_path: Path) -> None:
    changes = [f"checkpoint.dir={made / 'state'}", f"storage.local_dir={tmp_path / 'other'}"]
    loaded = load(made.parent / "kept.yaml", (*changes, "pas.enabled=false"), {})
    session = launch.session_of_run(loaded, control=False, arguments=())
    assert session.data_root == made / "data" / "bronze"
    assert session.pas_dir == made / "pas-backup"
    assert session.overridden
    see(session, WHOLE | {"8": "the run was started with other values than this file has"})


def test_the_same_places_as_the_file_has_are_no_other_values(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.parent)
    loaded = load(made.parent / "kept.yaml", (), {})
    session = launch.session_of_run(loaded, control=False, arguments=())
    assert not session.overridden
    assert session == launch.session_of(loaded, "attach", control=False, arguments=())


def test_what_a_record_may_say() -> None:
    here = {"store": "file:///srv/b/pubnet/first/v1", "pas_dir": "/srv/pas"}
    assert recorded(here, here=True).data_root == Path("/srv/b")
    assert recorded(here, here=True).pas_dir == Path("/srv/pas")
    far = recorded(here | {"store": "s3://bucket/b/pubnet/first/v1"}, here=True)
    assert far.data_root is None
    assert far.no_data is not None
    assert "s3://bucket/b" in far.no_data.why
    assert recorded(here | {"pas_dir": ""}, here=True).no_pas is PAS_OFF
    assert recorded(here | {"store": "file:///srv"}, here=True).data_root is None
    nothing = recorded({}, here=True)
    assert nothing.no_data is not None
    assert "ended before" in nothing.no_data.why
    assert nothing.no_pas is not None
