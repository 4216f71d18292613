"""``lightrec recommend``: what a bundle would show next to one user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import BundleArgument, JsonOption, console, print_json
from lightrec.errors import ConfigError

if TYPE_CHECKING:
    from lightrec import Recommendations, Recommender

HISTORY_SHOWN = 10
"""How many of the last items of the history are printed."""


def recommend(
    bundle: BundleArgument,
    history: Annotated[
        list[str] | None,
        typer.Option(metavar="IDS", help="The user's item ids, oldest first; the most popular items if left out."),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    exclude: Annotated[list[str] | None, typer.Option(metavar="IDS", help="Items never to return.")] = None,
    candidates: Annotated[list[str] | None, typer.Option(metavar="IDS", help="Return only some of these.")] = None,
    boost: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=NUMBER", help="Added to the item's score; repeat it for further items."),
    ] = None,
    backend: Annotated[str | None, typer.Option(help="onnxruntime or openvino.", show_default="onnxruntime")] = None,
    device: Annotated[str | None, typer.Option(help="OpenVINO's device: CPU, GPU or NPU.", show_default="CPU")] = None,
    json: JsonOption = False,
) -> None:
    """Recommend the next items for one user's history.

    IDS are separated by commas; the option may be repeated, and an id that holds a comma itself
    is taken whole where it stands alone. Items of the history are never returned.

    **Examples**

    ```
    lightrec recommend bundle --history 50,181,174 -k 10
    lightrec recommend bundle --history 50,181 --exclude 172 --backend openvino
    lightrec recommend bundle --history 50,181 --boost 172=0.7 --boost 98=-1
    lightrec recommend bundle --history 50,181 --device GPU
    lightrec recommend bundle --history 50 --json
    ```
    """
    from lightrec import Recommender

    recommender = Recommender.load(bundle, backend=backend, device=device)
    seen = _split(recommender, history)
    chosen = None if candidates is None else _split(recommender, candidates)
    answer = recommender.recommend(seen, k, _split(recommender, exclude), chosen, _numbers(boost))
    if json:
        print_json(
            {
                "history": [{"id": item, "title": recommender.title(item)} for item in seen],
                "recommendations": [item._asdict() for item in answer],
                "unknown": list(answer.unknown),
                "fallback": answer.fallback,
            }
        )
    else:
        _print_answer(recommender, [item for item in seen if item in recommender], answer)


def _split(recommender: Recommender, values: list[str] | None) -> list[str]:
    """Ids separated by commas; a value that is an item's id as a whole stays whole."""
    return [
        item.strip()
        for value in values or []
        for item in ([value] if value in recommender else value.split(","))
        if item.strip()
    ]


def _numbers(values: list[str] | None) -> dict[str, float]:
    """The boosts in a list of ``ID=NUMBER``; an id may hold the sign itself."""
    boosts = {}
    for value in values or []:
        item, sign, number = value.rpartition("=")
        try:
            boosts[item.strip()] = float(number if sign else "")
        except ValueError:
            raise ConfigError(f"--boost {value!r} is not of the form ID=NUMBER, such as 50=0.7.") from None
    return boosts


def _print_answer(recommender: Recommender, seen: list[str], answer: Recommendations) -> None:
    from rich.table import Table

    if seen:
        shown = seen[-HISTORY_SHOWN:]
        more = f", the last {len(shown)} of {len(seen)}" if len(shown) < len(seen) else ""
        table = Table("id", "title", title=f"History, oldest first{more}", title_justify="left", style="dim")
        for known in shown:
            table.add_row(known, recommender.title(known) or "")
        console.print(table)
    title = "Most popular" if answer.fallback else "Recommended next"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("#", justify="right", style="dim")
    table.add_column("id")
    table.add_column("title", style="bold")
    table.add_column("score", justify="right", style="cyan")
    for rank, item in enumerate(answer, start=1):
        score = "" if item.score is None else f"{item.score:.3f}"
        table.add_row(str(rank), item.id, item.title or "", score)
    console.print(table)
    if answer.fallback:
        console.print("The history holds no item that the bundle knows: these are the most popular ones.")
    if answer.unknown:
        console.print(f"Not known to the bundle, skipped: {', '.join(answer.unknown)}", style="yellow", highlight=False)
