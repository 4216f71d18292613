"""Files of npm packages, through the real npm from a registry on this machine."""

import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading

import pytest

from lightrec.errors import DownloadError
from lightrec.files.download import cache_folder, fetch_npm_members

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")]


def tarball():
    """The .tgz of a package that would leave a trace if one of its scripts were run."""
    files = {
        "package.json": json.dumps({"name": "tiny", "version": "1.0.0", "scripts": {"prepack": "touch trace"}}),
        "dist/a.txt": "alpha",
        "dist/b.txt": "beta",
    }
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()


class Registry(http.server.BaseHTTPRequestHandler):
    content = tarball()

    def do_GET(self):
        host = f"http://127.0.0.1:{self.server.server_port}"
        dist = {"tarball": f"{host}/tiny-1.0.0.tgz", "shasum": hashlib.sha1(self.content).hexdigest()}
        versions = {"1.0.0": {"name": "tiny", "version": "1.0.0", "dist": dist}}
        about = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
        answer = self.content if self.path.endswith(".tgz") else json.dumps(about).encode()
        self.send_response(200 if self.path.startswith("/tiny") else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


DIGEST = hashlib.sha256(Registry.content).hexdigest()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """npm configured, as a user would, to take packages from here."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_update_notifier", "false")
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def kept():
    return {file.name for file in cache_folder().rglob("*") if file.is_file() and file.suffix != ".json"}


def test_members_are_taken_out_and_kept(registry):
    members = {"dist/a.txt": hashlib.sha256(b"alpha").hexdigest(), "dist/b.txt": None}
    files = fetch_npm_members("tiny", "1.0.0", DIGEST, members)
    assert {name: file.read_text() for name, file in files.items()} == {"dist/a.txt": "alpha", "dist/b.txt": "beta"}
    assert len({file.parent for file in files.values()}) == 1
    assert kept() == {"a.txt", "b.txt"}
    registry.shutdown()
    registry.server_close()  # from here on only the cache can answer
    assert fetch_npm_members("tiny", "1.0.0", DIGEST, members) == files


def test_what_is_not_what_was_promised_is_refused(registry):
    wrong = "0" * 64
    with pytest.raises(DownloadError, match=f"has SHA-256 {DIGEST}, not {wrong}"):
        fetch_npm_members("tiny", "1.0.0", wrong, {"dist/a.txt": None})
    with pytest.raises(DownloadError, match=rf"dist/a\.txt in tiny-1\.0\.0\.tgz .* not {wrong}"):
        fetch_npm_members("tiny", "1.0.0", DIGEST, {"dist/a.txt": wrong})
    with pytest.raises(DownloadError, match=r"holds no file dist/c\.txt"):
        fetch_npm_members("tiny", "1.0.0", DIGEST, {"dist/c.txt": None})
    assert kept() == set()


def test_a_package_that_is_not_there_is_one_sentence(registry):
    with pytest.raises(DownloadError, match=r"npm cannot fetch absent 1\.0\.0 \(.+\): check the network") as caught:
        fetch_npm_members("absent", "1.0.0", DIGEST, {"a": None})
    assert "\n" not in str(caught.value)
