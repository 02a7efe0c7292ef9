"""What bare ``bronze`` does on a terminal without any configuration: ask, then go there."""

from __future__ import annotations


def start() -> int:
    """The start screen and what was chosen on it; the exit code."""
    from bronze_tui.tui import launch

    choice = launch.choose()
    if choice is None:
        return 0
    if choice.what == "demo":
        from bronze_tui.commands.demo import show

        return show(choice.path)
    if choice.what == "config":
        from bronze_tui.commands._context import load_config
        from bronze_tui.commands.run import config_arguments

        loaded = load_config(choice.path, ())
        return launch.run_with_app(loaded, config_arguments(choice.path)).code
    inspection = launch.verify_session if choice.what == "verify" else launch.inspect_session
    return launch.open_app(inspection(choice.path)).code
