"""lightrec.js reads bundles that anybody may have written: every part that is not right is named in one sentence."""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil

import numpy as np
import onnx
import pytest
from campaigns.campaign import sentence_problem
from mini_bundle import IDS, NEXT_SCORES, TITLES, last_item_graph, pack
from onnx import TensorProto, helper

from lightrec.bundle import read_manifest, write_manifest

pytestmark = pytest.mark.slow

LOAD = """
    const told = [];
    for (const bundle of input) {
      const answer = async () => (await (await Recommender.load(bundle)).recommend(["a"], { k: 3 })).items;
      told.push(await answer().catch((error) => [error instanceof LightrecError, error.message]));
    }
    console.log(JSON.stringify(told));
    """


@pytest.fixture
def refusals(run_node):
    """A function that loads bundles in one Node process and returns the sentence with which each is refused."""

    def load(bundles):
        told = run_node(LOAD, [str(bundle) for bundle in bundles])
        for bundle, answer in zip(bundles, told, strict=True):
            assert answer[0] is True and sentence_problem(answer[1]) is None, f"{bundle}: {answer}"
        return [message for _, message in told]

    return load


@pytest.fixture
def copies(own_bundle, tmp_path):
    """A function that copies the bundle under a name and returns the copy."""
    return lambda name: shutil.copytree(own_bundle, tmp_path / "copies" / name)


def edited(bundle, change):
    """Change the manifest, as read from JSON; returns the bundle."""
    values = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    change(values)
    (bundle / "manifest.json").write_text(json.dumps(values))
    return bundle


def rehashed(bundle, name, content):
    """Replace a file and record its hash, as an attacker would; returns the bundle."""
    (bundle / name).write_bytes(content)
    write_manifest(bundle, read_manifest(bundle))
    return bundle


MANIFESTS = {
    "no object": lambda values: values.clear(),
    "version of another kind": lambda values: values.update(format_version=[2]),
    "version that is no number": lambda values: values.update(format_version="two"),
    "items as text": lambda values: values.update(n_items="6"),
    "no items": lambda values: values.update(n_items=0),
    "half an item": lambda values: values.update(n_items=5.5),
    "too many items": lambda values: values.update(n_items=2**40),
    "negative window": lambda values: values.update(max_length=-3),
    "window as a list": lambda values: values.update(max_length=[3]),
    "models that are an object": lambda values: values.update(models={}),
    "no model": lambda values: values.update(models=[]),
    "a model that is null": lambda values: values["models"].insert(0, None),
    "a model without files": lambda values: values["models"][0].pop("files"),
    "a model whose file is a number": lambda values: values["models"][0].update(files=[7]),
    "parts that are a list": lambda values: values["models"][0].update(parts=["step.onnx"]),
    "a part that is null": lambda values: values["models"][0].update(parts={"step": None}),
    "files as a list": lambda values: values.update(files=[]),
    "files that are null": lambda values: values.update(files=None),
    "a record that is null": lambda values: values["files"].update({"popularity.npy": None}),
    "a digest in capitals": lambda values: values["files"]["popularity.npy"].update(sha256="A" * 64),
    "a size that is text": lambda values: values["files"]["popularity.npy"].update(bytes="152"),
    "another content's digest": lambda values: values["files"]["items.json.gz"].update(content_sha256=7),
    "a content without end": lambda values: values["files"]["items.json.gz"].update(content_bytes=1e300),
    "no popularity": lambda values: values["files"].pop("popularity.npy"),
    "no items listed": lambda values: values["files"].pop("items.json.gz"),
    "a model that is not recorded": lambda values: values["files"].pop("model.onnx"),
    "a model named like a method": lambda values: values["models"][0].update(files=["constructor"]),
    **{
        f"a file called {name!r}": lambda values, name=name: values["files"].update(
            {name: values["files"]["model.onnx"]}
        )
        for name in ("../x", "a/b", "..", ".", "", "C:x", "data:,x", "a\\b", "\ud800")
    },
}


