"""Readers of MovieLens, from its publisher's archives or RecBole's files, into the same two tables.

Titles are written "Usual Suspects, The (1995)" at the source; here the article comes first, the year apart and the
genres are words: ``The Usual Suspects``, ``1995``, ``Crime Thriller``.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from lightrec.data.reading.polars_import import pl
from lightrec.errors import DataError

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""MovieLens-100K's genres, in the order of its flags."""
ARTICLES = "The|An|A|La|Les|Le|L'|Il|Lo|El|Los|Las|Der|Die|Das|Den|Det|O|Un|Une|Ein|Eine"

Tables = tuple[pl.DataFrame, pl.DataFrame]
"""Interactions (user_id, item_id, timestamp) and items (item_id, title, year, genres), all text, in file order."""


def read_ml_100k_zip(archive: Path) -> Tables:
    """Read the tables of ml-100k.zip (u.data and u.item)."""
    ratings = _columns(_member(archive, "ml-100k/u.data"), "\t", ["user_id", "item_id", "", "timestamp"])
    films = _columns(_member(archive, "ml-100k/u.item"), "|", ["item_id", "title", "", "", "", *GENRES])
    genres = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in GENRES]
    films = films.with_columns(pl.concat_str(genres, separator=" ", ignore_nulls=True).alias("genres"))
    return _tables(ratings, films)


def read_ml_1m_zip(archive: Path) -> Tables:
    """Read the tables of ml-1m.zip (ratings.dat and movies.dat)."""
    ratings = _member(archive, "ml-1m/ratings.dat").replace("::", "\t")
    films = _member(archive, "ml-1m/movies.dat").replace("::", "\t")
    return _tables(
        _columns(ratings, "\t", ["user_id", "item_id", "", "timestamp"]),
        _columns(films, "\t", ["item_id", "title", "genres"]),
    )


def read_ml_20m_zip(archive: Path) -> Tables:
    """Read the tables of ml-20m.zip (ratings.csv and movies.csv, in UTF-8 with headers)."""
    ratings, films = (
        pl.read_csv(_bytes(archive, f"ml-20m/{name}.csv"), infer_schema=False) for name in ("ratings", "movies")
    )
    films = films.select(item_id="movieId", title="title", genres=pl.col("genres").replace("(no genres listed)", None))
    return _tables(ratings.select(user_id="userId", item_id="movieId", timestamp="timestamp"), films)


def read_ml_100k_recbole(inter: Path, item: Path) -> Tables:
    """Read the tables of RecBole's ml-100k.inter and ml-100k.item.

    There the last parenthesis of a title has become its year (once "V", for video; once "unkonwn"), so title and year
    are put together again first.
    """
    ratings = _columns(inter.read_text(encoding="utf-8"), "\t", ["user_id", "item_id", "", "timestamp"], skip=1)
    films = _columns(item.read_text(encoding="utf-8"), "\t", ["item_id", "title", "year", "genres"], skip=1)
    whole = pl.format("{} ({})", "title", "year")
    title = pl.when(pl.col("title") == "unkonwn").then(pl.lit("unknown")).otherwise(whole)
    return _tables(ratings, films.with_columns(title.alias("title")))


def _tables(ratings: pl.DataFrame, films: pl.DataFrame) -> Tables:
    title = pl.col("title").str.strip_chars().str.replace(r"\s*\(V\)$", "")
    items = films.select(
        "item_id",
        _article_first(title.str.replace(r"\s*\(\d{4}\)$", "")).alias("title"),
        title.str.extract(r"\((\d{4})\)$").alias("year"),
        pl.col("genres").str.replace_all("|", " ", literal=True),
    )
    return ratings.select("user_id", "item_id", "timestamp"), items


def _article_first(title: pl.Expr) -> pl.Expr:
    """Move articles to the front: "Hate (Haine, La)" becomes "Hate (La Haine)"."""
    moved = title.str.replace(rf"^([^()]+), ({ARTICLES})( \(.*)?$", "${2} ${1}${3}")
    moved = moved.str.replace_all(rf"\(([^()]+), ({ARTICLES})\)", "(${2} ${1})")
    return moved.str.replace_all("L' ", "L'", literal=True)


def _columns(text: str, separator: str, names: list[str], skip: int = 0) -> pl.DataFrame:
    """Read headerless separated text as text columns; a column without a name is left out."""
    named = [name or f"unused_{place}" for place, name in enumerate(names)]
    return pl.read_csv(
        io.BytesIO(text.encode()),
        has_header=False,
        new_columns=named,
        separator=separator,
        quote_char=None,
        infer_schema=False,
        skip_rows=skip,
        truncate_ragged_lines=True,
    ).select(name for name in names if name)


def _member(archive: Path, member: str) -> str:
    """Read a text file of the older archives, which are written in ISO 8859-1."""
    return _bytes(archive, member).decode("latin-1")


def _bytes(archive: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as files:
            return files.read(member)
    except (KeyError, zipfile.BadZipFile):
        raise DataError(f"{archive.name} does not hold {member}: it is not the archive of that data set.") from None
