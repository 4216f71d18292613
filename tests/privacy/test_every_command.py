"""Every command, in a new home without a network: it writes no file there but its own, and tries to reach nobody."""

import functools
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_lines import leaves
from mini_language_model import save_bert
from watched import Watched, watch

pytestmark = pytest.mark.slow

SMALL = "--hidden-size 8 --max-length 10 --epochs 1"


@dataclass(frozen=True)
class Step:
    """A command that is watched."""

    words: str
    """Its arguments after ``lightrec COMMAND``."""
    after: tuple[str, ...] = ()
    """Commands that make what it reads."""


STEPS = {
    "data prepare": Step("log.csv --items items.csv --out data"),
    "data describe": Step("data", ("data prepare",)),
    "finetune": Step("data --out teacher --base language-model --max-length 10 --epochs 1", ("data prepare",)),
    "train": Step(f"data --out student {SMALL} --init-items text --base language-model", ("data prepare",)),
    "teacher-scores": Step("teacher data --out scores.parquet", ("finetune",)),
    "distill": Step(f"data --teacher teacher --out distilled {SMALL}", ("finetune",)),
    "tune": Step("data --out tuned --trials 2 --hidden-size 8 --max-length 10 --epochs 1", ("data prepare",)),
    "evaluate": Step("student data --against item-knn", ("train",)),
    "export": Step(
        "student --out bundle --format onnx --format openvino --precision int8 --max-ndcg-drop 1",
        ("train",),
    ),
    "items fit": Step("student data --base language-model", ("train",)),
    "items add": Step("bundle new.csv --vectors vectors.npy --out larger", ("export",)),
    "items remove": Step("bundle i01,i02 --out smaller", ("export",)),
    "items retitle": Step("bundle items.csv --out retitled", ("export",)),
    "package": Step("bundle --for web --out web --onnxruntime-web onnxruntime-web", ("export",)),
    "bench": Step(
        "bundle --run student --data data --teacher teacher --scenario single-stream --scenario offline "
        "--scenario cold-start --cases 5 --seconds 0.05 --catalogue-sizes 100 --out rows.jsonl --report bench.html",
        ("export", "finetune"),
    ),
    "report": Step("rows.jsonl --out report.html", ("bench",)),
    "compare": Step("rows.jsonl rows.jsonl", ("bench",)),
    "recommend": Step("bundle --history i03,i04 --backend openvino", ("export",)),
    "serve": Step("bundle --port 0 --workers 2", ("export",)),
    "verify": Step("bundle", ("export",)),
    "doctor": Step(""),
    "demo": Step("--data data --out demo", ("data prepare",)),
    "reproduce": Step("recipe.toml --data data --out reproduced --device cpu", ("data prepare",)),
}

ASKS_FOR_A_DOWNLOAD = {"data get": "ml-100k --out got"}
"""Commands that exist to fetch something, which without a network they refuse with one sentence."""

SERVE = """
import http.client, json, signal, subprocess, sys
server = subprocess.Popen([sys.executable, "-m", "lightrec", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
port = int(server.stdout.readline().split("/recommend")[0].rsplit(":", 1)[1])
for _ in range(4):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("POST", "/recommend", json.dumps({"history": ["i03"]}), {"Content-Type": "application/json"})
    assert link.getresponse().status == 200
server.send_signal(signal.SIGTERM)
sys.exit(server.wait(20))
"""

RECIPE = """
data = "mine"
seeds = 1
baselines = ["popularity"]

[students.sasrec-ce]
command = "train"
hidden_size = 8
max_length = 10
epochs = 1

[comparisons]
sasrec-ce = ["popularity"]

[bundles.sasrec-ce]
max_ndcg_drop = 1.0
"""


class Place:
    """A folder in which commands are run, each once, after those that make what it reads."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.run = functools.cache(self._run)

    def _run(self, name: str) -> Watched:
        step = STEPS[name]
        for earlier in step.after:
            assert self.run(earlier).code == 0, self.run(earlier).said
        words = [*name.split(), *step.words.split()]
        begin = [sys.executable, "-c", SERVE] if name == "serve" else [sys.executable, "-m", "lightrec"]
        return self.watch(*begin, *words, name=name)

    def watch(self, *command: object, name: str, **variables: str) -> Watched:
        home = self.folder.with_name(f"{self.folder.name}-homes") / name.replace(" ", "-")
        return watch(command, home, self.folder, HF_HOME=str(self.folder / "hub"), **variables)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A log of 30 users, the texts of 20 items, and a language model, as a folder and in the cache of the hub."""
    import numpy as np

    folder = tmp_path_factory.mktemp("privacy")
    rows = [f"u{user},i{(user + step) % 20:02d},{1_700_000_000 + step}" for user in range(30) for step in range(8)]
    (folder / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    items = [f"i{item:02d},Part {item} of the saga" for item in range(20)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]))
    (folder / "new.csv").write_text("item_id,title\nnew,Part 20 of the saga\n")
    np.save(folder / "vectors.npy", np.ones((1, 8), dtype=np.float32))
    (folder / "recipe.toml").write_text(RECIPE)
    save_bert(folder / "language-model")
    commit = folder / "hub/hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/0"
    shutil.copytree(folder / "language-model", commit)
    (commit.parents[1] / "refs").mkdir()
    (commit.parents[1] / "refs/main").write_text("0")
    (folder / "onnxruntime-web").mkdir()
    from lightrec.web.package import RUNTIME_FILES

    for name in RUNTIME_FILES:
        (folder / "onnxruntime-web" / name).write_bytes(b"x")
    return Place(folder)


def test_every_command_is_watched():
    assert {" ".join(words) for words in leaves()} == STEPS.keys() | ASKS_FOR_A_DOWNLOAD.keys()


@pytest.mark.parametrize("name", STEPS)
def test_a_command_writes_its_own_files_alone_and_reaches_nobody(name, place):
    found = place.run(name)
    assert found.code == 0, found.said
    assert (found.foreign, found.reached) == (set(), set())


@pytest.mark.parametrize("name", ASKS_FOR_A_DOWNLOAD)
def test_a_download_asks_for_nobody_but_the_host_that_is_named(name, place):
    words = [*name.split(), *ASKS_FOR_A_DOWNLOAD[name].split()]
    # pip asks for the version of a Rust compiler, which writes settings where there is one.
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "RUSTUP_HOME": str(place.folder / "rustup")}
    found = place.watch(sys.executable, "-m", "lightrec", *words, name=name, **own)
    assert found.code == 2 and "https://files.grouplens.org/" in found.said
    assert (found.foreign, found.names) == (set(), {"files.grouplens.org"})
