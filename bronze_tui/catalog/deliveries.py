"""Delivery of audit events to the endpoint: which event is next, what is parked and why, what a
person decided about it. ``_bronze_chain.delivered`` says that an event was acknowledged; the table
here has only the events that needed more than that.

It works on an open catalog of any engine, also while a copier works on the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.chain import chain_row
from bronze_tui.catalog.records import ChainRow
from bronze_tui.catalog.store import Catalog
from bronze_tui.domain.errors import UsageError

WAITING, PARKED, SKIPPED, DELIVERED = "waiting", "parked", "skipped", "delivered"

table = s.deliveries


@dataclass(frozen=True, slots=True)
class Queued:
    """The event that is next to be delivered."""

    row: ChainRow
    state: str
    """waiting or parked."""
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person did about an event; ``at`` is ISO 8601 in UTC."""

    chain_key: str
    seq: int
    state: str
    reason: str
    decided_by: str
    at: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """One chain's deliveries; sequence numbers are None when there is no such event."""

    chain_key: str
    events: int
    head: str
    delivered: int
    waiting: int
    """Not delivered and not skipped, a parked one included."""
    unfiled: int
    """Of these, events that have no file yet: they are filed first."""
    next_seq: int | None
    oldest: str
    """When the next one was committed, ISO 8601 in UTC; empty when none waits."""
    parked: Decision | None
    skipped: tuple[Decision, ...]


