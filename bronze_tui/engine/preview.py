"""``--dry-run``: what a run would do, read from source and store without locking or writing."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bronze_tui.config.load import Loaded
from bronze_tui.domain.era import Era
from bronze_tui.domain.layout import RAW_TABLE, Layout
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.engine.estimate import source_bytes_left
from bronze_tui.engine.merge import merged
from bronze_tui.engine.opening import RunFlags
from bronze_tui.engine.plan import EraPlan, next_ledger
from bronze_tui.hooks.contracts import Store
from bronze_tui.hooks.manager import load_plugins

if TYPE_CHECKING:
    from bronze_tui.engine.main import PluginSwitches


@dataclass(frozen=True, slots=True)
class EraPreview:
    """One era's plan."""

    chain_key: str
    partition_size: int
    committed: list[str]
    holes: list[str]
    uncommitted: list[str]
    """Partition folders without a commit record: adopted if whole, else built again."""
    next_ledger: int
    partitions_left: int
    ledgers_left: int
    ends: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The whole plan; bytes are of the source's compressed objects, by sample."""

    source: str
    source_tip: int | None
    store: str
    eras: list[EraPreview]
    bytes_expected: int | None

    def to_json(self) -> str:
        """Indented JSON."""
        return json.dumps(asdict(self), indent=2)

    def to_text(self) -> str:
        """Aligned lines for people."""
        lines = [f"source     {self.source}, newest ledger {self.source_tip}"]
        lines.append(f"store      {self.store}")
        for era in self.eras:
            lines += _era_lines(era)
        size = (
            "unknown" if self.bytes_expected is None else f"{self.bytes_expected / 2**20:,.1f} MiB"
        )
        lines.append(f"to read    about {size} of compressed objects (by sample)")
        return "\n".join(lines)


def _era_lines(era: EraPreview) -> list[str]:
    lines = [f"era        {era.chain_key}, partitions of {era.partition_size:,}, {era.ends}"]
    lines.append(f"  there    {', '.join(era.committed) or 'nothing committed'}")
    if era.holes:
        lines.append(f"  holes    {', '.join(era.holes)}")
    if era.uncommitted:
        lines.append(f"  loose    {', '.join(era.uncommitted)} (no commit record yet)")
    lines.append(
        f"  to do    {era.partitions_left:,} partitions, {era.ledgers_left:,} ledgers,"
        f" from ledger {era.next_ledger}"
    )
    return lines


def preview(loaded: Loaded, flags: RunFlags, switches: PluginSwitches) -> Preview:
    """Look at source and store.

    Raises:
        BronzeError: either cannot be read.
    """
    settings = loaded.settings
    host = load_plugins(
        allow=settings.plugins.allow,
        disable=(*settings.plugins.disable, *switches.disable),
        third_party=switches.third_party,
        needed={settings.source.mode, settings.storage.backend},
    )
    with ExitStack() as stack:
        source = host.source(settings.source.mode)(settings.source_options())
        stack.callback(source.close)
        store = host.store(settings.storage.backend)(settings.store_options())
        stack.callback(store.close)
        tip = source.tip()
        plans = [
            _plan(store, Layout(settings.storage.prefix, era), flags) for era in settings.active()
        ]
        eras = [_preview(*planned, tip) for planned in plans]
        left = sum(era.ledgers_left for era in eras)
        return Preview(
            source=source.describe().location,
            source_tip=tip,
            store=store.uri(Layout(settings.storage.prefix, settings.active()[0]).root.rstrip("/")),
            eras=eras,
            bytes_expected=source_bytes_left(source, [plan for plan, *_ in plans], tip, left, 1),
        )


def _plan(
    store: Store, layout: Layout, flags: RunFlags
) -> tuple[EraPlan, list[LedgerRange], list[LedgerRange]]:
    """The plan, committed partitions and loose folders."""
    committed = _ranges(store, layout.commits)
    holes = tuple(h for h in _ranges(store, layout.holes) if h not in committed)
    folders = {
        LedgerRange.parse(item.key.rsplit("/", 2)[-2].removeprefix("range="))
        for item in store.list(f"{layout.root}{RAW_TABLE}/")
        if item.key.rsplit("/", 2)[-2].startswith("range=")
    }
    position = next_ledger(layout.era, committed, holes)
    plan = EraPlan(layout.era, position, holes, repair=flags.repair, flush=flags.flush_partial)
    return plan, committed, sorted(folders - set(committed))


def _ranges(store: Store, folder: str) -> list[LedgerRange]:
    found = []
    for item in store.list(folder):
        try:
            found.append(LedgerRange.parse(item.key.removeprefix(folder).removesuffix(".json")))
        except ValueError:
            continue
    return sorted(found)


def _preview(
    plan: EraPlan, committed: list[LedgerRange], loose: list[LedgerRange], tip: int | None
) -> EraPreview:
    partitions, ledgers = (0, 0) if tip is None else plan.count(tip) or (0, 0)
    return EraPreview(
        chain_key=plan.era.chain_key,
        partition_size=plan.era.partition_size,
        committed=merged(committed),
        holes=[str(h) for h in plan.holes],
        uncommitted=[str(p) for p in loose],
        next_ledger=plan.next_ledger,
        partitions_left=partitions,
        ledgers_left=ledgers,
        ends=_ends(plan.era),
    )


def _ends(era: Era) -> str:
    if era.ledger_end is None:
        return f"from {era.first_ledger} without end"
    return f"{era.first_ledger} to {era.ledger_end}"
