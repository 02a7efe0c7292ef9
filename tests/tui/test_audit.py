"""The Audit page: every kind of break found and shown, every key, files read again, live growth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from piloting import play, settle, text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.audit.canonical import event_hash, file_bytes, heads_bytes
from bronze_tui.audit.filecheck import Progress, check_event, check_files
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.names import HEADS_FILE, event_name
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.testing.emitter_contract import make_chain
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.chainrows import NEXT
from bronze_tui.tui.pins import PINS_FILE, read_pins
from bronze_tui.tui.screens import chain_page as page_module
from bronze_tui.tui.screens.audit import AuditPage
from bronze_tui.tui.session import Session
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.linelist import LineList

NOW = 1_768_213_784.0
SIZES = [(80, 24), (120, 40), (200, 60)]


class Folder:
    """A PAS folder with its data, as a copier leaves them."""

    def __init__(self, root: Path, events: int = 12) -> None:
        self.root = root
        self.pas = root / "pas-backup"
        self.data = root / "data"
        self.state = root / "state"
        for folder in (self.pas, self.data / "bronze", self.state):
            folder.mkdir(parents=True)
        self.chain: list[AuditEvent] = []
        for event in make_chain(events):
            prev = self.chain[-1].event_hash if self.chain else ""
            self.add(event, prev)
        self.head()

    def add(self, event: AuditEvent, prev: str) -> None:
        (name, table), *_ = event.tables
        folder = self.data / "bronze" / table.storage_path
        folder.mkdir(parents=True)
        data = f"bytes of {event.partition}".encode() * 500
        checksum = f"sha256:{sha256(data).hexdigest()}"
        (folder / f"part-{event.partition}.parquet").write_bytes(data)
        manifest = {"tables": {name: {"checksum": checksum}}}
        (folder / "_manifest.json").write_text(json.dumps(manifest))
        table = replace(table, checksum=checksum, byte_size=len(data))
        event = replace(event, tables=((name, table),), prev_event_hash=prev, event_hash="")
        event = replace(event, event_hash=event_hash(event))
        self.chain.append(event)
        self.path(len(self.chain) - 1).write_bytes(file_bytes(event))

    def head(self) -> None:
        head = {self.chain[-1].chain_key: self.chain[-1].event_hash}
        (self.pas / HEADS_FILE).write_bytes(heads_bytes(head))

    def path(self, number: int) -> Path:
        return self.pas / event_name(self.chain[number])

    def parquet(self, number: int) -> Path:
        event = self.chain[number]
        folder = self.data / "bronze" / event.tables[0][1].storage_path
        return folder / f"part-{event.partition}.parquet"

    def app(self, **changes: Any) -> BronzeApp:
        values = {
            "kind": "inspect",
            "pas_dir": self.pas,
            "data_root": self.data,
            "state_dir": self.state,
            "first_page": "audit",
            **changes,
        }
        return BronzeApp(Session(**values), clock=lambda: NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture(autouse=True)
def _no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification takes no time, so that pictures are equal."""
    monkeypatch.setattr(page_module.time, "perf_counter", lambda: 1.0)


def page_of(app: BronzeApp) -> AuditPage:
    assert isinstance(app.screen, AuditPage)
    return app.screen


def cursor(app: BronzeApp) -> int:
    return app.screen.query_one(LineList).cursor


def test_a_whole_chain(folder: Folder) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "WHOLE   verified 1-12   head pinned: no" in widget_text(app, "#band")
        assert app.chain_broken == ""
        assert cursor(app) == 11, "without a break the newest event is the news"
        shown = widget_text(app, "#event")
        assert "equals event 11" in shown
        assert "No byte of this event changed" in shown

    play(folder.app(), step)


def alter(folder: Folder) -> None:
    path = folder.path(4)
    path.write_bytes(path.read_bytes().replace(b'"row_count": 10', b'"row_count": 11'))


def swap(folder: Folder) -> None:
    one, two = folder.path(4).read_bytes(), folder.path(5).read_bytes()
    folder.path(4).write_bytes(two)
    folder.path(5).write_bytes(one)


