"""Teachers' answers on disk: computed once, whole or again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from lightrec.data.splits import make_split
from lightrec.errors import WriteError
from lightrec.files.atomic import read_json
from lightrec.files.locks import locked
from lightrec.training.loop.windows import Windows
from lightrec.training.teachers import output_files
from lightrec.training.teachers.output_cache import OutputsPlan, prepare_outputs


class Counting:
    """A voice whose answer for row r and item i is r + i / 100; it counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def answer(self, plan, chosen, pattern):
        self.asked += 1
        rows = torch.from_numpy(plan.rows(chosen, pattern))
        return lambda part: rows[part, None] + torch.arange(30)[None] / 100


@pytest.fixture
def prepare(tiny_dataset, tmp_path):
    """Compute the outputs in form "full" or "top"; the answers, and how often the voice was asked."""
    plan = OutputsPlan.make(Windows.from_split(make_split(tiny_dataset), 2), "causal", None)

    def run(form="full", on_progress=None):
        voice = Counting()
        room = 1e9 if form == "full" else 0
        found = prepare_outputs(
            tmp_path / "outputs", lambda: voice, plan, n_items=30, temperature=1.0, max_bytes=room, top=5,
            context={"test": 1}, on_progress=on_progress,
        )  # fmt: skip
        return [np.array(array) for array in (found.logits, found.items, found.rest) if array is not None], voice.asked

    return run


def kept(tmp_path):
    return next((tmp_path / "outputs").iterdir())


@pytest.mark.parametrize("form", ["full", "top"])
def test_answers_are_asked_for_once(prepare, form):
    first, asked = prepare(form)
    again, not_asked = prepare(form)
    assert asked > 0 and not_asked == 0
    assert all(map(np.array_equal, first, again))


@pytest.mark.parametrize("name", ["logits.npy", "items.npy", "rest.npy", "index.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_damaged_answers_are_computed_again(prepare, tmp_path, name, damage):
    before, asked = prepare("top")
    file = kept(tmp_path) / name
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x10
    file.write_bytes({"flip": content, "cut": content[: len(content) // 2]}.get(damage, b""))
    if damage == "missing":
        file.unlink()
    after, asked_again = prepare("top")
    assert asked_again == asked
    assert all(map(np.array_equal, before, after))


def stop(done, total):
    raise KeyboardInterrupt


def test_what_was_computed_half_is_gone_on_with(prepare, monkeypatch, tmp_path):
    whole, asked = prepare()
    shutil.rmtree(tmp_path / "outputs")
    with pytest.raises(KeyboardInterrupt):
        prepare(on_progress=stop)
    assert read_json(kept(tmp_path) / "index.json")["batches_done"] < asked or asked == 1
    assert np.array_equal(prepare()[0][0], whole[0])


def test_answers_of_an_older_version_have_no_checksum_and_are_taken(prepare, tmp_path):
    prepare()
    index = read_json(kept(tmp_path) / "index.json")
    del index["files"]
    output_files.write_json(kept(tmp_path) / "index.json", index)
    assert prepare()[1] == 0


def test_a_full_disk_is_met_before_anything_is_asked(prepare, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(WriteError, match=r"outputs/\w+ cannot be written: no space"):
        patch.setattr("os.posix_fallocate", full)
        prepare()
    assert list((tmp_path / "outputs").iterdir()) == []
    assert prepare()[1] > 0


def test_finished_answers_are_read_while_another_command_holds_the_lock(prepare, tmp_path):
    prepare()
    with locked(kept(tmp_path)):
        assert prepare()[1] == 0
