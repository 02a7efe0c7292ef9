"""Runs the real command in forks of one warm process and kills it, or makes a call fail, at the
n-th of something. Faults are patched ``os`` functions and catalog commits, on any machine, real
system calls changed by strace where it is installed and may attach, or requests at a proxy."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copying import Site

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EROFS": errno.EROFS}
COUNT = "count"
RUN_SECONDS = 120.0
"""No run of a sweep takes longer, on the busiest machine."""
_ATTACH = 20.0


@dataclass(frozen=True)
class Fault:
    """What happens at the n-th call; the default is nothing.

    ``effect`` is ``before`` or ``after`` (killed there), ``torn`` (killed with half of a write
    done), an error's name, a proxy's kind of fault, or ``count``. ``how`` is ``patch``, ``strace``
    or the part that a proxy stands before; ``call`` an ``os`` function, ``commit`` for the
    catalog's, strace's list of system calls, or what a request's line must hold; ``near`` narrows
    strace to the calls on some paths.
    """

    how: str = ""
    call: str = ""
    effect: str = ""
    n: int = 0
    near: str = ""

    @property
    def name(self) -> str:
        """Without the place, for tables."""
        return " ".join(filter(None, (self.how, self.effect, self.call, self.near)))


@dataclass(frozen=True)
class Ended:
    """How a run ended; ``code`` is negative for a signal."""

    code: int
    output: str
    count: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def arguments(site: Site, **changes: Any) -> list[str]:
    """The command line of a plain headless run."""
    sets = [part for text in site.sets(**changes) for part in ("--set", text)]
    return ["run", "--no-tui", "--plain", *sets]


def warm_up(site: Site) -> None:
    """Load everything a run needs, so that a fork starts at once; starts no thread."""
    import pyarrow.parquet  # noqa: F401

    import bronze_tui.commands.run
    import bronze_tui.engine.main
    import bronze_tui.headless.renderer  # noqa: F401
    from bronze_tui.lake.frames import FrameReader
    from bronze_tui.xdr.header import LedgerReader, iter_ledgers

    ledger = next(site.lake.rglob("*.zst"))
    raw = FrameReader(1 << 28).read(ledger.read_bytes())
    assert list(iter_ledgers(raw, LedgerReader()))


class Copy:
    """The running command."""

    def __init__(self, pid: int, site: Site, fault: Fault, tracer: Any) -> None:
        self.pid = pid
        self._site, self._fault, self._tracer = site, fault, tracer
        self._code: int | None = None

    def running(self) -> bool:
        """Whether it still runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code is None

    def kill(self) -> None:
        """SIGKILL, where it still runs."""
        if self.running():
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = RUN_SECONDS) -> Ended:
        """How it ended.

        Raises:
            TimeoutError: it did not; it is killed.
        """
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"it ran for {seconds:.0f} s: {self._said()[-800:]}")
            time.sleep(0.002)
        if self._tracer is not None:
            self._tracer.wait(timeout=_ATTACH)
        assert self._code is not None
        count = _counted(self._fault, self._site, self._site.root / "notes")
        return Ended(self._code, self._said(), count)

    def _said(self) -> str:
        return (self._site.root / "notes" / f"output-{self.pid}").read_text(errors="replace")


def run(site: Site, fault: Fault | None = None, mutate: Callable[[], None] | None = None) -> Ended:
    """Run the command in a fork, with a fault or none, to its end."""
    return start(site, fault, mutate).wait()


def start(
    site: Site,
    fault: Fault | None = None,
    mutate: Callable[[], None] | None = None,
    **changes: Any,
) -> Copy:
    """Start the command in a fork, with a fault or none; ``changes`` as of ``Site.sets``."""
    fault = fault or Fault()
    site.root.mkdir(parents=True, exist_ok=True)
    notes = site.root / "notes"
    notes.mkdir(exist_ok=True)
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        _child(site, fault, mutate, (gate, notes), changes)
    os.close(gate)
    try:
        tracer = _attach(child, site, fault, notes) if fault.how == "strace" else None
        proxy = _proxy(site, fault)
        if proxy is not None:
            killed = fault.effect in ("before", "after")
            effect = f"kill-{fault.effect}" if killed else fault.effect
            proxy.set_trap(fault.n, effect, fault.call, child)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(opener)
    return Copy(child, site, fault, tracer)


def _proxy(site: Site, fault: Fault) -> Any:
    found: dict[str, Any] = getattr(site, "chaos", {})
    return found.get(fault.how)


