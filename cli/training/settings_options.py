"""Build a command's options from the fields of its settings: flag, type, choices, default and help text."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Iterator
from typing import Annotated, Any

import typer

Command = Callable[..., None]


def settings_options(
    kind: type, *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Add an option for each field of the dataclass ``kind`` that is declared with a help text.

    The options come before the command's parameter ``config``. The command itself does not receive them: it reads
    them from its context (see :func:`lightrec.cli.training.shared_options.make_settings`). An option that is not
    given is None, so that a recipe or a file may set its value; the help names the field's default.

    Args:
        kind: the dataclass; see :func:`lightrec.settings.setting`.
        only: names of the fields to offer; None for all.
        without: names of fields to leave out.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = list(signature.parameters.values())
        added = [one for one in _parameters(kind) if one.name not in without and (only is None or one.name in only)]
        place = list(signature.parameters).index("config")
        parameters = [*own[:place], *added, *own[place:]]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(**{one.name: given[one.name] for one in own})

        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameters(kind: type) -> Iterator[inspect.Parameter]:
    """Yield the option of each field with a help text, those of the class before those of its base classes."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    names = dict.fromkeys(name for each in kind.__mro__ for name in inspect.get_annotations(each))
    for field in (fields[name] for name in names if "help" in fields[name].metadata):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[_option_type(hints[field.name]) | None, _option(field)],
        )


def _option_type(hint: Any) -> Any:
    """Return what an option takes for a field of type ``hint``: repeated options fill a tuple."""
    return list[typing.get_args(hint)[0]] if typing.get_origin(hint) is tuple else hint  # type: ignore[misc]


def _option(field: dataclasses.Field) -> typer.models.OptionInfo:
    words = field.metadata["help"]
    if field.default not in (None, ()):
        words = f"{words}  [default: {field.default}]"
    flag = field.metadata["flag"] or "--" + field.name.replace("_", "-")
    return typer.Option(flag, metavar=field.metadata["metavar"], help=words)
