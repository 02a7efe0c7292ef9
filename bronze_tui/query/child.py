"""The process that runs foreign SQL: ``python -m bronze_tui.query.child``, frames on its pipes.

It gives up its rights first and answers then; it ends when its parent does.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO, Any

from bronze_tui.query.frames import BrokenFrame, read_frame, write_frame

_NICE = 5


def main() -> None:
    """Serve one parent until it closes the pipe."""
    commands, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not stand between frames
    try:
        setup, _ = read_frame(commands)
    except BrokenFrame:
        return
    os.nice(_NICE)
    try:
        console, walls = _open(setup)
    except Exception as error:
        write_frame(answers, {"type": "error", "kind": "failed", "what": _say(error)})
        return
    write_frame(
        answers,
        {
            "type": "ready",
            "walls": walls,
            "tables": console.schema(),
            "files": console.files,
            "notes": console.notes,
        },
    )
    todo: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(commands, console, todo), daemon=True).start()
    while True:
        _answer(console, todo.get(), answers)


def _open(setup: dict[str, Any]) -> tuple[Any, list[str]]:
    """The console behind its walls. What it imports and what threads there are is in this order
    on purpose: walls hold only for threads that start behind them."""
    import pyarrow as pa

    from bronze_tui.query import sandbox
    from bronze_tui.query.console import Console, Setup

    root = Path(setup["root"]).resolve()
    pas = Path(setup["pas"]).resolve() if setup["pas"] else None
    memory = int(setup["memory"])
    walls = sandbox.enter([root, *([pas] if pas else [])], extra_memory=4 * memory)
    pa.set_cpu_count(int(setup["threads"]))
    pa.set_io_thread_count(int(setup["threads"]))
    asked = Setup(root, pas, memory, float(setup["seconds"]), int(setup["threads"]))
    return Console(asked), walls


def _listen(commands: IO[bytes], console: Any, todo: queue.Queue[dict[str, Any]]) -> None:
    """Hand over what the parent asks for; leave when it is gone, whatever is running."""
    while True:
        try:
            header, _ = read_frame(commands)
        except BrokenFrame:
            os._exit(0)
        if header.get("type") == "cancel":
            args = (int(header["id"]),)
            threading.Thread(target=console.cancel, args=args, daemon=True).start()
        else:
            todo.put(header)


def _answer(console: Any, asked: dict[str, Any], answers: IO[bytes]) -> None:
    from bronze_tui.query.console import Problem

    number = int(asked["id"])

    def emit(table: Any) -> None:
        write_frame(answers, {"type": "rows", "id": number}, _stream(table))

    try:
        if asked["type"] == "schema":
            done = {"tables": console.schema(), "files": console.files}
        else:
            done = console.run(
                number, asked["sql"], int(asked["limit"]), short=bool(asked["short"]), emit=emit
            )
        write_frame(answers, {"type": "end", "id": number, "notes": console.notes, **done})
    except BrokenPipeError:
        os._exit(0)
    except Problem as error:
        told = {"kind": error.kind, "what": error.what, "detail": error.detail}
        write_frame(answers, {"type": "error", "id": number, **told})
    except Exception as error:
        told = {"kind": "failed", "what": _say(error), "detail": ""}
        write_frame(answers, {"type": "error", "id": number, **told})


def _stream(table: Any) -> memoryview:
    """The table as an Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


if __name__ == "__main__":
    main()
