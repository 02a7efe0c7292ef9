"""Who writes a chain: an epoch that goes up with every owner, and in PostgreSQL a lock that its
owner holds for as long as its session lives."""

from __future__ import annotations

import sqlalchemy as sa

from bronze_tui.catalog import schema as s
from bronze_tui.catalog.database import Database
from bronze_tui.catalog.values import insert_missing, iso_now
from bronze_tui.domain.errors import CatalogUnavailable, LockedError


def take(c: sa.Connection, database: Database, chain_key: str, owner: str) -> int:
    """Note a new owner; its epoch, one more than the last.

    Raises:
        LockedError: another copier lives and has the chain.
    """
    if not _lock(c, chain_key):
        raise _locked(c, database, chain_key)
    mine = s.leases.c.chain_key == chain_key
    insert_missing(
        c, s.leases, {"chain_key": chain_key, "epoch": 0, "owner": owner, "taken_at": iso_now()}
    )
    epoch = c.execute(sa.select(s.leases.c.epoch).where(mine).with_for_update()).scalar_one() + 1
    c.execute(sa.update(s.leases).where(mine).values(epoch=epoch, owner=owner, taken_at=iso_now()))
    return int(epoch)


def retake(c: sa.Connection, database: Database, chain_key: str, epoch: int) -> None:
    """Take the lock again that was lost with its session.

    Raises:
        LockedError: another copier took the chain since.
        CatalogUnavailable: the server has not yet given the lock of the lost session free.
    """
    if not _lock(c, chain_key):
        if _epoch(c, chain_key) != epoch:
            raise _locked(c, database, chain_key)
        raise CatalogUnavailable(
            f"the lost session still holds chain {chain_key}", where=database.where
        )
    check_fence(c, database, chain_key, epoch)


def check_fence(c: sa.Connection, database: Database, chain_key: str, epoch: int) -> None:
    """The chain must still be ours; commits of one chain take turns from here on.

    Raises:
        LockedError: another copier took it since.
    """
    now = c.execute(
        sa.select(s.leases.c.epoch).where(s.leases.c.chain_key == chain_key).with_for_update()
    ).scalar()
    if now != epoch:
        raise LockedError(
            f"another copier took chain {chain_key} (epoch {now}, ours was {epoch})",
            where=database.where,
            todo="let that one go on; this run commits nothing more",
        )


def owner_of(c: sa.Connection, chain_key: str) -> tuple[int, str, str] | None:
    """Epoch, owner and time of the last lease."""
    row = c.execute(
        sa.select(s.leases.c.epoch, s.leases.c.owner, s.leases.c.taken_at).where(
            s.leases.c.chain_key == chain_key
        )
    ).first()
    return None if row is None else (int(row[0]), str(row[1]), str(row[2]))


def _epoch(c: sa.Connection, chain_key: str) -> int | None:
    found = owner_of(c, chain_key)
    return None if found is None else found[0]


def _lock(c: sa.Connection, chain_key: str) -> bool:
    """In SQLite the locks of state folder and dataset do this."""
    if c.dialect.name != "postgresql":
        return True
    from bronze_tui.catalog.postgres import try_lock

    return try_lock(c, f"chain {chain_key}")


def _locked(c: sa.Connection, database: Database, chain_key: str) -> LockedError:
    found = owner_of(c, chain_key)
    who = "an unknown copier" if found is None else f"{found[1]}, since {found[2]}"
    return LockedError(
        f"another copier works on chain {chain_key}: {who}",
        where=database.where,
        todo="let it go on, or stop it first; the lock of a machine that vanished is free within"
        " a minute",
    )
