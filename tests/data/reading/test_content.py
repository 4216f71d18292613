"""Compression, encodings and files that are no tables, recognised by their bytes whatever they are called."""

import bz2
import gzip
import lzma
import os
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
import zstandard

from lightrec.data.reading.polars_panics import quiet_panics
from lightrec.data.reading.readers import ReadOptions, Table
from lightrec.errors import ConfigError, DataError, MissingExtraError

CSV = "user,item,title\na,b,Café\nc,d,Seven\n"
ROWS = [("a", "b", "Café"), ("c", "d", "Seven")]
COMPRESSORS = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def table(path, content, **options):
    path.write_bytes(content)
    return Table(path, ReadOptions(**options))


def rows(read):
    return read.read(read.columns).rows()


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
@pytest.mark.parametrize("name", ["a.csv", "a.gz", "a.dat", "a"])
def test_compression_is_recognised_by_the_content(tmp_path, compress, name):
    assert rows(table(tmp_path / name, compress(CSV.encode()))) == ROWS


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_frames_that_follow_each_other_are_one_content(tmp_path, name):
    first, second = CSV[:20].encode(), CSV[20:].encode()
    compress = COMPRESSORS[name]
    assert rows(table(tmp_path / "a", compress(first) + compress(second))) == ROWS


def test_zstandard_without_a_size_in_its_frame_is_read(tmp_path):
    frame = zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(CSV.encode() * 1)
    assert rows(table(tmp_path / "a", frame)) == ROWS


@pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=COMPRESSORS)
def test_compressed_content_that_breaks_off_is_refused(tmp_path, compress):
    whole = compress(b"user,item\n" + b"".join(b"u%d,i%d\n" % (n, n * 7919 % 1000) for n in range(5000)))
    for length in (9, 40, len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match=r"a\.csv (breaks off or is damaged|is empty)") as caught:
            table(tmp_path / "a.csv", whole[:length])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_compressed_content_with_a_changed_byte_is_refused(tmp_path, name):
    whole = bytearray(COMPRESSORS[name](b"user,item\n" + b"".join(b"u%d,i%d\n" % (n, n * 7919) for n in range(500))))
    for place in range(30, len(whole), 97):
        changed = whole.copy()
        changed[place] ^= 0x10
        with pytest.raises(DataError, match=r"a\.csv"):
            table(tmp_path / "a.csv", bytes(changed))


