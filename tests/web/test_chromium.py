"""``lightrec verify --browser``: golden cases in a headless Chromium that it starts itself."""

import dataclasses
import json

import pytest
from mini_bundle import NEXT_SCORES, last_item_graph, pack

from lightrec.bundle import read_manifest, write_manifest
from lightrec.cli.app import main
from lightrec.verify import chromium as module
from lightrec.verify.verify_bundle import verify_bundle


def in_browser(bundle):
    """What was found in Chromium, which comes after the two models of the bundle."""
    checks = verify_bundle(bundle, browser=True).models[2:]
    return [(check.backend, check.precision, check.status, check.cases, check.detail) for check in checks]


def test_it_is_asked_only_if_wanted(bundle):
    assert [check.backend for check in verify_bundle(bundle).models] == ["onnxruntime", "openvino"]


def test_without_chromium_it_is_listed_as_absent(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert in_browser(bundle) == [("chromium", "fp32", "absent", 0, "Chromium or Chrome on the PATH")]


def test_a_model_of_two_files_is_listed_with_the_reason(own_bundle):
    manifest = read_manifest(own_bundle)
    (own_bundle / "table.bin").write_bytes(b"")
    model = dataclasses.replace(manifest.models[0], files=("model.onnx", "table.bin"))
    write_manifest(own_bundle, dataclasses.replace(manifest, models=(model, manifest.models[1])))
    reason = "lightrec.js reads models of one file, not of 2: export in another precision"
    assert in_browser(own_bundle) == [("chromium", "fp32", "absent", 0, reason)]


@pytest.fixture
def given_runtime(runtime_files, monkeypatch):
    """Nothing is fetched: ONNX Runtime is a pretence."""
    package = module.package_for_web

    def given(bundle, out, precision):
        return package(bundle, out, precision, onnxruntime_web=runtime_files)

    monkeypatch.setattr(module, "package_for_web", given)


def pretended(folder, script):
    """A program called chromium that does as told."""
    folder.mkdir()
    (folder / "chromium").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "chromium").chmod(0o755)
    return str(folder)


def test_without_onnxruntime_for_it_it_is_listed_as_absent(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", pretended(tmp_path / "bin", "exit 1"))
    monkeypatch.setenv("LIGHTREC_CACHE", str(tmp_path / "cache"))
    [(_, _, status, _, detail)] = in_browser(bundle)
    assert status == "absent" and "onnxruntime-web 1.30.0 needs npm" in detail


def test_a_chromium_that_does_not_start_is_listed_as_absent(bundle, given_runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", pretended(tmp_path / "bin", "echo no display >&2; exit 1"))
    reason = "a Chromium that starts here (no display)"
    assert in_browser(bundle) == [("chromium", "fp32", "absent", 0, reason)]


@pytest.fixture
def asked_words(bundle, given_runtime, tmp_path, monkeypatch):
    """A function that asks a pretended Chromium, which fails with a sentence, and returns the options of each start."""

    def asked(user, sentence):
        monkeypatch.setattr(module.os, "geteuid", lambda: user)
        log = tmp_path / "words"
        script = f'echo "$@" >> {log}\necho {sentence!r} >&2\nexit 1'
        monkeypatch.setenv("PATH", pretended(tmp_path / "bin", script))
        [(_, _, status, _, detail)] = in_browser(bundle)
        assert (status, detail) == ("absent", f"a Chromium that starts here ({sentence})")
        return ["--no-sandbox" in line.split() for line in log.read_text().splitlines()]

    return asked


def test_it_goes_without_its_sandbox_only_for_root_or_where_there_is_none(asked_words):
    assert asked_words(1000, "FATAL: No usable sandbox!") == [False, True]


def test_root_has_no_sandbox(asked_words):
    assert asked_words(0, "FATAL: No usable sandbox!") == [True]


def test_another_failure_takes_no_sandbox_away(asked_words):
    assert asked_words(1000, "no display") == [False]


def test_one_that_never_answers_fails_in_one_sentence(bundle, given_runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", pretended(tmp_path / "bin", "exec /bin/sleep 60"))
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    reason = "Chromium did not answer the golden cases within 0.3 s."
    assert in_browser(bundle) == [("chromium", "fp32", "failed", 0, reason)]


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_a_sound_bundle_passes(own_bundle, chromium, onnxruntime_web, packed):
    bundle = pack(own_bundle) if packed else own_bundle
    assert in_browser(bundle) == [("chromium", "fp32", "passed", 1, "")]


@pytest.mark.slow
def test_a_model_that_answers_otherwise_fails(own_bundle, chromium, onnxruntime_web):
    scores = NEXT_SCORES.copy()
    scores[0, 1] = 6.5  # recorded 9 8 7, answered 8 7 6.5
    (own_bundle / "model.onnx").write_bytes(last_item_graph(scores).SerializeToString())
    write_manifest(own_bundle, read_manifest(own_bundle))
    [(_, _, status, cases, detail)] = in_browser(own_bundle)
    assert (status, cases) == ("failed", 1) and detail.startswith("golden case 0: scores differ by 1,")


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_fails_in_one_sentence(own_bundle, chromium, onnxruntime_web):
    (own_bundle / "model.onnx").write_bytes(b"no graph")
    write_manifest(own_bundle, read_manifest(own_bundle))
    [(_, _, status, _, detail)] = in_browser(own_bundle)
    assert status == "failed" and "\n" not in detail
    assert "Chromium cannot run" in detail and "/bundle/model.onnx is not an ONNX model" in detail


@pytest.mark.slow
def test_the_command_lists_it(bundle, chromium, onnxruntime_web, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lightrec", "verify", str(bundle), "--browser", "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    found = {check["backend"]: check["status"] for check in json.loads(capsys.readouterr().out)["models"]}
    assert found["chromium"] == found["onnxruntime"] == "passed"
