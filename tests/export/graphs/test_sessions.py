"""Sessions and candidates of exported bundles answer as the whole computation does."""

import io
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightrec import Recommender, RecommenderSlot
from lightrec.bundle import PARTS, read_manifest, write_manifest
from lightrec.errors import BundleError, DataError
from lightrec.export.pipeline import export_bundle
from lightrec.files.atomic import new_folder
from lightrec.runtime import loaded_bundle
from lightrec.verify.verify_bundle import verify_bundle

ITEMS = [f"i{number:02d}" for number in range(30)]
MAX_LENGTH = 8
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def gru4rec_bundle(gru4rec_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "gru4rec"
    export_bundle(gru4rec_run, out, precision="fp32")
    return out


@pytest.fixture(scope="module", params=["sasrec_bundle", "gru4rec_bundle"])
def recommender(request):
    return Recommender.load(request.getfixturevalue(request.param))


def same(ours, theirs):
    """The same items with nearly the same scores; neighbours of nearly the same score may change places."""
    assert (ours.unknown, ours.fallback, len(ours)) == (theirs.unknown, theirs.fallback, len(theirs))
    if ours.fallback:
        assert ours == theirs
        return
    np.testing.assert_allclose([item.score for item in ours], [item.score for item in theirs], atol=TOLERANCE)
    scores = {item.id: item.score for item in theirs}
    for item in ours[:-1]:
        assert item.score == pytest.approx(scores[item.id], abs=TOLERANCE)


def test_boosts_equal_ranking_all_scores_anew(recommender):
    """Also where the boosted items are scored by the graph for few candidates."""
    history, boost = [ITEMS[3], ITEMS[8]], {ITEMS[20]: 0.5, ITEMS[21]: 30, ITEMS[5]: -30, ITEMS[8]: 99, ITEMS[9]: 2}
    whole = {item.id: item.score for item in recommender.recommend(history, len(ITEMS))}
    boosted = {item: score + boost.get(item, 0) for item, score in whole.items()}
    best = sorted(boosted, key=lambda item: -boosted[item])[:3]
    for answer in (
        recommender.recommend(history, 3, boost=boost),
        recommender.session(history).recommend(3, boost=boost),
    ):
        assert [item.id for item in answer] == best
        np.testing.assert_allclose([item.score for item in answer], [boosted[item] for item in best], atol=TOLERANCE)


QUESTIONS = {
    "all": lambda recommender, history: recommender.recommend(history, 3),
    "candidates": lambda recommender, history: recommender.recommend(history, 3, candidates=ITEMS[10:]),
    "boosted": lambda recommender, history: recommender.recommend(history, 3, boost={ITEMS[20]: 30, ITEMS[21]: 20}),
    "session": lambda recommender, history: recommender.session(history).recommend(3),
    "session of candidates": lambda recommender, history: recommender.session(history).recommend(
        3, candidates=ITEMS[10:]
    ),
    "title": lambda recommender, history: recommender.title(history[0]),
}


def replaced(folder, other):
    """Another bundle in its place, as lightrec writes it."""
    with new_folder(folder) as beside:
        shutil.copytree(other, beside, dirs_exist_ok=True)


def deleted(folder, other):
    shutil.rmtree(folder)


def overwritten(folder, other):
    """Each file by itself; those that are mapped keep their bytes, for they lose only their names."""
    for file in folder.iterdir():
        file.unlink()
    shutil.copytree(other, folder, dirs_exist_ok=True)


def with_other_parts(folder, other):
    """The model stays as it is, beside the graphs of another."""
    for part in PARTS:
        shutil.copyfile(other / f"{part}.onnx", folder / f"{part}.onnx")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("change", [replaced, deleted, overwritten, with_other_parts])
def test_a_loaded_bundle_answers_whatever_becomes_of_its_folder(
    backend, change, sasrec_bundle, gru4rec_bundle, tmp_path
):
    """Graphs are opened, titles read and shapes fixed when they are first needed: never out of another bundle."""
    folder, untouched = shutil.copytree(sasrec_bundle, tmp_path / "bundle"), Recommender.load(sasrec_bundle)
    late, slot = Recommender.load(folder, backend), RecommenderSlot(folder, backend=backend)
    running = late.session(ITEMS[:2]) if backend == "openvino" else slot.current.session(ITEMS[:2])
    running.recommend(3)
    change(folder, gru4rec_bundle)
    for history in ([ITEMS[3], ITEMS[8]], ITEMS[:MAX_LENGTH]):
        for name, ask in QUESTIONS.items():
            expected = ask(untouched, history)
            for found in (ask(late, history), ask(slot.current, history)):
                assert found == expected if name == "title" else not same(found, expected)
    running.add(ITEMS[2])
    same(running.recommend(3), untouched.recommend(ITEMS[:3], 3))


def test_a_graph_replaced_while_it_is_opened_is_not_used(sasrec_bundle, gru4rec_bundle, tmp_path, monkeypatch):
    folder = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    recommender, untouched = Recommender.load(folder), Recommender.load(sasrec_bundle)
    opened, open_graph = [], recommender.backend.parts._open_graph

    def replace_and_open(file):
        replaced(folder, gru4rec_bundle)
        opened.append(file.name)
        return open_graph(file)

    monkeypatch.setattr(recommender.backend.parts, "_open_graph", replace_and_open)
    for ask in QUESTIONS.values():
        if ask is not QUESTIONS["title"]:
            same(ask(recommender, ITEMS[:3]), ask(untouched, ITEMS[:3]))
    assert opened == ["step.onnx"]
    with pytest.raises(BundleError, match=r"step\.onnx has been replaced since its bundle was loaded: load the bundle"):
        recommender.backend.parts.start()


@pytest.mark.parametrize("reader", ["read_catalogue", "open_backend"])
def test_a_bundle_replaced_while_it_is_loaded_is_not_mixed_with_the_other(
    reader, sasrec_bundle, gru4rec_bundle, tmp_path, monkeypatch
):
    folder = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    read = getattr(loaded_bundle, reader)

    def replace_and_read(*args, **options):
        replaced(folder, gru4rec_bundle)
        return read(*args, **options)

    monkeypatch.setattr(loaded_bundle, reader, replace_and_read)
    with pytest.raises(BundleError, match=r"was replaced while it was being loaded: load it again\.$"):
        Recommender.load(folder)


some_items = st.lists(st.sampled_from([*ITEMS, "nobody"]), max_size=3 * MAX_LENGTH)


@settings(deadline=None, max_examples=25)
@given(items=some_items, asked=st.integers(1, 4), exclude=some_items, candidates=st.none() | some_items)
def test_every_step_equals_the_full_recomputation(recommender, items, asked, exclude, candidates):
    session = recommender.session()
    assert session.incremental
    for place, item in enumerate(items, start=1):
        session.add(item)
        if place % asked == 0:
            ours = session.recommend(5, exclude=exclude, candidates=candidates)
            same(ours, recommender.recommend(items[:place], 5, exclude=exclude, candidates=candidates))
    assert len(session) == len([item for item in items if item in ITEMS])


@settings(deadline=None, max_examples=15)
@given(items=some_items, cut=st.integers(0, 3 * MAX_LENGTH))
def test_a_session_goes_on_from_its_exported_state(recommender, items, cut):
    before = recommender.session(items[:cut])
    before.recommend(3)
    file = io.BytesIO()
    np.savez(file, **before.export())
    with np.load(io.BytesIO(file.getvalue()), allow_pickle=False) as state:
        after = recommender.session(items[cut:], state=dict(state))
    same(after.recommend(5), recommender.recommend(items, 5))


def test_a_session_reads_only_what_is_new(recommender, monkeypatch):
    read, parts = [], recommender.backend.parts
    step = parts.step
    monkeypatch.setattr(parts, "step", lambda items, past: read.append(len(items)) or step(items, past))
    session = recommender.session(ITEMS[:3])
    for item in ITEMS[3 : MAX_LENGTH + 2]:
        session.recommend(2)
        session.recommend(2)
        session.add(item)
    session.recommend(2)
    # One item a step until the window of eight is full, then all of it.
    assert read == [3, 1, 1, 1, 1, 1, MAX_LENGTH, MAX_LENGTH]


def test_candidates_are_ranked_as_excluding_all_others_would(recommender):
    chosen = ITEMS[::3]
    others = [item for item in ITEMS if item not in chosen]
    for length in (1, 5, 20):
        ours = recommender.recommend(ITEMS[:length], candidates=chosen)
        same(ours, recommender.recommend(ITEMS[:length], exclude=others))


def test_a_state_of_another_model_is_read_again(sasrec_bundle, gru4rec_bundle):
    sasrec, gru4rec = Recommender.load(sasrec_bundle), Recommender.load(gru4rec_bundle)
    session = sasrec.session(ITEMS[:5])
    session.recommend()
    same(gru4rec.session(state=session.export()).recommend(5), gru4rec.recommend(ITEMS[:5], 5))
    with pytest.raises(DataError, match=r"not what Session\.export returned"):
        sasrec.session(state={"items": np.array(["i00"])})


def test_without_a_step_graph_sessions_recompute_and_say_so(sasrec_bundle, tmp_path):
    bundle = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    for part in PARTS:
        (bundle / f"{part}.onnx").unlink()
    for recommender in (Recommender.load(bundle, verify=True), Recommender.load(sasrec_bundle, backend="openvino")):
        session = recommender.session(ITEMS[:4])
        session.add("i07")
        history = [*ITEMS[:4], "i07"]
        assert not session.incremental
        same(session.recommend(5, candidates=ITEMS[10:]), recommender.recommend(history, 5, candidates=ITEMS[10:]))
        later = recommender.session(["i01"], state=session.export())
        same(later.recommend(3), recommender.recommend([*history, "i01"], 3))


def test_a_step_graph_that_cannot_be_loaded_is_one_sentence(sasrec_bundle, tmp_path):
    bundle = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    (bundle / "step.onnx").write_bytes(b"no graph")
    write_manifest(bundle, read_manifest(bundle))
    session = Recommender.load(bundle).session(ITEMS[:4])
    with pytest.raises(
        BundleError, match=r"step\.onnx is not an ONNX model \([^\n]*\): copy or export the bundle again\.$"
    ):
        session.recommend()
    [check, _] = verify_bundle(bundle).models
    assert check.status == "failed" and "step.onnx" in check.detail


@pytest.mark.parametrize(
    ("part", "output", "way"),
    [
        ("candidates", 0, "as candidates, golden case 0"),
        ("score", 1, "in steps, golden case 0"),
        ("step", 0, "in steps"),
    ],
)
def test_verify_asks_every_graph_beside_the_model(sasrec_bundle, tmp_path, part, output, way):
    bundle = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    model = onnx.load(bundle / f"{part}.onnx", load_external_data=False)
    name = model.graph.output[output].name
    for node in model.graph.node:
        for place, out in enumerate(node.output):
            node.output[place] = "before" if out == name else out
    model.graph.node.append(onnx.helper.make_node("Neg", ["before"], [name]))
    (bundle / f"{part}.onnx").write_bytes(model.SerializeToString())
    write_manifest(bundle, read_manifest(bundle))
    [check, _] = verify_bundle(bundle).models
    assert check.status == "failed" and way in check.detail


def renamed(graph, side, number, name):
    port = getattr(graph, side)[number]
    for node in graph.node:
        for names in (node.input, node.output):
            for place, known in enumerate(names):
                names[place] = name if known == port.name else known
    port.name = name


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("step", lambda graph: graph.output.pop(), "another output"),
        ("step", lambda graph: renamed(graph, "input", 0, "things"), "another input 'items'"),
        ("score", lambda graph: renamed(graph, "output", 1, "points"), "another output 'points'"),
        ("score", lambda graph: renamed(graph, "input", 0, "past"), "another input"),
        ("candidates", lambda graph: renamed(graph, "input", 1, "some"), "another input 'candidates'"),
        (
            "step",
            lambda graph: graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1, 10**12])),
            "another input 'more'",
        ),
    ],
)
def test_graphs_beside_the_model_have_the_inputs_of_the_format(sasrec_bundle, tmp_path, part, change, message):
    bundle = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    model = onnx.load(bundle / f"{part}.onnx", load_external_data=False)
    change(model.graph)
    (bundle / f"{part}.onnx").write_bytes(model.SerializeToString())
    write_manifest(bundle, read_manifest(bundle))
    [check, _] = verify_bundle(bundle).models
    assert check.status == "failed" and f"{part}.onnx has {message}" in check.detail


def test_verify_says_which_graphs_were_left_out(sasrec_bundle, tmp_path):
    bundle = shutil.copytree(sasrec_bundle, tmp_path / "bundle")
    (bundle / "score.onnx").unlink()
    [check, _] = verify_bundle(bundle).models
    assert check.status == "passed" and "graphs for sessions and candidates are not here" in check.detail


def test_parts_store_no_weight_again(sasrec_bundle):
    table = 30 * 32 * 4
    sizes = {part: (sasrec_bundle / f"{part}.onnx").stat().st_size for part in PARTS}
    assert max(sizes.values()) < 8000
    assert sizes["score"] < table and sizes["candidates"] < table
