"""The built-in emitter ``file``: audit events as files in a folder, never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import HOOK_API, hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Emitter, EmitterOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = HOOK_API


def open_emitter(options: EmitterOptions) -> Emitter:
    """The emitter into ``options.backup_dir``; the folder is made with the first event."""
    from bronze_emit_file.emitter import FileEmitter

    return FileEmitter(options.backup_dir)


@hookimpl
def bronze_register_emitters(register: Register) -> None:
    """Offer ``file``."""
    register("file", open_emitter, summary="audit events as files beside pas-chain-heads.json")
