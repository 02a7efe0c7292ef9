"""pluggy markers of the project; the only module a plugin needs besides the contracts."""

from __future__ import annotations

from typing import Any

import pluggy

PROJECT = "bronze_tui"
ENTRY_POINTS = "bronze_tui.plugins"
HOOK_API = 1
"""A plugin module says ``bronze_hook_api = 1``; another number is a failed plugin."""

hookspec: Any = pluggy.HookspecMarker(PROJECT)
hookimpl: Any = pluggy.HookimplMarker(PROJECT)