class Deliveries:
    """The deliveries of an open catalog; thread-safe as the catalog is, and raises what it does.

    What the deliverer itself notes is repeated when the connection is lost, since noting it twice
    is the same; what a person decides is not, and says so.

    Args:
        read_only: the catalog was opened so; an older one without the table holds nothing there.
    """

    def __init__(self, catalog: Catalog, *, read_only: bool = False) -> None:
        self._catalog = catalog
        self._exists = not read_only or catalog.database.read(
            lambda c: bool(sa.inspect(c).has_table(table.name))
        )

    def next(self, chain_key: str) -> Queued | None:
        """The first event of the chain that is neither delivered nor skipped."""
        query = self._open(chain_key).order_by(s.chain.c.seq).limit(1)
        row = self._catalog.database.read(lambda c: c.execute(query).mappings().first())
        if row is None:
            return None
        parked = row["state"] == PARKED
        return Queued(chain_row(row), PARKED if parked else WAITING, row["reason"] or "")

    def mark_delivered(self, chain_key: str, seq: int) -> None:
        """Note the endpoint's acknowledgement, whatever was decided in between."""

        def work(c: sa.Connection, tried: int) -> None:  # noqa: ARG001
            c.execute(
                sa.update(s.chain).where(*_at(s.chain, chain_key, seq)).values(delivered=True)
            )
            c.execute(
                sa.update(table)
                .where(*_at(table, chain_key, seq))
                .values(state=DELIVERED, updated_at=_now())
            )

        self._catalog.database.write(work)

    def park(self, chain_key: str, seq: int, reason: str) -> None:
        """Stop the chain at this event until a person decides; a skip made meanwhile stands."""

        def work(c: sa.Connection, tried: int) -> None:  # noqa: ARG001
            if self._state(c, chain_key, seq) != SKIPPED:
                self._put(c, chain_key, seq, PARKED, reason, "", told=True)

        self._catalog.database.write(work)

    def retry(self, chain_key: str, by: str) -> int | None:
        """Let the chain's parked event be tried again; its number, None when none is parked."""
        with self._catalog.transaction() as c:
            seq = c.execute(
                sa.select(table.c.seq).where(
                    table.c.chain_key == chain_key, table.c.state == PARKED
                )
            ).scalar()
            if seq is not None:
                self._put(c, chain_key, seq, WAITING, "tried again", by, told=False)
        return None if seq is None else int(seq)

    def resend(self, chain_key: str, by: str) -> int:
        """Have every event of the chain sent again from the first, skipped ones too: for an
        endpoint that is new or lost events. The number of events."""
        with self._catalog.transaction() as c:
            done = c.execute(
                sa.update(s.chain).where(s.chain.c.chain_key == chain_key).values(delivered=False)
            )
            c.execute(sa.delete(table).where(table.c.chain_key == chain_key))
            if done.rowcount:
                self._put(c, chain_key, 0, WAITING, "the whole chain is sent again", by, told=False)
        return int(done.rowcount)

    def skip(self, chain_key: str, first: int, last: int, reason: str, by: str) -> list[int]:
        """Leave events out for good, with the reason; the numbers of those that were not
        delivered before.

        Raises:
            UsageError: none of them waits.
        """
        c_ = s.chain.c
        with self._catalog.transaction() as c:
            wanted = [
                int(seq)
                for seq in c.execute(
                    sa.select(c_.seq)
                    .where(c_.chain_key == chain_key, ~c_.delivered)
                    .where(c_.seq >= first, c_.seq <= last)
                    .order_by(c_.seq)
                ).scalars()
            ]
            if not wanted:
                named = str(first) if first == last else f"{first}-{last}"
                raise UsageError(
                    f"no event {named} of {chain_key} waits for delivery",
                    todo="see bronze pas status",
                )
            for seq in wanted:
                self._put(c, chain_key, seq, SKIPPED, reason, by, told=False)
        return wanted

    def take_untold(self, chain_key: str) -> list[Decision]:
        """Decisions that no journal has yet; the next call does not give them again."""
        query = sa.select(table).where(table.c.chain_key == chain_key, ~table.c.told)
        ordered = query.order_by(table.c.seq)
        found = self._catalog.database.read(
            lambda c: [_decision(r) for r in c.execute(ordered).mappings()]
        )

        def work(c: sa.Connection, tried: int) -> None:  # noqa: ARG001
            for each in found:
                where = _at(table, chain_key, each.seq)
                c.execute(sa.update(table).where(*where).values(told=True))

        if found:
            self._catalog.database.write(work)
        return found

    def waiting(self, chain_key: str) -> tuple[int, str]:
        """How many events wait, and since when the first does (ISO 8601, empty when none)."""
        open_ = self._open(chain_key).subquery()
        query = sa.select(sa.func.count(), sa.func.min(open_.c.created_at))
        count, oldest = self._catalog.database.read(
            lambda c: c.execute(query.select_from(open_)).one()
        )
        return int(count), str(oldest or "")

    def backlog(self, chain_key: str) -> Backlog:
        """The state of one chain's deliveries."""
        c_ = s.chain.c
        count, oldest = self.waiting(chain_key)
        queued = self.next(chain_key)
        with self._catalog.reading() as c:
            mine = sa.select(c_.event_hash).where(c_.chain_key == chain_key)
            head = c.execute(mine.order_by(c_.seq.desc()).limit(1)).scalar()
            events, delivered = c.execute(
                sa.select(sa.func.count(), sa.func.count(sa.case((c_.delivered, 1)))).where(
                    c_.chain_key == chain_key
                )
            ).one()
            open_ = self._open(chain_key).subquery()
            unfiled = c.execute(
                sa.select(sa.func.count()).select_from(open_).where(~open_.c.filed)
            ).scalar_one()
            decided = [_decision(r) for r in c.execute(self._decided(chain_key)).mappings()]
        return Backlog(
            chain_key=chain_key,
            events=int(events),
            head=str(head or ""),
            delivered=int(delivered),
            waiting=count,
            unfiled=int(unfiled),
            next_seq=None if queued is None else queued.row.seq,
            oldest=oldest,
            parked=next((d for d in decided if d.state == PARKED), None),
            skipped=tuple(d for d in decided if d.state == SKIPPED),
        )

    def _open(self, chain_key: str) -> sa.Select[Any]:
        """Events neither delivered nor skipped."""
        c_ = s.chain.c
        if not self._exists:
            nothing = sa.literal(None).label("state"), sa.literal(None).label("reason")
            return sa.select(s.chain, *nothing).where(c_.chain_key == chain_key, ~c_.delivered)
        joined = s.chain.outerjoin(
            table, sa.and_(table.c.chain_key == c_.chain_key, table.c.seq == c_.seq)
        )
        return (
            sa.select(s.chain, table.c.state, table.c.reason)
            .select_from(joined)
            .where(c_.chain_key == chain_key, ~c_.delivered)
            .where(sa.or_(table.c.state.is_(None), table.c.state != SKIPPED))
        )

    def _decided(self, chain_key: str) -> sa.Select[Any]:
        if not self._exists:
            return sa.select(s.chain.c.chain_key).where(sa.false())
        states = (PARKED, SKIPPED)
        where = table.c.chain_key == chain_key, table.c.state.in_(states)
        return sa.select(table).where(*where).order_by(table.c.seq)

    @staticmethod
    def _state(c: sa.Connection, chain_key: str, seq: int) -> str | None:
        return c.execute(sa.select(table.c.state).where(*_at(table, chain_key, seq))).scalar()

    @staticmethod
    def _put(
        c: sa.Connection,
        chain_key: str,
        seq: int,
        state: str,
        reason: str,
        by: str,
        *,
        told: bool,
    ) -> None:
        c.execute(sa.delete(table).where(*_at(table, chain_key, seq)))
        c.execute(
            table.insert().values(
                chain_key=chain_key,
                seq=seq,
                state=state,
                reason=reason,
                decided_by=by,
                told=told,
                updated_at=_now(),
            )
        )


def _at(of: sa.Table, chain_key: str, seq: int) -> tuple[sa.ColumnElement[bool], ...]:
    return of.c.chain_key == chain_key, of.c.seq == seq


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _decision(row: Any) -> Decision:
    return Decision(
        chain_key=row["chain_key"],
        seq=int(row["seq"]),
        state=row["state"],
        reason=row["reason"],
        decided_by=row["decided_by"],
        at=row["updated_at"],
    )
