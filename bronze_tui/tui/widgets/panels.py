"""The dashboard's panels of words and numbers: verdict, progress, stages, chain, run."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView
from bronze_tui.journal.verdict import Verdict, clock
from bronze_tui.journal.views import STAGES
from bronze_tui.tui.theme import VERDICT_STYLE
from bronze_tui.tui.widgets.bigword import big
from bronze_tui.tui.widgets.coverage import CoverageMap, legend, tally
from bronze_tui.tui.widgets.digest import Digest
from bronze_tui.tui.widgets.figures import (
    age,
    bar,
    count,
    hms,
    line,
    pairs,
    part,
    put,
    rate,
    short_hash,
    size,
    stack,
    title,
)
from bronze_tui.tui.widgets.lines import Lines

LIMITS = {
    "network": ("fetch",),
    "disk": ("fetch", "store"),
    "memory": ("fetch",),
    "requests": ("fetch",),
    "cpu": ("decompress", "walk", "hash", "encode"),
    "workers": ("decompress", "walk", "hash", "encode"),
    # Of journals of older versions.
    "source": ("fetch",),
    "decode": ("decompress", "walk", "hash"),
    "encode": ("encode",),
    "store": ("store",),
    "commit": ("commit",),
}
"""Which stages a throughput record's ``limited_by`` speaks of."""

_OWN_WORK = ("DONE", "AT TIP")


class VerdictPanel(Lines):
    """The word, since when, the evidence, the next safe step."""

    def __init__(self) -> None:
        super().__init__(id="verdict", markup=False, classes="panel")

    def show(self, verdict: Verdict, now: float) -> None:
        """Large where there are three lines for it."""
        kind = VERDICT_STYLE.get(verdict.word, "calm")
        ago = f", {age(now, verdict.since)} ago" if verdict.since and now else ""
        since = f"since {hms(verdict.since)}{ago}" if verdict.since else ""
        self.set_class(kind == "bad", "-bad")
        self.set_class(kind == "worry", "-worry")
        letters = big(verdict.word) if self.size.height >= 3 and self.size.width >= 90 else None
        if letters:
            title(self, "VERDICT", "enter  why")
            put(self, self._large(letters, verdict, since, kind))
        else:
            title(self, "VERDICT", f"{since}   enter  why" if since else "enter  why")
            put(self, self._small(verdict, kind))

    def _large(self, letters: list[str], verdict: Verdict, since: str, kind: str) -> Content:
        room = max(10, self.size.width - len(letters[0]) - 3)
        texts = [
            part(verdict.evidence, "strong"),
            line((since, "muted")),
            line(("next  ", "muted"), part(verdict.next_step)),
        ]
        return stack(
            line((row, kind), "   ", text.truncate(room, ellipsis=True))
            for row, text in zip(letters, texts, strict=True)
        )

    def _small(self, verdict: Verdict, kind: str) -> Content:
        room = max(10, self.size.width)
        first = line((verdict.word, kind), "  ", part(verdict.evidence, "strong"))
        second = line(("next  ", "muted"), part(verdict.next_step))
        return stack(text.truncate(room, ellipsis=True) for text in (first, second))


class ProgressPanel(Vertical):
    """The coverage map, its legend, and how far the run is."""

    DEFAULT_CSS = """
    ProgressPanel > Static { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    ProgressPanel > #gauge { text-style: bold; }
    """

    def __init__(self) -> None:
        super().__init__(id="progress", classes="panel")

    def compose(self) -> ComposeResult:
        yield Static(id="gauge", markup=False)
        yield CoverageMap(id="map")
        yield Static(id="legend", markup=False)
        yield Static(id="progress-more", markup=False)

    def show(self, view: RunView, digest: Digest, verdict: Verdict) -> None:
        """Draw."""
        width = max(20, self.size.width)
        land = digest.land
        span = f"{count(land.span.start)} - {count(land.span.end)}" if land else ""
        title(self, "PROGRESS", span)
        self.query_one(CoverageMap).show(land)
        put(self.query_one("#gauge", Static), self._gauge(view, verdict, width))
        shown = legend(tally(land), width) if land else Content("")
        put(self.query_one("#legend", Static), shown)
        put(self.query_one("#progress-more", Static), self._more(view, digest, width))

    def _gauge(self, view: RunView, verdict: Verdict, width: int) -> Content:
        fraction = run_figures.fraction(view)
        if fraction is None:
            known = view.started_at is not None
            text = "the end is not known yet" if known else "waiting for the run's plan"
            return line((text, "muted"))
        done = int(fraction * 10_000) / 100
        percent = f"{done:.2f} %" if 0 < done < 100 else f"{done:.0f} %"
        eta, took = f"ETA {remaining(view, verdict)}", f"elapsed {clock(run_figures.elapsed(view))}"
        now = run_figures.rate(view)
        speed = f"{rate(now.ledgers)} ledgers/s" if now is not None else ""
        if over(view, verdict):
            speed = ""
        if view.finished is not None:
            seconds = run_figures.elapsed(view)
            mean = view.ledgers_committed / seconds if seconds else 0.0
            speed, eta = f"{rate(mean)} ledgers/s mean", f"took {clock(seconds)}"
            took = ""
        for kept in ((speed, eta, took), (speed, eta), (eta,)):
            tail = "   ".join(t for t in kept if t)
            if len(tail) <= width - 12:
                break
        return line((percent, "accent"), " " * max(2, width - len(percent) - len(tail)), tail)

    def _more(self, view: RunView, digest: Digest, width: int) -> Content:
        land = digest.land
        if land is None:
            return Content("")
        ledgers = land.committed.covered(land.span.start, land.span.end)
        facts = [
            ("partitions ", f"{count(land.done())} of {count(land.total)}"),
            ("ledgers ", f"{count(ledgers)} of {count(len(land.span))}"),
        ]
        last = run_figures.last_committed_ledger(view)
        if last is not None:
            facts.append(("last ", count(last)))
        tip = view.started.get("source_tip")
        if isinstance(tip, int):
            behind = max(0, tip - (last or 0))
            facts.append(("source tip ", f"{count(tip)}, {count(behind)} ahead"))
        facts.append(("this run ", f"{count(view.ledgers_committed)} ledgers"))
        made = Content("")
        for name, value in facts:
            more = line((("   " if made else "") + name, "muted"), value)
            if made.cell_length + more.cell_length > width:
                break
            made = made + more
        return made


