"""``lightrec data``: prepare, fetch and describe data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightrec.cli.common import JsonOption, OutOption, console, print_json

app = typer.Typer(help="Prepare, fetch and describe data sets.", no_args_is_help=True, rich_markup_mode="markdown")

NameOption = Annotated[str | None, typer.Option("--name", help="Name of the data set; the folder's if left out.")]
KCoreOption = Annotated[
    int, typer.Option("--k-core", help="Keep users and items with at least this many events; 0 keeps all.", min=0)
]
RepeatsOption = Annotated[
    bool, typer.Option("--drop-repeats/--keep-repeats", help="Drop an event that repeats the item just before it.")
]
OrderOption = Annotated[
    bool, typer.Option("--order-only", help="The times are positions, not times: keep their order alone.")
]
ReuseOption = Annotated[
    Path | None,
    typer.Option("--reuse-ids", help="An earlier prepared data set whose item indices stay.", show_default=False),
]


@app.command()
def prepare(
    interactions: Annotated[
        Path, typer.Argument(help="CSV, TSV, Parquet, JSON lines or RecBole .inter; .gz too.", show_default=False)
    ],
    out: OutOption,
    items: Annotated[Path | None, typer.Option("--items", help="File of item texts.", show_default=False)] = None,
    name: NameOption = None,
    user_column: Annotated[str | None, typer.Option("--user-column", help="Whose event.", show_default=False)] = None,
    item_column: Annotated[str | None, typer.Option("--item-column", help="Which item.", show_default=False)] = None,
    time_column: Annotated[str | None, typer.Option("--time-column", help="When.", show_default=False)] = None,
    text_column: Annotated[
        list[str] | None, typer.Option("--text-column", help="Title first; repeatable.", show_default=False)
    ] = None,
    k_core: KCoreOption = 5,
    drop_repeats: RepeatsOption = True,
    order_only: OrderOption = False,
    reuse_ids: ReuseOption = None,
    json: JsonOption = False,
) -> None:
    """Turn a file of interactions into a prepared data set.

    Columns with usual names (user_id, movieId, asin, timestamp, title, ...) are recognised.
    Ids stay text: 007 is never read as 7.

    **Examples**

        lightrec data prepare ratings.csv --items movies.csv --out data/mine
        lightrec data prepare events.parquet --user-column visitor --time-column at --out data/shop
        lightrec data prepare today.jsonl.gz --reuse-ids data/yesterday --out data/today
    """
    from lightrec.data.columns import ColumnFlags
    from lightrec.data.prepare import prepare as prepare_dataset

    dataset = prepare_dataset(
        interactions,
        out,
        items=items,
        name=name,
        columns=ColumnFlags(user=user_column, item=item_column, time=time_column, text=tuple(text_column or ())),
        k_core=k_core,
        drop_repeats=drop_repeats,
        order_only=order_only,
        reuse_ids=reuse_ids,
    )
    if json:
        print_json(dataset.description)
    else:
        console.print(dataset.description)
