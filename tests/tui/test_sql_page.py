"""Page 4: every key, every state, hostile text, and how it looks."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from copying import Site, digests
from piloting import run, text_of, until, widget_text
from queried import make_site
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.screens.sql import SqlPage
from bronze_tui.tui.session import Session
from bronze_tui.tui.widgets import result_pane
from bronze_tui.tui.widgets.sql_editor import Completions, SqlEditor
from bronze_tui.tui.widgets.sql_tree import SchemaTree

ENDLESS = "select count(*) from range(9999999) a, range(9999999) b, range(9999999) c"
Step = Callable[[Pilot[Any], SqlPage], Awaitable[None]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def make_app(site: Site, state: Path | None) -> BronzeApp:
    session = Session(
        "inspect",
        data_root=site.data,
        prefix="bronze/",
        pas_dir=site.pas,
        state_dir=state,
        first_page="sql",
    )
    return BronzeApp(session, clock=lambda: 1_767_225_600.0)


def page_of(app: Any) -> SqlPage:
    page = app.screen
    assert isinstance(page, SqlPage)
    return page


def play(app: BronzeApp, step: Step, size: tuple[int, int] = (120, 40)) -> None:
    """Run the app headless on the SQL page, then ``step``."""

    async def go() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            await connected(pilot)
            await step(pilot, page_of(app))

    run(go())


async def connected(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, SqlPage))
    await pilot.pause()
    await idle(pilot)
    page = page_of(pilot.app)
    await until(pilot, lambda: page.process is None or "connecting" not in text_of(pilot.app))
    await idle(pilot)


async def idle(pilot: Pilot[Any]) -> None:
    """Wait until nothing runs and the page is drawn."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    for _ in range(3):
        await pilot.pause()


async def ask(pilot: Pilot[Any], text: str, key: str = "f5") -> SqlPage:
    page = page_of(pilot.app)
    page.open_query(text)
    await pilot.press(key)
    await idle(pilot)
    return page


def table_of(page: SqlPage) -> Any:
    return page.query_one(".result")


def said(page: SqlPage) -> str:
    assert page.query_one("#said-box").display
    return str(page.query_one("#said", Static).content)


def test_the_page_shows_tables_saved_queries_and_what_to_do(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        tree = page.query_one(SchemaTree)
        groups = [str(node.label) for node in tree.root.children]
        assert groups == ["tables", "saved queries"]
        tables = [str(node.label) for node in tree.root.children[0].children]
        assert tables == ["ledgers_lcm_raw", "commits", "manifests", "coverage", "audit_events"]
        assert "F5 runs the statement" in said(page)
        assert "4 committed files" in text_of(pilot.app)
        assert page.query_one(SqlEditor).has_focus

    play(make_app(site, tmp_path), step)


def test_f5_runs_only_the_statement_under_the_cursor(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, "selec broken;\nselect ledger_start, row_count from commits order by 1")
        table = table_of(page)
        assert [table.get_row_at(n) for n in range(4)] == [[2, 4], [6, 4], [10, 4], [14, 4]]
        assert page.query_one(SqlEditor).has_focus
        assert "4 rows in" in text_of(pilot.app)
        await ask(pilot, "select 7 as n", "ctrl+r")
        assert table_of(page).get_row_at(0) == [7]

    play(make_app(site, tmp_path), step)


def test_f6_shows_the_plan(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, "select count(*) from ledgers_lcm_raw", "f6")
        assert "PYTHON_ARROW_SCAN" in said(page)
        assert "plan in" in text_of(pilot.app)

    play(make_app(site, tmp_path), step)


def test_escape_cancels_and_other_pages_open_during_a_query(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bronze_tui.query.client.OBEY_SECONDS", 60.0)

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        page.open_query(ENDLESS)
        await pilot.press("f5")
        await until(pilot, lambda: "running" in str(page.query_one("#rows").border_subtitle))
        assert page.process is not None
        pid = page.process.pid
        await pilot.press("escape")
        await until(pilot, lambda: said(page) == "Cancelled.")
        assert page.process.pid == pid, "it obeyed"
        await idle(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: page.process is not None and page.process.running)
        await pilot.press("f5")
        await pilot.press("escape")
        await idle(pilot)
        assert page.query_one(SqlEditor).has_focus
        await pilot.press("f5")
        await until(pilot, lambda: page.process is not None and page.process.running)
        page.set_focus(None)
        # Nor does a tick give the keys back to the editor.
        pilot.app.tick()  # type: ignore[attr-defined]
        pilot.app.tick()  # type: ignore[attr-defined]
        assert page.focused is None
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "dashboard")

    app = make_app(site, tmp_path)
    begin = time.monotonic()
    play(app, step)
    assert time.monotonic() - begin < 90, "it does not wait for the query"


def test_a_child_that_dies_is_a_sentence_and_the_next_query_works(
    site: Site, tmp_path: Path
) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        page.open_query(ENDLESS)
        await pilot.press("f5")
        await until(pilot, lambda: page.process is not None and page.process.running)
        assert page.process is not None
        assert page.process.pid is not None
        os.kill(page.process.pid, signal.SIGKILL)
        await idle(pilot)
        assert "The console ended" in said(page)
        await ask(pilot, "select 1 as a")
        assert table_of(page).row_count == 1

    play(make_app(site, tmp_path), step)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec 1", "Not run: syntax error"),
        ("copy commits to 'x'", "COPY is refused"),
        ("attach 'x.db'", "ATTACH is refused"),
        ("install httpfs", "INSTALL is refused"),
        ("set threads = 1", "SET is refused"),
        ("from read_text('/etc/passwd')", "no files"),
        ("select * from commits where false", "No rows."),
        (" -- nothing", "no statement"),
    ],
)
def test_states_are_sentences(site: Site, tmp_path: Path, sql: str, words: str) -> None:
    before = digests(site.data)

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, sql)
        assert words in said(page)
        assert page.query_one(SqlEditor).has_focus

    play(make_app(site, tmp_path), step)
    assert digests(site.data) == before


