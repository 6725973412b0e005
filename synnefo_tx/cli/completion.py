"""``snf-manage completion bash|zsh``: what a shell needs to complete commands, options, choices.

The script holds all that the commands declare, so that completing starts no program.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from synnefo_tx.cli.command import Options, StandaloneCommand
from synnefo_tx.cli.output import Output

FILE_OPTIONS = frozenset({"--config", "--ca"})


@frozen
class Completed:
    """An option, its help, and what may follow it: choices, a file, something else, nothing."""

    names: tuple[str, ...]
    help: str
    choices: tuple[str, ...] = ()
    takes_value: bool = False
    takes_file: bool = False


@frozen
class CompletedCommand:
    """A command, what it does, its options, and the choices of its first argument."""

    name: str
    help: str
    options: tuple[Completed, ...]
    choices: tuple[str, ...] = ()


def described(parser: argparse.ArgumentParser) -> list[CompletedCommand]:
    """What can be completed behind the program's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            choices: Mapping[str, argparse.ArgumentParser] = action.choices
            return [_command(name, helps[name], choices[name]) for name in sorted(choices)]
    raise TypeError("the parser has no commands")


def _command(name: str, help: str, parser: argparse.ArgumentParser) -> CompletedCommand:
    shown = [each for each in parser._actions if each.help != argparse.SUPPRESS]
    options = [_option(each) for each in shown if each.option_strings]
    first = [each for each in shown if not each.option_strings][:1]
    choices = tuple(str(each) for action in first for each in action.choices or ())
    return CompletedCommand(name, help, tuple(options), choices)


def _option(action: argparse.Action) -> Completed:
    truth = action.metavar in ("True|False", "BOOL")
    choices = ("True", "False") if truth else tuple(str(each) for each in action.choices or ())
    return Completed(
        tuple(action.option_strings),
        " ".join((action.help or "").split()),
        choices,
        action.nargs != 0,
        not FILE_OPTIONS.isdisjoint(action.option_strings),
    )


def bash(commands: Sequence[CompletedCommand]) -> str:
    """The script for bash."""
    names = " ".join(each.name for each in commands)
    lines = [
        '# bash completion of snf-manage: eval "$(snf-manage completion bash)"',
        "_snf_manage() {",
        '    local current="${COMP_WORDS[COMP_CWORD]}" words=""',
        '    local before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        COMPREPLY=($(compgen -W {shlex.quote(names)} -- "$current"))',
        "        return",
        "    fi",
        '    case "${COMP_WORDS[1]}:$before" in',
    ]
    for command in commands:
        for option in command.options:
            if option.takes_value:
                patterns = "|".join(f"{command.name}:{name}" for name in option.names)
                lines.append(f"    {patterns}) {_bash_values(option)}; return ;;")
    lines += ["    esac", '    case "${COMP_WORDS[1]}" in']
    for command in commands:
        words = [name for option in command.options for name in option.names]
        if command.choices:
            lines.append(f'    {command.name}) if [ "$COMP_CWORD" -eq 2 ]; then')
            lines.append(f"        words={shlex.quote(' '.join(command.choices))}; fi ;;&")
        lines.append(f'    {command.name}) words="$words "{shlex.quote(" ".join(words))} ;;')
    lines += [
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        "complete -F _snf_manage snf-manage",
    ]
    return "\n".join(lines) + "\n"


def _bash_values(option: Completed) -> str:
    if option.takes_file:
        return 'mapfile -t COMPREPLY < <(compgen -f -- "$current")'
    if option.choices:
        words = shlex.quote(" ".join(option.choices))
        return f'COMPREPLY=($(compgen -W {words} -- "$current"))'
    return ":"


def zsh(commands: Sequence[CompletedCommand]) -> str:
    """The script for zsh, with what commands and options do."""
    lines = [
        '# zsh completion of snf-manage: eval "$(snf-manage completion zsh)"',
        "_snf_manage() {",
        "    local -a commands",
        "    if (( CURRENT == 2 )); then",
        "        commands=(",
        *(
            f"            {shlex.quote(_plain(each.name) + ':' + _plain(each.help))}"
            for each in commands
        ),
        "        )",
        "        _describe command commands",
        "        return",
        "    fi",
        "    local name=$words[2]",
        "    shift words",
        "    (( CURRENT-- ))",
        '    case "$name" in',
    ]
    for command in commands:
        specs = [shlex.quote(spec) for option in command.options for spec in _zsh_specs(option)]
        if command.choices:
            specs.append(shlex.quote(f"1:argument:({' '.join(command.choices)})"))
        else:
            specs.append(shlex.quote("*:argument: "))
        lines.append(f"    {command.name}) _arguments -s {' '.join(specs)} ;;")
    lines += [
        "    esac",
        "}",
        "compdef _snf_manage snf-manage",
    ]
    return "\n".join(lines) + "\n"


def _zsh_specs(option: Completed) -> list[str]:
    message = _plain(option.help) or option.names[-1].lstrip("-")
    value = ""
    if option.takes_file:
        value = ":file:_files"
    elif option.choices:
        value = f":value:({' '.join(option.choices)})"
    elif option.takes_value:
        value = ":value: "
    return [f"*{name}[{message}]{value}" for name in option.names]


def _plain(text: str) -> str:
    """A text without what ``_arguments`` and ``_describe`` read as marks."""
    return text.replace("\\", " ").replace("[", "(").replace("]", ")").replace(":", ",")


class Completion(StandaloneCommand):
    """Print what bash or zsh need to complete commands, options and choices.

    For bash: eval "$(snf-manage completion bash)" in ~/.bashrc; for zsh the same in ~/.zshrc, after
    compinit.
    """

    name = "completion"
    tells_of_others = True

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("shell", choices=sorted(SHELLS))

    def write(self, options: Options, out: Output) -> None:
        """Print the script, whatever the output format."""
        out.stream.write(SHELLS[options.shell](described(options.parser)))


SHELLS: Mapping[str, Callable[[Sequence[CompletedCommand]], str]] = {"bash": bash, "zsh": zsh}
