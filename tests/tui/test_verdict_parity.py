"""One verdict and one set of figures: screens and `--no-tui` say the same of the same journal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import journals
import pytest
from piloting import play, settle, widget_text
from rich.console import Console
from textual.pilot import Pilot

from bronze_tui.headless.progress import ProgressSink
from bronze_tui.headless.text import TextSink
from bronze_tui.journal import run_figures
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.widgets.figures import count

Canned = Callable[..., BronzeApp]
RUNS = ("running", "retrying", "stalled", "halted", "done", "at_tip", "paused", "holes")


def without_screens(records: list[dict[str, Any]]) -> tuple[str, str]:
    """Log lines, and the live display's last frame with the closing block."""
    lines, shown = io.StringIO(), Console(file=io.StringIO(), width=400, height=60)
    for sink in (TextSink(lines), ProgressSink(shown)):
        for record in records:
            sink.show(record)
        sink.finish(0)
    assert isinstance(shown.file, io.StringIO)
    return lines.getvalue(), shown.file.getvalue()


@pytest.mark.parametrize("name", RUNS)
def test_the_verdict_line_is_the_same(canned: Canned, name: str) -> None:
    records = getattr(journals, name)()
    lines, shown = without_screens(records)

    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        verdict = app.verdict(app.now())
        assert f"{verdict.word}  {verdict.evidence}; next: {verdict.next_step}" in shown
        words = [line for line in lines.splitlines() if 'msg="verdict ' in line]
        assert f'msg="verdict {verdict.word}"' in words[-1]
        panel = widget_text(app, "#verdict")
        assert verdict.evidence[:100] in panel
        assert verdict.next_step in panel
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert verdict.word in widget_text(app, "#verdict")

    play(canned(records), look, (200, 60))


@pytest.mark.parametrize("name", ["running", "paused", "holes"])
def test_how_far_a_run_is_is_the_same(canned: Canned, name: str) -> None:
    records = getattr(journals, name)()
    _, shown = without_screens(records)

    async def look(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, BronzeApp)
        fraction = run_figures.fraction(app.view)
        assert fraction is not None
        assert f"{fraction:.1%}" in shown
        done = count(run_figures.partitions_done(app.view))
        assert f"partitions {done} of" in widget_text(app, "#progress")
        assert f"{done.replace(',', chr(0xA0))}/" in shown
        held = [p for p in run_figures.in_flight(app.view) if p.state == "held"]
        assert shown.count("to commit") == len(held)

    play(canned(records), look)