def test_parquet_and_arrow_are_recognised_by_the_content(tmp_path):
    frame = pl.DataFrame({"user": ["a"], "item": [7]})
    frame.write_parquet(tmp_path / "a.dat")
    frame.write_ipc(tmp_path / "b.csv")
    (tmp_path / "c.gz").write_bytes(gzip.compress((tmp_path / "a.dat").read_bytes()))
    for name in ("a.dat", "b.csv", "c.gz"):
        assert rows(Table(tmp_path / name)) == [("a", 7)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_are_recognised(tmp_path, encoding, end):
    read = table(tmp_path / "a.csv", CSV.replace("\n", end).encode(encoding))
    assert read.columns == ["user", "item", "title"]
    assert rows(read) == ROWS
    assert bool(read.notes) == (not encoding.startswith("utf-8"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_of_json_lines_are_recognised(tmp_path, encoding):
    content = '{"user": "a", "item": "Café"}\n{"user": "b", "item": "x"}\n'
    assert rows(table(tmp_path / "a.json", content.encode(encoding))) == [("a", "Café"), ("b", "x")]
    assert rows(table(tmp_path / "b.json", gzip.compress(content.encode(encoding)))) == [("a", "Café"), ("b", "x")]


def test_windows_1252_is_said(tmp_path):
    read = table(tmp_path / "a.csv", "user,item\na,“Café”: naïve résumé\n".encode("cp1252"))
    assert rows(read) == [("a", "“Café”: naïve résumé")]
    (note,) = read.notes
    assert "a.csv is not UTF-8 and was read as Windows-1252" in note and "--encoding" in note


@pytest.mark.parametrize(
    ("encoding", "title"),
    [("cp1251", "Ирония судьбы"), ("gb18030", "霸王别姬"), ("shift_jis", "千と千尋の神隠し"), ("euc-kr", "기생충")],
)
def test_other_encodings_are_not_taken_for_western_ones(tmp_path, encoding, title):
    content = f"user,item\na,{title}\n".encode(encoding)
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 \(line 2\).*--encoding"):
        table(tmp_path / "a.csv", content)
    assert rows(table(tmp_path / "a.csv", content, encoding=encoding)) == [("a", title)]


def test_one_damaged_byte_in_utf_8_is_refused_by_its_line(tmp_path):
    content = ("user,item\n" + "".join(f"{n},Zoë und Änne\n" for n in range(50))).encode()
    place = content.index("ë".encode(), 300)
    line = content[:place].count(b"\n") + 1
    with pytest.raises(DataError, match=rf"a\.csv is UTF-8 but for line {line},"):
        table(tmp_path / "a.csv", content[:place] + content[place + 1 :])


def test_the_line_is_counted_across_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("lightrec.data.reading.encodings.CHUNK", 31)
    with pytest.raises(DataError, match=r"UTF-8 \(line 4\)"):
        table(tmp_path / "a.csv", "user,item\na,bé\nc,é\n".encode() + "я,достопримечательность\n".encode("cp1251") * 9)


def test_a_named_encoding_must_be_known_and_fit(tmp_path):
    for encoding in ("no-such", "zlib", "rot13", ""):
        with pytest.raises(ConfigError, match="--encoding is"):
            table(tmp_path / "a.csv", CSV.encode(), encoding=encoding)
    with pytest.raises(DataError, match=r"a\.csv is not ascii.*--encoding"):
        table(tmp_path / "a.csv", CSV.encode(), encoding="ascii")
    with pytest.raises(DataError, match=r"a\.csv is not utf-8.*--encoding"):
        table(tmp_path / "a.csv", CSV.encode("latin-1"), encoding="utf-8")
    with pytest.raises(ConfigError, match="--items-encoding is 'x'"):
        table(tmp_path / "a.csv", CSV.encode(), encoding="x", flags="--items-")
    assert rows(table(tmp_path / "a.csv", CSV.encode("utf-8-sig"), encoding="utf-8")) == ROWS


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"PK\x03\x04rest", "ZIP archive or an Excel workbook"),
        (b"SQLite format 3\0" + bytes(100), "SQLite database"),
        (b"\x80\x04\x95\x00", "pickle"),
        (b"\x93NUMPY\x01\x00", "NumPy array"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "web page"),
        (b"\n <html>\n<head>", "web page"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
        (gzip.compress(gzip.compress(b"user,item\n")), "compressed twice"),
        (gzip.compress(b"name".ljust(257, b"\0") + b"ustar\0" + bytes(300)), "tar archive"),
        (b"user,item\na,\0b\n", "binary data"),
        (bytes(range(256)) * 9, "binary data"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\t\n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint) as caught:
        table(tmp_path / "log.csv", content)
    assert str(caught.value).startswith("log.csv ")


def test_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
    with pytest.raises(DataError, match="ZIP archive"):
        Table(tmp_path / "a.zip")


@pytest.mark.parametrize("place", range(8, 400, 23))
def test_damaged_parquet_is_refused_or_unharmed(tmp_path, place):
    frame = pl.DataFrame({"user": [f"u{n}" for n in range(50)], "item": list(range(50))})
    frame.write_parquet(tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    cut = content[: len(content) - place]
    with pytest.raises(DataError, match=r"a\.parquet is damaged"):
        read = table(tmp_path / "a.parquet", bytes(cut))
        read.read(read.columns)


def test_a_panic_of_polars_is_one_sentence_too(tmp_path, capfd):
    frame = pl.DataFrame({"user": [f"u{n}" for n in range(50)], "item": list(range(50))})
    frame.write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    outcomes = set()
    for place in range(4, len(content), 5):
        changed = bytearray(content)
        changed[place] ^= 0x7F
        try:
            read = table(tmp_path / "a.parquet", bytes(changed))
            outcomes.add(len(read.read(read.columns)))
        except DataError as error:
            assert "a.parquet" in str(error)
    assert 50 in outcomes or outcomes == set()
    assert "panicked" not in capfd.readouterr().err


def test_other_output_is_not_lost(capfd):
    with quiet_panics():
        os.write(2, b"a warning")
    assert capfd.readouterr().err == "a warning"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which the system lacks")
@pytest.mark.parametrize(
    "content", [gzip.compress(CSV.encode()), CSV.encode("utf-16"), b'u,i\n"a",b\n', b'[{"user": 1}]', b"sep=;\na;b\n"]
)
def test_a_full_disk_is_said(tmp_path, monkeypatch, content):
    monkeypatch.setattr("lightrec.data.reading.readers._Scratch.new", lambda self: Path("/dev/full"))
    with pytest.raises(DataError, match=r"no room to decompress or convert a\.csv \(No space.*TMPDIR"):
        table(tmp_path / "a.csv", content)


def test_without_its_library_zstandard_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"a\.csv needs zstandard.*lightrec\[data\]"):
        table(tmp_path / "a.csv", COMPRESSORS["zstd"](CSV.encode()))


def test_copies_go_with_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    read = table(tmp_path / "a.csv", gzip.compress(CSV.encode()))
    assert rows(read) == ROWS
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    del read
    assert list((tmp_path / "scratch").iterdir()) == []


def test_options_that_do_not_fit_the_content_are_refused(tmp_path):
    pl.DataFrame({"user": ["a"]}).write_parquet(tmp_path / "a.parquet")
    for option in ({"separator": ","}, {"columns": ("x",)}, {"encoding": "utf-8"}):
        with pytest.raises(ConfigError, match=rf"--{next(iter(option))} .*a\.parquet"):
            Table(tmp_path / "a.parquet", ReadOptions(**option))
    with pytest.raises(ConfigError, match=r"--columns .*a\.json"):
        table(tmp_path / "a.json", b'{"user": 1}\n', columns=("x",))
    with pytest.raises(ConfigError, match=r"--format is 'excel'"):
        table(tmp_path / "a.csv", CSV.encode(), format="excel")
    with pytest.raises(ConfigError, match="--format"):
        Table(tmp_path / "a.parquet", ReadOptions(format="json"))