def test_every_manifest_that_is_not_right_is_refused_by_its_name(copies, refusals):
    bundles = [edited(copies(str(number)), change) for number, change in enumerate(MANIFESTS.values())]
    for kind, bundle, message in zip(MANIFESTS, bundles, refusals(bundles), strict=True):
        assert str(bundle) in message, kind


def test_the_sentences_say_what_to_do(copies, refusals, tmp_path):
    damaged, cut, newer = copies("damaged"), copies("cut"), copies("newer")
    content = bytearray((damaged / "items.json.gz").read_bytes())
    content[-1] ^= 1
    (damaged / "items.json.gz").write_bytes(content)
    (cut / "model.onnx").write_bytes((cut / "model.onnx").read_bytes()[:100])
    size = read_manifest(cut).files["model.onnx"].bytes
    edited(newer, lambda values: values.update(format_version="99.0"))
    outside = edited(copies("outside"), lambda values: values["files"].update({"../t": values["files"]["model.onnx"]}))
    packed, page, absent = pack(copies("packed")), copies("page"), tmp_path / "absent"
    (page / "manifest.json").write_text("<!DOCTYPE html><title>Not found</title>")
    messages = refusals([damaged, cut, newer, outside, packed, page, absent])
    assert messages == [
        f"{damaged}/items.json.gz differs from its SHA-256: copy the bundle again.",
        f"{cut}/model.onnx has 100 of its {size} bytes: load or copy the bundle again.",
        f"{newer} has format version 99.0, and this lightrec.js reads version 2: take the lightrec.js of a newer "
        "lightrec.",
        f'{outside}/manifest.json names a file outside the bundle ("../t"): export the bundle again.',
        f"{packed} has its ids in the files of large catalogues, which lightrec.js does not read: run  lightrec "
        "package BUNDLE --for web",
        f"{page}/manifest.json is a web page and not the file, as many servers answer for what they do not have: "
        "put the file there, or mend the address.",
        f"{absent}/manifest.json cannot be read (ENOENT): is this a bundle's folder?",
    ]


def npy(values):
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    return content.getvalue()


GOOD = npy(np.array([3, 0, 5, 1, 2, 4], dtype="<i4"))
ORDERS = {
    "empty": b"",
    "another magic": b"\x92" + GOOD[1:],
    "another version": GOOD[:6] + b"\x09" + GOOD[7:],
    "a header of 65,535 bytes": GOOD[:8] + b"\xff\xff" + GOOD[10:],
    "cut short": GOOD[:-1],
    "one too many": GOOD + b"\0\0\0\0",
    "an index too high": npy(np.array([3, 0, 5, 1, 2, 6], dtype="<i4")),
    "an index below zero": npy(np.array([3, 0, 5, 1, 2, -1], dtype="<i4")),
    "an index twice": npy(np.array([3, 0, 5, 1, 2, 2], dtype="<i4")),
    "floats": npy(np.array([3, 0, 5, 1, 2, 4], dtype="<f4")),
    "unsigned": npy(np.array([3, 0, 5, 1, 2, 4], dtype="<u4")),
    "big-endian": npy(np.array([3, 0, 5, 1, 2, 4], dtype=">i4")),
    "64 bits": npy(np.array([3, 0, 5], dtype="<i8")),
    "two dimensions": npy(np.array([[3, 0, 5], [1, 2, 4]], dtype="<i4")),
    "a header of another length": GOOD.replace(b"(6,)", b"(7,)"),
}


def test_a_popularity_that_does_not_order_the_items_is_refused(copies, refusals):
    bundles = [
        rehashed(copies(str(number)), "popularity.npy", content) for number, content in enumerate(ORDERS.values())
    ]
    for kind, bundle, message in zip(ORDERS, bundles, refusals(bundles), strict=True):
        assert f"{bundle}/popularity.npy does not order the 6 items" in message, kind


def zipped(value):
    return gzip.compress(value if isinstance(value, bytes) else json.dumps(value).encode())


