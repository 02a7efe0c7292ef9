"""The Audit page's proof: signed head, memory of the verifier, and levels verified live."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from forging import copy_of, events, parquet, write_chain
from piloting import play, settle, text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.audit.canonical import heads_bytes
from bronze_tui.audit.folder import verify_folder
from bronze_tui.audit.memory import memory_folder, recall
from bronze_tui.audit.names import signed_head_name
from bronze_tui.audit.note import SigningKey
from bronze_tui.audit.signedhead import leaf_hashes, sign_head
from bronze_tui.domain.networks import PASSPHRASES
from bronze_tui.testing.tiny_lake import write_tiny_lake
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.chaincheck import Request, check
from bronze_tui.tui.levelrun import LevelRun, level_of
from bronze_tui.tui.screens import chain_page as page_module
from bronze_tui.tui.session import Session
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.linelist import LineList

NOW = 1_768_213_784.0
KEY = SigningKey("example.com/b", bytes(range(32)))
CUT = {"era.ledger_end": 17, "era.partition_size": 4}
PASSPHRASE = PASSPHRASES["testnet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("made")
    write_tiny_lake(root / "lake", count=16, network_passphrase=PASSPHRASE)
    site = Site(root, root / "lake", CUT)
    assert site.run().code == 0
    return site


@pytest.fixture
def site(made: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(page_module.time, "perf_counter", lambda: 1.0)
    monkeypatch.delenv("BRONZE_VKEY", raising=False)
    return copy_of(made, tmp_path)


def app_of(site: Site, **changes: Any) -> BronzeApp:
    values = {
        "kind": "inspect",
        "pas_dir": site.pas,
        "data_root": site.data,
        "state_dir": site.root,
        "first_page": "audit",
        **changes,
    }
    return BronzeApp(Session(**values), clock=lambda: NOW)


def sign(site: Site, age: float = 7200.0) -> Path:
    (chain,) = verify_folder(site.pas).chains
    path = site.pas / signed_head_name(chain.chain_key)
    leaves = leaf_hashes(item.event for item in chain.line)
    path.write_bytes(sign_head(leaves, chain.chain_key, KEY))
    os.utime(path, (NOW - age, NOW - age))
    return path


def remember(site: Site) -> None:
    recall(verify_folder(site.pas), memory_folder(os.environ), now=NOW - 3600)


def cut_tail(site: Site) -> None:
    (site.pas / "testnet_first_v1_14-17.json").unlink()
    (site.pas / "pas-chain-heads.json").unlink()


def alter(site: Site) -> None:
    path = parquet(site, "6-9")
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])


def still(site: Site) -> None:
    """The same chain in every run: times and ids of events stand still."""
    chain = [
        replace(event, timestamp=f"2026-01-12T10:0{n}:00Z", event_id=f"pas_evt_{n:016x}")
        for n, event in enumerate(events(site))
    ]
    write_chain(site, chain)
    (site.pas / "pas-chain-heads.json").write_bytes(
        heads_bytes({chain[0].chain_key: events(site)[-1].event_hash})
    )


def proof_of(app: Any) -> str:
    return widget_text(app, "#proof")


async def level(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("l", *text, "enter")
    app: Any = pilot.app
    await until(pilot, lambda: app.screen.desk.level is not None and not app.screen.levels.running)
    await settle(pilot)


def test_nothing_speaks_for_the_chain_yet(site: Site) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        shown = proof_of(pilot.app)
        assert "not signed ('bronze head')" in shown
        assert "last seen   not yet" in shown
        assert "not verified below the chain yet (l)" in shown

    play(app_of(site), step)


def test_signed_head_and_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(site)
    remember(site)
    monkeypatch.setenv("BRONZE_VKEY", str(KEY.verify_key))

    async def step(pilot: Pilot[Any]) -> None:
        shown = proof_of(pilot.app)
        assert "4 events, signed by example.com/b, 2 h old: the chain's last event" in shown
        assert "4 events at 2026-01-12T09:29:44Z: the same head" in shown

    play(app_of(site), step)
    monkeypatch.setenv("BRONZE_VKEY", "nonsense")

    async def unchecked(pilot: Pilot[Any]) -> None:
        assert "signed by example.com/b, not checked, 2 h old" in proof_of(pilot.app)

    play(app_of(site), unchecked, (80, 24))


def test_a_chain_that_shrank_shows_both_heads(site: Site) -> None:
    sign(site)
    remember(site)
    then = verify_folder(site.pas).chains[0].head.removeprefix("sha256:")
    cut_tail(site)
    now = verify_folder(site.pas).chains[0].head.removeprefix("sha256:")

    async def step(pilot: Pilot[Any]) -> None:
        lines = [line.strip() for line in proof_of(pilot.app).splitlines()]
        assert any("CHAIN SHRANK, 4 events at 2026-01-12T09:29:44Z, 3 now" in x for x in lines)
        assert any(then in line for line in lines), "in full, though it is 80 columns wide"
        assert any(now in line for line in lines)
        assert any("1 EVENT OF THE CHAIN MISSING" in line for line in lines)
        app: Any = pilot.app
        assert app.chain_broken == "testnet/first/v1: chain_shrank"
        assert app.verdict(NOW).word == "CHAIN BROKEN"

    play(app_of(site), step, (80, 24))
    assert check(Request(str(site.pas)))["broken"] == "testnet/first/v1: chain_shrank"
    folder = memory_folder(os.environ)
    assert folder is not None
    (kept,) = folder.glob("*.json")
    assert then in kept.read_text(), "looking at it forgets nothing"


def test_a_chain_that_is_gone_is_told_too(site: Site) -> None:
    remember(site)
    for path in site.pas.iterdir():
        path.unlink()
    assert check(Request(str(site.pas)))["broken"] == "testnet/first/v1: chain_gone"

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        assert app.chain_broken == "testnet/first/v1: chain_gone"

    play(app_of(site), step)


def test_a_level_is_verified_live(site: Site) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await level(pilot, "3")
        assert "row: OK, 4 of 4 partitions, 16 ledgers, 10:29:44Z" in proof_of(app)
        assert "4 events at" in proof_of(app), "bronze verify remembers the head that it found"
        assert "files: read 4 of 4" in widget_text(app, "#bar")
        assert [cell.split()[-1] for cell in widget_text(app, "#events").splitlines()[:4]] == [
            "ok"
        ] * 4
        await level(pilot, "ledger")
        assert "ledger: OK" in proof_of(app)
        await pilot.press("w")
        (saved,) = site.root.glob("verify-*.json")
        doc = json.loads(saved.read_text())
        assert doc["level_report"]["level"] == "ledger"
        assert any("level: ledger: OK" in line for line in doc["proof"])

    play(app_of(site), step)


def test_a_break_is_shown_where_and_why(site: Site) -> None:
    alter(site)

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await level(pilot, "row")
        shown = proof_of(app)
        assert "row: BROKEN" in shown
        assert "file_mismatch event 2 ledgers 6-9" in shown
        await pilot.press("home", "b")
        assert app.screen.query_one(LineList).cursor == 1
        assert "BAD" in widget_text(app, "#events").splitlines()[1]
        assert "not the one announced" in widget_text(app, "#event")
        assert "file_mismatch" in app.chain_broken

    play(app_of(site), step, (140, 45))


def test_the_lake_is_known_from_the_configuration(site: Site) -> None:
    from bronze_tui.config.load import load

    settings: dict[str, Any] = {}
    for pair in site.sets():
        key, _, value = pair.partition("=")
        section, _, name = key.partition(".")
        settings.setdefault(section, {})[name] = value
    path = site.root / "config.yaml"
    path.write_text(json.dumps(settings))
    loaded = load(path, ())

    async def step(pilot: Pilot[Any]) -> None:
        await level(pilot, "5")
        assert "source: OK" in proof_of(pilot.app)

    play(app_of(site, loaded=loaded), step)


def test_why_nothing_can_be_said(site: Site) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await level(pilot, "source")
        assert "source: " in proof_of(app)
        assert "takes the lake's address" in proof_of(app)
        await pilot.press("l", *"deep", "enter")
        await until(pilot, lambda: "no level 'deep'" in text_of(app))

    play(app_of(site), step)


def test_progress_and_cancel(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "pid"
    body = (
        "import json, os, sys, time\n"
        "doc = {'partitions_done': 1, 'partitions': 4, 'bytes_done': 25, 'bytes': 100,\n"
        "       'bytes_per_second': 2048, 'eta_seconds': 7.0}\n"
        "print(json.dumps(doc), file=sys.stderr, flush=True)\n"
        f"open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(LevelRun, "command", lambda *_: [sys.executable, "-c", body])

    async def step(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await pilot.press("l", "3", "enter")
        await until(pilot, lambda: "25%" in proof_of(app) and note.exists())
        assert "1 of 4  2.0 KiB/s  ETA 0:00:07  esc stops" in proof_of(app)
        await pilot.press("l")
        assert not app.screen.query_one(AskLine).has_focus, "one at a time"
        await pilot.press("escape")
        await until(pilot, lambda: "stopped" in proof_of(app))
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)

    play(app_of(site), step)


def test_leaving_the_app_ends_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    body = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    monkeypatch.setattr(LevelRun, "command", lambda *_: [sys.executable, "-c", body])

    async def step(pilot: Pilot[Any]) -> None:
        await pilot.press("l", "3", "enter")
        await until(pilot, lambda: note.exists() and bool(note.read_text()))

    play(app_of(site), step)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [("3", "row"), (" Row ", "row"), ("le", "ledger"), ("6", ""), ("", ""), ("x", ""), ("-1", "")],
)
def test_levels_as_people_type_them(text: str, found: str) -> None:
    assert level_of(text) == found


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
@pytest.mark.parametrize("state", ["proven", "alarm"])
def test_how_it_looks(site: Site, snap_compare: Any, size: tuple[int, int], state: str) -> None:
    still(site)
    sign(site)
    remember(site)
    if state == "alarm":
        cut_tail(site)
        alter(site)

    async def ready(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await level(pilot, "3")
        if state == "proven":
            remember(site)
            await pilot.press("f5")
            await settle(pilot)
        pilot.app.clear_notifications()
        await settle(pilot)

    app = app_of(site)
    app.verdict = lambda now: replace(BronzeApp.verdict(app, now), evidence="")  # type: ignore[method-assign]
    assert snap_compare(app, terminal_size=size, run_before=ready)
