"""What is asked for where columns are not recognised: all of it at once, in words that can be pasted."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.data.dataset import Dataset
from lightrec.errors import DataError


def prepare(file, *flags):
    words = ["data", "prepare", str(file), *flags, "--k-core", "0", "--out", str(file.parent / "out")]
    result = CliRunner().invoke(app, words)
    if isinstance(result.exception, DataError):
        raise result.exception
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(file.parent / "out")
    return {user: [dataset.item_ids[item] for item in dataset.sequence(u)] for u, user in enumerate(dataset.user_ids)}


def follow(file):
    """Give the flags that the refusal names."""
    with pytest.raises(DataError) as refusal:
        prepare(file)
    flags = str(refusal.value).split(" with ", 1)[1].removesuffix(".")
    return prepare(file, *shlex.split(flags)), flags


@pytest.mark.parametrize(
    "header",
    [
        *("Kundennummer;Artikelnummer;Bestelldatum", "Identifiant client;Produit;Date d'achat"),
        *("id_usuario;id_producto;fecha", "klantnummer;artikelcode;datum", "Клиент;Товар;Дата", "用户ID;商品ID;时间"),
        *("Customer Email;Lineitem sku;Created at", "buyer;spotify_track_uri;quand", "login;repo_name;created"),
    ],
)
@pytest.mark.parametrize("dates", [("27.03.2015", "26.03.2015"), ("2015-03-27 10:00", "2015-03-26 10:00")])
def test_columns_of_any_language_are_asked_for_in_one_sentence(tmp_path, header, dates):
    file = tmp_path / "log.csv"
    file.write_text(f"{header}\nu;new;{dates[0]}\nu;old;{dates[1]}\n", encoding="utf-8")
    read, flags = follow(file)
    assert read == {"u": ["old", "new"]}
    assert "--user-column" in flags and "--item-column" in flags


def test_fields_of_objects_are_proposed_and_objects_are_not(tmp_path):
    file = tmp_path / "log.jsonl"
    events = [{"event": "view", "properties": {"$os": "x", "distinct_id": "u", "item_id": item}} for item in "ab"]
    events = [{"Item": event} for event in events]
    file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    read, flags = follow(file)
    assert read == {"u": ["a", "b"]}
    assert flags == "--user-column Item.properties.distinct_id --item-column Item.properties.item_id"


def test_baskets_are_proposed_as_users(tmp_path):
    (tmp_path / "log.csv").write_text("order_id,product_id\no,a\no,b\np,a\n", encoding="utf-8")
    assert follow(tmp_path / "log.csv") == ({"o": ["a", "b"], "p": ["a"]}, "--user-column order_id")


@pytest.mark.parametrize("column", ["user_agent", "user_answer", "zip"])
def test_what_only_describes_a_user_is_not_proposed(tmp_path, column):
    (tmp_path / "log.csv").write_text(f"{column},item_id\na,x\nb,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"--user-column NAME\.$"):
        prepare(tmp_path / "log.csv")


def test_a_file_of_items_or_users_in_place_of_the_log_is_named(tmp_path):
    (tmp_path / "movies.csv").write_text("movieId,title\n1,Heat\n2,Seven\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"file of items, give it with --items"):
        prepare(tmp_path / "movies.csv")
    (tmp_path / "people.csv").write_text("user_id,age\n1,24\n2,53\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"file of users in place of the log"):
        prepare(tmp_path / "people.csv")


@pytest.mark.parametrize("names", ["item1,item2,item3", "movie_1,movie_2,movie_3", "1,2,3"])
def test_a_matrix_of_users_and_items_is_named(tmp_path, names):
    (tmp_path / "matrix.csv").write_text(f"user,{names}\nu,5,0,3\nv,2,4,0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"one column for each item .*melt|matrix\.csv has no header"):
        prepare(tmp_path / "matrix.csv")


@pytest.mark.parametrize("sign", [";", "|", ","])
def test_lists_within_ids_are_noted(tmp_path, sign):
    (tmp_path / "log.csv").write_text(f'user_id,products\nu,"a{sign}b"\nv,"c{sign}d"\n', encoding="utf-8")
    prepare(tmp_path / "log.csv")
    notes = Dataset.open(tmp_path / "out").description["source"]["reading"]
    assert any("'products'" in note and "[a, b]" in note for note in notes)