def test_hostile_text_is_literal_everywhere(site: Site, tmp_path: Path) -> None:
    hostile = "[/foo] [red]x[/red] [@click=app.quit]y[/]"
    quoted = hostile.replace('"', '""')
    query = (
        f"select '{hostile}' || chr(27) || '[31m' || chr(8238) as \"{quoted}\","
        f" repeat('A', 5000) as long, '{hostile}'::blob as bytes"
    )

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, query)
        await pilot.press("escape", "right", "left")
        await idle(pilot)
        shown = text_of(pilot.app)
        assert "[/foo] [red]x[/red]" in widget_text(pilot.app, "#rows")
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert table_of(page).text_at_cursor().endswith("\\x1b[31m\\u202e")
        await ask(pilot, f'select * from "{quoted}"')
        assert "[red]x[/red]" in said(page)
        await pilot.press("f4")
        await until(pilot, lambda: pilot.app.screen is not page)
        await pilot.pause()
        assert "[/foo] [red]x[/red]" in text_of(pilot.app)
        await pilot.press("escape")

    play(make_app(site, tmp_path), step)


def test_ten_thousand_rows_at_most_are_shown(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, "from range(20000)")
        assert table_of(page).row_count == 10_000
        assert "10,000 of more rows" in text_of(pilot.app)

    play(make_app(site, tmp_path), step)


def test_a_million_rows_are_quick_to_show_and_to_walk(site: Site, tmp_path: Path) -> None:
    from bronze_tui.tui.widgets.results import ResultTable, measure

    count = 1_000_000
    data = pa.table(
        {"n": pa.array(range(count)), "text": pa.array([f"row {n}" for n in range(count)])}
    )
    begin = time.process_time()
    widths = measure(data)
    assert widths == [7, 10]

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        table = ResultTable(data, widths, roomy=True)
        await page.query_one("#rows").mount(table)
        table.focus()
        await pilot.pause()
        await pilot.press("pagedown", "pagedown", "ctrl+end")
        await idle(pilot)
        assert table.text_at_cursor() == "row 999999"

    play(make_app(site, tmp_path), step)
    assert time.process_time() - begin < 10


