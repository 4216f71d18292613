"""The commands of ``lightrec data`` as a user types them: output, exit codes, and no traceback."""

import dataclasses
import hashlib
import io
import json
import zipfile

import pytest
from typer.testing import CliRunner

from lightrec.cli.app import app, main
from lightrec.data.dataset import Dataset
from lightrec.data.public import catalog

RUN = CliRunner()
EVENTS = "uid,asin,time\n" + "".join(f"u{user},i{item},{item}\n" for user in range(6) for item in range(6))
ITEMS = "asin,title\n" + "".join(f"i{item},Film {item}\n" for item in range(7))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "events.csv").write_text(EVENTS + "lonely,i1,3\nu0,i5,9\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def test_prepare_says_what_was_dropped_and_what_to_do_next(files):
    out = files / "d"
    result = RUN.invoke(
        app, ["data", "prepare", str(files / "events.csv"), "--items", str(files / "items.csv"), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "read 38 7 6" in words
    assert "repeats of the item just before -1" in words
    assert "fewer than 5 events -1 -1 0" in words
    assert "kept 36 6 6" in words
    assert "uid user 7 users 38" in words
    assert "asin item 6 items 38" in words
    assert "time time positions: their order counts 38" in words
    assert "asin (items file) item 7 items 7" in words
    assert "title (items file) title title, and first part of the text 7" in words
    assert "1 row(s) of the items file left out" in words
    assert "lightrec data describe" in words
    assert Dataset.open(out).n_users == 6


def test_every_flag_reaches_the_preparation(files):
    result = RUN.invoke(
        app,
        [
            *("data", "prepare", str(files / "events.csv"), "--out", str(files / "d"), "--json", "--name", "mine"),
            *("--user-column", "asin", "--item-column", "uid", "--time-column", "time"),
            *("--k-core", "0", "--keep-repeats", "--order-only"),
            *("--where", "asin!=i9", "--time-format", "seconds"),
        ],
    )
    told = json.loads(result.stdout)
    assert (told["name"], told["users"], told["items"], told["interactions"]) == ("mine", 6, 7, 38)
    assert told["options"] == {
        **{"k_core": 0, "drop_repeats": False, "order_only": True, "reuse_ids": None},
        **{"where": ["asin!=i9"], "time_format": "seconds"},
    }
    again = RUN.invoke(
        app,
        [
            *("data", "prepare", str(files / "events.csv"), "--items", str(files / "items.csv"), "--json"),
            *("--text-column", "asin", "--text-column", "title", "--out", str(files / "e")),
        ],
    )
    assert again.exit_code == 0, again.output
    assert Dataset.open(files / "e").item_texts[0] == "i0, Film 0"


def test_describe_prints_figures_and_fails_on_damage(files):
    RUN.invoke(app, ["data", "prepare", str(files / "events.csv"), "--out", str(files / "d")])
    shown = RUN.invoke(app, ["data", "describe", str(files / "d")])
    assert shown.exit_code == 0
    assert "all match their SHA-256" in shown.output and "events per user" in shown.output
    told = json.loads(RUN.invoke(app, ["data", "describe", str(files / "d"), "--json"]).stdout)
    assert told["history_length"]["median"] == 6 and told["damaged_files"] == []
    (files / "d" / "user_ids.json").write_text("[]")
    damaged = RUN.invoke(app, ["data", "describe", str(files / "d")])
    assert "is damaged: user_ids.json missing or different" in str(damaged.exception)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prepare", "absent.csv", "--out", "d"], "Error: absent.csv does not exist: check the path."),
        (["prepare", "events.csv", "--out", "d", "--user-column", "who"], "--user-column"),
        (["prepare", "events.csv", "--out", "d", "--k-core", "50"], "give a smaller --k-core"),
        (["prepare", "events.csv", "--out", "items.csv"], "items.csv is a file"),
        (["prepare", "events.csv", "--out", "d", "--reuse-ids", "nowhere"], "nowhere is not a prepared data set"),
        (["describe", "nowhere"], "lightrec data prepare"),
        (["get", "ml-2m", "--out", "d"], "known: ml-100k, ml-1m"),
    ],
)
def test_mistakes_end_with_one_sentence_and_exit_code_2(files, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(files)
    monkeypatch.setattr("sys.argv", ["lightrec", "data", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
    assert not (files / "d").exists()


def test_get_names_the_source_and_its_terms(tmp_path, monkeypatch):
    """The publisher's archive lies in the cache already, so that nothing is fetched."""
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "".join(f"{u}::{i}::5::{i}\n" for u in range(6) for i in range(6)))
        archive.writestr("ml-1m/movies.dat", "".join(f"{i}::Film, The (199{i})::Drama\n" for i in range(6)))
    md5 = hashlib.md5(content.getvalue()).hexdigest()
    monkeypatch.setitem(catalog.KNOWN, "ml-1m", dataclasses.replace(catalog.KNOWN["ml-1m"], md5=md5))
    (tmp_path / "cache" / "downloads").mkdir(parents=True)
    (tmp_path / "cache" / "downloads" / f"{md5[:12]}-ml-1m.zip").write_bytes(content.getvalue())
    result = RUN.invoke(app, ["data", "get", "ml-1m", "--out", str(tmp_path / "d")])
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert words.startswith("ml-1m") and "kept 36 6 6" in words
    assert "From: https://files.grouplens.org/datasets/movielens/ml-1m.zip; GroupLens: research use" in words


def test_get_help_lists_every_known_name():
    text = RUN.invoke(app, ["data", "get", "--help"]).output
    assert all(name in text for name in catalog.KNOWN)


@pytest.mark.parametrize("command", ["prepare", "get", "describe"])
def test_help_shows_examples(command):
    result = RUN.invoke(app, ["data", command, "--help"])
    assert result.exit_code == 0
    assert f"lightrec data {command}" in result.output.split("Examples", 1)[1]
