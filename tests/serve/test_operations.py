"""Flags and the routes for those who run the service: block list, hashes, origins, token, page, file limits."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest
from mini_bundle import write_bundle
from service_app import post
from service_process import TOKEN, Server
from typer.testing import CliRunner

pytest.importorskip("fastapi", reason="needs the extra serve")

from lightrec.cli.app import app as command
from lightrec.errors import BundleError, ConfigError, DataError
from lightrec.serve.app import make_app
from lightrec.serve.limits import open_files
from lightrec.serve.operations import PAGE, content_policy
from lightrec.serve.service import ServeSettings, Service

ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("operated") / "bundle")


@pytest.fixture(scope="module")
def server(bundle):
    server = Server(bundle, "--cors-origin", ORIGIN, "--cors-origin", "http://localhost:3000", open_files=128)
    yield server
    assert server.stop() == 0


def test_a_mistyped_id_of_the_block_list_is_refused_by_name(bundle, tmp_path):
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("\ufeffa\n e,g \n\na\nzzz\n", encoding="utf-8")
    done = CliRunner().invoke(command, ["serve", str(bundle), "--port", "0", "--block", str(blocked)])
    assert done.exit_code != 0
    sentence = str(done.exception)
    assert isinstance(done.exception, DataError) and str(blocked) in sentence and "--allow-unknown-blocked" in sentence
    assert "'e,g' (did you mean 'e,f'?), 'zzz'" in sentence and "'a'" not in sentence
    service = Service(ServeSettings(bundle, "bundle", block=blocked, allow_unknown_blocked=True))
    assert service.recommender.blocked == ["a"]


def test_many_unknown_ids_are_counted(bundle, tmp_path):
    (tmp_path / "blocked.txt").write_text("".join(f"no such {n}\n" for n in range(9)))
    with pytest.raises(DataError, match="'no such 2' and 6 more"):
        Service(ServeSettings(bundle, "bundle", block=tmp_path / "blocked.txt"))


def test_a_reload_with_an_unknown_id_keeps_bundle_and_block_list(bundle, tmp_path):
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("b\n")
    service = Service(ServeSettings(bundle, "bundle", block=blocked))
    blocked.write_text("bb\n")
    with pytest.raises(BundleError, match=r"'bb' \(did you mean 'b'\?\).*goes on answering"):
        asyncio.run(service.reload())
    assert service.recommender.blocked == ["b"]
    assert service.metrics.registry.get_sample_value("lightrec_reloads_total", {"result": "failed"}) == 1


@pytest.mark.parametrize(
    ("flags", "given"), [([], {}), (["--verify"], {"verify": True}), (["--no-verify"], {"verify": False})]
)
def test_the_flag_for_hashes_reaches_the_loader(bundle, monkeypatch, flags, given):
    seen = []
    monkeypatch.setattr("lightrec.serve.service.Service", lambda settings: seen.append(settings))
    monkeypatch.setattr("lightrec.serve.server.run", lambda *_: None)
    assert CliRunner().invoke(command, ["serve", str(bundle), *flags]).exit_code == 0
    assert seen[0].options == {"backend": None, "precision": None, **given}


def test_pages_of_the_named_origins_may_ask(server):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    status, headers, _ = server.ask("/recommend", method="OPTIONS", Origin=ORIGIN, **asked)
    assert status == 200 and headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in headers["access-control-allow-methods"]
    assert "content-type" in headers["access-control-allow-headers"].lower()
    for body in ({"history": ["a"]}, {"history": "a"}):  # refusals can be read by the page as well
        assert server.ask("/recommend", body, Origin=ORIGIN)[1]["access-control-allow-origin"] == ORIGIN
    status, headers, body = server.ask("/recommend", method="OPTIONS", Origin="https://other.example", **asked)
    assert status == 400 and headers["access-control-allow-origin"] is None
    assert "origin" in body["error"] and "--cors-origin" in body["error"]


def test_without_the_flag_no_page_may_ask(bundle):
    app = make_app(Service(ServeSettings(bundle, "bundle", timeout=10)))
    _, headers, _ = asyncio.run(post(app, json.dumps({"history": ["a"]}).encode(), origin=ORIGIN.encode()))
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://a b", "", "null", "https://"])
def test_what_is_no_origin_is_refused(bundle, origin):
    done = CliRunner().invoke(command, ["serve", str(bundle), "--cors-origin", origin])
    assert done.exit_code != 0 and "--cors-origin" in str(done.exception) and "is no origin" in str(done.exception)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer \xe9\xff", 401),
        ("\xb2", 401),
    ],
)
def test_the_token_is_compared_whatever_bytes_come(server, given, status):
    found, headers, _ = server.ask("/reload", method="POST", Authorization=given)
    assert found == status and (status == 200 or headers["www-authenticate"] == "Bearer")


@pytest.mark.parametrize("token", ["a b", "a\n", " ", "a\t"])
def test_a_token_that_no_header_can_hold_is_refused(bundle, monkeypatch, token):
    monkeypatch.setenv("LIGHTREC_RELOAD_TOKEN", token)
    done = CliRunner().invoke(command, ["serve", str(bundle)])
    assert done.exit_code != 0 and "LIGHTREC_RELOAD_TOKEN" in str(done.exception)


@pytest.mark.parametrize(("flags", "name"), [([], "bundle"), (["--name", "shop"], "shop")])
def test_the_model_is_called_as_the_folder_or_as_one_says(bundle, monkeypatch, flags, name):
    seen = []
    monkeypatch.setattr("lightrec.serve.service.Service", lambda settings: seen.append(settings))
    monkeypatch.setattr("lightrec.serve.server.run", lambda *_: None)
    monkeypatch.chdir(bundle)
    assert CliRunner().invoke(command, ["serve", ".", *flags]).exit_code == 0
    assert seen[0].name == name
    for wrong in ("", "a/b"):
        with pytest.raises(ConfigError, match="--name"):
            Service(ServeSettings(bundle, wrong))


def test_a_token_may_hold_any_bytes(bundle):
    token = os.fsdecode("gehéim\xff".encode("latin-1"))
    app = make_app(Service(ServeSettings(bundle, "bundle", reload_token=token)))
    for given, status in ((b"geh\xe9im\xff", 200), ("gehéim".encode(), 401)):
        assert asyncio.run(post(app, b"", path="/reload", authorization=b"Bearer " + given))[0] == status


def test_the_page_may_do_nothing_but_its_own(server):
    _, headers, page = server.ask("/docs")
    policy = headers["content-security-policy"]
    assert policy == content_policy(PAGE.read_text()) and "default-src 'none'" in policy and "unsafe" not in policy
    assert policy.count("'sha256-") == 2 and "frame-ancestors 'none'" in policy and b"style=" not in page
    for path in ("/docs", "/openapi.json", "/health", "/nowhere"):
        assert server.ask(path)[1]["x-content-type-options"] == "nosniff"


def test_no_address_sends_elsewhere(server):
    for path in ("/recommend/", "/health/", "//evil.example/docs"):
        status, headers, answer = server.ask(path, Host="evil.example")
        assert status == 404 and headers["location"] is None and list(answer) == ["error"]


def test_the_page_names_every_answer_that_can_come(server):
    page = server.ask("/openapi.json")[2]
    answers = {path: set(route.get("post", route.get("get"))["responses"]) for path, route in page["paths"].items()}
    everywhere = {"400", "405", "408", "413", "431", "500", "503"}
    assert all(everywhere <= found for found in answers.values())
    assert {"422", "504"} <= answers["/recommend"] and {"422", "504"} <= answers["/recommend/batch"]
    assert "401" in answers["/reload"] and {"404", "422", "504"} <= answers["/v2/models/{model}/infer"]
    assert page["components"]["schemas"]["Tensor"]["properties"]["shape"]["items"]["maximum"] == 65_536
    body = page["paths"]["/recommend"]["post"]["requestBody"]
    assert body["required"] and "Question" in json.dumps(body)
    assert "HTTPValidationError" not in page["components"]["schemas"]


def test_half_sent_requests_beyond_the_limit_of_files_lock_nobody_out(server):
    half = []
    for _ in range(300):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"POST /recommend HTTP/1.1\r\nHost:")
        half.append(connection)
    assert server.ask("/recommend", {"history": ["a"], "k": 1})[0] == 200
    assert server.ask("/reload", method="POST", Authorization=f"Bearer {TOKEN}")[0] == 200
    for connection in half:
        connection.close()


def test_half_sent_requests_do_not_keep_it_from_ending(bundle):
    server = Server(bundle)
    half = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    for connection in half[:3]:
        connection.sendall(b"POST /recommend HTTP/1.1\r\nHost:")
    half[3].sendall(b"POST /recommend HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert server.ask("/health/live")[0] == 200
    assert server.stop() == 0
    for connection in half:
        connection.close()


def test_connections_leave_files_free(monkeypatch):
    monkeypatch.setattr(open_files, "_open_files", lambda: 20)
    monkeypatch.setattr(open_files, "_raised_limit", lambda _: 252)
    assert open_files.room(1000) == (150, 50)  # of 252 - 20 - 32 = 200 a quarter waits
    assert open_files.room(100) == (100, 50)
    monkeypatch.setattr(open_files, "_raised_limit", lambda _: None)
    assert open_files.room(1000) == (1000, 2048)
    monkeypatch.setattr(open_files, "_raised_limit", lambda _: 60)
    with pytest.raises(open_files.ConfigError, match=r"only 60 files.*ulimit -n"):
        open_files.room(1000)