def remaining(view: RunView, verdict: Verdict) -> str:
    """The time left; never a stale number."""
    if verdict.word in _OWN_WORK:
        return "-"
    if verdict.word == "RUNNING" or verdict.word == "SLOW":
        seconds = run_figures.eta_seconds(view)
        return clock(seconds) if seconds is not None else "unknown"
    return f"unknown ({verdict.word.lower()})"


def over(view: RunView, verdict: Verdict) -> bool:
    """Whether nothing works any more: ended, or gone without a word."""
    return view.finished is not None or verdict.word == "GONE"


class StagesPanel(Lines):
    """Where the builders' time goes; the stage that limits the run is marked."""

    def __init__(self) -> None:
        super().__init__(id="stages", markup=False, classes="panel")

    def show(self, view: RunView, verdict: Verdict, now: float, *, faults_only: bool) -> None:
        """Rows, or one line where it is low."""
        limit = run_figures.limited_by(view)
        marked = LIMITS.get(limit, ())
        reads = run_figures.fetchers(view)
        about = f"limited by {limit}" if marked else ""
        about += f", {reads} reads at a time" if marked and reads else ""
        ended = over(view, verdict)
        if ended:
            # Its last second says nothing of a run that is over: show where its time went.
            marked, about = (), "whole run"
        if verdict.word == "STALLED":
            # Nothing moves, so nothing limits: the time goes where the work is stuck.
            stuck = max(STAGES, key=lambda name: view.stages[name].share)
            marked, about = (stuck,), f"stuck in {stuck}"
        title(self, "STAGES", about)
        if not view.figures:
            put(self, line(("no figures yet: they come with the first seconds of work", "muted")))
        elif self.size.height < len(STAGES):
            put(self, self._one_line(view, marked, ended))
        else:
            put(self, self._rows(view, now, marked, ended, faults_only=faults_only))

    def _one_line(self, view: RunView, marked: tuple[str, ...], ended: bool) -> Content:
        parts = []
        shares = {name: share for name, share, _ in stage_times(view, ended)}
        for name in sorted(STAGES, key=lambda n: -shares[n]):
            tone = "worry" if name in marked else "muted"
            text = f"{'>' if name in marked else ''}{name} {shares[name]:.0%}"
            parts.append(line((text, tone)))
        return Content("  ").join(parts).truncate(max(10, self.size.width), ellipsis=True)

    def _rows(
        self, view: RunView, now: float, marked: tuple[str, ...], ended: bool, *, faults_only: bool
    ) -> Content:
        width = self.size.width
        timed, dated = width >= 40, width >= 52
        room = max(4, width - 19 - (9 if timed else 0) - (14 if dated else 0))
        head = f"  {'stage':<11}{'share':>5} {'':<{room}}"
        head += f"{'seconds':>9}" if timed else ""
        head += f"{'last':>14}" if dated else ""
        rows = [line((head, "muted"))] if self.size.height > len(STAGES) else []
        for name, share, seconds in stage_times(view, ended):
            if faults_only and name not in marked:
                continue
            slow = name in marked
            tone = "worry" if slow else ""
            active = view.stages[name].last_active
            ago = "-" if active is None else f"{age(now, active)} ago"
            rows.append(
                line(
                    (f"{'>' if slow else ' '} {name:<11}", tone),
                    (f"{share:>5.0%} ", tone),
                    (bar(share, room), "worry" if slow else "accent"),
                    (f"{seconds:>9,.2f}" if timed else "", ""),
                    (f"{ago:>14}" if dated else "", "muted"),
                )
            )
        return stack(rows)


def stage_times(view: RunView, ended: bool) -> list[tuple[str, float, float]]:
    """Name, share and seconds of each stage: of the last figures, of the whole run when it is
    over."""
    stages = [view.stages[name] for name in STAGES]
    if not ended:
        return [(stage.name, stage.share, stage.seconds) for stage in stages]
    whole = sum(stage.total for stage in stages) or 1.0
    return [(stage.name, stage.total / whole, stage.total) for stage in stages]


