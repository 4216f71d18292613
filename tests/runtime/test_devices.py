"""Devices, providers, compiled models that are kept, and OpenVINO's models with fixed shapes."""

import shutil
import threading

import numpy as np
import onnxruntime
import openvino
import pytest
from mini_bundle import NEXT_SCORES, write_bundle
from typer.testing import CliRunner

from lightrec import Recommender, RecommenderSlot
from lightrec.bundle import read_manifest
from lightrec.cli.app import app
from lightrec.errors import ConfigError
from lightrec.runtime.backends import openvino_backend
from lightrec.runtime.backends.registry import open_backend

HISTORIES = [["a"], ["c", "b"], ["a", "b", "c"], ["7", "d", "a"], ["e,f", "7", "d", "a"], ["a", "b", "c", "d", "7"]]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache folder of every test here."""
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def test_a_device_or_provider_means_its_backend(both_runtimes):
    assert Recommender.load(both_runtimes, device="cpu").backend.name == "openvino"
    assert Recommender.load(both_runtimes, compute="f32").backend.name == "openvino"
    assert Recommender.load(both_runtimes, providers=["CPUExecutionProvider"]).backend.name == "onnxruntime"
    for options in ({"device": "CPU"}, {"compute": "bf16"}):
        with pytest.raises(ConfigError, match="options of openvino, providers of onnxruntime"):
            Recommender.load(both_runtimes, "onnxruntime", **options)
    with pytest.raises(ConfigError, match="give those of one"):
        Recommender.load(both_runtimes, device="CPU", providers=["CPUExecutionProvider"])


def test_what_is_not_here_is_refused_with_a_list_of_what_is(both_runtimes):
    here = ", ".join(openvino.Core().available_devices)
    with pytest.raises(ConfigError, match=f"finds no device TPU here: choose from {here}"):
        Recommender.load(both_runtimes, device="TPU")
    here = ", ".join(onnxruntime.get_available_providers())
    with pytest.raises(ConfigError, match=f"has no TpuExecutionProvider here: choose from {here}"):
        Recommender.load(both_runtimes, providers=["CPUExecutionProvider", "TpuExecutionProvider"])
    with pytest.raises(ConfigError, match="compute is 'f8': choose one of f32, bf16, f16"):
        Recommender.load(both_runtimes, compute="f8")


@pytest.mark.parametrize("compute", ["bf16", "f16"])
def test_other_numbers_are_computed_in_where_the_processor_has_them(both_runtimes, compute):
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if {"bf16": "BF16", "f16": "FP16"}[compute] in able:
        found = Recommender.load(both_runtimes, compute=compute).recommend(["a"], k=2)
        assert [item.id for item in found] == ["b", "c"]  # 9 and 8 are exact in all of them
    else:
        with pytest.raises(ConfigError, match=f"CPU does not compute in {compute} here: choose from f32"):
            Recommender.load(both_runtimes, compute=compute)


@pytest.mark.parametrize("exclude", [[], ["b"], ["b", "d", "f"] * 50, ["b"] * 300])
@pytest.mark.parametrize("k", [1, 4, 6])
def test_fixed_shapes_answer_as_free_ones_do(both_runtimes, exclude, k):
    free, fixed = (Recommender.load(both_runtimes, backend="openvino") for _ in range(2))
    free.backend._window = 0
    for history in HISTORIES:
        assert fixed.recommend(history, k, exclude=exclude) == free.recommend(history, k, exclude=exclude)
    assert fixed.recommend_batch(HISTORIES, k) == free.recommend_batch(HISTORIES, k)
    assert set(free.backend._models) == {openvino_backend.FREE}
    wide = {0: {1, 256}, 1: {1, 256}, 150: {256}, 300: set()}[len(exclude)]  # what is older is excluded as well
    assert set(fixed.backend._models) == {openvino_backend.FREE, *wide}


def test_large_models_have_no_second_copy(both_runtimes, monkeypatch):
    monkeypatch.setattr(openvino_backend, "MAX_FIXED_BYTES", 10)
    recommender = Recommender.load(both_runtimes, backend="openvino")
    assert [item.id for item in recommender.recommend(["a", "b", "c"], k=2)] == ["e,f", "7"]
    assert set(recommender.backend._models) == {openvino_backend.FREE}


def test_answers_stay_as_they_are_when_the_next_request_comes(both_runtimes):
    backend = open_backend(both_runtimes, read_manifest(both_runtimes), "openvino")

    def ask(last):
        return backend.run(np.array([[1, 2, last]]), np.array([3]), np.array([[-1]]), np.array([2]))

    items, scores = ask(0)
    ask(5)
    assert (items.tolist(), scores.tolist()) == ([[3, 4]], [[7, 6]])  # row 0 without 0, 1, 2


def test_threads_meet_at_a_model_that_is_compiled_when_first_needed(both_runtimes):
    recommender = Recommender.load(both_runtimes, backend="openvino")
    expected = Recommender.load(both_runtimes).recommend(["a", "b", "c"], k=3)
    answers, start = [], threading.Barrier(4)

    def ask():
        start.wait()
        answers.extend(recommender.recommend(["a", "b", "c"], k=3) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80 and all(answer == expected for answer in answers)


def test_compiled_models_are_kept_and_found_by_their_content(both_runtimes, tmp_path, cache):
    def from_cache(bundle, **options):
        recommender = Recommender.load(bundle, backend="openvino", **options)
        assert recommender.recommend(["a"], k=1)[0].score == 9
        return recommender.backend._models[openvino_backend.FREE].get_property("LOADED_FROM_CACHE")

    assert not from_cache(both_runtimes, cache=False) and not cache.exists()
    assert not from_cache(both_runtimes) and len(list(cache.glob("*.blob"))) == 1
    assert from_cache(both_runtimes)
    moved = shutil.copytree(both_runtimes, tmp_path / "moved")
    assert from_cache(moved)
    for blob in cache.glob("*.blob"):
        blob.chmod(0o600)
        blob.write_bytes(b"torn")
    assert not from_cache(both_runtimes)  # compiled anew


def test_a_bundle_with_other_weights_never_gets_a_kept_model(tmp_path):
    first = write_bundle(tmp_path / "bundle", openvino=True)
    slot = RecommenderSlot(first, backend="openvino")
    assert slot.current.recommend(["a", "b", "c"], k=1)[0].score == 5
    shutil.rmtree(first)
    write_bundle(first, scores=NEXT_SCORES * 2, openvino=True)  # the same graph, in the same place
    slot.swap(first)
    assert slot.current.recommend(["a"], k=1)[0].score == 18
    assert slot.current.recommend(["a", "b", "c"], k=1)[0].score == 10


def test_a_cache_that_cannot_be_written_is_left_alone(both_runtimes, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "file"))
    assert Recommender.load(both_runtimes, backend="openvino").recommend(["a"], k=1)[0].id == "b"


def test_the_command_takes_a_device(both_runtimes):
    command = ["recommend", str(both_runtimes), "--history", "a", "--device"]
    answer = CliRunner().invoke(app, [*command, "CPU"], catch_exceptions=False)
    assert answer.exit_code == 0 and "Brazil" in answer.stdout
    refused = CliRunner().invoke(app, [*command, "TPU"])
    assert isinstance(refused.exception, ConfigError)