def test_history_f4_gives_a_query_back_and_lasts(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        for text in ("select 1 as a", "select 2 as a", "select 1 as a"):
            await ask(pilot, text)
        await pilot.press("f4")
        await until(pilot, lambda: bool(pilot.app.screen.query(OptionList)))
        assert "2 queries" in text_of(pilot.app)
        await pilot.press("down", "enter")
        await idle(pilot)
        assert page.query_one(SqlEditor).text == "select 2 as a"
        await pilot.press("escape", "h")
        await until(pilot, lambda: pilot.app.screen is not page)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is page)

    play(make_app(site, tmp_path), step)

    async def again(pilot: Pilot[Any], page: SqlPage) -> None:
        await pilot.press("f4")
        await until(pilot, lambda: pilot.app.screen is not page)
        assert "2 queries" in text_of(pilot.app)

    play(make_app(site, tmp_path), again)


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_export_writes_all_rows_and_whole_cells(site: Site, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await pilot.press("f7")
        await idle(pilot)
        assert "run a query first" in text_of(pilot.app)
        await ask(pilot, "select range, 'ab'::blob as b from range(12000)")
        await pilot.press("escape", "e")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        box = pilot.app.screen.query_one(Input)
        assert box.value.endswith("query-20260101-000000.csv")
        box.value = str(path.with_suffix(".xlsx"))
        await pilot.press("enter")
        await until(pilot, lambda: "unknown kind of file" in text_of(pilot.app))
        box.value = str(path)
        await pilot.press("enter")
        await until(pilot, path.exists)
        await idle(pilot)
        assert "12,000 rows written" in text_of(pilot.app)

    play(make_app(site, tmp_path), step)
    if kind == "parquet":
        assert pq.read_table(path).column("b")[11_999].as_py() == b"ab"
    elif kind == "csv":
        with path.open(newline="") as stream:
            assert sum(row["b"] == "6162" for row in csv.DictReader(stream)) == 12_000


def test_export_does_not_write_among_the_data(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, "select 1 as a")
        await pilot.press("f7")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        pilot.app.screen.query_one(Input).value = str(site.data / "x.csv")
        await pilot.press("enter")
        await idle(pilot)
        assert "lies inside the data" in said(page)
        await pilot.press("f7")
        await until(pilot, lambda: bool(pilot.app.screen.query(Input)))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is page)

    play(make_app(site, tmp_path), step)
    assert not (site.data / "x.csv").exists()


