"""The service through a real server in a process of its own: questions, mistakes, reloads under load, a gentle end."""

from __future__ import annotations

import json
import re
import signal
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from mini_bundle import IDS, NEXT_SCORES, write_bundle
from service_process import TOKEN, Server

from lightrec.bundle import copy_bundle

pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture(scope="module")
def server(served):
    server = Server(served, "--max-body", "2000", "--workers", "2", "--timeout", "10")
    yield server
    assert server.stop() == 0


def test_one_user_is_answered(server):
    status, _, answer = server.ask("/recommend", {"history": ["x", "a"], "k": 2, "exclude": ["c"]})
    expected = [{"id": "b", "score": 9.0, "title": "Brazil"}, {"id": "d", "score": 7.0, "title": None}]
    assert (status, answer) == (200, {"items": expected, "unknown": ["x"], "fallback": False})


def test_a_number_is_an_id_and_popularity_has_no_score(server):
    assert server.ask("/recommend", {"history": [7], "k": 1})[2]["items"][0]["id"] == "a"
    _, _, answer = server.ask("/recommend", {"history": [], "k": 1, "candidates": ["c", "a"]})
    assert answer == {"items": [{"id": "a", "score": None, "title": "Alien"}], "unknown": [], "fallback": True}


def test_boosts_are_added(server):
    _, _, answer = server.ask("/recommend", {"history": ["a"], "k": 1, "boost": {"7": 4.5}})
    assert answer["items"][0] == {"id": "7", "score": 9.5, "title": "Seven"}


def test_several_users_are_answered(server):
    question = {"histories": [["a"], [], ["b"]], "k": 1, "exclude": [["b"], ["d"], []]}
    _, _, answer = server.ask("/recommend/batch", question)
    assert [[item["id"] for item in one["items"]] for one in answer["answers"]] == [["c"], ["a"], ["c"]]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/recommend", {"history": ["a"], "kk": 1}, 422, "There is no field 'kk'"),
        ("/recommend", {"k": 1}, 422, "The field 'history' is missing."),
        ("/recommend", {"history": "ab"}, 422, "The field 'history' is wrong"),
        ("/recommend", {"history": ["a", 1.5]}, 422, "The field 'history.1' holds 1.5: give an item's id"),
        ("/recommend", {"history": ["a"], "k": 0}, 422, "The field 'k' is wrong"),
        ("/recommend", {"history": ["a"], "k": 1001}, 422, "less than or equal to 1000"),
        ("/recommend", b'{"history": ["a"], "boost": {"a": NaN}}', 422, "boost"),
        ("/recommend", {"history": ["a"], "k": True}, 422, "The field 'k' is wrong"),
        ("/recommend", b"{", 422, "The body is not valid JSON"),
        ("/recommend", b"[]", 422, "The body is no JSON object"),
        ("/recommend", b" " * 2001, 413, "The body has more than 2,000 bytes"),
        ("/recommend/batch", {"histories": [["a"]], "exclude": []}, 422, "exclude has 0 entries for 1 histories"),
        ("/nowhere", {}, 404, "There is nothing at this address"),
        ("/health", {}, 405, "This address takes another method"),
        ("/reload", {}, 401, "Give the token"),
        ("/v2/models/other/infer", {}, 404, "There is no model 'other'"),
        ("/v2/models/bundle/infer", {"inputs": []}, 422, "The input 'history' is missing."),
        ("/v2/models/bundle/infer", {"input": []}, 422, "The field 'inputs' is missing."),
    ],
)
def test_mistakes_are_answered_by_one_sentence(server, path, body, status, sentence):
    found, _, answer = server.ask(path, body)
    assert found == status and sentence in answer["error"] and list(answer) == ["error"]


