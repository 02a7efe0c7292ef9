"""What is kept from one start to the next, and that nothing bad comes of a bad file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import journals
import pytest
from partitions_page import filter_by, table_of
from piloting import run, settle, text_of, until

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.keeping import FILE, MOST, Keeper, own_folder, user_state
from bronze_tui.tui.session import Session
from bronze_tui.tui.theme import DARK, LIGHT

Canned = Callable[..., BronzeApp]


def test_theme_page_order_and_filter_come_back(canned: Canned) -> None:
    async def leave() -> None:
        app = canned(journals.halted(), kind="attach")
        async with app.run_test(size=(120, 40)) as pilot:
            app.theme = LIGHT
            await pilot.press("2")
            await until(pilot, lambda: bool(app.screen.query("#partitions")))
            await pilot.press("S")
            await filter_by(pilot, "state:failed")
            await pilot.press("enter")

    async def come_back() -> None:
        app = canned(journals.halted(), kind="attach")
        async with app.run_test(size=(120, 40)) as pilot:
            assert app.theme == LIGHT
            await until(pilot, lambda: app.current_mode == "partitions")
            await until(pilot, lambda: len(table_of(app).keys) == 1)
            await settle_attached(pilot, app)
            assert "state:failed" in text_of(app), "a filter stands in sight"
            assert "state ↓" in text_of(app)

    async def elsewhere() -> None:
        app = canned(journals.halted(), kind="replay")
        async with app.run_test(size=(120, 40)) as pilot:
            await settle(pilot)
            assert app.theme == LIGHT
            assert app.current_mode == "dashboard", "a recording opens at its verdict"

    run(leave())
    run(come_back())
    run(elsewhere())


async def settle_attached(pilot: Any, app: BronzeApp) -> None:
    app.tick()
    await pilot.pause()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"theme": 5, "datasets": []}', b"[" * 100_000,
     b'{"theme": "nobody\'s", "datasets": {"x": 1}}'],
)  # fmt: skip
def test_a_bad_file_is_no_harm(canned: Canned, content: bytes) -> None:
    path = user_state() / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    app = canned(journals.done(), kind="attach")

    async def go() -> None:
        async with app.run_test() as pilot:
            await pilot.pause()
            assert app.theme == DARK
            app.theme = LIGHT
            await pilot.pause()

    run(go())
    assert json.loads(path.read_bytes())["theme"] == LIGHT


def test_values_of_other_types_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / FILE
    entry = {"page": 7, "sort": None, "descending": "yes", "filter": "x" * 5_000}
    path.write_text(json.dumps({"datasets": {"d": entry}}))
    kept = Keeper(path, "d").kept
    assert (kept.page, kept.sort, kept.descending, kept.filter) == ("", "", True, "")


def test_two_apps_keep_each_others_entries_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "new" / FILE
    one, two = Keeper(path, "one"), Keeper(path, "two")
    one.kept.page, two.kept.page = "logs", "audit"
    one.save("bronze-light")
    two.save()
    assert (Keeper(path, "one").kept.page, Keeper(path, "two").kept.page) == ("logs", "audit")
    assert Keeper(path, "one").theme == "bronze-light"
    for number in range(MOST):
        Keeper(path, f"d{number}").save()
    assert len(json.loads(path.read_bytes())["datasets"]) == MOST
    assert Keeper(path, "one").kept.page == ""


def test_a_folder_that_cannot_be_written_costs_the_memory_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "below" / FILE, None):
        keeper = Keeper(path, "d")
        keeper.kept.page = "logs"
        keeper.save("x")
        assert keeper.kept.page == "logs"
        assert Keeper(path, "d").kept.page == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_where_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir()
    assert own_folder(Session("attach", state_dir=state)) == state
    looked = own_folder(Session("inspect", data_root=tmp_path / "data"))
    assert looked.parent == user_state() / "inspected"
    assert looked != own_folder(Session("inspect", data_root=tmp_path / "other"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert user_state() == Path.home() / ".local" / "state" / "bronze"


def test_without_a_state_folder_nothing_lands_where_one_stands(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    session = Session("inspect", data_root=data, first_page="partitions")
    app = BronzeApp(session, clock=lambda: 1_767_225_600.0)

    async def go() -> None:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: len(table_of(app).keys) == 5)
            await pilot.press("e", "f12")
            await until(pilot, lambda: len(list(own_folder(session).iterdir())) == 3)

    run(go())
    assert list(here.iterdir()) == []
    names = sorted(path.name for path in own_folder(session).glob("partitions-*"))
    assert names == ["partitions-20260101T000000Z.csv", "partitions-20260101T000000Z.json"]
