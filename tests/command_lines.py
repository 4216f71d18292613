"""Command lines as people write them in documents: found in text, and checked against the real commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer

from lightrec.cli.app import app

GROUP = typer.main.get_command(app)


def shell_lines(text: str) -> Iterator[str]:
    """The commands of a shell block, one at a time: continuations joined, comments and prompts dropped."""
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ")
        yield from (part.strip() for part in re.split(r"&&|\||;|>", line) if part.strip())


def lightrec_lines(text: str) -> list[str]:
    """Those commands of a shell block that call lightrec."""
    return [line for line in shell_lines(text) if line.split()[0] == "lightrec"]


def leaves(command=GROUP, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command: ("train",), ("data", "prepare"), ..."""
    if not hasattr(command, "commands"):
        yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))


def parsed(line: str) -> dict[str, Any]:
    """The parameters that a line gives to its command, which is not run; an unknown command or option raises."""
    command, words = GROUP, shlex.split(line)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"there is no command {name!r} in: {line}"
        command = command.commands[name]
    if words[-1:] in (["--help"], ["--version"]):
        return {}
    return command.make_context(command.name, words).params
