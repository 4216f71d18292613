"""What a caller gives to lightrec.js: anything but ids, whole numbers and known options is one sentence."""

import pytest
from campaigns.campaign import sentence_problem

pytestmark = pytest.mark.slow

ASK = """
    const recommender = await Recommender.load(input.bundle);
    const session = await recommender.session(["a"]);
    const load = (options) => Recommender.load(input.bundle, options);
    const told = [];
    for (const request of input.requests) {
      const made = async () => (await eval(`(async () => ${request})()`)) ?? null;
      told.push(await made().catch((error) => ({ refused: error instanceof LightrecError, message: error.message })));
    }
    console.log(JSON.stringify(told));
    """

REFUSED = {  # a call, and what its sentence names
    "recommender.recommend()": "history is undefined",
    "recommender.recommend(null)": "history is null",
    "recommender.recommend(50)": "history is 50",
    'recommender.recommend("50")': 'history is "50"',
    'recommender.recommend(new String("50"))': 'history is "50"',
    'recommender.recommend(Buffer.from("50"))': "history is",  # no bytes as ids 53 and 48
    "recommender.recommend({ a: 1 })": 'history is {"a":1}',
    'recommender.recommend(Promise.resolve(["a"]))': "history is {}",
    "recommender.recommend([null])": "history holds null",
    'recommender.recommend([undefined, "a"])': "history holds undefined",
    "recommender.recommend([true])": "history holds true",
    "recommender.recommend([0.5])": "history holds 0.5",
    "recommender.recommend([NaN])": "history holds NaN",
    "recommender.recommend([1e21])": "history holds 1e+21",
    'recommender.recommend([["a"]])': 'history holds ["a"]',
    'recommender.recommend([Symbol("a")])': "history holds Symbol(a)",
    'recommender.recommend([{ id: "a" }])': 'history holds {"id":"a"}',
    'recommender.recommend(new Map([["a", 1]]))': 'history holds ["a",1]',
    'recommender.recommend(["a"], 5)': "options of recommend are 5",
    'recommender.recommend(["a"], null)': "options of recommend are null",
    'recommender.recommend(["a"], [["k", 3]])': "options of recommend are",
    'recommender.recommend(["a"], new Map([["k", 3]]))': "options of recommend are",
    'recommender.recommend(["a"], { K: 3 })': 'recommend has no option "K": choose from k, exclude, candidates, boost.',
    'recommender.recommend(["a"], { exlude: ["b"] })': 'no option "exlude"',
    'recommender.recommend(["a"], { k: 0 })': "k is 0",
    'recommender.recommend(["a"], { k: 1.5 })': "k is 1.5",
    'recommender.recommend(["a"], { k: "3" })': 'k is "3"',
    'recommender.recommend(["a"], { k: 3n })': "k is 3n",
    'recommender.recommend(["a"], { k: null })': "k is null",
    'recommender.recommend(["a"], { k: true })': "k is true",
    'recommender.recommend(["a"], { k: Infinity })': "k is Infinity",
    "recommender.recommend([], { k: -1 })": "k is -1",
    'recommender.recommend(["a"], { k: Symbol("k") })': "k is Symbol(k)",
    'recommender.recommend(["a"], { exclude: "b" })': 'exclude is "b"',
    'recommender.recommend(["a"], { exclude: 5 })': "exclude is 5",
    'recommender.recommend(["a"], { exclude: [null] })': "exclude holds null",
    'recommender.recommend(["a"], { candidates: false })': "candidates is false",
    'recommender.recommend(["a"], { candidates: [2.5] })': "candidates holds 2.5",
    'recommender.recommend(["a"], { boost: false })': "boost is false",
    'recommender.recommend(["a"], { boost: 0 })': "boost is 0",
    'recommender.recommend(["a"], { boost: ["b"] })': 'boost is ["b"]',
    'recommender.recommend(["a"], { boost: new Set(["b"]) })': "boost is",
    'recommender.recommend(["a"], { boost: "b" })': 'boost is "b"',
    'recommender.recommend(["a"], { boost: { b: NaN } })': 'boost of item "b" is NaN',
    'recommender.recommend(["a"], { boost: { b: "1" } })': 'boost of item "b" is "1"',
    'recommender.recommend(["a"], { boost: { b: null } })': 'boost of item "b" is null',
    'recommender.recommend(["a"], { boost: { b: -Infinity } })': 'boost of item "b" is -Infinity',
    'recommender.recommend(["a"], { boost: new Map([[null, 1]]) })': "boost holds null",
    "recommender.rank([])": "history is empty",
    'recommender.rank(["a"])': 'history holds "a"',
    "recommender.rank([6])": "history holds 6: give item indices, whole numbers from 0 to 5",
    "recommender.rank([-1])": "history holds -1",
    "recommender.rank([0.5])": "history holds 0.5",
    "recommender.rank([undefined])": "history holds undefined",
    "recommender.rank([0], { exclude: [99] })": "exclude holds 99",
    "recommender.rank([0], { k: 0 })": "k is 0",
    "recommender.rank([0], { boost: {} })": 'rank has no option "boost"',
    "recommender.session(null)": "history is null",
    'recommender.session("a")': 'history is "a"',
    "session.add(null)": "history holds null",
    "session.add()": "history holds undefined",
    'session.add(["b"])': 'history holds ["b"]',
    'session.extend("b")': 'history is "b"',
    "session.recommend({ k: 0 })": "k is 0",
    "session.recommend(3)": "options of recommend are 3",
    "session.recommend({ boost: 1 })": "boost is 1",
    'recommender.block("a")': 'block is "a"',
    "recommender.block([null])": "block holds null",
    'recommender.block(["no-such-item"])': 'block holds "no-such-item", which the bundle does not know',
    'load({ block: ["a", "no-such-item"] })': 'block holds "no-such-item"',
    "load({ block: 5 })": "block is 5",
    "load(5)": "options of load are 5",
    "load({ threads: 4 })": 'load has no option "threads"',
    'load({ precision: "fp16" })': "holds no fp16 model for onnxruntime",
    "load({ precision: null })": "holds no null model",
    "load({ ort: null })": "ort is null",
    "load({ ort: {} })": "ort is {}: give the module",
    "Recommender.load()": "The bundle is undefined",
    "Recommender.load(null)": "The bundle is null",
    'Recommender.load("")': 'The bundle is ""',
    "Recommender.load(7)": "The bundle is 7",
    'Recommender.load({ path: "x" })': 'The bundle is {"path":"x"}',
    'Recommender.load("no\\nsuch\\u2028place")': "no such place/manifest.json cannot be read",
    'Recommender.load("nul\\0")': "cannot be read",
    'Recommender.load("http://")': 'bundle is "http://", which is no address here',
    'Recommender.load("http://127.0.0.1:9/bundle")': "http://127.0.0.1:9/bundle/manifest.json cannot be fetched",
    'Recommender.load(new URL("file://elsewhere/bundle"))': "file://elsewhere/bundle/manifest.json cannot be read",
    "new Recommender()": "Recommender.load(bundle)",
    "new session.constructor()": "recommender.session(history)",
}


