"""A language model that is in the cache is used without a word to the hub."""

import json
import sys
from pathlib import Path

import pytest
from mini_language_model import save_bert
from watched import watch

from lightrec.models.teachers import language_model

NAME = "someone/mini-bert"
LOAD = f"""
from lightrec.models.teachers.language_model import load_language_model
print(load_language_model({NAME!r}).source)
"""


def cached(home: Path, name: str = NAME) -> Path:
    """A cache of the hub that holds a miniature model as ``name``; returns the folder of the model's files."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    commit = "0" * 40
    save_bert(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return repository / "snapshots" / commit


@pytest.mark.slow
def test_the_hub_is_not_asked_for_a_cached_model(tmp_path):
    cached(tmp_path / "hub-home")
    found = watch([sys.executable, "-c", LOAD], tmp_path / "home", tmp_path, HF_HOME=str(tmp_path / "hub-home"))
    assert (found.code, found.said, found.files, found.reached) == (0, "cache\n", set(), set())


@pytest.mark.parametrize("lacks", [None, "config.json", "tokenizer.json", "model.safetensors", "second.safetensors"])
def test_what_an_interrupted_download_left_is_not_taken_for_the_model(lacks, tmp_path, monkeypatch):
    folder = cached(tmp_path)
    shards = {"weight_map": {"one": "model.safetensors", "two": "second.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    (folder / "second.safetensors").touch()
    if lacks:
        (folder / lacks).unlink()
    found = {"config.json": str(folder / "config.json")}
    monkeypatch.setattr(language_model, "try_to_load_from_cache", lambda name, file: found.get(file))
    assert language_model._cached(NAME) == (None if lacks else str(folder))
