"""Generate pages for MkDocs: the home page from README.md, and one page for each command from its help."""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from lightrec.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = "reference/commands"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the commands' pages into the menu, where it has an empty section named "Commands"."""
    pages = [{" ".join(words): f"{COMMANDS}/{'-'.join(words)}.md"} for words, _ in _commands()]
    for section in config.nav or []:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and "Commands" in entry:
                entry["Commands"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    for words, command in _commands():
        name = f"{COMMANDS}/{'-'.join(words)}.md"
        files.append(File.generated(config, name, content=_page(words, command)))
    return files


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: Any) -> str:
    """Let links to files outside docs/ lead to the repository."""
    return re.sub(
        r"\]\((?:\.\./)*((?:examples|benchmarks|lightrec|CONTRIBUTING\.md|CHANGELOG\.md)[^)\s]*)\)",
        lambda link: f"]({config.extra['repository']}/blob/main/{link[1]})",
        markdown,
    )


def on_page_content(html: str, **_: Any) -> str:
    """Show Sphinx roles of docstrings, such as :meth:`~lightrec.Recommender.load`, as code."""
    return re.sub(r":(?:meth|class|func|mod|attr|data|exc):<code>(?:~[\w.]*\.)?", "<code>", html)


def _commands(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words, such as ("data", "prepare"), in the order of the help."""
    command = command or typer.main.get_command(app)
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
    for name, child in (inner or {}).items():
        yield from _commands(child, (*words, name))


def _page(words: tuple[str, ...], command: Any) -> str:
    """The Markdown of one command: its help, its arguments and its options."""
    arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
    options = [parameter for parameter in command.params if parameter not in arguments and not parameter.hidden]
    usage = " ".join(["lightrec", *words, "[OPTIONS]", *(argument.metavar or "" for argument in arguments)])
    help_text = (command.help or "").replace("\n```\n", "\n```bash\n", 1)
    parts = [f"# lightrec {' '.join(words)}", f"```text\n{usage.strip()}\n```", help_text]
    for title, parameters in (("Arguments", arguments), ("Options", options)):
        if parameters:
            parts += [f"## {title}", *(_parameter(parameter) for parameter in parameters)]
    return "\n\n".join(parts) + "\n"


def _parameter(parameter: Any) -> str:
    """One entry of a definition list: the name with its value, and the help with the default."""
    names = [*parameter.opts, *parameter.secondary_opts]
    is_argument = not names[0].startswith("-")
    shown = f"`{parameter.metavar or parameter.name.upper()}`" if is_argument else ", ".join(f"`{n}`" for n in names)
    value = "" if is_argument else _value(parameter.type_descriptor.annotation)
    notes = []
    if parameter.required:
        notes.append("required")
    if parameter.multiple:
        notes.append("repeatable")
    default = parameter.default
    if isinstance(default, enum.Enum):
        default = default.value
    if parameter.show_default is True and default not in (None, False, [], ()) and default is not True:
        notes.append(f"default: `{default}`")
    note = f" *({'; '.join(notes)})*" if notes else ""
    text = " ".join((parameter.help or "").split()).replace("[", "\\[").replace("<", "&lt;")
    return f"{shown}{f' {value}' if value else ''}\n:   {text}{note}"


def _value(annotation: Any) -> str:
    """What an option takes: its choices, or the name of its type; nothing for a flag."""
    if annotation is bool:
        return ""
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "one of " + ", ".join(f"`{choice.value}`" for choice in annotation)
    inner = [part for part in typing.get_args(annotation) if part is not type(None)]
    if inner:
        return _value(inner[0])
    names = {int: "*integer*", float: "*number*", str: "*text*", Path: "*path*"}
    return names.get(annotation, "*text*")
