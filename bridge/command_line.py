"""What the command lines of this project share: --version, --instance, --config, how a command looks.

Everybody who asks for help imports this, so it must import nothing that takes time.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from bridge.config_file import config_path, path_of

SHELLS = ("bash", "zsh", "tcsh", "fish")
EX_USAGE = 64  # sysexits.h


class Parser(argparse.ArgumentParser):
    """Wrong usage has an exit status that means nothing else, so that no unit and no monitor takes it for a verdict."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


class CommandLine:
    """A command with subcommands.

    Args:
        top: its parser. Gets --version, --print-completion and --instance; `command` will be the subcommand's name.
        examples: what --help ends with, for each subcommand and, by the key None, for the whole.
        exit_codes: what follows the examples.
    """

    def __init__(self, top: Parser, examples: Mapping[str | None, str], exit_codes: str) -> None:
        self._examples = examples
        self._exit_codes = exit_codes
        top.epilog = examples[None] + exit_codes
        top.formatter_class = argparse.RawDescriptionHelpFormatter
        top.add_argument("--version", action=_Version)
        top.add_argument("--print-completion", action=_Completion, choices=SHELLS)
        text = "the bridge that has its own file NAME.toml beside config.toml; short for --config, before COMMAND"
        top.add_argument("--instance", type=_file_of, metavar="NAME", dest="instance_file", help=text)
        self._commands = top.add_subparsers(metavar="COMMAND", required=True, dest="command", parser_class=Parser)

    def add(self, name: str, help: str, *, config: bool = True) -> Parser:
        """A subcommand, with --config unless told otherwise."""
        command = self._commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=self._examples[name] + self._exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if config:
            text = f"configuration file ({config_path()})".replace("%", "%%")
            command.add_argument("--config", type=Path, help=text)
        return command


def parse(top: Parser, argv: list[str] | None) -> argparse.Namespace:
    """The arguments; `config`, where the subcommand has it, is the file to be read, `is_named` whether it was chosen.

    Ends the process on wrong usage.
    """
    arguments = top.parse_args(argv)
    named: Path | None = arguments.instance_file
    if named and not hasattr(arguments, "config"):
        top.error(f"{arguments.command} reads no configuration: it takes no --instance")
    if named and arguments.config:
        top.error("--instance is short for --config: give one of them")
    if hasattr(arguments, "config"):
        arguments.is_named = bool(arguments.config or named)
        arguments.config = arguments.config or named or config_path()
    if argv is None:
        # All goes at the end of the process. Python would look through it for garbage before, which takes longer than
        # any other part of the end.
        atexit.register(gc.freeze)
    return arguments


def _file_of(name: str) -> Path:
    try:
        return path_of(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def say_if_root(command: str, user: str, config: Path) -> None:
    """Root may read everything, so what root was told of a config is not yet true of the service: say so on stderr."""
    if os.geteuid() == 0:
        how = f"runuser -u {user} -- {command} check-config --config {config}"
        print(f"{command}: checked as root; whether the service's user can read it too, says: {how}", file=sys.stderr)


class _Version(argparse.Action):
    """Prints the version, which takes longer to find than all the rest."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show program's version number and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from bridge import __version__

        print(f"{parser.prog} {__version__}")
        parser.exit()


class _Completion(argparse.Action):
    """Prints a completion script."""

    def __init__(self, option_strings: list[str], dest: str, choices: tuple[str, ...]) -> None:
        text = "print a completion script for this shell and exit"
        super().__init__(option_strings, dest, choices=choices, help=text)

    def __call__(self, parser: argparse.ArgumentParser, _namespace: Any, shell: Any, *_: Any) -> None:
        import shtab

        _complete_files(parser, shtab.FILE)
        print(shtab.complete(parser, shell))
        parser.exit()


def _complete_files(parser: argparse.ArgumentParser, how: Any) -> None:
    """Where a path is asked for, the shell offers files."""
    for action in parser._actions:
        if action.type is Path:
            action.complete = how  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_files(command, how)
