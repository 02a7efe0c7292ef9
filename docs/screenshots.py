"""Pictures of every page of the real app over a real copy: ``make screenshots``.

Makes a chain-consistent lake, starts the engine on it, opens the app headless on its journal and
photographs each page: the dashboard and the partitions while it copies, the others when it is done.
Needs the ``dev`` extra (resvg) and, for the same letters everywhere, the DejaVu Sans Mono font.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from bronze_tui.journal.run_figures import fraction
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session

HERE = Path(__file__).parent
FONT = "DejaVu Sans Mono"
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts")
PIXELS_A_COLUMN = 11
COLOURS = 200
LEDGERS = 12_000
TAKE_AT = 0.62
"""The fraction of the run at which it is photographed."""
WAIT = 180.0
"""Seconds after which a picture that does not come is an error."""

_Pages = Callable[["Studio"], Awaitable[None]]


class Studio:
    """One app under the camera; pictures go to ``folder`` as PNG."""

    def __init__(self, pilot: Pilot[Any], folder: Path) -> None:
        self.pilot = pilot
        self.folder = folder

    @property
    def app(self) -> BronzeApp:
        """The app."""
        app = self.pilot.app
        assert isinstance(app, BronzeApp)
        return app

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait on a condition.

        Raises:
            TimeoutError: it did not come.
        """
        end = time.monotonic() + WAIT
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {WAIT:.0f} s for {what}")
            await asyncio.sleep(0.02)
        await self.pilot.pause()

    async def calm(self) -> None:
        """Wait until no worker works and what they brought is drawn."""
        for _ in range(3):
            await self.app.workers.wait_for_complete()
            await self.pilot.pause(0.1)
        self.app.tick()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys, the work of each done before the next."""
        for key in keys:
            await self.pilot.press(key)
            await self.calm()

    async def take(self, name: str) -> None:
        """Save one picture."""
        self.app.clear_notifications()
        await self.pilot.pause()
        svg = self.app.export_screenshot(title="bronze")
        path = self.folder / f"{name}.png"
        path.write_bytes(picture(svg, self.app.size.width * PIXELS_A_COLUMN))
        print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def picture(svg: str, width: int) -> bytes:
    """PNG of a screen's SVG, ``width`` pixels wide.

    The SVG names a font by a web address; offline it would fall back to letters of unequal width.
    """
    import resvg_py

    plain = re.sub(r"@font-face\s*\{[^}]*\}", "", svg).replace("Fira Code", FONT)
    folders = [folder for folder in FONT_FOLDERS if Path(folder).is_dir()]
    made = resvg_py.svg_to_bytes(
        svg_string=plain, width=width, font_dirs=folders, monospace_family=FONT
    )
    return small(bytes(made))


def small(png: bytes) -> bytes:
    """The same picture with a palette: a screen has few colours."""
    from io import BytesIO

    from PIL import Image

    made = BytesIO()
    with Image.open(BytesIO(png)) as image:
        flat = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        flat.save(made, "PNG", optimize=True)
    return made.getvalue()


async def copying(studio: Studio) -> None:
    """The dashboard and the partitions in the middle of the run."""
    view = studio.app.view
    await studio.until(lambda: (fraction(view) or 0.0) >= TAKE_AT, "the middle of the run")
    studio.app.tick()
    await studio.take("dashboard")
    studio.app.go("partitions")
    await studio.pilot.pause(0.3)
    studio.app.tick()
    await studio.take("partitions")
    await studio.until(lambda: view.finished is not None, "the end of the run")


async def done(studio: Studio) -> None:
    """The other pages, when everything is committed."""
    studio.app.go("dashboard")
    await studio.calm()
    await studio.take("dashboard-done")
    studio.app.go("ledger")
    await studio.calm()
    await studio.take("ledger")
    studio.app.go("audit")
    await studio.calm()
    await studio.press("F")
    await studio.take("audit")
    for page in ("plugins", "logs", "config"):
        studio.app.go(page)
        await studio.calm()
        await studio.take(page)
    studio.app.open_sql(QUERY)
    await studio.calm()
    await studio.press("f5")
    await studio.take("sql")


QUERY = """\
select range_start, count(*) as ledgers, sum(tx_count) as transactions,
       sum(operation_count) as operations, max(xdr_byte_length) as largest_xdr
from   ledgers_lcm_raw
group  by 1
order  by 1"""


async def shoot(session: Session, size: tuple[int, int], folder: Path, *parts: _Pages) -> None:
    """Run the app of a session headless and let each part take its pictures."""
    app = BronzeApp(session)
    async with app.run_test(size=size, notifications=True) as pilot:
        studio = Studio(pilot, folder)
        for part in parts:
            await part(studio)


async def start_screen(studio: Studio) -> None:
    """What ``bronze`` shows without a configuration."""
    await studio.until(lambda: bool(studio.app.screen.query("#ways")), "the start screen")
    await studio.take("start")


def copy(folder: Path, ledgers: int) -> Session:
    """Make the lake, start the engine; a session on it."""
    from bronze_tui.commands._context import load_config
    from bronze_tui.commands.demo import _prepare
    from bronze_tui.commands.run import config_arguments
    from bronze_tui.tui.launch import session_of

    config = _prepare(folder, ledgers, quiet=True)
    loaded = load_config(config, ())
    loaded.settings.state_dir().mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bronze_tui.cli", "engine", *config_arguments(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    return replace(session_of(loaded, "run", control=True), child=child)


def main(argv: Sequence[str] | None = None) -> None:
    """Take all pictures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--out", type=Path, default=HERE / "screenshots")
    asked.add_argument("--size", default="120x40", help="columns x rows")
    asked.add_argument("--ledgers", type=int, default=LEDGERS)
    given = asked.parse_args(argv)
    columns, rows = (int(number) for number in given.size.split("x"))
    out = given.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    os.environ.pop("NO_COLOR", None)
    # A folder of the same name each time: the pages show paths.
    scratch = Path(tempfile.gettempdir()) / "bronze-screenshots"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    os.chdir(scratch)
    try:
        asyncio.run(shoot(Session(kind="start"), (columns, rows), out, start_screen))
        session = copy(Path("demo"), given.ledgers)
        try:
            asyncio.run(shoot(session, (columns, rows), out, copying, done))
        finally:
            if session.child is not None and session.child.poll() is None:
                session.child.terminate()
                session.child.wait()
    finally:
        os.chdir(HERE)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
