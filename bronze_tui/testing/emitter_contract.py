"""What every emitter must keep, as tests: subclass ``EmitterContract`` in a pytest module.

It needs pytest, and two methods of the subclass that say how to open the emitter and how to read
back what it delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from bronze_tui.audit.canonical import file_bytes
from bronze_tui.audit.chain import verify_chains
from bronze_tui.audit.event import new_event, parse_event
from bronze_tui.audit.links import EventFile
from bronze_tui.audit.names import event_name
from bronze_tui.domain.audit import AuditEvent, EventTable
from bronze_tui.domain.era import Era
from bronze_tui.domain.errors import StateError
from bronze_tui.domain.ledger import LedgerRange
from bronze_tui.domain.partition import Producer
from bronze_tui.hooks.contracts import Emitter

PRODUCER = Producer("bronze-tui", "0.0.0", "unknown")
START_NS = 1_700_000_000_000_000_000


def make_chain(
    events: int,
    *,
    network: str = "testnet",
    era_id: str = "p23_plus",
    version_label: str = "v1",
    first_ledger: int = 1000,
    size: int = 10,
) -> list[AuditEvent]:
    """A whole chain of ``events`` partitions of ``size`` ledgers, the same on every call."""
    era = Era(network, era_id, version_label, first_ledger, None, size)
    clock = count(START_NS, 1_500_000_000)
    chain: list[AuditEvent] = []
    for k in range(events):
        start = first_ledger + k * size
        partition = LedgerRange(start, start + size - 1)
        path = f"{era.chain_key}/ledgers_lcm_raw/range={partition}"
        table = EventTable(f"sha256:{start:064x}", size, path, 1000 + k)
        chain.append(
            new_event(
                era,
                partition,
                [("ledgers_lcm_raw", table)],
                PRODUCER,
                chain[-1].event_hash if chain else "",
                clock_ns=lambda: next(clock),
                event_id=partial(_event_id, path),
            )
        )
    return chain


def _event_id(path: str) -> str:
    return f"pas_evt_{sha256(path.encode()).hexdigest()[:16]}"


class EmitterContract:
    """Each test opens the emitter on a folder of its own."""

    def open_emitter(self, folder: Path) -> Emitter:
        """A new emitter whose destination is kept below ``folder``."""
        raise NotImplementedError

    def delivered(self, folder: Path) -> list[bytes]:
        """The bytes of every event that stands at the destination, in any order."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], Emitter]:
        """Opens the same destination again and again."""
        return lambda: self.open_emitter(tmp_path)

    def test_delivers_the_exact_bytes(self, tmp_path: Path, opened: Callable[[], Emitter]) -> None:
        """What stands at the destination is what was given, byte by byte."""
        event = make_chain(1)[0]
        _emit(opened(), event)
        assert self.delivered(tmp_path) == [file_bytes(event)]

    def test_emitting_again_changes_nothing(
        self, tmp_path: Path, opened: Callable[[], Emitter]
    ) -> None:
        """The same event twice, by the same emitter and by the next one, stands once."""
        emitter, chain = opened(), make_chain(3)
        for event in [*chain, *chain]:
            _emit(emitter, event)
        emitter.close()
        again = opened()
        for event in chain:
            _emit(again, event)
        assert sorted(self.delivered(tmp_path)) == sorted(map(file_bytes, chain))

    def test_a_chain_goes_on_after_a_restart(
        self, tmp_path: Path, opened: Callable[[], Emitter]
    ) -> None:
        """A second emitter continues; what was delivered verifies as one whole chain."""
        chain = make_chain(6)
        for part in (chain[:3], chain[3:]):
            emitter = opened()
            for event in part:
                _emit(emitter, event)
            emitter.close()
        events = [parse_event(data, where="delivered") for data in self.delivered(tmp_path)]
        (report,) = verify_chains(EventFile(event_name(e), e) for e in events)
        assert report.findings == ()
        assert (report.events, report.head) == (6, chain[-1].event_hash)

    def test_chains_share_a_destination(
        self, tmp_path: Path, opened: Callable[[], Emitter]
    ) -> None:
        """Events of two chains in turn are all delivered."""
        emitter = opened()
        one, two = make_chain(3), make_chain(3, network="pubnet")
        for pair in zip(one, two, strict=True):
            for event in pair:
                _emit(emitter, event)
        assert sorted(self.delivered(tmp_path)) == sorted(map(file_bytes, one + two))

    def test_names_that_look_alike_are_kept_apart(
        self, tmp_path: Path, opened: Callable[[], Emitter]
    ) -> None:
        """Chains ``a/b_c/v1`` and ``a_b/c/v1`` do not disturb each other."""
        emitter = opened()
        one = make_chain(2, network="a", era_id="b_c")
        two = make_chain(2, network="a_b", era_id="c")
        for event in one + two + one:
            _emit(emitter, event)
        assert sorted(self.delivered(tmp_path)) == sorted(map(file_bytes, one + two))

    def test_another_event_at_the_same_place_is_refused(
        self, tmp_path: Path, opened: Callable[[], Emitter]
    ) -> None:
        """Two events never continue the same one; the first to come stays."""
        emitter = opened()
        chain, other = make_chain(2), make_chain(2, size=20)
        _emit(emitter, chain[0])
        for late in (emitter, opened()):
            with pytest.raises(StateError):
                _emit(late, other[0])
        assert self.delivered(tmp_path) == [file_bytes(chain[0])]

    def test_close_twice(self, opened: Callable[[], Emitter]) -> None:
        """Closing is idempotent."""
        emitter = opened()
        emitter.close()
        emitter.close()


def _emit(emitter: Emitter, event: AuditEvent) -> None:
    emitter.emit(file_bytes(event), event)
