"""``lightrec items``: items come and go, and change their titles, without training again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightrec.cli.options import BundleArgument, DeviceOption, JsonOption, OutOption, console, print_json, styled

if TYPE_CHECKING:
    import numpy as np

    from lightrec.data.item_texts import ItemTexts

app = typer.Typer(
    no_args_is_help=True, help="Add items to a bundle, remove some, or change their titles, without training again."
)

BaseOption = Annotated[
    str | None, typer.Option("--base", help="Language model that reads the texts: a local path or a hub id.")
]


@app.command("fit")
def fit_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder written by lightrec train or distill.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Prepared data set that the run was trained on.")],
    base: BaseOption = None,
    max_warm_drop: Annotated[
        float, typer.Option(help="Share of NDCG@10 that old items may lose to the new ones.", min=0, max=1)
    ] = 0.05,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Fit the text projection of a finished student: from an item's text to its vector.

    It is a ridge regression of the trained item vectors on the language model's vectors of their texts, checked by
    cross-fitting on validation cases, and it is written into RUN; an export after that takes it along. The default
    language model is that of finetune. Encoding the texts takes a minute or two per 10,000 items, once.

    **Examples**

    ```
    lightrec items fit runs/student prepared/ml-100k
    lightrec items fit runs/student prepared/ml-100k --max-warm-drop 0.02
    ```
    """
    from lightrec.data.dataset import Dataset
    from lightrec.evaluation.allowed_data import Provenance, check_data
    from lightrec.models.devices import resolve_device
    from lightrec.models.load import read_run
    from lightrec.models.teachers.language_model import load_language_model
    from lightrec.settings import DEFAULT_LANGUAGE_MODEL
    from lightrec.training.items.text_projection import fit_text_projection

    dataset = Dataset.open(data)
    check_data(Provenance(str(run), read_run(run)), dataset)
    model = load_language_model(base or DEFAULT_LANGUAGE_MODEL)
    with console.status("Encoding texts and fitting ..."):
        projection = fit_text_projection(
            run, dataset, model, max_warm_drop=max_warm_drop, device=resolve_device(device)
        )
    if json:
        print_json({"path": str(run), "language_model": projection.language_model, **projection.facts})
        return
    facts = projection.facts
    told = styled(
        "[bold green]✓[/] {run}: text projection from {items:,} items. With one item in twenty replaced by its "
        "projection, those have validation NDCG@10 [bold]{cold:.4f}[/] and the others {warm:.4f} (without the new ones "
        "{before:.4f}).",
        run=run,
        items=facts["items"],
        cold=facts["cold_ndcg@10"],
        warm=facts["warm_ndcg@10"],
        before=facts["warm_ndcg@10_before"],
    )
    console.print(told)
    again = shlex.join(["lightrec", "export", str(run), "--out", "bundle"])
    console.print(f"  next:  {again}", style="dim", highlight=False, soft_wrap=True)


