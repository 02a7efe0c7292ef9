"""The one place where people steer a run: pause, resume, drain, stop, change of workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bronze_tui.domain.errors import UsageError
from bronze_tui.engine.context import BuildStopped

MAX_WORKERS = 64


class RunControl:
    """Wishes of operators and signals; every method may be called from any thread.

    ``draining`` lets what is being built finish and commits it; ``stopping`` gives builds up at
    the next ledger. Both end the run; neither leaves half a commit.
    """

    def __init__(self, workers: int) -> None:
        self.changed = threading.Condition()
        self.workers = workers
        self._state = "running"
        self._paused = False
        self._halt = False
        self._hold = False
        self._told: list[tuple[str, str, str]] = []
        self._backing_off: set[str] = set()

    @property
    def state(self) -> str:
        """running, paused, draining or stopping."""
        if self._state == "running" and self._paused:
            return "paused"
        return self._state

    @property
    def ending(self) -> bool:
        """Whether no new partition may begin."""
        return self._state != "running" or self._halt

    @property
    def stopping(self) -> bool:
        """Whether builds are given up."""
        return self._state == "stopping" or self._halt

    def pause(self, by: str) -> None:
        """Builders wait at their next ledger; what is built is still committed."""
        with self.changed:
            if not self.ending and not self._paused:
                self._paused = True
                self._note("paused", by)

    def resume(self, by: str) -> None:
        """End a pause."""
        with self.changed:
            if self._paused:
                self._paused = False
                self._note("running", by)

    def drain(self, by: str) -> None:
        """Finish what is being built, commit it, end."""
        with self.changed:
            if self._state == "running":
                self._state = "draining"
                self._paused = False
                self._note("draining", by)

    def stop(self, by: str) -> None:
        """Give up builds and end; what is committed stays."""
        with self.changed:
            if self._state != "stopping":
                self._state = "stopping"
                self._paused = False
                self._note("stopping", by)

    def halt(self) -> None:
        """The engine gives builds up because of a failure."""
        with self.changed:
            self._halt = True
            self._paused = False
            self._refresh()

    def set_workers(self, workers: int, by: str) -> None:
        """Change the number of builders.

        Raises:
            UsageError: not between 1 and 64.
        """
        if not 1 <= workers <= MAX_WORKERS:
            raise UsageError(f"workers must be 1 to {MAX_WORKERS}, not {workers}")
        with self.changed:
            self.workers = workers
            self._note("workers", by, str(workers))

    def check(self) -> None:
        """Called by builders at every ledger: waits while paused.

        Raises:
            BuildStopped: the run gives builds up.
        """
        if not self._hold:
            return
        with self.changed:
            while self._paused and not self.stopping:
                self.changed.wait()
            if self.stopping:
                raise BuildStopped("the run stops; nothing of this partition was committed")

    def back_off(self, partition: str, seconds: float) -> None:
        """Sleep before a partition's next try; ``retry`` ends it early, a pause holds it.

        Raises:
            BuildStopped: the run gives builds up.
        """
        with self.changed:
            self._backing_off.add(partition)
            self.changed.wait_for(
                lambda: self.stopping or partition not in self._backing_off, timeout=seconds
            )
            self._backing_off.discard(partition)
        self.check()

    def retry(self, partition: str) -> bool:
        """End the back-off of a partition; false when it is in none."""
        with self.changed:
            if partition not in self._backing_off:
                return False
            self._backing_off.discard(partition)
            self.changed.notify_all()
        return True

    def take_notes(self) -> list[tuple[str, str, str]]:
        """State, by whom, detail: changes since the last call, for the journal."""
        with self.changed:
            notes, self._told = self._told, []
        return notes

    def _note(self, state: str, by: str, detail: str = "") -> None:
        self._told.append((state, by, detail))
        self._refresh()

    def _refresh(self) -> None:
        # One plain attribute keeps the check per ledger free of the lock.
        self._hold = self._paused or self.stopping
        self.changed.notify_all()


def handler(
    control: RunControl,
    status: Callable[[], dict[str, Any]],
    retry: Callable[[str, str], None],
) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Answers of the control socket's commands.

    Args:
        retry: called with a partition and by whom; raises UsageError when it cannot be tried now.
    """

    def handle(command: str, args: dict[str, Any]) -> dict[str, Any]:
        by = "control socket"
        if command == "status":
            return status()
        if command == "workers":
            count = args.get("count")
            if not isinstance(count, int) or isinstance(count, bool):
                raise UsageError("workers needs a number")
            control.set_workers(count, by)
        elif command == "retry":
            retry(str(args.get("partition")), by)
        elif command in ("pause", "resume", "drain", "stop"):
            getattr(control, command)(by)
        else:
            raise UsageError(
                f"unknown command {command!r}",
                todo="use status, pause, resume, drain, stop, workers, retry",
            )
        return {"state": control.state, "workers": control.workers}

    return handle
