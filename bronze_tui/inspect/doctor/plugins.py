"""Whether the plugins that the configuration names load."""

from __future__ import annotations

from collections.abc import Iterator

from bronze_tui.domain.errors import Exit, PluginError, UsageError
from bronze_tui.hooks.manager import load_plugins
from bronze_tui.inspect.doctor.finding import Finding, Notes
from bronze_tui.inspect.doctor.subject import Subject

NOTES = Notes("plugins")


def checks(subject: Subject) -> Iterator[Finding]:
    """Load them as a run does."""
    settings = subject.settings
    plugins = settings.plugins
    needed = {settings.source.mode, settings.storage.backend}
    try:
        host = load_plugins(
            allow=plugins.allow, disable=plugins.disable, required=plugins.required, needed=needed
        )
    except PluginError as error:
        yield NOTES.error("required", "a required plugin FAILED", error)
        # The others tell more about source and store than nothing would.
        host = load_plugins(allow=plugins.allow, disable=plugins.disable, needed=needed)
    subject.host = host
    active = [record.name for record in host.records if record.status == "active"]
    yield NOTES.ok("load", f"{len(active)} loaded", ", ".join(active))
    for record in host.records:
        if record.status == "failed":
            text = f"plugin {record.name} failed at {record.stage}"
            todo = "bronze plugins --json has the traceback; or add it to plugins.disable"
            yield NOTES.warn(record.name, text, record.error, todo)
    for kind, name in (("source", settings.source.mode), ("store", settings.storage.backend)):
        try:
            host.source(name) if kind == "source" else host.store(name)
        except PluginError as error:
            yield NOTES.error(kind, f"{kind} {name} CANNOT be used", error)
        except UsageError as error:
            todo = error.todo or "correct the name, or install the plugin that offers it"
            yield NOTES.fail(kind, f"no plugin offers {kind} {name}", error.what, todo, Exit.PLUGIN)
