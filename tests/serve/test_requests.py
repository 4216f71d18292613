"""Requests that claim or hold what they must not: refused with a sentence before anything is made of them."""

from __future__ import annotations

import asyncio
import json
import struct
import tracemalloc

import numpy as np
import pytest
from mini_bundle import IDS, NEXT_SCORES, write_bundle
from service_app import post

pytest.importorskip("fastapi", reason="needs the extra serve")

from lightrec.serve.app import make_app
from lightrec.serve.limits.request_sizes import MAX_IDS, whole_number
from lightrec.serve.open_inference.tensors import binary_tensor
from lightrec.serve.requests import Json
from lightrec.serve.service import ServeSettings, Service

INFER = "/v2/models/bundle/infer"
HISTORY = {"name": "history", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    bundle = write_bundle(tmp_path_factory.mktemp("asked") / "bundle")
    return make_app(Service(ServeSettings(bundle, "bundle", timeout=10)))


def ask(app, body: object, path: str = "/recommend", **headers: bytes):
    """Status and JSON of one request; ``body`` may be bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, answer = asyncio.run(post(app, content, path=path, **headers))
    return status, answer


def refused(app, body: object, path: str = "/recommend", **headers: bytes) -> str:
    """The sentence with which a request is refused."""
    status, answer = ask(app, body, path, **headers)
    assert status == 422 and list(answer) == ["error"], answer
    assert len(answer["error"]) < 500
    return answer["error"]


@pytest.mark.parametrize("name", ["history", "exclude"])
@pytest.mark.parametrize(
    "shape", [[50_000_000, 0], [10**8, 0], [0, 10**8], [10**8, 10**8], [10**30, 1], [1024, 60_000]]
)
def test_a_shape_is_looked_at_before_anything_of_its_size_is_made(app, name, shape):
    tensor = {"name": name, "datatype": "INT64", "shape": shape, "data": []}
    binary = {"name": name, "datatype": "INT64", "shape": shape, "parameters": {"binary_data_size": 0}}
    text = {**binary, "datatype": "BYTES"}
    others = [] if name == "history" else [HISTORY]
    for claim in (tensor, binary, text):
        tracemalloc.start()
        sentence = refused(app, {"inputs": [*others, claim]}, INFER)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()
        assert "shape" in sentence or name in sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"shape": [2, 2], "data": [["a"], ["b", "c", "d"]]},
            "nested rows of the input 'history' are not of its shape",
        ),
        ({"shape": [2, 1], "data": [["a"], "b"]}, "nested rows"),
        ({"shape": [1, 2], "data": ["a", ["b"]]}, "holds ['b']"),
        ({"shape": [2], "data": [["a"], ["b"]]}, "holds ['a']"),
        ({"shape": [1, 2], "data": [[["a"], ["b"]]]}, "holds ['a']"),
        ({"shape": [], "data": []}, "inputs.0.shape"),
        ({"shape": [True, 1]}, "inputs.0.shape"),
        ({"shape": [1.0, 1]}, "inputs.0.shape"),
        ({"shape": ["1", 1]}, "inputs.0.shape"),
        ({"data": None}, "has no data"),
        ({"datatype": "INT64", "data": [True]}, "holds True"),
        ({"datatype": "INT64", "data": [1.0]}, "holds 1.0"),
        ({"datatype": "INT64", "data": [2**63]}, "of type INT64 holds 9223372036854775808"),
        ({"datatype": "INT32", "data": [2**31]}, "of type INT32 holds 2147483648"),
        ({"datatype": "FP32", "data": [1.0]}, "There is no input 'history' of type FP32"),
        ({"parameters": {"binary_data_size": 5}}, "0 bytes of the body are left"),
        ({"parameters": {"binary_data_size": -1}}, "binary_data_size -1"),
        ({"parameters": {"binary_data_size": True}}, "binary_data_size True"),
        ({"parameters": {"binary_data_size": 0}}, "both data and binary_data_size"),
    ],
)
def test_a_tensor_must_be_what_it_claims(app, change, sentence):
    assert sentence in refused(app, {"inputs": [{**HISTORY, **change}]}, INFER)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ([HISTORY, HISTORY], "'history' is given twice"),
        ([HISTORY] * 17, "at most 16 items"),
        ([HISTORY, {"name": "k", "datatype": "INT64", "shape": [2], "data": [1, 2]}], "'k' has the shape [2]"),
        ([HISTORY, {"name": "k", "datatype": "INT64", "shape": [1], "data": [1001]}], "1 to 1,000 items"),
        ([HISTORY, {"name": "length", "datatype": "INT64", "shape": [1], "data": [2]}], "'length' holds [2]"),
        ([HISTORY, {"name": "length", "datatype": "INT64", "shape": [1], "data": [7]}], "from 0 to 1."),
        ([HISTORY, {"name": "length", "datatype": "INT64", "shape": [1], "data": [-1]}], "'length' holds [-1]"),
        (
            [HISTORY, {"name": "exclude", "datatype": "INT64", "shape": [2, 1], "data": [1, 2]}],
            "'exclude' has the shape",
        ),
        ([{**HISTORY, "shape": [1025, 0], "data": []}], "ask for at most 1,024"),
    ],
)
def test_inputs_must_fit_each_other(app, inputs, sentence):
    assert sentence in refused(app, {"inputs": inputs}, INFER)


def test_outputs_and_flags_are_strict(app):
    def asked(**more):
        return refused(app, {"inputs": [HISTORY], **more}, INFER)

    assert "There is no output 'x'" in asked(outputs=[{"name": "x"}])
    assert "asked for twice" in asked(outputs=[{"name": "items"}, {"name": "items"}])
    assert "'binary_data' is 1" in asked(outputs=[{"name": "items", "parameters": {"binary_data": 1}}])
    assert "'binary_data_output' is 'yes'" in asked(parameters={"binary_data_output": "yes"})


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"-1", b"+1", b"1_0", b"", b" 1", b"0x10", b"1e1"])
def test_the_header_of_the_binary_extension_is_ascii_digits(app, length):
    body = json.dumps({"inputs": [HISTORY]}).encode()
    sentence = refused(app, body, INFER, inference_header_content_length=length)
    assert sentence.startswith("The header inference-header-content-length")


def test_binary_tensors_are_exactly_their_bytes(app):
    def binary(content: bytes, size: int, datatype: str = "BYTES", shape: tuple = (1, 1)):
        said = {"name": "history", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
        head = json.dumps({"inputs": [said]}).encode()
        return ask(app, head + content, INFER, inference_header_content_length=str(len(head)).encode())

    one = struct.pack("<I", 1) + b"a"
    status, answer = binary(one, 5)
    assert status == 200 and answer["outputs"][0]["data"][0] == "b"
    for content, size, sentence in [
        (one + b"x", 5, "1 bytes behind its JSON that belong to no input"),
        (one, 6, "5 bytes of the body are left"),
        (one + one, 10, "brings more bytes"),
        (struct.pack("<I", 2**32 - 1) + b"a", 5, "not 1 x 1 strings"),
        (struct.pack("<I", 1) + b"\xff", 5, "strings in UTF-8"),
    ]:
        status, answer = binary(content, size)
        assert status == 422 and sentence in answer["error"]
    status, answer = binary(b"1234567", 7, "INT64")
    assert status == 422 and "brings 7 bytes" in answer["error"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"history": ["a"], "k": 1e400}', "The field 'k' is wrong"),
        (b'{"history": ["a"], "k": "5"}', "The field 'k' is wrong"),
        (b'{"history": ["a"], "k": 5.0}', "The field 'k' is wrong"),
        (b'{"history": ["a"], "k": null}', "The field 'k' is wrong"),
        (b'{"history": ["a"], "boost": false}', "The field 'boost' is wrong"),
        (b'{"history": ["a"], "boost": []}', "The field 'boost' is wrong"),
        (b'{"history": ["a"], "boost": {"a": false}}', "The field 'boost.a' is wrong"),
        (b'{"history": ["a"], "boost": {"a": "1"}}', "The field 'boost.a' is wrong"),
        (b'{"history": ["a"], "boost": {"a": 1e400}}', "The field 'boost.a' is wrong"),
        (b'{"history": ["a"], "exclude": null}', "The field 'exclude' is wrong"),
        (b'{"history": ["a"], "exclude": "ab"}', "The field 'exclude' is wrong"),
        (b'{"history": [true]}', "The field 'history.0' holds True"),
        (b'{"history": [["a"]]}', "The field 'history.0' holds"),
        (b'{"history": [NaN]}', "The field 'history.0' holds nan"),
        (b'{"history": [Infinity]}', "The field 'history.0' holds inf"),
        (b'{"history": ["\\ud800"]}', "not valid JSON in UTF-8"),
        (b'{"history": ["\xff"]}', "not valid JSON in UTF-8"),
        (b'{"history": ["\xed\xa0\x80"]}', "not valid JSON in UTF-8"),
        (b'{"history": [' + b"9" * 5000 + b"]}", "not valid JSON"),
        (b'{"history": ' + b"[" * 100_000 + b"}", "not valid JSON"),
        (b'{"history": [' + b"1.5," * 100_000 + b"1]}", "The field 'history.0' holds 1.5"),
        (b'{"' + b"x" * 100_000 + b'": 1, "history": []}', "There is no field 'xxx"),
        (b'{"history": ["a"]} {}', "not valid JSON"),
        (b"", "The body is missing"),
        (b"null", "The body is no JSON object"),
    ],
)
def test_nothing_is_converted_and_no_json_breaks_the_service(app, body, sentence):
    assert sentence in refused(app, body)


def test_lists_and_answers_are_bounded(app):
    assert f"at most {MAX_IDS} items" in refused(app, {"history": [1] * (MAX_IDS + 1)})
    assert f"at most {MAX_IDS} items" in refused(app, {"history": [], "boost": {str(n): 1 for n in range(MAX_IDS + 1)}})
    assert "at most 1024 items" in refused(app, {"histories": [[]] * 1025}, "/recommend/batch")
    assert "ask for at most 131,072" in refused(app, {"histories": [[]] * 1024, "k": 129}, "/recommend/batch")
    assert ask(app, {"histories": [[]] * 1024, "k": 128}, "/recommend/batch")[0] == 200


def test_a_body_must_be_marked_as_json(app):
    for kind in (b"text/plain", b"", b"application/x-www-form-urlencoded", b"\xb2"):
        assert "Content-Type: application/json" in refused(app, {"history": ["a"]}, content_type=kind)
    for kind in (b"application/json; charset=utf-8", b"Application/JSON", b"application/vnd.shop+json"):
        assert ask(app, {"history": ["a"]}, content_type=kind)[0] == 200


def test_strange_ids_are_answered_as_unknown(app):
    strange = ["\x00", "a\x00", "\ufffe", "x" * 10_000, " a", "\u202e", 10**4000, -7]
    status, answer = ask(app, {"history": ["a", *strange], "k": 1, "exclude": strange, "candidates": ["b", *strange]})
    assert (status, answer["items"][0]["id"]) == (200, "b")
    assert answer["unknown"] == [str(item) for item in strange]


def test_lone_surrogates_are_answered_in_valid_utf_8():
    assert Json({"id": "é", "title": "日本"}).body == '{"id":"é","title":"日本"}'.encode()
    assert Json({"id": "é\ud800"}).body == b'{"id":"\\u00e9\\ud800"}'
    said, content = binary_tensor("items", "BYTES", np.array([["\ud800"]], dtype=object))
    assert (said["parameters"], content) == ({"binary_data_size": 7}, b"\x03\0\0\0\xed\xa0\x80")


def test_large_boosts_are_numbers(app):
    status, answer = ask(app, {"history": ["a"], "k": 2, "boost": {"d": 1e308, "c": 1e308}})
    assert status == 200 and [(item["id"], item["score"]) for item in answer["items"]] == [("c", 1e308), ("d", 1e308)]


def test_a_model_whose_scores_are_no_numbers_is_an_error_of_the_services_own(tmp_path):
    scores = NEXT_SCORES.copy()
    scores[IDS.index("a"), IDS.index("b")] = float("nan")
    app = make_app(Service(ServeSettings(write_bundle(tmp_path / "bundle", scores), "bundle", timeout=10)))
    status, answer = ask(app, {"history": ["a"], "k": 6})
    assert status == 500 and "model.onnx answers with items or scores that cannot be" in str(answer)


def test_whole_numbers_in_headers():
    assert (whole_number("0"), whole_number("0012"), whole_number("9" * 15)) == (0, 12, 10**15 - 1)
    assert [whole_number(text) for text in ("", "²", "٣", "1 ", "-1", "1\n", "9" * 16)] == [None] * 7
