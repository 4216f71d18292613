"""Sessions of lightrec.js answer as Python's do, in Node and, on golden cases, in Chromium."""

import json
import shutil

import numpy as np
import pytest

from lightrec import Recommender
from lightrec.bundle import read_golden, read_manifest, write_manifest
from lightrec.verify.compare import compare

pytestmark = pytest.mark.slow
TOLERANCE = 1e-4

PLAY = """
    const recommender = await Recommender.load(input.bundle);
    const tell = (session) => [session.incremental, session.length];
    const answers = [];
    for (const { start, steps } of input.plays) {
      const session = await recommender.session(start);
      for (const { items, ...options } of steps) {
        if (items.length === 1) session.add(items[0]);
        else session.extend(items);
        answers.push({ ...(await session.recommend(options)), state: tell(session) });
      }
    }
    console.log(JSON.stringify(answers));
    """


def plays(ids, window, count=6):
    """Sessions of one item after another or several, from nothing to beyond the window, some with rules of business."""
    rng = np.random.default_rng(11)
    ids = [*ids, "no-such-item"]

    def some(most):
        return rng.choice(ids, rng.integers(most)).tolist()

    for number in range(count):
        steps = []
        for _ in range(window):
            step = {"items": some(4), "k": int(rng.integers(1, 12))}
            steps.append({**step, "exclude": some(3)} if number % 3 else step)
        if number % 2:
            steps[-2]["boost"] = {item: float(rng.normal(scale=8)) for item in some(9)}
            steps[-1]["boost"] = dict.fromkeys(ids[:2], 50.0)
        if number % 4 == 0:
            steps[-1]["candidates"] = some(15)
        yield {"start": some(6), "steps": steps}


def answers_of_python(recommender, asked):
    for play in asked:
        session = recommender.session(play["start"])
        for step in play["steps"]:
            session.extend(step["items"])
            options = {name: value for name, value in step.items() if name != "items"}
            yield session.recommend(**options), len(session)


def same(answer, expected):
    assert (tuple(answer["unknown"]), answer["fallback"]) == (expected.unknown, expected.fallback)
    assert len(answer["items"]) == len(expected)
    if expected.fallback:
        assert [item["id"] for item in answer["items"]] == [item.id for item in expected]
        return
    np.testing.assert_allclose(
        [item["score"] for item in answer["items"]], [item.score for item in expected], atol=TOLERANCE
    )
    scores = {item.id: item.score for item in expected}
    for item in answer["items"][:-1]:
        assert item["score"] == pytest.approx(scores[item["id"]], abs=TOLERANCE)


def test_sessions_are_answered_as_in_python(student_bundles, run_node):
    bundle = student_bundles["fp32"]
    recommender = Recommender.load(bundle)
    asked = list(plays(recommender.item_ids, recommender.manifest.max_length))
    answers = run_node(PLAY, {"bundle": str(bundle), "plays": asked})
    expected = list(answers_of_python(recommender, asked))
    assert any(length > recommender.manifest.max_length for _, length in expected)
    for answer, (theirs, length) in zip(answers, expected, strict=True):
        same(answer, theirs)
        assert answer["state"] == [True, length]


def test_without_the_graphs_sessions_recompute_and_say_so(student_bundles, run_node, tmp_path):
    bundle = shutil.copytree(student_bundles["fp32"], tmp_path / "bundle")
    (bundle / "step.onnx").unlink()
    asked = [{"start": ["i03"], "steps": [{"items": ["i07"], "k": 5}]}]
    [answer] = run_node(PLAY, {"bundle": str(bundle), "plays": asked})
    assert answer["state"] == [False, 2]
    same(answer, Recommender.load(bundle).recommend(["i03", "i07"], k=5))


def test_only_what_is_new_is_read_and_answers_keep_their_order(student_bundles, run_node):
    bundle = student_bundles["fp32"]
    ids = list(Recommender.load(bundle).item_ids[:6])
    code = """
        const ort = createRequire(import.meta.url)("onnxruntime-node");
        const read = [];
        const watched = (session) => new Proxy(session, {
          get(target, name) {
            if (name !== "run") return target[name];
            return (feeds) => (feeds.items && read.push(feeds.items.dims[1]), target.run(feeds));
          },
        });
        const create = async (...given) => watched(await ort.InferenceSession.create(...given));
        const watchedOrt = { Tensor: ort.Tensor, InferenceSession: { create } };
        const recommender = await Recommender.load(input.bundle, { ort: watchedOrt });
        const session = await recommender.session(input.ids.slice(0, 3));
        const asked = [session.recommend({ k: 3 }), session.recommend({ k: 0 }).catch((error) => error.message)];
        for (const id of input.ids.slice(3)) {
          session.add(id);
          asked.push(session.recommend({ k: 3 }));  // not waited for
        }
        const answers = await Promise.all(asked);
        console.log(JSON.stringify({ read, answers }));
        """
    told = run_node("import { createRequire } from 'node:module';\n" + code, {"bundle": str(bundle), "ids": ids})
    assert told["read"] == [3, 1, 1, 1]
    first, mistake, *later = told["answers"]
    assert mistake == "k is 0: it must be a whole number of at least 1."
    recommender = Recommender.load(bundle)
    for place, answer in enumerate([first, *later]):
        same(answer, recommender.recommend(ids[: 3 + place], k=3))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_cases_item_by_item_in_chromium(precision, chromium, serve, sites):
    page = chromium.new_page()
    page.goto(serve(sites[precision]).url)
    told = page.evaluate(
        """async () => {
            const { Recommender } = await import("./lightrec.js");
            const recommender = await Recommender.load("bundle");
            const { cases } = await (await fetch("bundle/golden.json")).json();
            const answers = [];
            for (const { history, exclude, k } of cases) {
                const [session, ids] = [await recommender.session(), recommender.itemIds];
                let answer;
                for (const item of history) {
                    session.add(ids[item]);
                    answer = await session.recommend({ k, exclude: exclude.map((other) => ids[other]) });
                }
                answers.push([session.incremental, answer]);
            }
            return JSON.stringify(answers);
        }"""
    )
    page.close()
    recommender = Recommender.load(sites[precision] / "bundle")
    cases, tolerance = read_golden(sites[precision] / "bundle")
    for case, (incremental, answer) in zip(cases, json.loads(told), strict=True):
        items = [recommender.item_ids.index(item["id"]) for item in answer["items"]]
        scores = [item["score"] for item in answer["items"]]
        assert incremental and compare(case, np.array(items), np.array(scores), tolerance) is None


def test_a_step_that_is_another_graph_is_refused(student_bundles, run_node, tmp_path):
    bundle = shutil.copytree(student_bundles["fp32"], tmp_path / "bundle")
    shutil.copy(bundle / "score.onnx", bundle / "step.onnx")
    write_manifest(bundle, read_manifest(bundle))
    code = """
        const recommender = await Recommender.load(input);
        const told = [(await recommender.recommend(["i03"])).items.length];
        const tell = (error) => told.push(error instanceof LightrecError, error.message);
        await recommender.session(["i03"]).catch(tell);
        console.log(JSON.stringify(told));
        """
    count, own, message = run_node(code, str(bundle))
    assert (count, own) == (10, True) and f"{bundle}/step.onnx is no graph for one step" in message
