"""What reaches the terminal: any text, in any encoding, whatever standard output is."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mini_bundle import write_bundle
from rich.table import Table

from lightrec.terminal import PLAIN, SafeConsole, json_text, styled, visible

TITLES = ["Amélie ✓ 🎬", "\x1b]0;owned\x07\x1b[2J", "[/b][bold red]x", "\u202egnp.exe", "\x9b31m", "line\nbreak"]
ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "utf-8", "utf-16"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("terminal") / "bundle", titles=TITLES)


def lightrec(*arguments, **environment):
    """Run the real command; returns exit code, standard output and standard error as bytes."""
    command = [sys.executable, "-m", "lightrec", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 中 🎬", "plain é 中 🎬"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\n\tb\x7f", r"a\r\n\tb\x7f"),
        ("\x9b\u202e\u2066\ud800", r"\x9b\u202e\u2066\ud800"),
        ("שלום\u200f", "שלום\u200f"),
    ],
)
def test_control_characters_are_spelled_out(text, shown):
    assert visible(text) == shown


@given(st.text(), st.text())
def test_values_are_no_markup(first, second):
    text = styled("[bold]{first}[/] and {second}", first=first, second=second)
    assert text.plain == f"{visible(first)} and {visible(second)}"
    bold = [(span.start, span.end) for span in text.spans if span.start < span.end]
    assert bold == ([(0, len(visible(first)))] if first else [])


@given(st.text(alphabet=st.characters(exclude_categories=())), st.sampled_from(ENCODINGS))
def test_json_is_valid_in_every_encoding_and_holds_what_was_given(text, encoding):
    written = json_text([text], encoding)
    assert json.loads(written.encode(encoding).decode(encoding)) == [text]
    assert not set(written) & {"\x1b", "\x9b", "\u202e"}


def test_a_table_shows_control_characters_and_markup_as_text():
    file = io.StringIO()
    table = Table(title="[/b]")
    table.add_row(*TITLES[1:5])
    SafeConsole(file=file, width=200).print(table, "[red]y[/red] :smile:")
    out = file.getvalue()
    for words in (r"\x1b]0;owned\x07\x1b[2J", "[/b][bold red]x", r"\u202egnp.exe", r"\x9b31m", "[red]y[/red] :smile:"):
        assert words in out
    assert not set(out) & {"\x1b", "\x07", "\x9b", "\u202e"}
    frame = [line for line in out.splitlines() if line[:1] in "┏│└"]
    assert len({len(line) for line in frame}) == 1  # what is spelled out was measured too


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_takes_tables_and_json(bundle, encoding):
    code, out, err = lightrec("recommend", bundle, "--history", "e,f", PYTHONIOENCODING=encoding, COLUMNS="200")
    assert (code, err) == (0, b"")
    text = out.decode(encoding)
    assert "Recommended next" in text and r"\x1b]0;owned\x07\x1b[2J" in text and r"\u202egnp.exe" in text
    assert ("🎬" in text) == encoding.startswith("utf")
    assert ("é" in text) == (encoding != "ascii")
    code, out, err = lightrec("recommend", bundle, "--history", "e,f", "--json", PYTHONIOENCODING=encoding)
    assert (code, err) == (0, b"")
    found = {item["title"] for item in json.loads(out.decode(encoding))["recommendations"]}
    assert found == set(TITLES) - {TITLES[4]}


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "POSIX"}, {"LANG": "xx_YY"}]
)
@pytest.mark.parametrize("command", ["recommend", "doctor", "--help", "recommend --help"])
def test_every_locale_will_do(bundle, locale, command):
    words = [*shlex.split(command), *([bundle] if command == "recommend" else [])]
    code, out, err = lightrec(*words, **locale)
    assert (code, err) == (0, b"") and out


@pytest.mark.skipif(sys.platform == "win32", reason="needs file names that are bytes")
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_path_that_is_no_text_is_named_in_the_error(tmp_path, encoding):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff[/b]\n\x1b[1m")
    code, out, err = lightrec("verify", path, PYTHONIOENCODING=encoding)
    assert (code, out) == (2, b"") and err.startswith(b"Error: ") and err.count(b"\n") == 1
    assert rb"\udcff[/b]\n\x1b[1m" in err


@pytest.mark.parametrize(
    "words", [["recommend", "--nonsense\x1b[2J"], ["\x1b[2J"], ["package", "x", "--for", "\x1b[2J"]]
)
def test_wrong_usage_does_not_command_the_terminal(words):
    code, _, err = lightrec(*words)
    assert code == 2 and b"\x1b" not in err and rb"\x1b[2J" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["--version"], ["doctor"], ["doctor", "--json"]])
def test_a_full_standard_output_is_one_sentence(words):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "lightrec", *words], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert (
        done.stderr.startswith(b"Error: ")
        and done.stderr.count(b"\n") == 1
        and b"Standard output cannot be written (No space" in done.stderr
    )


@pytest.mark.parametrize("words", [["--version"], ["doctor"], ["doctor", "--json"]])
def test_a_closed_pipe_is_one_sentence(words):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "lightrec", *words], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == 2
    assert done.stderr.startswith(b"Error: Standard output was closed") and done.stderr.count(b"\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_no_standard_output_at_all_is_no_error():
    command = shlex.join([sys.executable, "-m", "lightrec", "doctor"])
    done = subprocess.run(["sh", "-c", f"{command} >&-"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("columns", ["0", "1", "-5", "x", "", "9" * 5000])
def test_a_width_that_makes_no_sense_hides_nothing(bundle, columns):
    code, out, err = lightrec("recommend", bundle, "--nonsense", COLUMNS=columns)
    assert code == 2 and b"--nonsense" in err
    code, out, err = lightrec("recommend", bundle, COLUMNS=columns)
    assert (code, err) == (0, b"") and "Amélie ✓ 🎬" in out.decode()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_tables_are_as_wide_as_the_encoding_spells_their_cells(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=PLAIN)
    table = Table("id", "title")
    for title in ("Ταινία", "Alien", "→ é"):
        table.add_row("1", title)
    SafeConsole(file=stream, width=100).print(table)
    stream.seek(0)
    lines = stream.read().splitlines()
    assert len(lines) == 7
    assert len({len(line) for line in lines}) == 1
