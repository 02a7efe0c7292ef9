"""An app on a copied dataset, for the pages that look into it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from copying import Site
from inspecting import clone, copy_dataset, loaded_of, setup_of
from piloting import Step
from textual.pilot import Pilot
from textual.widgets import Input

from bronze_tui.inspect.client import InspectClient
from bronze_tui.tui.app import BronzeApp
from bronze_tui.tui.session import Session

NOW = 1_795_411_800.0


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Ledgers 2 to 65, four partitions of 16."""
    return copy_dataset(tmp_path_factory.mktemp("copied"))


@pytest.fixture
def own(copied: Site, tmp_path: Path) -> Site:
    """A copy that may be damaged."""
    return clone(copied, tmp_path)


class KeptClient(InspectClient):
    """Outlives the page it is made for: a reading process takes a second to start."""

    def close(self) -> None:
        """Stay."""

    def end(self) -> None:
        """Really close."""
        super().close()


@pytest.fixture(scope="module")
def kept(copied: Site) -> Iterator[KeptClient]:
    """One reading process for all tests of a module that only read the copied dataset."""
    client = KeptClient(setup_of(copied))
    yield client
    client.end()


@pytest.fixture
def reading(kept: KeptClient, copied: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The copied dataset, read through the process that is kept."""
    monkeypatch.setattr("bronze_tui.tui.screens.ledger.InspectClient", lambda setup: kept)
    monkeypatch.setattr("bronze_tui.tui.screens.config.InspectClient", lambda setup: kept)
    return copied


def app_of(site: Site | None, **changes: Any) -> BronzeApp:
    """An app that looks at a site; without one it looks at nothing."""
    values: dict[str, Any] = {"kind": "inspect"}
    if site is not None:
        values |= {"loaded": loaded_of(site), "data_root": site.data, "pas_dir": site.pas}
        values |= {"state_dir": site.state}
    return BronzeApp(Session(**{**values, **changes}), clock=lambda: NOW)


def visit(app: BronzeApp, page: str, step: Step, size: tuple[int, int] = (120, 40)) -> None:
    """Open a page, wait until it has read what it shows, then ``step``."""

    async def go() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            app.go(page)
            await calm(pilot)
            await step(pilot)

    asyncio.run(go())


async def press(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each one's work done before the next."""
    for key in keys:
        await pilot.press(key)
        await calm(pilot)


async def type_in(pilot: Pilot[Any], text: str) -> None:
    """Put a text into the input that has the focus, then enter."""
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.value = text
    await press(pilot, "enter")


async def calm(pilot: Pilot[Any]) -> None:
    """Wait until no worker works and all messages are done."""
    app = pilot.app
    assert isinstance(app, BronzeApp)
    still = 0
    for _ in range(4_000):
        if list(app.workers):
            await app.workers.wait_for_complete()
            still = 0
        await asyncio.sleep(0.002)
        still += 1
        if still >= 10:
            break
    await pilot.pause()
    if list(app.workers):
        await calm(pilot)
        return
    app.tick()
    await pilot.pause()


def toasts(app: BronzeApp) -> list[str]:
    """Texts of the notifications so far."""
    return [notification.message for notification in app._notifications]