ITEMS = {
    "not gzip": b'["a","b"]',
    "gzip cut short": zipped(IDS)[:-9],
    "bytes after it": zipped(IDS) + b"rest",
    "an object": zipped({}),
    "null": zipped(b"null"),
    "one too few": zipped(IDS[1:]),
    "one too many": zipped([*IDS, "more"]),
    "an id twice": zipped([*IDS[1:], "b"]),
    "a number": zipped([*IDS[1:], 7]),
    "a list in it": zipped([*IDS[1:], ["a"]]),
    "half a character": zipped([*IDS[1:], "\ud800"]),
    "not UTF-8": zipped(b'["a","b","c","d","e","\xff"]'),
    "no JSON": zipped(b"[1,"),
    "nested a million times": zipped(b"[" * 1_000_000),
}


def test_ids_that_are_no_list_of_strings_are_refused(copies, refusals):
    bundles = [rehashed(copies(str(number)), "items.json.gz", content) for number, content in enumerate(ITEMS.values())]
    for kind, bundle, message in zip(ITEMS, bundles, refusals(bundles), strict=True):
        assert f"{bundle}/items.json.gz" in message, kind


TITLE_LISTS = {
    "an object": {},
    "one too few": TITLES[1:],
    "a number": [*TITLES[1:], 7],
    "half a character": [*TITLES[1:], "\udfff"],
}


def test_titles_that_are_no_list_of_strings_are_refused(copies, refusals):
    bundles = [
        rehashed(copies(str(number)), "titles.json.gz", zipped(titles))
        for number, titles in enumerate(TITLE_LISTS.values())
    ]
    for kind, bundle, message in zip(TITLE_LISTS, bundles, refusals(bundles), strict=True):
        assert f"{bundle}/titles.json.gz" in message, kind


def test_a_gzip_bomb_is_left_packed(copies, refusals):
    bomb = gzip.compress(bytes(2**29), compresslevel=1)  # half a gigabyte of zeros
    bundle = rehashed(copies("bomb"), "items.json.gz", bomb)
    lying = edited(
        shutil.copytree(bundle, copies("other") / "lying"),
        lambda values: values["files"]["items.json.gz"].update(content_bytes=100, content_sha256="0" * 64),
    )
    messages = refusals([bundle, lying])
    assert f"{bundle}/items.json.gz inflates to more than {2**28} bytes" in messages[0]
    assert f"{lying}/items.json.gz inflates to more than 100 bytes" in messages[1]


