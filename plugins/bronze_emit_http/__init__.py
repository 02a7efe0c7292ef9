"""The built-in emitter ``http``: audit events posted to a server, one request each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bronze_tui.hooks.markers import HOOK_API, hookimpl

if TYPE_CHECKING:
    from bronze_tui.hooks.contracts import Emitter, EmitterOptions
    from bronze_tui.hooks.specs import Register

bronze_hook_api = HOOK_API


def open_emitter(options: EmitterOptions) -> Emitter:
    """The emitter to ``options.endpoint``; it connects with the first event."""
    from bronze_emit_http.emitter import HttpEmitter

    return HttpEmitter(options)


@hookimpl
def bronze_register_emitters(register: Register) -> None:
    """Offer ``http``."""
    register("http", open_emitter, summary="audit events posted to pas.endpoint")
