"""What a plugin may use: ``hookimpl`` and the contracts. See ``docs/plugins.md``."""

from bronze_tui.hooks.markers import HOOK_API, hookimpl

__all__ = ["HOOK_API", "hookimpl"]
