"""A chain of fifty events, tampered with: the Audit page and ``bronze verify --json`` name the same
kind and the same first event; only a pinned head shows a cut tail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from piloting import play, widget_text
from textual.pilot import Pilot

from bronze_tui.audit.canonical import file_bytes, heads_bytes
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.commands.verify import command
from bronze_tui.testing.emitter_contract import make_chain
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session

CHAIN = make_chain(50)
KEY = CHAIN[0].chain_key


class Backup:
    """The folder of events; ``path(20)`` is event 20, the first is 1."""

    def __init__(self, root: Path) -> None:
        self.root, self.state = root / "pas-backup", root / "state"
        self.root.mkdir()
        self.state.mkdir()
        for event in CHAIN:
            (self.root / event_name(event)).write_bytes(file_bytes(event))
        self.head(50)

    def head(self, number: int) -> None:
        head = {KEY: CHAIN[number - 1].event_hash}
        (self.root / HEADS_FILE).write_bytes(heads_bytes(head))

    def path(self, number: int) -> Path:
        return self.root / event_name(CHAIN[number - 1])

    def verify(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report of ``bronze verify --json``, by who saw nothing before."""
        done = CliRunner().invoke(command, [str(self.root), "--json", "--no-memory", *words])
        return done.exit_code, json.loads(done.output)

    def app(self) -> BronzeApp:
        session = Session(
            kind="inspect", pas_dir=self.root, state_dir=self.state, first_page="audit"
        )
        return BronzeApp(session, clock=lambda: 1_768_213_784.0)


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    return Backup(tmp_path)


def one_byte(b: Backup) -> None:
    data = bytearray(b.path(20).read_bytes())
    at = data.index(b'"row_count": 10') + len(b'"row_count": 1')
    data[at] = ord("1")
    b.path(20).write_bytes(data)


def swapped(b: Backup) -> None:
    one, two = b.path(20).read_bytes(), b.path(30).read_bytes()
    b.path(20).write_bytes(two)
    b.path(30).write_bytes(one)


def without_the_first_five(b: Backup) -> None:
    for number in range(1, 6):
        b.path(number).unlink()


def without_the_last_five(b: Backup) -> None:
    for number in range(46, 51):
        b.path(number).unlink()


def twice(b: Backup) -> None:
    copy = b.path(20).name.replace("_v1_", "_v1_9")
    (b.root / copy).write_bytes(b.path(20).read_bytes())


TAMPERINGS: list[Callable[[Backup], object]] = [
    one_byte,
    lambda b: b.path(20).unlink(),
    swapped,
    without_the_first_five,
    without_the_last_five,
    twice,
]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_screen_and_command_say_the_same(
    backup: Backup, tamper: Callable[[Backup], object]
) -> None:
    tamper(backup)
    code, doc = backup.verify()
    assert (code, doc["verdict"]) == (3, "broken")
    first = doc["chains"][0]["first_wrong"]

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        place = f" at event {first['event']:,}" if first["event"] is not None else ""
        assert f"BROKEN{place} {first['kind']}" in widget_text(app, "#band")
        assert app.verdict(app.now()).word == "CHAIN BROKEN"

    play(backup.app(), step, size=(160, 45))


def test_the_untouched_copy_is_whole(backup: Backup) -> None:
    code, doc = backup.verify()
    assert (code, doc["verdict"]) == (0, "ok")
    assert doc["chains"][0]["first_wrong"] is None

    async def step(pilot: Pilot[Any]) -> None:
        assert "WHOLE   verified 1-50" in widget_text(pilot.app, "#band")  # type: ignore[arg-type]

    play(backup.app(), step)


def test_a_tail_cut_with_its_head_needs_a_pinned_head(backup: Backup) -> None:
    async def pin(pilot: Pilot[Any]) -> None:
        await pilot.press("h")
        assert "head pinned: yes" in widget_text(pilot.app, "#band")  # type: ignore[arg-type]

    play(backup.app(), pin)
    without_the_last_five(backup)
    backup.head(45)
    assert backup.verify()[0] == 0
    shown = CliRunner().invoke(command, [str(backup.root), "--no-memory"]).output
    assert "Head not pinned" in shown
    code, doc = backup.verify("--head", CHAIN[-1].event_hash)
    assert code == 3
    kind = doc["chains"][0]["first_wrong"]["kind"]

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert kind in app.chain_broken
        assert "head pinned: NOT FOUND" in widget_text(app, "#band")

    play(backup.app(), step, size=(160, 45))
