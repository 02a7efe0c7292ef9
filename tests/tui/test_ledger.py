"""The ledger page: going about, checks, tree, bytes, searches, copies, damage and empty states."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import KEY, rewrite
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
from piloting import text_of, until, widget_text
from textual.pilot import Pilot

from bronze_tui.domain.errors import UsageError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.places import remote
from bronze_tui.tui.screens.ledger import LedgerPage
from bronze_tui.tui.widgets import ledger_facts
from bronze_tui.tui.widgets.askline import AskLine
from bronze_tui.tui.widgets.ledger_facts import Goto, parse_goto
from bronze_tui.tui.widgets.xdr_tree import XdrTree, hex_lines, label

Play = Callable[[Pilot[Any]], Any]
SIZES = [(80, 24), (120, 40), (200, 60)]


def page(pilot: Pilot[Any]) -> LedgerPage:
    shown = pilot.app.screen
    assert isinstance(shown, LedgerPage)
    return shown


def shown(pilot: Pilot[Any]) -> int:
    key = page(pilot)._shown
    assert key is not None
    return key[1]


def see(site: Site | None, step: Play, **changes: Any) -> None:
    visit(app_of(site, **changes), "ledger", step)


# What a person types.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("59954321", Goto("sequence", "59954321", 59954321)),
        (" 59,954,321 ", Goto("sequence", "59954321", 59954321)),
        ("59 954 321", Goto("sequence", "59954321", 59954321)),
        ("4F1C", Goto("prefix", "4f1c")),
        ("hash 1234", Goto("prefix", "1234")),
        ("ab" * 32, Goto("hash", "ab" * 32)),
        ("tx " + "ab" * 32, Goto("transaction", "ab" * 32)),
        ("ab" * 32 + " in 2-33", Goto("transaction", "ab" * 32, 0, LedgerRange(2, 33))),
    ],
)
def test_what_is_typed_is_understood(text: str, expected: Goto) -> None:
    assert parse_goto(text) == expected


@pytest.mark.parametrize(
    "text", ["", "xyz", "abc", "4294967296", "tx abcd", "ab" * 33, "[/red]", "ab" * 32 + " in 9-2"]
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_goto(text)


def test_hex_lines() -> None:
    data = bytes(range(20)) + b"[/red]\x1b"
    found = hex_lines(data, 0, 16)
    assert found[0].startswith("000000  00010203 04050607 08090a0b 0c0d0e0f  ....")
    assert found[1].endswith("....[/red].")
    assert found[1].startswith("000010  ")


def test_a_hostile_value_is_a_literal_label() -> None:
    value = '"[/red] [@click=app.quit]\x1b[31m\u202e' + "x" * 5_000 + '"'
    text = label({"name": "[/b]", "value": value, "more": True, "type": "[/i]", "bytes": 7})
    assert "[/red] [@click=app.quit]\\x1b[31m\\u202e" in text.plain
    assert "[/b]" in text.plain
    assert "[/i]" in text.plain
    assert len(text.plain) < 500


def test_facts_group_stroops_and_cut_hashes_to_the_room() -> None:
    columns = {
        "ledger_hash": "ab" * 32,
        "previous_ledger_hash": "cd" * 32,
        "tx_set_hash": "ef" * 32,
        "close_time": "2025-11-22 18:04:11Z",
        "protocol_version": 23,
        "tx_count": 231,
        "operation_count": 702,
        "xdr_byte_length": 52_114,
        "total_coins": 1_054_439_020_873_472_865,
        "fee_pool": 67_912_204_113,
        "xdr_sha256": "12" * 32,
    }
    wide = ledger_facts.facts(columns, [("baseFee", "100")], 100).plain
    assert "1,054,439,020,873,472,865 stroops" in wide
    assert "67,912,204,113 stroops" in wide
    assert "ab" * 32 in wide
    assert "base fee 100" in wide
    narrow = ledger_facts.facts(columns, [], 40, compact=True).plain
    assert len(narrow.split("\n")[0]) <= 42
    assert "tx set" not in narrow


# Going about.


def test_it_opens_on_the_newest_ledger_with_all_checks(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        assert shown(pilot) == 65
        text = text_of(pilot.app)
        assert "50-65" in text
        assert "CHECKS  5 ok, 1 not tried" in text
        assert "previous_ledger_hash equals hash of 64" in text
        assert "LedgerCloseMeta" in text
        assert "500,018,068,120,000,000 stroops" in text
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "rows"

    see(reading, step)


def test_next_and_previous_cross_partition_borders(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        page(pilot).open_sequence(33)
        await calm(pilot)
        await press(pilot, "n")
        assert shown(pilot) == 34
        assert "34-49" in widget_text(pilot.app, "#place")
        await press(pilot, "N", "N")
        assert shown(pilot) == 32
        page(pilot).open_sequence(65)
        await calm(pilot)
        await press(pilot, "n")
        assert shown(pilot) == 65
        assert "the last ledger" in toasts(pilot.app)

    see(reading, step)


def test_the_list_is_walked_and_clicked(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "up", "up")
        assert shown(pilot) == 63
        await press(pilot, "home")
        assert shown(pilot) == 50
        await press(pilot, "end", "pageup")
        assert shown(pilot) == 50
        await pilot.click("#rows", offset=(5, 3))
        await calm(pilot)
        assert shown(pilot) == 53

    see(reading, step)


def test_go_to_a_number(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "slash")
        await type_in(pilot, "20")
        assert shown(pilot) == 20
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "rows"
        await press(pilot, "g")
        await type_in(pilot, "999")
        assert shown(pilot) == 20
        assert "4 partitions hold 2 to 65" in toasts(pilot.app)[-1]
        await press(pilot, "g", "escape")
        assert shown(pilot) == 20

    see(reading, step)


def test_go_to_a_hash_and_to_a_transaction(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        client = page(pilot)._inspector()
        row = await client.ask("ledger", chain_key=KEY, sequence=24)
        await press(pilot, "g")
        await type_in(pilot, row["columns"]["ledger_hash"][:10])
        assert shown(pilot) == 24
        names = (await client.ask("node", chain_key=KEY, sequence=24, path=[0]))["children"]
        results = [n["name"] for n in names].index("txProcessing")
        path = [0, results, 3, 0]
        found = (await client.ask("node", chain_key=KEY, sequence=24, path=path))["children"]
        hashes = [n["value"] for n in found if n["name"] == "transactionHash"]
        if not hashes:
            found = await client.ask("node", chain_key=KEY, sequence=24, path=[*path[:3], 1])
            hashes = [n["value"] for n in found["children"] if n["name"] == "transactionHash"]
        await press(pilot, "n", "g")
        await type_in(pilot, hashes[0])
        assert shown(pilot) == 24
        chosen = page(pilot).query_one(XdrTree).chosen
        assert chosen is not None
        assert chosen.info["type"] == "TransactionEnvelope"
        assert "its envelope hashes to it" in toasts(pilot.app)[-1]
        await press(pilot, "g")
        await type_in(pilot, "tx " + "ab" * 32 + " in 2-30")
        assert "no such transaction in ledgers 2-30" in toasts(pilot.app)[-1]
        await press(pilot, "g")
        await type_in(pilot, "ffffffffff")
        assert "no ledger hash begins with ffffffffff: 64 searched" in toasts(pilot.app)[-1]

    see(reading, step)


def test_a_search_shows_how_far_it_is_and_esc_stops_it(copied: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        here = page(pilot)
        child = here._inspector().pid
        assert child is not None
        await press(pilot, "g")
        page(pilot).query_one("#goto", AskLine).value = "ab" * 32
        os.kill(child, signal.SIGSTOP)
        try:
            await pilot.press("enter")
            await until(pilot, lambda: "esc stops" in widget_text(pilot.app, "#place"))
            here.post_message(LedgerPage.Progress({"done": 1, "of": 4, "where": "[/x] 7"}))
            await until(pilot, lambda: "25%  [/x] 7" in widget_text(pilot.app, "#place"))
            await pilot.press("escape")
            await until(pilot, lambda: "50-65" in widget_text(pilot.app, "#place"))
        finally:
            os.kill(child, signal.SIGCONT)
        await calm(pilot)
        assert shown(pilot) == 65

    see(copied, step)


def test_another_page_opens_a_ledger(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        app.go("plugins")
        await calm(pilot)
        app.open_ledger(19)
        await calm(pilot)
        assert shown(pilot) == 19

    see(reading, step)


def test_opened_before_it_has_read_anything(reading: Site) -> None:  # noqa: F811
    app = app_of(reading)

    async def step(pilot: Pilot[Any]) -> None:
        app.open_ledger(7)
        await calm(pilot)
        assert shown(pilot) == 7

    visit(app, "dashboard", step)


# Tree and bytes.


def test_nodes_load_when_opened_and_close_again(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        page(pilot).open_sequence(56)
        await calm(pilot)
        await press(pilot, "tab")
        tree = page(pilot).query_one(XdrTree)
        assert pilot.app.focused is tree
        await press(pilot, "home", "down", "down")
        node = tree.cursor_node
        assert node is not None
        assert node.data is not None
        assert node.data.info["name"] == "ledgerHeader"
        assert not node.data.loaded
        await press(pilot, "right")
        assert [str(c.label)[:6] for c in node.children[:2]] == ["hash  ", "header"]
        await press(pilot, "left")
        assert not node.is_expanded
        await press(pilot, "enter")
        assert node.is_expanded
        await press(pilot, "down", "left")
        assert tree.cursor_node is node

    see(reading, step)


def test_a_long_vector_comes_in_pages(reading: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("bronze_tui.tui.widgets.xdr_panel.PAGE", 3)

    async def step(pilot: Pilot[Any]) -> None:
        page(pilot).open_sequence(56)
        await calm(pilot)
        tree = page(pilot).query_one(XdrTree)
        top = tree.root.children[0]
        await press(pilot, "tab")
        tree.move_cursor(top.children[-1])
        assert "more, enter loads them" in str(top.children[-1].label)
        while "more, enter loads them" in str(top.children[-1].label):
            tree.move_cursor(top.children[-1])
            await press(pilot, "enter")
        names = [c.data.info["name"] for c in top.children if c.data is not None]
        assert names[:4] == ["ext", "ledgerHeader", "txSet", "txProcessing"]
        assert len(names) == len(set(names)) == 8

    see(reading, step)


def test_hex_shows_the_bytes_of_the_node_under_the_cursor(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "tab", "home", "down", "down", "right", "down", "x")
        text = widget_text(pilot.app, "#hex-panel")
        row = await page(pilot)._inspector().ask("ledger", chain_key=KEY, sequence=65)
        assert row["columns"]["ledger_hash"][:8] in text.split("000000")[1]
        assert "32 bytes" in text
        await press(pilot, "down")
        assert "header LedgerHeader" in widget_text(pilot.app, "#hex-panel")
        await press(pilot, "x")
        assert not page(pilot).query_one("#hex-panel").display

    see(reading, step)


def test_copies(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "tab", "home", "down", "down", "y")
        assert set(json.loads(pilot.app.clipboard)) >= {"hash", "header"}
        await press(pilot, "right", "down", "y")
        assert re.fullmatch("[0-9a-f]{64}", pilot.app.clipboard)
        wanted = pilot.app.clipboard
        await press(pilot, "Y")
        assert base64.b64decode(pilot.app.clipboard).hex() == wanted
        assert "copied: 32 bytes of XDR" in toasts(pilot.app)

    see(reading, step)


# Checks and damage.


def test_checks_run_again_and_compare_asks_the_source(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "c")
        assert "CHECKS  6 ok" in text_of(pilot.app)
        assert "the source has the same bytes" in text_of(pilot.app)
        await press(pilot, "v")
        assert "CHECKS  5 ok, 1 not tried" in text_of(pilot.app)

    see(reading, step)


def test_a_changed_row_is_shown_as_bad_at_every_size(own: Site) -> None:  # noqa: F811
    def change(rows: list[dict[str, Any]]) -> None:
        rows[-1]["tx_count"] = 99

    rewrite(own, 50, change)

    async def step(pilot: Pilot[Any]) -> None:
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await calm(pilot)
            text = text_of(pilot.app)
            assert "1 BAD" in text, size
            assert "[BAD] columns DIFFER" in text, size

    see(own, step)


def test_an_undecodable_ledger_shows_error_bytes_and_hash(own: Site) -> None:  # noqa: F811
    def change(rows: list[dict[str, Any]]) -> None:
        rows[-1]["xdr_bytes"] = b"[/red]\x1b" * 10

    rewrite(own, 50, change)

    async def step(pilot: Pilot[Any]) -> None:
        text = text_of(pilot.app)
        assert "XDR cannot be decoded" in text
        assert "refuses the XDR of ledger 65" in text
        assert "[/red].[/red]" in widget_text(pilot.app, "#hex-panel")
        assert "sha256" in widget_text(pilot.app, "#hex-panel")
        await press(pilot, "y", "Y")
        assert base64.b64decode(pilot.app.clipboard) == b"[/red]\x1b" * 10
        await press(pilot, "N")
        assert shown(pilot) == 64
        assert "LedgerCloseMeta v2" in text_of(pilot.app)

    see(own, step)


def test_a_missing_file_is_told_and_the_rest_stays_usable(own: Site) -> None:  # noqa: F811
    own.parquet()[0].unlink()

    async def step(pilot: Pilot[Any]) -> None:
        page(pilot).open_sequence(5)
        await calm(pilot)
        assert any("committed partition is missing" in text for text in toasts(pilot.app))
        page(pilot).open_sequence(30)
        await calm(pilot)
        assert shown(pilot) == 30
        assert "CHECKS  5 ok" in text_of(pilot.app)

    see(own, step)


def test_hostile_text_in_columns_is_literal(own: Site) -> None:  # noqa: F811
    evil = "[/red][@click=app.quit]\x1b[31m\u202e" + "x" * 5_000

    def change(rows: list[dict[str, Any]]) -> None:
        rows[-1]["ledger_hash"] = evil

    rewrite(own, 50, change)

    async def step(pilot: Pilot[Any]) -> None:
        text = text_of(pilot.app)
        assert "[/red][@click=app.quit]\\x1b[31m\\u202e" in text
        assert "\x1b" not in text
        assert "header hash recomputed IS NOT ledger_hash" in text

    see(own, step)


def test_a_killed_reader_is_told_and_starts_again(copied: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        client = page(pilot)._inspector()
        child = client.pid
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        await pilot.press("N")
        await until(pilot, lambda: bool(client._waiting))
        os.kill(child, signal.SIGKILL)
        await calm(pilot)
        assert any("ended by SIGKILL" in text for text in toasts(pilot.app))
        await press(pilot, "r")
        assert shown(pilot) == 65
        assert client.pid not in (None, child)

    see(copied, step)


def test_its_process_ends_with_the_app(copied: Site) -> None:  # noqa: F811
    children: list[int | None] = []

    async def step(pilot: Pilot[Any]) -> None:
        children.append(page(pilot)._inspector().pid)

    see(copied, step)
    assert children[0] is not None
    assert not Path(f"/proc/{children[0]}").exists()


# Several datasets, and none.


def test_the_next_dataset_of_the_folder(own: Site) -> None:  # noqa: F811
    other = own.data / "bronze/testnet/other/v2"
    shutil.copytree(own.dataset, other)
    (other / "_commits/50-65.json").unlink()

    async def step(pilot: Pilot[Any]) -> None:
        await press(pilot, "d")
        assert "testnet/other/v2" in widget_text(pilot.app, "#place")
        assert shown(pilot) == 49
        await press(pilot, "d")
        assert shown(pilot) == 65

    see(own, step)


def test_without_a_folder_it_says_why_and_every_key_is_harmless(
    reading: Site,  # noqa: F811
) -> None:
    async def step(pilot: Pilot[Any]) -> None:
        assert "The store is s3://lake/bronze" in text_of(pilot.app)
        for key in ["g", "n", "N", "x", "v", "c", "y", "Y", "d", "r"]:
            await pilot.press(key)
        await calm(pilot)
        assert "The store is s3://lake/bronze" in text_of(pilot.app)

    see(reading, step, data_root=None, no_data=remote("s3://lake/bronze"))


def test_nothing_committed_yet_then_something(copied: Site, tmp_path: Path) -> None:  # noqa: F811
    empty = Site(tmp_path, copied.lake)
    empty.data.mkdir()

    async def step(pilot: Pilot[Any]) -> None:
        assert "No committed ledgers yet" in text_of(pilot.app)
        shutil.copytree(copied.data / "bronze", empty.data / "bronze")
        await press(pilot, "r")
        assert shown(pilot) == 65

    see(empty, step)


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    for binding in [*LedgerPage.BINDINGS, *XdrTree.BINDINGS]:
        assert binding.id  # type: ignore[union-attr]
        assert binding.tooltip  # type: ignore[union-attr]


def test_sizes_change_without_harm(reading: Site) -> None:  # noqa: F811
    async def step(pilot: Pilot[Any]) -> None:
        before = text_of(pilot.app)
        for size in [(80, 24), (60, 20), (40, 10), (100, 30), (200, 60), (120, 40)]:
            await pilot.resize_terminal(*size)
            await calm(pilot)
        assert text_of(pilot.app) == before

    see(reading, step)


@pytest.mark.parametrize("size", SIZES)
def test_snapshot(reading: Site, size: tuple[int, int], snap_compare: Any) -> None:  # noqa: F811
    app = app_of(reading)

    async def before(pilot: Pilot[Any]) -> None:
        app.go("ledger")
        await calm(pilot)
        page(pilot).open_sequence(56)
        await calm(pilot)
        await press(pilot, "c")
        await until(pilot, lambda: "6 ok" in text_of(app))
        await press(pilot, "tab", "down", "down", "right")
        tree = page(pilot).query_one(XdrTree)
        await until(pilot, lambda: tree.cursor_node is not None and tree.cursor_node.is_expanded)
        await calm(pilot)

    assert snap_compare(app, terminal_size=size, run_before=before)
