"""How ``lightrec data`` shows a data set: tables and small histograms."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lightrec.data.dataset import Dataset

NOTES = {
    "catalogue_items_without_interactions": "row(s) of the items file left out: no interactions",
    "catalogue_duplicate_ids": "row(s) of the items file left out: id was there before",
    "catalogue_without_id": "row(s) of the items file left out: no id",
    "items_missing_from_catalogue": "item(s) not in the items file: kept, without text",
    "users_with_one_event": "user(s) with one event: trained on, never asked about",
    "items_without_interactions": "item(s) without interactions keep the index they had",
    "items_new": "item(s) new since the earlier data set",
}
LEFT_OUT = {"rows_by_where": "not chosen by --where", "rows_without_id": "without a user or an item"}


def prepared_report(dataset: Dataset) -> RenderableType:
    """What went in, what was dropped and why, what is there now, and what every column became."""
    description = dataset.description
    source, dropped = description["source"], description["dropped"]
    table = Table(box=box.SIMPLE_HEAD, title=_heading(dataset.name), title_justify="left")
    for heading in ("", "interactions", "users", "items"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("read", f"{source['rows']:,}", f"{source['users']:,}", f"{source['items_seen']:,}")
    for key, label in LEFT_OUT.items():
        if dropped.get(key):
            table.add_row(label, _minus(dropped[key]), "", "", style="dim")
    if description["options"]["drop_repeats"]:
        table.add_row("repeats of the item just before", _minus(dropped["consecutive_repeats"]), "", "", style="dim")
    if description["options"]["k_core"] > 1:
        losses = [_minus(dropped[f"{what}_by_k_core"]) for what in ("interactions", "users", "items")]
        table.add_row(f"fewer than {description['options']['k_core']} events", *losses, style="dim")
    sizes = len(dataset.items), dataset.n_users, dataset.n_items
    table.add_row("kept", *(f"{size:,}" for size in sizes), style="bold")
    counts = dropped | description["notes"]
    notes = [f"[dim]Note:[/dim] {counts[key]:,} {text}." for key, text in NOTES.items() if counts[key]]
    reading = [f"[dim]Read:[/dim] {escape(note)}" for note in source.get("reading", [])]
    lines = [_every_column(source.get("every_column", [])), *reading, *notes]
    if "origin" in description:
        lines.insert(0, f"[dim]From:[/dim] {escape(description['origin'])}; {escape(description['terms'])}")
    return Group(table, *lines, "")


def next_steps(dataset: Dataset) -> str:
    """Where the data set is and what to do with it: one line each, ready to be copied into a shell."""
    path = shlex.quote(str(dataset.path))
    return (
        f"Written to {dataset.path} (checksum {dataset.checksum[:12]}).\n"
        f"Look at it:  lightrec data describe {path}\n"
        f"Go on:       lightrec finetune {path} {_finetune_flags(dataset)}--out runs/teacher"
    )


def _minus(count: int) -> str:
    return f"-{count:,}" if count else "0"


def description_report(description: dict[str, Any]) -> RenderableType:
    """Counts, distributions and oddities of one data set."""
    counts = Table(box=None, show_header=False, title=Text(description["name"], "bold"), title_justify="left")
    counts.add_column(style="dim")
    counts.add_column()
    for label, value in _facts(description):
        counts.add_row(label, value)
    lengths, popularity = description["history_length"], description["item_popularity"]
    charts = Table.grid(padding=(0, 3))
    charts.add_row(_chart("users by number of events", lengths), _chart("items by number of events", popularity))
    return Group(counts, "", _quantiles({"events per user": lengths, "events per item": popularity}), charts)


def _heading(name: str) -> Text:
    return Text(name, "bold not italic")


def _every_column(uses: list[dict[str, Any]]) -> RenderableType:
    """One row for each column of both files: what it became, or that it is not used."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("column", "", "became", "values"):
        table.add_column(heading, justify="right" if heading == "values" else "left", overflow="fold")
    for use in uses:
        of_items = " (items file)" if use["file"] == "items" else ""
        values = f"{use['values']:,}" if use["values"] is not None else ""
        cells = [use["column"] + of_items, use["role"], use["became"], values]
        table.add_row(*(Text(cell) for cell in cells), style="dim" if use["role"] == "not used" else "")
    return table if uses else ""


def _finetune_flags(dataset: Dataset) -> str:
    """What ``lightrec finetune`` needs for these data: without texts, the items' ids are all there is."""
    return "" if any(text is not None for text in dataset.item_texts) else "--item-input ids "


def _facts(description: dict[str, Any]) -> list[tuple[str, str]]:
    times, text, repeats = description["times"], description["text"], description["repeats"]
    damaged = description["damaged_files"]
    return [
        ("users", f"{description['users']:,}"),
        ("items", f"{description['items']:,}"),
        ("interactions", f"{description['interactions']:,}  (density {description['density']:.3%})"),
        ("times", f"{times['first']} to {times['last']}" if times else "order only: positions, not times"),
        ("tied times", f"{times['tied_share']:.1%} of neighbouring events share a second" if times else "-"),
        ("repeats", f"{repeats['share']:.1%} of events; {repeats['consecutive']:,} in direct succession"),
        ("popularity", _popularity(description["item_popularity"])),
        ("text", f"{text['coverage']:.1%} of items, {text['mean_words']:.1f} words on average"),
        ("example", escape(text["example"] or "-")),
        ("checksum", description["checksum"][:16]),
        ("files", f"[red]damaged: {', '.join(damaged)}[/red]" if damaged else "[green]all match their SHA-256[/green]"),
    ]


def _popularity(popularity: dict[str, Any]) -> str:
    return f"the top 1% of items have {popularity['top_1_percent_share']:.1%} of events; Gini {popularity['gini']:.2f}"


def _quantiles(distributions: dict[str, dict[str, Any]]) -> Table:
    names = ("mean", "min", "q25", "median", "q75", "q90", "q99", "max")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name.replace("q", "") + ("%" if name.startswith("q") else ""), justify="right")
    for label, values in distributions.items():
        table.add_row(label, f"{values['mean']:,.1f}", *(f"{values[name]:,}" for name in names[1:]))
    return table


def _chart(title: str, values: dict[str, Any], width: int = 18) -> Table:
    table = Table(
        box=None, show_header=False, title=Text(title, "dim not italic"), title_justify="left", padding=(0, 1)
    )
    bins = values["histogram"]
    most = max((count for _, count in bins), default=1)
    table.add_column(justify="right")
    table.add_column(width=width, style="cyan")
    table.add_column(justify="right", style="dim")
    for place, (edge, count) in enumerate(bins):
        last = place == len(bins) - 1
        end = max(values["max"], edge) if last else bins[place + 1][0] - 1
        label = f"{edge:,}" if edge == end else f"{edge:,}-{end:,}"
        table.add_row(label, "█" * round(width * count / most) or "▏" * bool(count), f"{count:,}")
    return table