def test_everything_else_is_refused_in_one_sentence(bundle, run_node):
    told = run_node(ASK, {"bundle": str(bundle), "requests": list(REFUSED)})
    for (request, named), answer in zip(REFUSED.items(), told, strict=True):
        assert isinstance(answer, dict) and answer.get("refused") is True, f"{request}: {answer}"
        assert named in answer["message"], request
        assert sentence_problem(answer["message"]) is None, request


def test_every_kind_of_list_and_id_is_taken(bundle, run_node):
    """The last item of the history decides: after "7" the best are a, b, c; after a they are b, c, d."""
    taken = {
        'new Set(["b", "7"])': "a",
        "[7]": "a",
        "[7n]": "a",
        "Int32Array.from([7])": "a",
        'new Map([["7", 1]]).keys()': "a",
        '(function* () { yield "b"; yield 7; })()': "a",
        '["7", "no-such-item", "\\ud800", -0]': "a",
        '["a"]': "b",
    }
    requests = [f"recommender.recommend({history}, {{ k: 1 }})" for history in taken]
    told = run_node(ASK, {"bundle": str(bundle), "requests": requests})
    assert [answer["items"][0]["id"] for answer in told] == list(taken.values())
    assert told[6]["unknown"] == ["no-such-item", "\ud800", "0"]


def test_a_refusal_changes_nothing(bundle, run_node):
    """What was blocked stays blocked, a session goes on, and large numbers are as good as small ones."""
    requests = [
        'recommender.block(["b"])',
        'recommender.block(["no-such-item"])',
        'recommender.recommend(["a"], { k: 1 })',
        'session.extend(["b", null])',
        "session.recommend({ k: 2 ** 60 })",
        'recommender.recommend(["a"], { k: 1e300, boost: { d: 1e308 } })',
        'recommender.has(null) || recommender.has(["a"]) || recommender.title(undefined)',
    ]
    told = run_node(ASK, {"bundle": str(bundle), "requests": requests})
    assert told[0] == [] and told[1]["refused"] and told[3]["refused"]
    assert told[2]["items"][0]["id"] == "c"
    assert [item["id"] for item in told[4]["items"]] == ["c", "d", "e,f", "7"]
    assert [item["id"] for item in told[5]["items"]] == ["d", "c", "e,f", "7"]
    assert told[6] is None
