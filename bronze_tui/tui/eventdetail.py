"""One event explained: stored against recomputed, what a finding means, the next safe step."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from bronze_tui.audit.chain import ChainReport
from bronze_tui.audit.filecheck import FileResult
from bronze_tui.audit.findings import Finding
from bronze_tui.audit.hashrules import NOT_COVERED, RULE_WORDS, hash_of
from bronze_tui.domain.audit import AuditEvent
from bronze_tui.tui.chainrows import NEXT, OTHERWISE, ChainRow, short_hash
from bronze_tui.tui.plain import plain

_COLOURS = {"good": "success", "worry": "warning", "bad": "error", "title": "primary"}


class _Page:
    """Lines of name and value."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.text = Text(overflow="fold")
        self._variables = variables

    def style(self, role: str) -> str:
        colour = self._variables.get(_COLOURS.get(role, ""), "")
        bold = "bold " if role in ("bad", "title") else ""
        return f"{bold}{colour}".strip()

    def row(self, name: str, value: object, remark: str = "", role: str = "") -> None:
        self.text.append(f"{name:<11}", "dim")
        self.text.append_text(plain(value, limit=400))
        if remark:
            self.text.append(" ")
            self.text.append_text(plain(remark, self.style(role)))
        self.text.append("\n")

    def title(self, name: str) -> None:
        self.text.append(f"\n{name}\n", self.style("title"))

    def say(self, value: str, role: str = "") -> None:
        self.text.append_text(plain(value, self.style(role)))
        self.text.append("\n")


def detail(
    row: ChainRow,
    files: Mapping[str, FileResult],
    chain: ChainReport | None,
    variables: Mapping[str, str] | None = None,
) -> Text:
    """Everything the page knows of a row."""
    page = _Page(variables or {})
    if row.findings:
        _findings(page, row.findings)
    if row.item is None:
        return page.text
    event = row.item.event
    result = files.get(event.event_hash)
    if result is not None and not result.ok:
        page.say(result.kind, "bad")
        page.say(result.message)
        page.say(f"NEXT  {NEXT.get(result.kind, OTHERWISE)}")
        page.text.append("\n")
    page.row("ledgers", row.ledgers)
    page.row("kind", f"{event.event_type} v{event.version}")
    page.row("written", event.timestamp)
    producer = event.producer
    page.row("producer", f"{producer.name} {producer.version} (git {producer.git_sha or '-'})")
    page.row("file", row.item.file)
    _hashes(page, row, event, chain)
    for name, table in event.tables:
        page.title(f"TABLE {plain(name, limit=60).plain}")
        page.row("rows", f"{table.row_count:,}")
        page.row("bytes", f"{table.byte_size:,}")
        page.row("announced", short_hash(table.checksum))
        _file(page, result, table.checksum)
    if not row.findings and (result is None or result.ok):
        _sound(page, row, result)
    return page.text


def _findings(page: _Page, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        role = {"error": "bad", "warning": "worry"}.get(finding.severity, "good")
        page.say(f"{finding.severity} {finding.kind}", role)
        page.say(finding.message)
        for name in ("expected", "found"):
            value = getattr(finding, name)
            if value:
                page.row(f"  {name}", short_hash(value) if "sha256:" in value else value)
        if finding.cause:
            page.say(f"MEANS  {finding.cause}")
        page.say(f"NEXT   {NEXT[finding.kind]}")
        page.text.append("\n")


def _hashes(page: _Page, row: ChainRow, event: AuditEvent, chain: ChainReport | None) -> None:
    page.title("PREVIOUS HASH")
    prev = event.prev_event_hash
    before = None
    if chain is not None and row.number is not None and row.number > 1:
        before = chain.line[row.number - 2].event.event_hash
    if not prev:
        page.row("stored", "none", "begins the chain", "good" if before is None else "bad")
    elif before == prev:
        page.row("stored", short_hash(prev), f"equals event {row.number - 1:,}", "good")  # type: ignore[operator]
    else:
        page.row("stored", short_hash(prev), "no such event before it", "bad")
    page.title("EVENT HASH")
    page.row("stored", short_hash(event.event_hash))
    assert row.item is not None
    rule, computed = hash_of(row.item)
    if rule != "v1.1":
        page.row("rule", RULE_WORDS[rule], f"not covered: {NOT_COVERED[rule]}", "worry")
    same = computed == event.event_hash
    page.row("recomputed", short_hash(computed), "equal" if same else "DIFFERENT", _role(same))


def _file(page: _Page, result: FileResult | None, announced: str) -> None:
    if result is None:
        page.row("file", "not read yet", "(F)")
        return
    for name, value in (("manifest", result.manifest), ("file", result.found)):
        if not value:
            page.row(name, "none")
            continue
        same = value == announced
        page.row(name, short_hash(value), "equal" if same else "DIFFERENT", _role(same))


def _sound(page: _Page, row: ChainRow, result: FileResult | None) -> None:
    page.title("WHAT IT MEANS")
    if row.after_break:
        page.say("Its own hash and link hold, but the chain is broken before it:")
        page.say("nothing vouches for what stands after a break.")
        page.say("NEXT   look at the first break (home, then b)")
        return
    page.say("No byte of this event changed since it was linked.")
    if result is None:
        page.say("NEXT   read the partition files too (F)")
    else:
        page.say("The partition files are the ones it announced.")


def _role(same: bool) -> str:
    return "good" if same else "bad"
