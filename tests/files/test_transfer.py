"""Transfers that could go wrong in silence: another version of the file, a page in its place, a kill, two at once."""

import hashlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lightrec.errors import DownloadError
from lightrec.files.download import cache_folder, download

OLD, NEW = (os.urandom(400_000) for _ in range(2))


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.content`` at every path as RFC 9110 asks; what the tests set of ``server`` makes it misbehave."""

    def do_GET(self):
        server, total = self.server, len(self.server.content)
        server.asked.append({name: self.headers[name] for name in ("Range", "If-Range") if self.headers[name]})
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", server.leads_to or self.path)
            self.end_headers()
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if condition is not None and condition not in server.validators.values() and server.knows_conditions:
            wanted = None
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", server.content_range or f"bytes {start}-{total - 1}/{total}")
        for name, value in {**server.validators, **server.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        self.wfile.write(server.content[start:][: server.breaks.pop(0) if server.breaks else None])
        if server.pause:
            self.wfile.flush()
            server.pause.wait(20)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.breaks, server.asked = OLD, [], []
        server.validators, server.headers = {"ETag": '"old"'}, {}
        server.knows_conditions, server.content_range, server.leads_to, server.pause = True, None, None, None
        server.host = f"http://127.0.0.1:{server.server_port}"
        server.url = f"{server.host}/some/file.gz"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def break_off(server, at=150_000):
    """Fetch a part of the file and no more."""
    server.breaks = [at, 0]
    with pytest.raises(DownloadError, match="bytes are there"):
        download(server.url, None)
    server.asked.clear()


@pytest.mark.parametrize(
    ("validators", "condition"),
    [
        ({"ETag": '"old"'}, '"old"'),
        ({"ETag": '"old"', "Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}, '"old"'),
        ({"ETag": 'W/"old"', "Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}, "Mon, 05 Jan 2026 10:00:00 GMT"),
    ],
)
def test_a_file_is_resumed_on_condition_that_it_is_the_same(server, validators, condition):
    server.validators = validators
    break_off(server)
    assert download(server.url, None).read_bytes() == OLD
    assert server.asked == [{"Range": "bytes=150000-", "If-Range": condition}]


@pytest.mark.parametrize("knows_conditions", [True, False])
def test_a_file_that_has_changed_is_fetched_anew(server, knows_conditions):
    break_off(server)
    server.content, server.validators = NEW, {"ETag": '"new"'}
    server.knows_conditions = knows_conditions  # if not, it sends the new file's end under its own ETag
    assert download(server.url, None).read_bytes() == NEW


def test_a_file_of_another_length_is_fetched_anew(server):
    server.validators = {"Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}
    break_off(server)
    server.content = NEW + NEW  # under the same date
    assert download(server.url, None).read_bytes() == NEW + NEW


@pytest.mark.parametrize("validators", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_promise_of_the_server_nothing_is_resumed(server, validators):
    server.validators = validators
    break_off(server)
    server.content = NEW
    assert download(server.url, None).read_bytes() == NEW
    assert server.asked == [{}]


@pytest.mark.parametrize("told", ["bytes 0-399999/400000", "bytes 150001-399999/400000", "bytes */400000", "nonsense"])
def test_a_part_from_another_place_is_not_appended(server, told):
    break_off(server)
    server.content_range = told
    assert download(server.url, None).read_bytes() == OLD
    assert server.asked == [{"Range": "bytes=150000-", "If-Range": '"old"'}, {}]


def test_what_is_kept_is_trusted_only_as_it_came(server):
    path = download(server.url, None)
    record = json.loads(path.with_name(f".{path.name}.origin.json").read_text())
    assert record == {
        "url": server.url,
        "sha256": hashlib.sha256(OLD).hexdigest(),
        "etag": '"old"',
        "modified": None,
        "length": len(OLD),
    }
    assert download(server.url, None) == path and len(server.asked) == 1
    path.write_bytes(OLD[:-1] + b"x")
    assert download(server.url, None).read_bytes() == OLD
    path.with_name(f".{path.name}.origin.json").unlink()
    assert download(server.url, None).read_bytes() == OLD
    assert len(server.asked) == 3


@pytest.mark.parametrize("digest", [None, hashlib.sha256(OLD).hexdigest()], ids=["no digest", "its digest"])
def test_a_page_in_place_of_the_file_is_named_as_such(server, digest):
    server.content, server.headers = b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DownloadError, match=r"file\.gz answers with a web page"):
        download(server.url, digest)
    assert list((cache_folder() / "downloads").iterdir()) == []
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="comes as gzip"):
        download(server.url, digest)


def test_redirections_are_followed_and_counted(server):
    server.leads_to = "/elsewhere"
    assert download(f"{server.host}/to/file.gz", None).read_bytes() == OLD
    server.leads_to = None  # to itself
    with pytest.raises(DownloadError, match="302"):
        download(f"{server.host}/to/endless.gz", None)
    for address in ("ftp://127.0.0.1/file.gz", "file:///etc/hostname"):
        server.leads_to = address
        with pytest.raises(DownloadError, match=r"302|only http"):
            download(f"{server.host}/to/strange.gz", None)
    for address in ("file:///etc/hostname", "ftp://127.0.0.1/x", "x"):
        with pytest.raises(DownloadError, match="only http"):
            download(address, None)


def test_nothing_leads_from_https_to_http():
    import urllib.request

    from lightrec.files.transfer import _Redirects

    request = urllib.request.Request("https://a.example/file")
    with pytest.raises(DownloadError, match="not encrypted"):
        _Redirects().redirect_request(request, None, 302, "Found", {}, "http://b.example/file")
    assert _Redirects().redirect_request(request, None, 302, "Found", {}, "https://b.example/file") is not None


@pytest.mark.parametrize(
    ("status", "words"), [(403, "403 Forbidden"), (407, "407 Proxy Authentication Required"), (502, "502 Bad Gateway")]
)
def test_a_proxy_of_the_environment_is_used_and_its_refusal_named(monkeypatch, server, status, words):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

        do_CONNECT = do_GET

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for scheme in ("http", "https"):
            with pytest.raises(DownloadError, match=words):
                download(f"{scheme}://files.example/file.gz", None)
        proxy.shutdown()


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "nonsense:://", "http://[::1", "http://:x"])
def test_a_proxy_that_is_not_there_is_one_sentence(monkeypatch, tmp_path, proxy):
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path))
    monkeypatch.setenv("http_proxy", proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DownloadError, match="cannot be reached"):
        download("http://files.example/file.gz", None)


FETCH = "import sys; from lightrec.files.download import download; print(download(sys.argv[1], None))"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_process_left_is_resumed_to_the_same_bytes(server):
    server.breaks, server.pause = [250_000], threading.Event()
    process = subprocess.Popen([sys.executable, "-c", FETCH, server.url])
    part = next(iter(_wait_for(lambda: [p for p in cache_folder().rglob("*.part") if p.stat().st_size == 250_000])))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    server.pause.set()
    assert part.read_bytes() == OLD[:250_000]
    assert download(server.url, None).read_bytes() == OLD
    assert server.asked[-1] == {"Range": "bytes=250000-", "If-Range": '"old"'}


def test_two_processes_fetch_a_file_once(server):
    processes = [
        subprocess.Popen([sys.executable, "-c", FETCH, server.url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    places = {process.communicate()[0].strip() for process in processes}
    assert len(places) == 1 and [process.returncode for process in processes] == [0, 0, 0]
    (place,) = places
    assert Path(place).read_bytes() == OLD
    assert server.asked == [{}]


def _wait_for(found, seconds=20):
    end = time.monotonic() + seconds
    while not found() and time.monotonic() < end:
        time.sleep(0.02)
    return found()