def garbage(folder: Folder) -> None:
    folder.path(4).write_bytes(b"{")


def cut_head(folder: Folder) -> None:
    for number in range(3):
        folder.path(number).unlink()


def cut_tail(folder: Folder) -> None:
    for number in (10, 11):
        folder.path(number).unlink()


def double(folder: Folder) -> None:
    shutil.copy(folder.path(4), folder.pas / "testnet_p23_plus_v1_9-9.json")


DAMAGES: list[Callable[[Folder], object]] = [
    alter,
    swap,
    garbage,
    cut_head,
    cut_tail,
    double,
    lambda f: f.path(4).unlink(),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_says_what_verify_says(folder: Folder, damage: Callable[[Folder], object]) -> None:
    damage(folder)
    report = verify_folder(folder.pas)
    first = report.chains[0].first_wrong
    assert first is not None

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "BROKEN" in widget_text(app, "#band")
        assert first.kind in widget_text(app, "#band")
        assert first.kind in app.chain_broken
        assert app.verdict(NOW).word == "CHAIN BROKEN"
        await pilot.press("home", "b")
        row = page_of(app).desk.rows[cursor(app)]
        assert first in row.findings
        shown = widget_text(app, "#event")
        assert f"error {first.kind}" in shown
        assert "NEXT" in shown

    play(folder.app(), step, size=(140, 45))


def test_after_a_break_nothing_is_trusted(folder: Folder) -> None:
    alter(folder)

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "verified 1-4   not trusted 5-12" in widget_text(app, "#band")
        rows = page_of(app).desk.rows
        assert [r.link for r in rows[:7]] == ["ok"] * 5 + ["ok*", "ok*"]
        assert [r.hash for r in rows[3:6]] == ["ok", "BAD", "ok"]
        await pilot.press("down")
        assert "nothing vouches" in widget_text(app, "#event")

    play(folder.app(), step, (120, 48))


def test_a_missing_event_has_a_row_of_its_own(folder: Folder) -> None:
    folder.path(4).unlink()

    async def step(pilot: Pilot[Any]) -> None:
        rows = page_of(pilot.app).desk.rows  # type: ignore[arg-type]
        assert len(rows) == 12
        assert rows[4].number is None
        assert rows[4].ledgers == str(folder.chain[4].partition)
        assert rows[5].number == 5

    play(folder.app(), step)


def test_every_kind_has_a_next_step() -> None:
    from bronze_tui.audit.findings import KINDS

    assert set(KINDS) | {"file_mismatch", "file_missing", "file_unreadable"} == set(NEXT)


# Files.


@pytest.mark.parametrize("harm", ["changed", "missing", "manifest"])
def test_a_damaged_file_is_found(folder: Folder, harm: str) -> None:
    path = folder.parquet(6)
    if harm == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif harm == "missing":
        path.unlink()
    else:
        doc = {"tables": {"ledgers_lcm_raw": {"checksum": "sha256:" + "0" * 64}}}
        (path.parent / "_manifest.json").write_text(json.dumps(doc))

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("F")
        await until(pilot, lambda: "files: read 12 of 12" in widget_text(app, "#bar"))
        assert "file_" in app.chain_broken
        assert str(folder.chain[6].partition) in app.chain_broken
        await pilot.press("home", "b")
        assert cursor(app) == 6
        assert "BAD" in widget_text(app, "#events").split("\n")[6]
        assert "file_" in widget_text(app, "#event")

    play(folder.app(), step)


def test_b_walks_every_break_and_wrong_files_are_counted(folder: Folder) -> None:
    alter(folder)
    path = folder.parquet(8)
    path.write_bytes(path.read_bytes() + b"x")

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("F")
        await until(pilot, lambda: "WRONG" in widget_text(app, "#bar"))
        assert "1 WRONG" in widget_text(app, "#bar")
        assert cursor(app) == 4
        for expected in (8, 4, 8):
            await pilot.press("b")
            assert cursor(app) == expected
        assert "file_mismatch" in text_of(app)

    play(folder.app(), step, (200, 60))


def test_whole_files_change_nothing(folder: Folder) -> None:
    before = {p: p.read_bytes() for p in folder.root.rglob("*") if p.is_file()}

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("F")
        await until(pilot, lambda: "files: read 12 of 12" in widget_text(app, "#bar"))
        assert app.chain_broken == ""
        assert "equal" in widget_text(app, "#event")

    play(folder.app(), step)
    assert before == {p: p.read_bytes() for p in folder.root.rglob("*") if p.is_file()}


def test_reading_tells_progress_and_can_be_stopped(folder: Folder) -> None:
    told: list[Progress] = []
    seen: list[str] = []
    ticks = iter(float(n) for n in range(1_000))

    def tell(fresh: list[Any], progress: Progress) -> None:
        told.append(progress)
        seen.extend(result.ledgers for result in fresh)

    root = folder.data / "bronze"
    check_files(
        folder.chain, root, stop=lambda: len(seen) >= 5, tell=tell, clock=lambda: next(ticks)
    )
    assert told[-1].done
    assert told[-1].stopped
    assert told[-1].files == 5 == len(seen)
    assert told[2].rate > 0
    assert told[2].eta is not None


def test_esc_stops_reading_and_keeps_what_was_read(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    reached = threading.Event()

    def slow(events: Any, root: Path, *, stop: Any, tell: Any) -> None:
        result = check_event(events[0], root, stop)
        tell([result], Progress(1, len(events), 10, 100, 1.0))
        reached.set()
        while not stop():
            threading.Event().wait(0.005)
        tell([], Progress(1, len(events), 10, 100, 1.0, True, True))

    monkeypatch.setattr(page_module, "check_files", slow)

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("F")
        await until(pilot, lambda: "esc stops" in widget_text(app, "#bar"))
        assert reached.is_set()
        await pilot.press("escape")
        await until(pilot, lambda: "stopped after 1 of 12" in widget_text(app, "#bar"))
        assert len(page_of(app).desk.files) == 1

    play(folder.app(), step)


@pytest.mark.parametrize("path", ["../../../etc", "/etc", "a\0b", ""])
def test_an_event_cannot_send_us_out_of_the_data_folder(folder: Folder, path: str) -> None:
    event = folder.chain[0]
    (name, table), *_ = event.tables
    event = replace(event, tables=((name, replace(table, storage_path=path)),))
    result = check_event(event, folder.data / "bronze", lambda: False)
    assert result.kind == "file_mismatch"
    assert "leaves the data folder" in result.message


def test_a_pipe_in_place_of_a_file_does_not_hang(folder: Folder) -> None:
    import os

    folder.parquet(0).unlink()
    os.mkfifo(folder.parquet(0))
    result = check_event(folder.chain[0], folder.data / "bronze", lambda: False)
    assert result.kind == "file_unreadable"


def test_a_remote_store_is_not_read(folder: Folder) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("F")
        await until(pilot, lambda: "no files to read" in text_of(app))
        assert page_of(app).desk.files == {}

    play(folder.app(data_root=None), step)


# Walking and keeping.


def test_walking_and_finding(folder: Folder) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("home", "n", "n", "p")
        assert cursor(app) == 1
        await pilot.press("slash", *"1055", "enter")
        assert cursor(app) == 5, "the event whose ledgers hold 1055"
        assert "/1055: 1 found" in text_of(app)
        await pilot.press("n")
        assert cursor(app) == 5
        await pilot.press("slash", *["ctrl+u"], *folder.chain[8].event_hash[7:20], "enter")
        assert cursor(app) in (8, 9)
        await pilot.press("slash", "ctrl+u", *"nothing here", "enter")
        assert "not found" in text_of(app)
        await pilot.press("escape")
        assert "found, n p" not in text_of(app)
        await pilot.press("slash")
        assert app.screen.query_one(AskLine).has_focus
        await pilot.press("escape")
        assert app.screen.query_one(LineList).has_focus

    play(folder.app(), step)


def test_open_partition_before_and_after_the_chain_is_read(folder: Folder) -> None:
    wanted = str(folder.chain[3].partition)

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert cursor(app) == 3
        page_of(app).open_partition(str(folder.chain[7].partition))
        assert cursor(app) == 7
        page_of(app).open_partition("1-2")
        await until(pilot, lambda: "no event of partition 1-2" in text_of(app))

    app = folder.app()
    original = AuditPage.on_mount

    def mount(page: AuditPage) -> None:
        page.open_partition(wanted)
        original(page)

    AuditPage.on_mount = mount  # type: ignore[method-assign]
    try:
        play(app, step)
    finally:
        AuditPage.on_mount = original  # type: ignore[method-assign]


def test_a_pinned_head_shows_a_cut_tail(folder: Folder) -> None:
    async def pin(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("h")
        assert "head pinned: yes" in widget_text(app, "#band")
        assert folder.chain[-1].event_hash[:40] in text_of(app).replace("\n", "")

    play(folder.app(), pin, size=(160, 40))
    assert read_pins(folder.state) == {folder.chain[0].chain_key: folder.chain[-1].event_hash}
    cut_tail(folder)
    heads = {folder.chain[0].chain_key: folder.chain[9].event_hash}
    (folder.pas / HEADS_FILE).write_bytes(heads_bytes(heads))
    assert verify_folder(folder.pas).ok, "nobody sees it without a pinned head"

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "pinned_head_missing" in app.chain_broken
        assert "NOT FOUND" in widget_text(app, "#band")

    play(folder.app(), step)


def test_pins_survive_garbage_and_keep_other_chains(folder: Folder) -> None:
    from bronze_tui.tui.pins import pin_head

    path = folder.state / PINS_FILE
    for text in ("[", "[]", '{"a": 1}', '{"a": {"hash": "x"}}'):
        path.write_text(text)
        assert read_pins(folder.state) == {}
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    pin_head(folder.state, "a/b/c", one, 4, NOW)
    pin_head(folder.state, "d/e/f", two, 5, NOW)
    assert read_pins(folder.state) == {"a/b/c": one, "d/e/f": two}
    assert json.loads(path.read_bytes())["a/b/c"]["events"] == 4


def test_the_report_is_saved_outside_the_audit_folder(folder: Folder) -> None:
    alter(folder)
    before = sorted(p.name for p in folder.pas.iterdir())

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("F")
        app: Any = pilot.app
        await until(pilot, lambda: "read 12 of 12" in widget_text(app, "#bar"))
        await pilot.press("w")

    play(folder.app(), step)
    assert sorted(p.name for p in folder.pas.iterdir()) == before
    (text,) = folder.state.glob("verify-*.txt")
    (doc,) = folder.state.glob("verify-*.json")
    assert "hash_mismatch" in text.read_text()
    found = json.loads(doc.read_bytes())
    assert found["verdict"] == "broken"
    assert found["files_read"] == 12
    assert found["checked_at"] == "2026-01-12T10:29:44Z"


def test_copies(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(BronzeApp, "copy_to_clipboard", lambda self, text: copied.append(text))

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("y", "Y")

    play(folder.app(), step)
    assert folder.path(11).name in copied[0]
    assert copied[1].encode() == folder.path(11).read_bytes()


def test_several_chains(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 3)
    for event in make_chain(4, era_id="other"):
        (folder.pas / event_name(event)).write_bytes(file_bytes(event))

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "1 of 2, c for the next" in text_of(app)
        await pilot.press("c")
        assert "2 of 2" in text_of(app)
        assert "3 events" in widget_text(app, "#bar")
        page_of(app).open_partition("1030-1039")
        assert "1 of 2" in text_of(app)

    play(folder.app(), step)


def test_a_row_opens_its_first_ledger(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    monkeypatch.setattr(BronzeApp, "open_ledger", lambda self, sequence: opened.append(sequence))

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("home", "enter")

    play(folder.app(), step)
    assert opened == [1000]


# Growth, emptiness, hostile text, looks.


def test_it_verifies_again_as_the_chain_grows_and_on_f5(folder: Folder) -> None:
    key = folder.chain[0].chain_key
    now = [NOW]
    session = Session(kind="attach", pas_dir=folder.pas, state_dir=folder.state, first_page="audit")
    app = BronzeApp(session, clock=lambda: now[0])

    async def step(pilot: Pilot[Any]) -> None:
        page = page_of(app)
        await pilot.press("up", "up")
        folder.add(make_chain(13)[12], folder.chain[-1].event_hash)
        folder.head()
        app.view.chain(key).events = 13
        app.tick()
        await settle(pilot)
        assert len(page.desk.rows) == 12, "not at once again"
        now[0] += 10
        app.tick()
        await until(pilot, lambda: len(page.desk.rows) == 13)
        assert cursor(app) == 9, "the cursor stays where the person put it"
        alter(folder)
        await pilot.press("f5")
        await until(pilot, lambda: app.chain_broken != "")

    play(app, step)


@pytest.mark.parametrize("kind", ["none", "empty", "gone"])
def test_without_events(tmp_path: Path, kind: str) -> None:
    pas = tmp_path / "pas-backup"
    if kind == "empty":
        pas.mkdir()
    app = BronzeApp(
        Session(kind="inspect", pas_dir=None if kind == "none" else pas, first_page="audit"),
        clock=lambda: NOW,
    )

    async def step(pilot: Pilot[Any]) -> None:
        words = {
            "none": "No audit folder is known here",
            "empty": "no_events",
            "gone": "cannot be read",
        }
        assert words[kind] in text_of(app)
        for key in ("b", "n", "p", "h", "w", "F", "c", "y", "Y", "enter", "escape"):
            await pilot.press(key)

    play(app, step)


def test_hostile_text_is_text(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 2)
    (folder.pas / "[red]a_b_[link=x]_1-2.json").write_bytes(b"{\x1b[31m}")
    (folder.pas / ("x" * 200 + "_b_c_1-2.json")).write_bytes(b'{"[bold]": 1}')

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert "[red]a_b_[link=x]_1-2" in text_of(app)
        await pilot.press("end", "up", "w", "y")
        assert "\x1b" not in text_of(app)

    play(folder.app(), step, size=(200, 60))


def test_six_thousand_events_are_a_list_like_any_other(tmp_path: Path) -> None:
    pas = tmp_path / "pas"
    pas.mkdir()
    for event in make_chain(6_000):
        (pas / event_name(event)).write_bytes(file_bytes(event))
    (pas / HEADS_FILE).write_bytes(heads_bytes({event.chain_key: event.event_hash}))
    app = BronzeApp(Session(kind="inspect", pas_dir=pas, first_page="audit"), clock=lambda: NOW)

    async def step(pilot: Pilot[Any]) -> None:
        assert len(page_of(app).desk.rows) == 6_000
        await pilot.press("home", "pagedown", "end", "up")
        assert cursor(app) == 5_998
        assert "5,999" in widget_text(app, "#events")

    play(app, step)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["whole", "broken"])
def test_how_it_looks(tmp_path: Path, snap_compare: Any, size: tuple[int, int], state: str) -> None:
    folder = Folder(tmp_path, 40)
    if state == "broken":
        alter(folder)
        folder.path(20).unlink()

    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press("F")
        await until(pilot, lambda: "files: read" in widget_text(pilot.app, "#bar"))  # type: ignore[arg-type]
        await pilot.press("b" if state == "broken" else "end")
        pilot.app.clear_notifications()
        await settle(pilot)

    app = folder.app(data_root=folder.data)
    # The verdict of a page without a run names the folder, which is another one each time.
    app.verdict = lambda now: replace(BronzeApp.verdict(app, now), evidence="")  # type: ignore[method-assign]
    assert snap_compare(app, terminal_size=size, run_before=ready)