class ChainPanel(Lines):
    """The audit chain, the checkpoint, the outbox, the engine's own figures, the workers."""

    def __init__(self) -> None:
        super().__init__(id="chain", markup=False, classes="panel")

    def show(self, view: RunView, digest: Digest, now: float, *, ended: bool) -> None:
        """As many rows as there is room for, the chain first."""
        title(self, "CHAIN", f"{count(run_figures.events(view))} events" if view.chains else "")
        if not view.chains:
            put(self, line(("no chain is known yet", "muted")))
            return
        newest = max(view.chains.values(), key=lambda chain: chain.last_linked or 0.0)
        linked = newest.last_linked
        rows: list[tuple[str, str | Content]] = [
            (
                "head",
                line((short_hash(newest.head, 12, 6) if newest.head else "none yet", "accent")),
            ),
            ("last link", "-" if linked is None else f"{hms(linked)}  {age(now, linked)} ago"),
            ("checkpoint", checkpoint(view, now)),
            ("outbox", outbox(view, digest)),
            *machine(view, ended),
            *workers(view, ended),
        ]
        put(self, pairs(rows[: max(1, self.size.height)], 12))


def checkpoint(view: RunView, now: float) -> str:
    """The highest committed ledger, and how long ago this run committed last."""
    ledger, last = run_figures.last_committed_ledger(view), run_figures.last_commit(view)
    if ledger is None:
        return "nothing committed"
    when = f"{age(now, last)} ago" if last is not None else "from before"
    return f"{count(ledger)}  {when}"


def outbox(view: RunView, digest: Digest) -> str | Content:
    """Events that are not durable yet; with an endpoint also those it has not taken yet."""
    if owed := digest.unlinked:
        return line((f"{count(owed)} to file", "worry"))
    waiting, state = view.outbox.get("waiting", 0), view.outbox.get("state")
    if not waiting:
        return f"empty, {count(view.events_delivered)} delivered" if view.outbox else "empty"
    if state == "parked":
        return line((f"{count(waiting)} wait, {count(view.outbox['parked'])} parked", "bad"))
    failing = state == "failing"
    words = f"{count(waiting)} to deliver" + (", failing" if failing else "")
    return line((words, "worry" if failing else "calm"))


def workers(view: RunView, ended: bool) -> list[tuple[str, str | Content]]:
    """What each worker does now; nothing when the run is over."""
    number = run_figures.workers(view)
    if ended or number is None:
        return []
    at_work = {v.worker: v for v in run_figures.in_flight(view) if v.worker is not None}
    rows: list[tuple[str, str | Content]] = []
    for worker in sorted({*range(number), *at_work}):
        busy = at_work.get(worker)
        doing = (
            line(("waits for work", "muted"))
            if busy is None
            else line((f"{busy.partition}  {busy.fraction:.0%}", "calm"))
        )
        rows.append((f"worker {worker}", doing))
    return rows


def machine(view: RunView, ended: bool) -> list[tuple[str, str | Content]]:
    """Memory, workers, read-ahead, retries."""
    figures, memory = view.figures, run_figures.resident_bytes(view)
    rows: list[tuple[str, str | Content]] = []
    number = run_figures.workers(view)
    if number is not None:
        building = sum(v.state == "building" for v in run_figures.in_flight(view))
        rows.append(("workers", "none" if ended else f"{number}, {building} building"))
    if not ended and memory is not None:
        rows.append(("memory", size(float(memory))))
    if not ended and isinstance(figures.get("read_ahead_bytes"), int | float):
        rows.append(("read-ahead", size(float(figures["read_ahead_bytes"]))))
    retries = count(view.retries)
    rows.append(("retries", line((retries, "worry")) if view.retries else retries))
    rows.append(("written", size(view.parquet_bytes)))
    return rows


class RunPanel(Lines):
    """What is copied from where to where; shown where there is room."""

    def __init__(self) -> None:
        super().__init__(id="run", markup=False, classes="panel")

    def show(self, view: RunView) -> None:
        """From the run's first record."""
        title(self, "RUN", view.run_id[:16])
        start = view.started
        if not start:
            put(self, line(("no run has started yet", "muted")))
            return
        tip, wanted = start.get("source_tip"), start.get("bytes_expected")
        put(
            self,
            pairs(
                [
                    ("chain", part(", ".join(view.chains))),
                    ("source", part(start.get("source", "-"))),
                    ("source tip", count(tip) if isinstance(tip, int) else "unknown"),
                    ("to read", size(wanted) if isinstance(wanted, int) else "unknown"),
                    ("store", part(start.get("store", "-"))),
                    ("partition", f"{count(_whole(start.get('partition_size')))} ledgers"),
                    ("config", part(start.get("config_file") or "environment")),
                    ("state", part(start.get("state_dir", "-"))),
                    ("engine", part(f"{start.get('version', '?')}, process {start.get('pid')}")),
                    ("started", hms(view.started_at)),
                ],
                12,
            ),
        )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