def _child(
    site: Site,
    fault: Fault,
    mutate: Callable[[], None] | None,
    plumbing: tuple[int, Path],
    changes: dict[str, Any],
) -> None:
    code = 99
    gate, notes = plumbing
    try:
        os.environ.update(getattr(site, "environment", {}))
        sink = os.open(notes / f"output-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.read(gate, 1)
        if mutate is not None:
            mutate()
        trap = Trap(fault)
        if fault.how == "patch":
            trap.set()
        from bronze_tui.cli import main

        code = main(arguments(site, **changes))
        trap.release()
        (notes / "count").write_text(str(trap.count))
    finally:
        os._exit(code)


class Trap:
    """Wraps one function of ``os``, or the catalog's commit, and springs at its n-th call."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self._real: Any = None
        self.count = 0

    def set(self) -> None:
        if self._fault.call == "commit":
            self._set_commit()
            return
        self._real = getattr(os, self._fault.call)
        setattr(os, self._fault.call, self._around(self._real))

    def release(self) -> None:
        if self._real is not None:
            setattr(os, self._fault.call, self._real)

    def _set_commit(self) -> None:
        trap, connect = self, sqlite3.connect

        class Connection(sqlite3.Connection):
            def commit(self) -> None:
                trap._around(super().commit)()

        def opened(*args: Any, **options: Any) -> sqlite3.Connection:
            return connect(*args, factory=Connection, **options)

        sqlite3.connect = opened  # type: ignore[assignment]

    def _around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if not self._counts(args) or not self._springs():
                return real(*args, **options)
            effect = self._fault.effect
            if effect in ERRORS:
                raise self._error(effect)
            if effect == "torn":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            elif effect == "after":
                real(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("killed")

        return call

    def _counts(self, args: tuple[Any, ...]) -> bool:
        """Opens that make a file, not the many that read."""
        return self._fault.call != "open" or bool(args[1] & os.O_CREAT)

    def _springs(self) -> bool:
        with self._lock:
            self.count += 1
            return self.count == self._fault.n and self._fault.effect != COUNT

    def _error(self, name: str) -> Exception:
        if self._fault.call == "commit":
            error = sqlite3.OperationalError(f"{name}, simulated")
            full = name == "ENOSPC"
            error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
            return error
        return OSError(ERRORS[name], os.strerror(ERRORS[name]))


def _near(site: Site, place: str) -> list[Path]:
    catalog = site.state / "catalog.sqlite"
    events = [f"testnet_first_v1_{n}-{n + 3}.json" for n in (2, 6, 10)]
    folders = [site.table / f"range={n}-{n + 3}" for n in (2, 6, 10)]
    return {
        "": [],
        "commits": [site.dataset / "_commits"],
        "partitions": [site.table, *folders],
        "pas": [site.pas, *(site.pas / name for name in (*events, "pas-chain-heads.json"))],
        "catalog": [catalog, catalog.with_name("catalog.sqlite-journal")],
        "state": [site.state],
    }[place]


def strace_words(site: Site, fault: Fault, log: str) -> list[str]:
    """strace's own command line, without what it traces."""
    words = ["strace", "-f", "-qq", "-o", log, "-e", f"trace={fault.call}"]
    if fault.effect != COUNT:
        what = f"error={fault.effect}" if fault.effect in ERRORS else "signal=KILL"
        words += ["-e", f"inject={fault.call}:{what}:when={fault.n}"]
    return words + [word for path in _near(site, fault.near) for word in ("-P", str(path))]


def _attach(child: int, site: Site, fault: Fault, notes: Path) -> subprocess.Popen[bytes]:
    log = str(notes / "trace") if fault.effect == COUNT else os.devnull
    words = [*strace_words(site, fault, log), "-p", str(child)]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE)
    deadline = time.monotonic() + _ATTACH
    while "TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            assert tracer.stderr is not None
            raise RuntimeError(f"strace cannot attach: {tracer.stderr.read().decode().strip()}")
        time.sleep(0.001)
    return tracer


def _counted(fault: Fault, site: Site, notes: Path) -> int:
    """Calls seen; strace counts for each thread, so it is the busiest thread's."""
    proxy = _proxy(site, fault)
    if proxy is not None:
        matched: int = proxy.unset()
        return matched
    if fault.effect != COUNT:
        return 0
    if fault.how == "patch":
        return int((notes / "count").read_text())
    threads: dict[str, int] = {}
    for line in (notes / "trace").read_text().splitlines():
        thread, _, rest = line.partition(" ")
        if not rest.lstrip().startswith(("<...", "+++", "---")):
            threads[thread] = threads.get(thread, 0) + 1
    return max(threads.values(), default=0)


def why_no_strace() -> str:
    """Why real system calls cannot be changed here; empty when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    words = ["strace", "-qq", "-o", os.devnull, "-e", "trace=mkdir", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()}"
