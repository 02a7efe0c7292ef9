"""The doctor: each group says what is wrong, and nothing but its own probe object is touched."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from copying import Site, digests
from hypothesis import given
from hypothesis import strategies as st
from inspecting import loaded_of

from bronze_store_local.store import LocalStore
from bronze_tui.config.load import load
from bronze_tui.config.models import Settings
from bronze_tui.domain.errors import Exit, GapError, StoreUnavailable
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.hooks.contracts import BatchRef, Store
from bronze_tui.inspect.doctor import (
    audit,
    catalog,
    clock,
    dataset,
    endpoint,
    machine,
    plugins,
    source,
    store,
    terminal,
)
from bronze_tui.inspect.doctor.examine import Examination, Group
from bronze_tui.inspect.doctor.finding import Finding, Notes, exit_code
from bronze_tui.inspect.doctor.groups import GROUPS
from bronze_tui.inspect.doctor.subject import Subject, data_root_of
from bronze_tui.testing.tiny_lake import remove, replace_object

NOW = 1_900_000_000.0


def subject_of(site: Site, *, write: bool = True, now: float = NOW, **changes: Any) -> Subject:
    settings = loaded_of(site, **changes).settings
    root = data_root_of(settings)
    return Subject(settings, write, root, settings.emitter_options().backup_dir, now, 65_536)


def with_plugins(subject: Subject) -> Subject:
    assert all(finding.state == "ok" for finding in plugins.checks(subject))
    return subject


def examined(subject: Subject) -> list[Finding]:
    examination = Examination(subject, GROUPS)
    found = [finding for _, finding in examination if finding is not None]
    assert examination.close() == []
    return found


def by_name(findings: Iterator[Finding] | list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def lake(own: Site) -> Site:
    """With a lake of its own."""
    shutil.copytree(own.lake, own.root / "lake")
    own.lake = own.root / "lake"
    return own


# The whole.


def test_all_well_and_nothing_is_changed(copied: Site) -> None:
    before = digests(copied.root), sorted(copied.data.rglob("*"))
    found = examined(subject_of(copied))
    assert [f for f in found if f.state == "fail"] == []
    assert exit_code(found) == Exit.OK
    assert {f.group for f in found} == {group.name for group in GROUPS}
    named = {(f.group, f.name): f.text for f in found}
    assert named["store", "create"] == "conditional create honoured"
    assert named["source", "newest"] == "newest ledger 65"
    assert named["catalog", "rows"] == "4 partitions of testnet/first/v1, the last 50-65"
    assert named["audit", "head"] == "audit head of testnet/first/v1 is the catalog's"
    assert "audit head is the last of 4 events" in named["audit", "audit"]
    assert (digests(copied.root), sorted(copied.data.rglob("*"))) == before


def test_folders_that_were_not_there_are_gone_again(copied: Site, tmp_path: Path) -> None:
    subject = subject_of(
        copied,
        storage__local_dir=tmp_path / "new" / "data",
        checkpoint__dir=tmp_path / "state",
        pas__backup_dir=tmp_path / "pas",
    )
    found = examined(subject)
    assert exit_code(found) == Exit.OK
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_probe_removes_its_object(own: Site) -> None:
    subject = with_plugins(subject_of(own))
    before = sorted(own.data.rglob("*"))
    checks = store.checks(subject)
    for finding in checks:
        if finding.name == "write":
            break
    assert any("_doctor" in str(path) for path in own.data.rglob("*"))
    checks.close()  # type: ignore[attr-defined]
    assert sorted(own.data.rglob("*")) == before


def test_giving_up_waits_for_the_probe_to_be_removed() -> None:
    made, removed = threading.Event(), threading.Event()

    def probing(subject: Subject) -> Iterator[Finding]:
        try:
            made.set()
            while not subject.stop.wait(0.01):
                pass
            yield Notes("probe").ok("probe", "made")
        finally:
            removed.set()

    examination = Examination(_nothing(), [Group("probe", probing, cleans=True)])
    news = iter(examination)
    threading.Thread(target=lambda: next(news, None), daemon=True).start()
    assert made.wait(60)
    assert examination.close() == []
    assert removed.is_set()


def test_a_group_that_hangs_stops_no_other_and_is_named() -> None:
    release = threading.Event()

    def hanging(subject: Subject) -> Iterator[Finding]:
        release.wait(30)
        yield Notes("deaf").ok("late", "too late")

    def quick(subject: Subject) -> Iterator[Finding]:
        yield Notes("quick").ok("quick", "here")

    groups = [
        Group("deaf", hanging),
        Group("quick", quick),
        Group("behind", quick, after=("deaf",)),
    ]
    try:
        found = [f for _, f in Examination(_nothing(), groups, 0.3) if f is not None]
    finally:
        release.set()
    assert [f.group for f in found if f.state == "fail"] == ["deaf"]
    assert "no answer within 0.3 s" in next(f.text for f in found if f.state == "fail")
    assert sum(f.name == "quick" for f in found) == 2
    assert exit_code(found) == Exit.UNREACHABLE


def test_what_a_plugin_raises_is_a_finding() -> None:
    def broken(subject: Subject) -> Iterator[Finding]:
        yield Notes("broken").ok("first", "fine")
        raise ZeroDivisionError("password=hunter2")

    found = [f for _, f in Examination(_nothing(), [Group("broken", broken)]) if f is not None]
    assert [f.state for f in found] == ["ok", "fail"]
    assert "ZeroDivisionError" in found[1].detail
    assert "hunter2" not in found[1].detail


def _nothing() -> Subject:
    return Subject(Settings(), False, None, Path("/nowhere"), NOW, 1024)


CODES = st.sampled_from([Exit.USAGE, Exit.PLUGIN, Exit.FAILED, Exit.UNREACHABLE])


@given(st.lists(CODES), st.integers(0, 3))
def test_the_exit_code_is_that_of_the_failure_that_does_not_pass(
    codes: list[Exit], others: int
) -> None:
    notes = Notes("x")
    found = [notes.fail("f", "bad", code=code) for code in codes]
    found += [notes.warn("w", "hm"), notes.none("n", "untried"), notes.ok("o", "fine")][:others]
    order = [Exit.USAGE, Exit.PLUGIN, Exit.FAILED, Exit.UNREACHABLE]
    assert exit_code(found) == min(codes, key=order.index, default=Exit.OK)


# Plugins.


def test_a_plugin_that_nobody_offers(copied: Site) -> None:
    subject = subject_of(copied, source__mode="nobody", source__url="https://example.org/lake")
    found = by_name(plugins.checks(subject))
    assert found["source"].state == "fail"
    assert found["source"].exit_code == Exit.PLUGIN
    assert by_name(source.checks(subject))["open"].state == "none"


def test_a_required_plugin_that_is_not_there(copied: Site) -> None:
    site = Site(copied.root, copied.lake, {"plugins.required": '["absent"]'})
    found = by_name(plugins.checks(subject_of(site)))
    assert found["required"].exit_code == Exit.PLUGIN
    assert found["load"].state == "ok"


# Source.


def sourced(site: Site, **changes: Any) -> dict[str, Finding]:
    return by_name(source.checks(with_plugins(subject_of(site, **changes))))


def test_a_lake_that_is_not_there(copied: Site, tmp_path: Path) -> None:
    found = sourced(copied, source__local_path=tmp_path / "none")
    assert found["open"].state == "fail"
    assert found["open"].exit_code == Exit.UNREACHABLE
    assert set(found) == {"open"}


def test_a_newest_object_that_is_damaged(lake: Site) -> None:
    replace_object(lake.lake, 65, b"not a frame")
    assert sourced(lake)["batch"].state == "fail"


def test_an_object_that_holds_another_ledger(lake: Site) -> None:
    names = sorted(lake.lake.rglob("*.xdr.zst*"))
    newest, other = names[0], names[3]
    newest.chmod(0o644)
    newest.write_bytes(other.read_bytes())
    found = sourced(lake)["batch"]
    assert found.state == "fail"
    assert "where 65 belongs" in found.detail


def test_a_lake_that_begins_later_says_where(lake: Site) -> None:
    for sequence in range(2, 37):
        remove(lake.lake, sequence)
    found = sourced(lake)["first"]
    assert found.state == "fail"
    assert found.detail == "the lake's oldest ledger is 37"


def test_an_era_above_the_lake(copied: Site) -> None:
    assert sourced(copied, era__ledger_start=90, era__ledger_end=200)["first"].state == "warn"
    found = sourced(copied, era__ledger_end=200)
    assert "above the newest ledger 65" in found["end"].text
    assert sourced(copied, era__ledger_start=34)["oldest"].text == "oldest ledger 2"


def test_speed_is_measured(copied: Site) -> None:
    subject = with_plugins(subject_of(copied))
    found = by_name(source.checks(subject))["speed"]
    assert found.state == "ok"
    assert subject.bytes_per_ledger is not None
    assert subject.bytes_per_ledger > 100
    assert subject.newest == 65


class Range:
    """A source that holds ``first`` to ``last``, ``per`` ledgers an object."""

    def __init__(self, first: int, last: int, per: int) -> None:
        self.first, self.last, self.per, self.reads = first, last, per, 0

    def batches(self, ledgers: LedgerRange) -> list[BatchRef]:
        begin = ledgers.start // self.per * self.per
        return [BatchRef(str(begin), begin, begin + self.per - 1)]

    def read(self, ref: BatchRef) -> bytes:
        self.reads += 1
        if ref.last < self.first or ref.first > self.last:
            raise GapError("not there")
        return b""


@given(st.integers(2, 70_000_000), st.integers(0, 100_000), st.sampled_from([1, 2, 64, 1000]))
def test_the_oldest_ledger_is_found_in_few_reads(first: int, more: int, per: int) -> None:
    begin = max(2, first // per * per)
    lake = Range(begin, begin + more + per, per)
    found = source.oldest(
        lake,  # type: ignore[arg-type]
        2,
        lake.last,
        _nothing(),
    )
    assert found == begin
    assert lake.reads <= 30


# Store.


class Host:
    """Offers one store, as a plugin host does."""

    def __init__(self, made: Store) -> None:
        self._made = made

    def store(self, name: str) -> Callable[[Any], Store]:
        return lambda options: self._made


class Careless(LocalStore):
    """Overwrites what stands there, as a server that ignores If-None-Match."""

    def create(self, key: str, data: bytes | Path) -> Any:
        self.replace(key, data)
        return "created"


class Unsure(LocalStore):
    """Writes, and then loses the acknowledgement."""

    def create(self, key: str, data: bytes | Path) -> Any:
        super().create(key, data)
        raise StoreUnavailable("no answer", where=self.uri(key))


def probed(site: Site, made: Store) -> dict[str, Finding]:
    subject = subject_of(site)
    subject.host = Host(made)  # type: ignore[assignment]
    return by_name(store.checks(subject))


def test_a_store_that_overwrites_is_found_out(own: Site) -> None:
    before = sorted(own.data.rglob("*"))
    found = probed(own, Careless(own.data))["create"]
    assert found.state == "fail"
    assert "other bytes: created" in found.detail
    assert "do not copy to this store" in found.todo
    assert sorted(own.data.rglob("*")) == before


def test_an_object_of_unknown_fate_is_removed(own: Site) -> None:
    before = sorted(own.data.rglob("*"))
    found = probed(own, Unsure(own.data))["write"]
    assert (found.state, found.exit_code) == ("fail", Exit.UNREACHABLE)
    assert sorted(own.data.rglob("*")) == before


def test_a_running_copier_keeps_its_lock(own: Site) -> None:
    made = LocalStore(own.data)
    key = "bronze/testnet/first/v1/_lock"
    lock = made.lock(key, "night-copier")
    try:
        note = made.get(key)
        found = probed(own, made)["lock"]
        assert found.state == "ok"
        assert found.text == "testnet/first/v1 is being copied by night-copier"
        assert made.get(key) == note
        lock.heartbeat()
    finally:
        lock.release()
    assert probed(own, made)["lock"].text == "no copier works on testnet/first/v1"


def test_a_dead_copier_is_told_from_a_living_one(own: Site) -> None:
    path = own.dataset / "_lock"
    note = {"owner": "gone", "pid": 2**22 - 7, "host": socket.gethostname(), "heartbeat": ""}
    path.write_text(json.dumps(note))
    assert "was left locked by gone" in probed(own, LocalStore(own.data))["lock"].text
    path.write_text(json.dumps({**note, "host": "elsewhere", "heartbeat": "2020-01-01T00:00:00Z"}))
    assert "was left locked" in probed(own, LocalStore(own.data))["lock"].text
    path.write_bytes(b"\xff")
    assert probed(own, LocalStore(own.data))["lock"].state == "warn"


def test_read_only_writes_nothing(copied: Site, tmp_path: Path) -> None:
    subject = subject_of(copied, write=False, storage__local_dir=tmp_path / "new")
    found = by_name(store.checks(with_plugins(subject)))["write"]
    assert (found.state, found.text, found.detail) == (
        "ok",
        "store folder writable",
        str(tmp_path),
    )
    assert list(tmp_path.iterdir()) == []


# Dataset and catalog.


def test_another_cut_is_named(copied: Site) -> None:
    found = by_name(dataset.checks(subject_of(copied, era__partition_size=8)))["identity"]
    assert (found.state, found.exit_code) == ("fail", Exit.USAGE)
    assert "from ledger 2 by 16" in found.detail
    other = by_name(dataset.checks(subject_of(copied, era__era_id="new")))["identity"]
    assert "nothing is committed yet" in other.text


def test_a_catalog_that_is_lost_damaged_or_of_another_store(own: Site, copied: Site) -> None:
    def found(**changes: Any) -> dict[str, Finding]:
        return by_name(catalog.checks(subject_of(own, **changes)))

    assert "although 4 partitions are committed" in found()["open"].text
    own.state.mkdir()
    (own.state / "catalog.sqlite").write_bytes(b"no database" * 1000)
    assert found()["open"].state == "fail"
    (own.state / "catalog.sqlite").unlink()
    with (
        contextlib.closing(sqlite3.connect(copied.state / "catalog.sqlite")) as theirs,
        contextlib.closing(sqlite3.connect(own.state / "catalog.sqlite")) as ours,
    ):
        theirs.backup(ours)
    assert found()["rows"].state == "ok"
    (own.dataset / "_commits" / "50-65.json").unlink()
    assert "the store does NOT" in found()["rows"].text


# Audit.


def test_the_audit_head_is_compared(own: Site, copied: Site) -> None:
    def found(pas: Path, **changes: Any) -> dict[str, Finding]:
        settings = loaded_of(copied, **changes).settings
        return by_name(audit.checks(Subject(settings, True, copied.data, pas, NOW, 1024)))

    assert found(copied.pas)["audit"].state == "ok"
    shutil.copytree(copied.pas, own.pas)
    next(p for p in own.pas.glob("*50-65.json")).unlink()
    assert "audit head IS NOT" in found(own.pas)["audit"].text
    assert found(own.pas)["head"].state == "warn"
    (own.pas / "pas-chain-heads.json").unlink()
    assert found(own.pas)["audit"].state == "fail"
    assert found(own.root / "none")["audit"].text == "no audit event yet"
    assert found(own.pas, pas__enabled="false")["audit"].state == "none"
    assert not list(copied.pas.glob(".*"))


# Endpoint and clock.


class Receiver:
    """A web server that says what it was asked."""

    def __init__(self, status: int = 200, ahead: float = 0.0) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                self.send_response_only(status)
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_POST = _answer

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def receiving(url: str) -> Subject:
    sets = ["era.ledger_end=9", "source.local_path=/srv", "pas.enabled=true", f"pas.endpoint={url}"]
    settings = load(None, sets, {}).settings
    return Subject(settings, True, None, Path("/nowhere"), time.time(), 1024)


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, "ok"), (404, "ok"), (405, "ok"), (302, "ok"), (401, "warn"), (503, "warn")],
)
def test_any_answer_of_the_endpoint_is_an_answer(status: int, state: str) -> None:
    with Receiver(status) as receiver:
        found = by_name(endpoint.checks(receiving(receiver.url)))
    assert found["reach"].state == state
    assert receiver.asked == ["GET /health"]


def test_an_endpoint_that_is_silent_or_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        found = by_name(endpoint.checks(receiving(url)))["reach"]
        assert (found.state, found.exit_code) == ("fail", Exit.UNREACHABLE)
    assert by_name(endpoint.checks(receiving(url)))["reach"].state == "fail"


def test_addresses_that_no_receiver_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolving(*addresses: str) -> list[Finding]:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in addresses]
        monkeypatch.setattr(endpoint.socket, "getaddrinfo", lambda *a, **k: found)
        return list(endpoint.checks(receiving("https://pas.example")))

    def asked(*args: object) -> endpoint.Answer:
        return endpoint.Answer(404, 0.01, None)

    monkeypatch.setattr(endpoint, "ask", asked)
    for bad in (["169.254.169.254"], ["10.1.2.3"], ["93.184.216.34", "127.0.0.1"]):
        found = resolving(*bad)
        assert [(f.name, f.state) for f in found] == [("address", "fail")], "nothing was asked"
    assert [f.state for f in resolving("93.184.216.34")] == ["ok", "ok"]


def test_a_server_knows_the_time() -> None:
    with Receiver(200, ahead=3_600) as receiver:
        subject = receiving(receiver.url)
        list(endpoint.checks(subject))
    found = by_name(clock.checks(subject))["server"]
    assert found.state == "fail"
    assert "s behind 127.0.0.1" in found.text
    assert clock.against_server("x", -20).state == "warn"
    assert clock.against_server("x", 1.5).state == "ok"


def test_servers_whose_clock_is_looked_at() -> None:
    def servers(*sets: str) -> list[str]:
        return clock.servers(load(None, ["era.ledger_end=9", *sets], {}).settings)

    assert servers("source.local_path=/srv") == []
    assert servers("source.mode=s3", "source.url=s3://b/l") == ["https://s3.amazonaws.com"]
    here = "http://127.0.0.1:9000"
    assert servers("source.mode=s3", "source.url=s3://b/l", f"source.endpoint={here}") == [here]


def test_a_clock_behind_commits_and_ledgers(copied: Site) -> None:
    found = by_name(clock.checks(subject_of(copied, now=1_000_000.0)))["clock"]
    assert found.state == "fail"
    assert "BEHIND the last commit" in found.text
    assert clock.against_ledger(2_000.0, 1_000.0).state == "fail"
    assert clock.against_ledger(1_030.0, 1_000.0).state == "ok"


# Machine and terminal.


def test_a_disk_is_measured_against_what_the_era_needs(copied: Site, tmp_path: Path) -> None:
    subject = subject_of(copied, era__ledger_end=0)
    assert machine.era_bytes(subject) is None
    subject.newest, subject.bytes_per_ledger = 1_000_001, 1_000.0
    assert machine.era_bytes(subject) == 1_200_000_000
    assert machine.staged_bytes(subject) == 16 * 1_200 * 2
    assert machine.disk("store", tmp_path / "later" / "on", 1, 1 << 60).state == "warn"
    full = machine.disk("store", tmp_path, 1 << 60)
    assert full.state == "fail"
    assert "1.0 EiB" not in full.detail
    assert machine.disk("store", tmp_path, 1, 1).state == "ok"


def test_memory_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(None, ["era.ledger_end=9", "source.local_path=/s", "perf.workers=8"], {})
    monkeypatch.setattr(machine, "available_memory", lambda: 1 << 30)
    small = machine.memory(settings.settings)
    assert small.state == "warn"
    assert "8 workers" in small.detail
    monkeypatch.setattr(machine, "available_memory", lambda: 64 << 30)
    assert machine.memory(settings.settings).state == "ok"
    assert machine.open_files(settings.settings, 256).state == "warn"
    assert "ulimit -n" in machine.open_files(settings.settings, 256).todo
    assert machine.open_files(settings.settings, 65_536).state == "ok"
    assert machine.open_files(settings.settings, -1).state == "ok"


@pytest.mark.parametrize(
    ("environ", "encoding", "columns", "worried"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "utf-8", 120, set()),
        ({"TERM": "dumb"}, "UTF-8", 120, {"term"}),
        ({}, "ascii", 60, {"term", "utf8", "size"}),
    ],
)
def test_terminal(environ: dict[str, str], encoding: str, columns: int, worried: set[str]) -> None:
    found = list(
        terminal.checks(environ, is_terminal=True, encoding=encoding, columns=columns, rows=40)
    )
    assert {f.name for f in found if f.state == "warn"} == worried
    off = list(terminal.checks(environ, is_terminal=False, encoding="", columns=1, rows=1))
    assert [f.state for f in off] == ["none"]
