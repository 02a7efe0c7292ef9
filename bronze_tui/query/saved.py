"""Questions an operator asks of a copy, ready to run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A named query; ``costly`` ones read a column of every row."""

    name: str
    summary: str
    sql: str
    costly: bool = False


SAVED: tuple[SavedQuery, ...] = (
    SavedQuery(
        "coverage",
        "what is committed, and gaps and holes between",
        """\
select *
from   coverage
order  by network, era_id, bronze_version, ledger_start""",
    ),
    SavedQuery(
        "gaps in coverage",
        "ledgers that are missing between committed ones; empty is good",
        """\
select *
from   coverage
where  state <> 'committed'
order  by network, era_id, bronze_version, ledger_start""",
    ),
    SavedQuery(
        "rows against commit records",
        "partitions whose rows are not what their record says; empty is good",
        """\
with found as (
  select network, era_id, bronze_version, range_start, count(*) as row_count,
         min(ledger_sequence) as first_ledger, max(ledger_sequence) as last_ledger
  from   ledgers_lcm_raw
  group  by all
)
select c.network, c.era_id, c.bronze_version, c.ledger_start, c.ledger_end, c.file_state,
       c.row_count as rows_committed, f.row_count as rows_found, f.first_ledger, f.last_ledger
from   commits c
left   join found f
  on   (f.network, f.era_id, f.bronze_version, f.range_start)
     = (c.network, c.era_id, c.bronze_version, c.ledger_start)
where  c.table_name = 'ledgers_lcm_raw'
  and  (f.row_count, f.first_ledger, f.last_ledger)
       is distinct from (c.row_count, c.ledger_start, c.ledger_end)
order  by c.network, c.era_id, c.bronze_version, c.ledger_start""",
        costly=True,
    ),
    SavedQuery(
        "duplicate ledgers",
        "ledgers that stand in one dataset more than once; empty is good",
        """\
select network, era_id, bronze_version, ledger_sequence, count(*) as copies
from   ledgers_lcm_raw
group  by all
having count(*) > 1
order  by ledger_sequence""",
        costly=True,
    ),
    SavedQuery(
        "broken links",
        "ledgers whose previous hash is not the hash of the one before; empty is good",
        """\
select network, era_id, bronze_version, ledger_sequence, previous_ledger_hash, hash_before
from   (
  select *, lag(ledger_hash)     over dataset as hash_before,
            lag(ledger_sequence) over dataset as ledger_before
  from   ledgers_lcm_raw
  window dataset as (partition by network, era_id, bronze_version order by ledger_sequence)
)
where  ledger_before = ledger_sequence - 1 and hash_before <> previous_ledger_hash
order  by ledger_sequence""",
        costly=True,
    ),
    SavedQuery(
        "audit against commits",
        "partitions without an audit event, events without a partition, other checksums",
        """\
select coalesce(c.network, a.network) as network, coalesce(c.era_id, a.era_id) as era_id,
       coalesce(c.ledger_start, a.ledger_start) as ledger_start,
       coalesce(c.ledger_end, a.ledger_end) as ledger_end,
       case when a.event_id is null then 'no audit event'
            when c.file is null     then 'no commit record'
            else 'other checksum' end as finding,
       c.checksum as committed, a.checksum as audited, a.event_file
from   commits c
full   join audit_events a
  on   (a.network, a.era_id, a.bronze_version, a.ledger_start, a.ledger_end, a.table_name)
     = (c.network, c.era_id, c.bronze_version, c.ledger_start, c.ledger_end, c.table_name)
where  a.checksum is distinct from c.checksum
order  by all""",
    ),
    SavedQuery(
        "manifests against commits",
        "manifests that do not say what the commit record says; empty is good",
        """\
select c.network, c.era_id, c.ledger_start, c.ledger_end, c.table_name,
       c.checksum as committed, m.checksum as manifest, c.row_count, m.row_count as manifest_rows
from   commits c
left   join manifests m
  on   (m.network, m.era_id, m.bronze_version, m.ledger_start, m.ledger_end, m.table_name)
     = (c.network, c.era_id, c.bronze_version, c.ledger_start, c.ledger_end, c.table_name)
where  (m.checksum, m.row_count) is distinct from (c.checksum, c.row_count)
order  by c.ledger_start""",
    ),
    SavedQuery(
        "slowest partitions",
        "longest time from one commit to the next",
        """\
select network, era_id, ledger_start, ledger_end, row_count, byte_size, created_at,
       round(epoch(created_at - lag(created_at) over (order by created_at)), 1) as seconds_since
from   commits
order  by seconds_since desc nulls last
limit  20""",
    ),
    SavedQuery(
        "biggest ledgers",
        "largest LedgerCloseMeta, with what is in them",
        """\
select ledger_sequence, close_time, xdr_byte_length, tx_count, operation_count, range_start
from   ledgers_lcm_raw
order  by xdr_byte_length desc
limit  20""",
        costly=True,
    ),
    SavedQuery(
        "traffic by hour",
        "ledgers, transactions and bytes of each hour",
        """\
select date_trunc('hour', close_time) as hour, count(*) as ledgers, sum(tx_count) as transactions,
       sum(operation_count) as operations, sum(xdr_byte_length) as xdr_bytes
from   ledgers_lcm_raw
group  by all
order  by hour""",
        costly=True,
    ),
    SavedQuery(
        "protocol upgrades",
        "first ledger of each protocol version",
        """\
select network, protocol_version, min(ledger_sequence) as first_ledger, min(close_time) as since
from   ledgers_lcm_raw
group  by all
order  by network, first_ledger""",
        costly=True,
    ),
)