def test_a_body_of_unknown_length_is_limited_as_well(server):
    connection = server.connect()
    connection.request("POST", "/recommend", iter([b" " * 999] * 9), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 413


def test_health_metrics_and_the_page(server):
    status, _, health = server.ask("/health")
    assert status == 200 and health["ready"] and health["bundle"]["items"] == len(IDS)
    assert [server.ask(f"/health/{state}")[2] for state in ("live", "ready")] == [{"live": True}, {"ready": True}]
    server.ask("/recommend", {"history": ["a"]})
    server.ask("/strange/address")
    text = server.ask("/metrics")[2].decode()
    assert 'lightrec_requests_total{route="/recommend",status="200"}' in text
    assert 'lightrec_request_seconds_bucket{le="0.001",route="/recommend"}' in text
    assert "lightrec_bundle_items{" in text and "strange" not in text
    page = server.ask("/openapi.json")[2]
    assert set(re.findall(r"#/components/schemas/(\w+)", json.dumps(page))) <= set(page["components"]["schemas"])
    paths = page["paths"]
    assert {"/recommend", "/recommend/batch", "/health", "/reload", "/v2/models/{model}/infer"} <= set(paths)
    status, _, page = server.ask("/docs")
    assert status == 200 and b"openapi.json" in page and b"http" not in page  # it loads nothing from elsewhere


def test_open_inference_tells_what_it_takes(server):
    assert server.ask("/v2")[2]["name"] == "lightrec"
    assert server.ask("/v2/health/live")[2] == {"live": True} and server.ask("/v2/health/ready")[2] == {"ready": True}
    assert server.ask("/v2/models/bundle/ready")[2] == {"name": "bundle", "ready": True}
    _, _, model = server.ask("/v2/models/bundle/versions/1")
    assert [tensor["name"] for tensor in model["inputs"]] == ["history", "length", "exclude", "k"]
    assert [tensor["datatype"] for tensor in model["outputs"]] == ["BYTES", "FP32", "BOOL"]


def test_open_inference_answers_in_json(server):
    history = {"name": "history", "datatype": "BYTES", "shape": [2, 2], "data": [["a", ""], ["c", "b"]]}
    inputs = [
        history,
        {"name": "length", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        {"name": "exclude", "datatype": "BYTES", "shape": [2, 1], "data": ["b", ""]},
        {"name": "k", "datatype": "INT64", "shape": [1], "data": [4]},
    ]
    _, _, answer = server.ask("/v2/models/bundle/infer", {"id": "x", "inputs": inputs})
    assert (answer["id"], answer["model_name"]) == ("x", "bundle")
    items, scores, fallback = answer["outputs"]
    assert items == {
        "name": "items",
        "datatype": "BYTES",
        "shape": [2, 4],
        "data": ["c", "d", "e,f", "7", "d", "e,f", "7", "a"],
    }
    assert scores["data"] == [8, 7, 6, 5, 4, 3, 2, 1] and fallback["data"] == [False, False]


def test_open_inference_takes_numbers_and_fills_up(server):
    history = {"name": "history", "datatype": "INT64", "shape": [1, 1], "data": [7]}
    request = {"inputs": [history], "outputs": [{"name": "items"}]}
    assert server.ask("/v2/models/bundle/infer", request)[2]["outputs"][0]["data"][0] == "a"
    wrong = {"inputs": [{**history, "shape": [2, 2]}]}
    assert "1 values, which are not 2 x 2" in server.ask("/v2/models/bundle/infer", wrong)[2]["error"]
    for change in ({"shape": [-1, 1]}, {"datatype": "BYTES", "data": [None]}, {"data": ["7"]}, {"shape": [1, 1, 1]}):
        assert server.ask("/v2/models/bundle/infer", {"inputs": [{**history, **change}]})[0] == 422, change


def test_open_inference_speaks_the_binary_extension(server):
    content = b"".join(struct.pack("<I", 1) + item for item in (b"c", b"a"))
    history = {"name": "history", "datatype": "BYTES", "shape": [1, 2], "parameters": {"binary_data_size": 10}}
    k = {"name": "k", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}}
    header = json.dumps({"inputs": [history, k], "parameters": {"binary_data_output": True}}).encode()
    body = header + content + struct.pack("<q", 2)
    length = {"Inference-Header-Content-Length": str(len(header))}
    _, headers, answer = server.ask("/v2/models/bundle/infer", body, **length)
    size = int(headers["Inference-Header-Content-Length"])
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(answer[:size])["outputs"]]
    assert answer[size : size + sizes[0]] == b"\x01\0\0\0b\x01\0\0\0d"
    assert np.frombuffer(answer[size + sizes[0] :][: sizes[1]], "<f4").tolist() == [9, 7]


def test_no_request_fails_while_the_bundle_is_exchanged(tmp_path):
    """Requests from several clients, while the folder is replaced and read anew through both ways."""
    first = write_bundle(tmp_path / "first")
    second = write_bundle(tmp_path / "second", scores=NEXT_SCORES[:, ::-1].copy())
    copy_bundle(first, tmp_path / "bundle")
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("")
    options = ["--timeout", "10", "--block", str(blocked), "--allow-unknown-blocked"]
    server, stop = Server(tmp_path / "bundle", *options), threading.Event()
    answers: list[tuple[int, str]] = []
    errors: list[Exception] = []

    def client() -> None:
        connection = server.connect()
        try:
            while not stop.is_set():
                status, _, answer = server.ask("/recommend", {"history": ["a"], "k": 1}, connection=connection)
                answers.append((status, answer["items"][0]["id"]))
        except Exception as error:
            errors.append(error)

    clients = [threading.Thread(target=client, daemon=True) for _ in range(4)]
    for thread in clients:
        thread.start()
    for turn in range(4):
        copy_bundle((second, first)[turn % 2], tmp_path / "bundle")
        status, _, answer = server.ask("/reload", method="POST", Authorization=f"Bearer {TOKEN}")
        assert (status, answer["items"]) == (200, len(IDS))
    copy_bundle(second, tmp_path / "bundle")
    blocked.write_text("e,f\n\ngone\n")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: answers[-1][1] == "d")
    stop.set()
    for thread in clients:
        thread.join()
    assert (
        errors == []
        and {status for status, _ in answers} == {200}
        and {item for _, item in answers} == {"b", "e,f", "d"}
    )
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"broken")
    status, _, answer = server.ask("/reload", method="POST", Authorization=f"Bearer {TOKEN}")
    assert status == 422 and "model.onnx" in answer["error"] and "goes on answering" in answer["error"]
    assert server.ask("/recommend", {"history": ["a"], "k": 1})[2]["items"][0]["id"] == "d"
    assert server.stop() == 0


def test_stopping_answers_what_has_begun_and_takes_nothing_new(server):
    """The last test of this file: it stops the server of the others."""
    body = json.dumps({"history": ["a"], "k": 1}).encode()
    begun = server.connect()
    begun.putrequest("POST", "/recommend")
    begun.putheader("Content-Type", "application/json")
    begun.putheader("Content-Length", str(len(body)))
    begun.endheaders()
    begun.send(body[:9])
    assert server.ask("/health/ready")[0] == 200  # by now the first request has been seen
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: refused(server))
    begun.send(body[9:])
    answer = begun.getresponse()
    assert answer.status == 200 and json.loads(answer.read())["items"][0]["id"] == "b"
    assert server.process.wait(20) == 0


def refused(server) -> bool:
    try:
        server.connect().connect()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(true, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