def graph_with_a_loop():
    """A model that never ends, with the inputs and outputs of all."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, [])],
    )
    model = last_item_graph(NEXT_SCORES)
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    model.graph.initializer.append(yes)
    model.graph.node.append(helper.make_node("Loop", ["", "yes"], [], body=body))
    return model


def graph_with_a_function():
    model = last_item_graph(NEXT_SCORES)
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 20)]))
    return model


def graph_with_weights_elsewhere(place):
    model = last_item_graph(NEXT_SCORES)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.append(onnx.StringStringEntryProto(key="location", value=place))
    return model


def answer_of(items, scores):
    """A model that answers every history with constants."""
    model = last_item_graph(NEXT_SCORES)
    del model.graph.node[:]
    constants = {"items": np.array([items], dtype=np.int64), "scores": np.array([scores], dtype=np.float32)}
    for name, value in constants.items():
        model.graph.node.append(helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value)))
    return model


MODELS = {
    "no bytes": (b"", "ONNX Runtime cannot load"),
    "text": (b"no graph at all", "is not an ONNX model"),
    "a loop": (graph_with_a_loop, "holds a graph in a graph"),
    "a function": (graph_with_a_function, "defines functions"),
    "another file": (lambda: graph_with_weights_elsewhere("/etc/hostname"), 'reads weights from "/etc/hostname"'),
    "a file beside it": (lambda: graph_with_weights_elsewhere("secret.bin"), 'reads weights from "secret.bin"'),
    "an item that there is not": (lambda: answer_of([1, 99], [2, 1]), "items or scores that cannot be"),
    "an item below zero": (lambda: answer_of([1, -7], [2, 1]), "items or scores that cannot be"),
    "a score too few": (lambda: answer_of([1, 2], [2]), "items or scores that cannot be"),
    "fewer than remain": (lambda: answer_of([1, 2], [2, 1]), "items or scores that cannot be"),
    "nothing": (lambda: answer_of([], []), "items or scores that cannot be"),
    "an item twice": (lambda: answer_of([1, 1], [2, 1]), "items or scores that cannot be"),
    "more than asked for": (lambda: answer_of([1, 2, 3, 4], [4, 3, 2, 1]), "items or scores that cannot be"),
    "a score without end": (lambda: answer_of([1], [np.inf]), "items or scores that cannot be"),
    "scores that are no numbers": (lambda: answer_of([1], [np.nan]), "items or scores that cannot be"),
}


def test_models_that_no_bundle_has_are_refused(copies, refusals):
    bundles = []
    for number, (model, _) in enumerate(MODELS.values()):
        content = model if isinstance(model, bytes) else model().SerializeToString()
        bundles.append(rehashed(copies(str(number)), "model.onnx", content))
    for bundle, message, (kind, (_, problem)) in zip(bundles, refusals(bundles), MODELS.items(), strict=True):
        assert f"{bundle}/model.onnx" in message and problem in message, kind


def test_a_model_that_fails_while_it_runs_is_one_sentence(copies, refusals):
    model = last_item_graph(NEXT_SCORES[:, :4])  # the graph's own tables do not fit together
    bundle = rehashed(copies("fails"), "model.onnx", model.SerializeToString())
    [message] = refusals([bundle])
    assert f"ONNX Runtime cannot run {bundle}/model.onnx" in message


def test_pipes_folders_and_devices_are_no_files(copies, refusals, tmp_path):
    folder, pipe, device = copies("folder"), copies("pipe"), copies("device")
    for bundle in (folder, pipe, device):
        (bundle / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()
    os.mkfifo(pipe / "model.onnx")
    (device / "model.onnx").symlink_to("/dev/zero")
    for bundle, message in zip((folder, pipe, device), refusals([folder, pipe, device]), strict=True):
        assert f"{bundle}/model.onnx is no file" in message


def test_a_file_longer_than_recorded_is_not_read_to_its_end(copies, refusals):
    bundle = copies("long")
    with (bundle / "popularity.npy").open("ab") as file:
        file.truncate(2**40)  # a terabyte of nothing
    [message] = refusals([bundle])
    assert f"{bundle}/popularity.npy has more than the 152 bytes" in message


def test_an_id_with_percent_signs_and_question_marks_in_its_file_names_is_found(own_bundle, run_node):
    name = "model 100%?#ä.onnx"
    (own_bundle / "model.onnx").rename(own_bundle / name)
    manifest = read_manifest(own_bundle)
    model = dataclasses.replace(manifest.models[0], files=(name,))
    write_manifest(own_bundle, dataclasses.replace(manifest, models=(model,)))
    [answer, again] = run_node(LOAD, [str(own_bundle), own_bundle.as_uri()])
    assert [item["id"] for item in answer] == [item["id"] for item in again] == ["b", "c", "d"]


def test_what_a_gzip_file_holds_is_taken_where_it_was_inflated(own_bundle, run_node, refusals, copies):
    """As many servers and browsers do on the way: the same bytes, checked by their own SHA-256."""
    for name in ("items.json.gz", "titles.json.gz"):
        (own_bundle / name).write_bytes(gzip.decompress((own_bundle / name).read_bytes()))
    [answer] = run_node(LOAD, [str(own_bundle)])
    assert [(item["id"], item["title"]) for item in answer] == [("b", "Brazil"), ("c", "Casablanca"), ("d", None)]
    tampered, old = copies("tampered"), copies("old")
    content = (tampered / "items.json.gz").read_bytes().replace(b'"b"', b'"z"')
    (tampered / "items.json.gz").write_bytes(content)
    assert hashlib.sha256(content).hexdigest() != read_manifest(tampered).files["items.json.gz"].content_sha256
    for key in ("content_sha256", "content_bytes"):
        edited(old, lambda values, key=key: values["files"]["items.json.gz"].pop(key))
    messages = refusals([tampered, old])
    assert messages[0] == f"{tampered}/items.json.gz differs from its SHA-256: copy the bundle again."
    assert f"{old}/items.json.gz came inflated" in messages[1] and "lightrec package BUNDLE --for web" in messages[1]