@app.command("add")
def add_command(
    bundle: BundleArgument,
    new_items: Annotated[
        Path, typer.Argument(metavar="NEW_ITEMS", help="Table with item_id, title and further text columns.")
    ],
    out: OutOption,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="NumPy file (.npy) with one item vector a row, float [n, d], in the order of NEW_ITEMS and in the "
            "student's own item space (what its states are multiplied with): no language model is needed then."
        ),
    ] = None,
    base: BaseOption = None,
    item_column: Annotated[str | None, typer.Option(help="Column with the item ids.")] = None,
    text_column: Annotated[
        list[str] | None, typer.Option(help="Column with the title; repeat it for further texts.")
    ] = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle that also knows new items, without training again.

    A new item's vector comes from its text: the bundle's text projection maps what the language model says to the
    student's item space. Columns are recognised as by lightrec data prepare; give the same ones, so that texts look as
    they did in training. Old items keep their vectors and scores. Needs the extra export, which brings train.

    **Examples**

    ```
    lightrec items add bundles/student new_items.csv --out bundles/student-monday
    lightrec items add bundles/student new_items.csv --vectors vectors.npy --out bundles/student-monday
    ```
    """
    from lightrec.data.columns.choice import ColumnFlags
    from lightrec.data.item_texts import read_item_texts
    from lightrec.data.reading.readers import ReadOptions, Table
    from lightrec.export.edit.add_items import add_items

    items = read_item_texts(
        Table(new_items, ReadOptions(flags="")), ColumnFlags(item=item_column, text=tuple(text_column or ()))
    )
    _require_one_row_each(items, new_items)
    if vectors is None:
        rows, source = _from_texts(bundle, new_items, items, base, device)
    else:
        rows, source = _read_vectors(vectors), {"vectors": vectors.name}
    manifest = add_items(bundle, out, items.ids.to_list(), rows, items.titles.to_list(), source)
    if json:
        print_json({"path": str(out), "added": len(items.ids), "items": manifest.n_items})
        return
    words = (
        "[bold green]✓[/] {out}: {added:,} items added, {all:,} in all; old answers unchanged, golden cases "
        "verified in every runtime."
    )
    console.print(styled(words, out=out, added=len(items.ids), all=manifest.n_items))


@app.command("remove")
def remove_command(
    bundle: BundleArgument,
    out: OutOption,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[IDS]", help="Items to remove, separated by commas.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="File with one id per line, in addition to IDS.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle without some items, without training again.

    Their rows leave the item table, their ids and titles the bundle; items that stay keep vectors, scores and order. A
    removed item is unknown afterwards, in histories too. To hide an item and still read it in histories, block it
    when asking: Recommender.load(..., block=[...]) or lightrec serve --block. Needs the extra export.

    **Examples**

    ```
    lightrec items remove bundles/student 50,181 --out bundles/student-monday
    lightrec items remove bundles/student --file withdrawn.txt --out bundles/student
    ```
    """
    from lightrec.errors import DataError
    from lightrec.export.edit.remove_items import remove_items

    items = [item.strip() for value in ids or [] for item in value.split(",")]
    if file is not None:
        try:
            items += [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{file} given to --file is missing or no UTF-8 text: list one id a line.") from None
    named = list(dict.fromkeys(filter(None, items)))
    manifest = remove_items(bundle, out, named)
    if json:
        print_json({"path": str(out), "removed": len(named), "items": manifest.n_items})
        return
    words = (
        "[bold green]✓[/] {out}: {removed:,} items removed, {left:,} left; their answers unchanged, golden cases "
        "verified in every runtime."
    )
    console.print(styled(words, out=out, removed=len(named), left=manifest.n_items))


@app.command("retitle")
def retitle_command(
    bundle: BundleArgument,
    titles: Annotated[Path, typer.Argument(metavar="TITLES", help="Table with item_id and title.")],
    out: OutOption,
    item_column: Annotated[str | None, typer.Option(help="Column with the item ids.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column with the title.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a bundle with other titles for some items; an empty title takes the old one away.

    Models, scores and golden cases stay as they are, byte for byte.

    **Examples**

    ```
    lightrec items retitle bundles/student titles.csv --out bundles/student
    ```
    """
    from lightrec.bundle import retitle_bundle
    from lightrec.data.columns.choice import ColumnFlags
    from lightrec.data.item_texts import read_item_texts
    from lightrec.data.reading.readers import ReadOptions, Table

    columns = ColumnFlags(item=item_column, text=() if text_column is None else (text_column,))
    items = read_item_texts(Table(titles, ReadOptions(flags="")), columns)
    _require_one_row_each(items, titles)
    retitle_bundle(bundle, out, dict(zip(items.ids.to_list(), items.titles.to_list(), strict=True)))
    if json:
        print_json({"path": str(out), "retitled": len(items.ids)})
        return
    console.print(styled("[bold green]✓[/] {out}: {changed:,} titles changed.", out=out, changed=len(items.ids)))


def _require_one_row_each(items: ItemTexts, file: Path) -> None:
    """Refuse rows that would be left out: those of items named twice, and those without an id."""
    from lightrec.errors import DataError

    if items.duplicates:
        raise DataError(f"{file} names {items.duplicates} items twice: leave one row for each.")
    if items.without_id:
        raise DataError(f"{file} has {items.without_id} rows without an id in {items.columns['item']!r}: remove them.")


def _from_texts(
    bundle: Path, file: Path, items: ItemTexts, base: str | None, device: str | None
) -> tuple[np.ndarray, dict[str, str]]:
    """Item vectors ``[n, d]`` by the bundle's text projection, and what to tell of them."""
    from lightrec.bundle import TEXT_PROJECTION
    from lightrec.errors import DataError
    from lightrec.models.devices import resolve_device
    from lightrec.models.students.text_projection import TextProjection
    from lightrec.training.items.text_projection import load_fitting
    from lightrec.training.items.text_vectors import encode_texts

    projection = TextProjection.load(bundle / TEXT_PROJECTION)
    missing = items.ids.filter(items.texts.is_null())
    if len(missing):
        raise DataError(
            f"Item {missing[0]!r} of {file} has no title ({len(missing)} such): give it one, or give --vectors."
        )
    model = load_fitting(projection, base)
    texts = encode_texts(model, items.texts.to_list(), device=resolve_device(device))
    return projection.project(texts), {"language_model": projection.language_model}


def _read_vectors(file: Path) -> np.ndarray:
    import numpy as np

    from lightrec.errors import DataError

    try:
        vectors = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise DataError(f"{file} given to --vectors is missing or no NumPy file of numbers (.npy).") from None
    if not isinstance(vectors, np.ndarray) or vectors.dtype.kind not in "fiu":
        raise DataError(f"{file} given to --vectors holds no array of numbers: save one with numpy.save.")
    return vectors