def test_y_copies_the_cell(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        await ask(pilot, "select 1234567 as n, '[red]' as t")
        assert "1,234,567" in widget_text(pilot.app, "#rows")
        await pilot.press("escape", "y")
        assert pilot.app.clipboard == "1234567"
        await pilot.press("right", "y")
        assert pilot.app.clipboard == "[red]"
        await idle(pilot)
        assert "RESULT  t: [red]" in widget_text(pilot.app, "#rows")

    play(make_app(site, tmp_path), step)


def test_completion_by_tab_and_by_its_key(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        editor, offered = page.query_one(SqlEditor), page.query_one(Completions)
        page.open_query("select * from ledg")
        await pilot.press("tab")
        await pilot.pause()
        assert offered.display
        assert "ledgers_lcm_raw  table" in text_of(pilot.app)
        while offered.chosen != "ledgers_lcm_raw":
            await pilot.press("down")
        await pilot.press("enter")
        assert editor.text == "select * from ledgers_lcm_raw"
        assert not offered.display
        page.open_query("sel")
        await pilot.press("ctrl+@", "escape")
        assert not offered.display
        await pilot.press("tab", "tab")
        assert editor.text == "select"
        page.open_query("select zzz")
        await pilot.press("tab")
        assert not offered.display
        assert not editor.has_focus

    play(make_app(site, tmp_path), step)


def test_the_tree_inserts_columns_and_runs_saved_queries(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        tree = page.query_one(SchemaTree)
        page.open_query("select ")
        await pilot.press("f2")
        assert tree.has_focus
        tree.move_cursor(tree.root.children[0].children[0].children[0])
        await pilot.press("enter")
        await pilot.pause()
        assert page.query_one(SqlEditor).text == "select ledger_sequence"
        tree.move_cursor(tree.root.children[1].children[0])
        await pilot.press("enter")
        await idle(pilot)
        assert "from   coverage" in page.query_one(SqlEditor).text
        assert table_of(page).row_count == 1
        assert tree.has_focus
        await pilot.press("f3")
        assert page.query_one(SqlEditor).has_focus

    play(make_app(site, tmp_path), step)


def test_r_sees_what_was_committed_since(site: Site, tmp_path: Path) -> None:
    record = site.dataset / "_commits" / "14-17.json"
    kept = record.read_bytes()
    record.unlink()

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        assert "3 committed files" in text_of(pilot.app)
        record.write_bytes(kept)
        await pilot.press("escape", "r")
        await idle(pilot)
        pilot.app.tick()  # type: ignore[attr-defined]
        await pilot.pause()
        assert "4 committed files" in text_of(pilot.app)

    try:
        play(make_app(site, tmp_path), step)
    finally:
        if not record.exists():
            record.write_bytes(kept)


def test_a_session_without_a_dataset_says_what_to_do() -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        assert "No local dataset" in said(page)
        await pilot.press("f5")
        await idle(pilot)
        assert "bronze sql --data" in said(page)

    app = BronzeApp(Session("inspect", first_page="sql"), clock=lambda: 0.0)
    play(app, step)


def test_where_it_is_narrow_the_tables_are_a_second_step(site: Site, tmp_path: Path) -> None:
    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        left = page.query_one("#left")
        assert not left.display
        await pilot.press("f2")
        await pilot.pause()
        assert left.display
        assert page.query_one(SchemaTree).has_focus
        await pilot.press("escape")
        await pilot.pause()
        assert not left.display
        assert page.query_one(SqlEditor).has_focus
        for size in ((200, 60), (60, 20), (40, 10), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()

    play(make_app(site, tmp_path), step, (80, 24))


def test_another_page_may_bring_a_query(site: Site, tmp_path: Path) -> None:
    async def go() -> None:
        app = make_app(site, tmp_path)
        async with app.run_test(size=(120, 40)) as pilot:
            await connected(pilot)
            app.go("dashboard")
            await pilot.pause()
            app.open_sql("select 42 as n")
            await until(pilot, lambda: isinstance(app.screen, SqlPage))
            await pilot.pause()
            assert page_of(app).query_one(SqlEditor).text == "select 42 as n"

    asyncio.run(go())


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("state", ["start", "rows", "error", "completing"])
def test_how_it_looks(
    site: Site,
    snap_compare: Any,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    state: str,
) -> None:
    monkeypatch.setattr(result_pane, "took", lambda seconds: "0.41 s")
    monkeypatch.setattr(SqlEditor, "_toggle_cursor_blink_visible", lambda self: None)
    monkeypatch.setattr(SqlPage, "_walls", lambda self: ": no writing, no network")

    async def ready(pilot: Pilot[Any]) -> None:
        await connected(pilot)
        page = page_of(pilot.app)
        if state == "rows":
            await ask(
                pilot,
                "-- one line for each ledger\n"
                "select ledger_sequence, close_time, tx_count, total_coins,\n"
                "       case when tx_count > 1 then 'busy [red]' end as kind, xdr_bytes\n"
                "from   ledgers_lcm_raw\norder  by 1",
            )
            await pilot.press("escape")
        elif state == "error":
            await ask(pilot, "select tx_cuont\nfrom   ledgers_lcm_raw")
        elif state == "completing":
            page.open_query("select ledger")
            await pilot.press("tab")
        await idle(pilot)

    assert snap_compare(make_app(site, None), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("gap", [0.0, 0.02, 0.3])
def test_pages_are_one_number_away_however_fast_one_is(
    site: Site, tmp_path: Path, gap: float
) -> None:
    """The page opens in steps: whichever of them a number meets, it names a page."""
    app = make_app(site, tmp_path)
    app.session = replace(app.session, first_page="dashboard")
    went: list[str] = []
    real = app.go

    def go_to(page: str) -> None:
        went.append(page)
        real(page)

    app.go = go_to  # type: ignore[method-assign]

    async def go() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.current_mode == "dashboard")
            for key in "4564":
                app.post_message(events.Key(key, key))
                await asyncio.sleep(gap)
            await until(pilot, lambda: went[-4:] == ["sql", "audit", "plugins", "sql"])
            await connected(pilot)
            assert not app.screen.query_one(SqlEditor).text.endswith(("4", "5", "6"))

    run(go())


def test_numbers_are_the_editors_once_somebody_types(site: Site, tmp_path: Path) -> None:
    app = make_app(site, tmp_path)

    async def step(pilot: Pilot[Any], page: SqlPage) -> None:
        editor = page.query_one(SqlEditor)
        assert pilot.app.focused is editor
        await pilot.press("space", "5")
        assert editor.text.endswith(" 5")
        await pilot.press("escape", "5")
        await until(pilot, lambda: app.current_mode == "audit")
        await pilot.press("4", "6")
        await until(pilot, lambda: app.current_mode == "plugins")
        assert editor.text.endswith(" 5"), "coming back nobody types yet"

    play(app, step)
