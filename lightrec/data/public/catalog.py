"""The data sets known by name, and how to get them."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightrec.data.dataset import Dataset
from lightrec.data.prepare import prepare
from lightrec.data.public import movielens
from lightrec.data.public.amazon import get_amazon_2023
from lightrec.errors import DataError, DownloadError
from lightrec.files.download import Progress, download, fetch_wheel_members

RECBOLE_WHEEL = ("recbole", "1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
RECBOLE_ML_100K = {
    "recbole/dataset_example/ml-100k/ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "recbole/dataset_example/ml-100k/ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}


@dataclasses.dataclass(frozen=True)
class KnownDataset:
    """Where a data set comes from and how its files are read."""

    title: str
    """One line for people."""
    url: str
    """The publisher's archive."""
    md5: str
    """Its checksum, as the publisher gives it."""
    terms: str
    """What the publisher asks of those who use it."""
    read: Callable[[Path], movielens.Tables]
    """Reads interactions and items from the archive."""
    fallback: Callable[[], movielens.Tables] | None = None
    """The same tables from another source, if the publisher cannot be reached."""


def _ml_100k_from_wheel() -> movielens.Tables:
    inter, item = fetch_wheel_members(*RECBOLE_WHEEL, RECBOLE_ML_100K).values()
    return movielens.read_ml_100k_recbole(inter, item)


MOVIELENS_TERMS = "GroupLens: research use; no redistribution or commercial use without permission."
KNOWN: dict[str, KnownDataset] = {
    "ml-100k": KnownDataset(
        title="MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997-1998",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        md5="0e33842e24a9c977be4e0107933c0723",
        terms=MOVIELENS_TERMS,
        read=movielens.read_ml_100k_zip,
        fallback=_ml_100k_from_wheel,
    ),
    "ml-1m": KnownDataset(
        title="MovieLens 1M: 1,000,209 ratings of 3,706 films by 6,040 people, 2000-2003",
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        md5="c4d9eecfca2ab87c1945afe126590906",
        terms=MOVIELENS_TERMS,
        read=movielens.read_ml_1m_zip,
    ),
    "ml-20m": KnownDataset(
        title="MovieLens 20M: 20,000,263 ratings of 26,744 films by 138,493 people, 1995-2015",
        url="https://files.grouplens.org/datasets/movielens/ml-20m.zip",
        md5="cd245b17a1ae2cc31bb14903e1204af3",
        terms=MOVIELENS_TERMS,
        read=movielens.read_ml_20m_zip,
    ),
}
"""Every name that ``lightrec data get`` takes, besides ``amazon-2023/<category>``."""


def get_dataset(name: str, out: str | Path, *, progress: Progress | None = None, **options: Any) -> Dataset:
    """Fetch a known data set and prepare it into ``out``.

    The publisher's archive comes first; where its host cannot be reached, the fallback if there is one. Both give the
    same prepared data set; "origin" in dataset.json names the one used.

    Args:
        name: a key of :data:`KNOWN`, or ``amazon-2023/<category>`` (see :mod:`lightrec.data.public.amazon`).
        out: the folder to write.
        progress: called as the archive arrives.
        options: passed to :func:`~lightrec.data.prepare.prepare`.

    Raises:
        DataError: for an unknown name.
        DownloadError: if it cannot be fetched from any source, or has another checksum.
    """
    family, _, category = name.partition("/")
    if family == "amazon-2023":
        return get_amazon_2023(category, out, progress=progress, **options)
    if name not in KNOWN:
        raise DataError(f"No data set is known as {name!r} (known: {', '.join(KNOWN)}, amazon-2023/<category>).")
    known = KNOWN[name]
    try:
        tables, origin = known.read(download(known.url, known.md5, algorithm="md5", progress=progress)), known.url
    except DownloadError as error:
        if known.fallback is None:
            raise
        try:
            tables, origin = known.fallback(), f"{RECBOLE_WHEEL[0]} {RECBOLE_WHEEL[1]} (wheel)"
        except DownloadError as second:
            raise DownloadError(f"{str(error).rstrip('.')}, and {second}") from None
    options.setdefault("name", name)
    options.setdefault("time_format", "seconds")
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / f"{name}-{part}.parquet" for part in ("interactions", "items")]
        for table, file in zip(tables, files, strict=True):
            table.write_parquet(file)
        return prepare(files[0], out, items=files[1], details={"origin": origin, "terms": known.terms}, **options)
