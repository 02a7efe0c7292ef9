"""The command ``bronze``: finds the subcommand, imports it alone, turns errors into exit codes.

The Go copier's command line works unchanged: ``-config FILE``, ``-validate``, ``-version``.
Nothing of the product is imported until a subcommand is chosen.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from bronze_tui import __version__
from bronze_tui.domain.errors import BronzeError, ConfigError, Exit, PluginError

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("bronze_tui.commands.run:command", "Copy ledgers; what bare 'bronze' does."),
    "demo": ("bronze_tui.commands.demo:command", "Make a small lake, copy it and verify the copy."),
    "status": ("bronze_tui.commands.status:command", "Coverage, gaps and head of a dataset."),
    "attach": ("bronze_tui.commands.attach:command", "Watch a running or finished copy."),
    "replay": ("bronze_tui.commands.replay:command", "Show a recorded run on screen."),
    "serve": ("bronze_tui.commands.serve:command", "The same screen, read-only, in a browser."),
    "sql": ("bronze_tui.commands.sql:command", "Query the committed Parquet, read only."),
    "ctl": ("bronze_tui.commands.ctl:command", "Pause, resume, drain or stop a running copy."),
    "verify": ("bronze_tui.commands.verify:command", "Prove a copy and its audit chain."),
    "rebuild": ("bronze_tui.commands.rebuild:command", "Build partitions again, and compare."),
    "head": ("bronze_tui.commands.head:command", "Sign what an audit chain is now."),
    "proof": ("bronze_tui.commands.proof:command", "Prove one partition to people elsewhere."),
    "anchor": ("bronze_tui.commands.anchor:command", "Put a signed head into a Stellar memo."),
    "key": ("bronze_tui.commands.key:key", "Keys that sign heads."),
    "pas": ("bronze_tui.commands.pas:pas", "Deliveries of audit events; a small receiver."),
    "doctor": ("bronze_tui.commands.doctor:command", "Probe a configuration; say what to fix."),
    "validate": ("bronze_tui.commands.validate:command", "Say all that is wrong with a config."),
    "catalog": ("bronze_tui.commands.catalog:catalog", "Look at, migrate or rebuild the catalog."),
    "config": ("bronze_tui.commands.config:config", "Show the effective config; its schema."),
    "plugins": ("bronze_tui.commands.plugins:command", "List plugins and what they offer."),
    "ledger": ("bronze_tui.commands.ledger:command", "Look inside one ledger."),
}
"""Name to ``module:attribute`` and the line that ``--help`` shows."""

HIDDEN = {"engine": "bronze_tui.commands.engine:command"}
"""Commands that the program calls itself."""

PIPE_CLOSED = 141
_GO_FLAGS = {"-config": "--config", "-validate": "--validate", "-version": "--version"}
_WITH_VALUE = ("--config", "-c", "--set")
_YES = ("", "1", "t", "true")


def rewrite(args: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """The arguments with the subcommand first, whichever spelling they came in.

    Without a subcommand it is ``validate`` where ``--validate`` stands, else ``run``. Options
    before a subcommand become the subcommand's own.
    """
    options: list[str] = []
    rest = list(args)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        flag, equals, value = rest.pop(0).partition("=")
        flag = _GO_FLAGS.get(flag, flag)
        options.append(f"{flag}{equals}{value}")
        if flag in _WITH_VALUE and not equals and rest:
            options.append(rest.pop(0))
    if "--version" in options or options[:1] in (["--help"], ["-h"]):
        return options
    if rest and (not options or known(rest[0])):
        return [rest[0], *options, *rest[1:]]
    asked = [o for o in options if o.partition("=")[0] == "--validate"]
    options = [o for o in options if o not in asked]
    validate = any(o.partition("=")[2].lower() in _YES for o in asked)
    return ["validate" if validate else "run", *options, *rest]


class LazyGroup(click.Group):
    """Imports a subcommand's module when it is chosen, and no other."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, rewrite(args, COMMANDS.__contains__))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return _plugin_command(cmd_name)
        place = HIDDEN.get(cmd_name) or COMMANDS[cmd_name][0]
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None:
            ctx.fail(_unknown(args[0]))
        return args[0], command, args[1:]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage or config, 3 verification failed, 4 plugin "
    "failed, 5 halted on data, 6 locked, 7 unreachable, 130 and 143 signals. "
    "The Go copier's '-config FILE', '-validate' and '-version' work as they did.",
)
@click.version_option(__version__, "--version", message="bronze %(version)s")
def group() -> None:
    """Copy raw Stellar ledgers into verified, immutable Bronze Parquet.

    Try 'bronze demo' first: it needs no network, no account and no configuration.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the documented exit code. Nothing is raised."""
    args = list(sys.argv[1:] if argv is None else argv)
    _fill_streams()
    try:
        code = _invoke(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return Exit.SIGINT
    except BrokenPipeError:
        return _pipe_closed()
    except Exception as error:
        return _report(error)


def _invoke(args: list[str]) -> int:
    if "_BRONZE_COMPLETE" in os.environ:
        group.main(args, prog_name="bronze")
    try:
        with group.make_context("bronze", args) as ctx:
            result = group.invoke(ctx)
    except click.exceptions.Exit as done:
        return done.exit_code
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return result if isinstance(result, int) else Exit.OK


def _report(error: Exception) -> int:
    """Say ``error`` on stderr the way its kind deserves; its exit code."""
    debug = os.environ.get("BRONZE_DEBUG", "") not in ("", "0")
    if debug and not isinstance(error, click.ClickException):
        import traceback

        _say("".join(traceback.format_exception(error)))
    if isinstance(error, click.ClickException):
        return _report_usage(error)
    if isinstance(error, click.Abort):
        return Exit.SIGINT
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        lines = [f"{len(error.problems)} problems in the configuration", *error.problems]
        _say("\n  ".join(["bronze: error: " + lines[0], *map(_plain, lines[1:])]))
        return error.exit_code
    if isinstance(error, BronzeError):
        _say(f"bronze: error: {_plain(str(error))}")
        return error.exit_code
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{error.filename}: " if error.filename is not None else ""
        _say(f"bronze: error: {_plain(place + os.strerror(error.errno))}")
        return _pipe_closed() if error.errno == errno.EPIPE else Exit.FAILED
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    todo = "" if debug else "; this is a defect; run with BRONZE_DEBUG=1 for the traceback"
    _say(f"bronze: error: {_plain(text)}{todo}")
    return Exit.FAILED


def _report_usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    usage = f"{context.get_usage()}\n" if context is not None else ""
    _say(f"{usage}bronze: error: {_plain(error.format_message())}")
    return error.exit_code


def _plain(text: str) -> str:
    from bronze_tui.headless.plain import plain

    return plain(text, 4000)


def _say(text: str) -> None:
    from bronze_tui.config.redact import redact

    try:
        click.echo(redact(text), err=True)
    except OSError:
        return


def _fill_streams() -> None:
    """Whoever closed a standard stream (``>&-``) wants to hear nothing; left open, its number
    would be given to the next file, and words meant for people would be written into that."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            sink = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(sink, True)
            setattr(sys, name, open(sink, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _pipe_closed() -> int:
    """The reader went away: nothing is left to say, and a verdict may not have reached it."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(sink)
    return PIPE_CLOSED


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "see 'bronze --help'"
    return f"no such command {name!r}; {hint}"


def _plugin_command(name: str) -> click.Command | None:
    """The command of the plugin that is called ``name``, None when there is no such plugin."""
    from bronze_tui.hooks.discovery import list_plugins
    from bronze_tui.hooks.manager import load_plugins

    if not any(record.name == name and not record.builtin for record in list_plugins()):
        return None
    factory: Any = load_plugins(needed={name}, required=(name,)).command(name)
    command = factory(None)
    if not isinstance(command, click.Command):
        raise PluginError(f"plugin {name!r} offers a command that is not a click command")
    return command


if __name__ == "__main__":
    sys.exit(main())
