"""Workers that hang, die, talk nonsense or cannot be limited: named, ended, and never left behind."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightrec.benchmarks import measure
from lightrec.benchmarks.harness import child_process as children
from lightrec.benchmarks.harness.child_process import end, start
from lightrec.benchmarks.harness.cold_start import start as fresh
from lightrec.benchmarks.harness.worker_limits import Limits
from lightrec.benchmarks.harness.worker_process import WorkerProcess
from lightrec.benchmarks.harness.workload import synthetic_workload
from lightrec.benchmarks.plan import Plan
from lightrec.benchmarks.variants.variant import Variant
from lightrec.errors import ModelError

READY = 'import json, os, signal, sys, time\nprint(json.dumps({"calls": ["single"], "load_ms": 1.0}), flush=True)\n'
ENDS = {
    "hangs": ("time.sleep(600)", "did not answer within"),
    "is killed": ("sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL; was memory short"),
    "crashes": ("sys.stdin.readline(); os.abort()", "SIGABRT"),
    "ends": ("sys.exit()", "it said nothing"),
    "fails": ("sys.stdin.readline(); raise MemoryError('too large')", "MemoryError: too large"),
    "talks nonsense": ("print('nonsense', flush=True); time.sleep(600)", "something else .*nonsense"),
    "answers a list": ("print('[1]', flush=True); time.sleep(600)", "something else"),
    "answers without times": ("print('{}', flush=True); time.sleep(600)", "something else"),
    "answers of another type": ('print(\'{"timings": 1, "cpu_ns_per_call": 1}\', flush=True)', "something else"),
    "answers no text": ("os.write(1, b'\\xff\\xfe\\n'); time.sleep(600)", "something else"),
    "closes its output": ("os.close(1); time.sleep(600)", "closed its output"),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")


def is_running(process: int) -> bool:
    """Whether a process exists that is not merely waiting to be collected."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(children, "PATIENCE", 1.0)
    monkeypatch.setattr(children, "GRACE", 0.2)


@pytest.mark.parametrize("way", ENDS)
def test_a_worker_that_fails_is_named_and_ended(way, impatient):
    code, words = ENDS[way]
    with WorkerProcess("the variant", [sys.executable, "-c", READY + code]) as worker:
        with pytest.raises(ModelError, match=f"the variant failed: .*{words}"):
            worker.time("single", 0, 0.01)
        assert worker.try_ask("time", "single", first=0, seconds=0.01) is None
        assert "the variant failed" in worker.failure
        assert not is_running(worker.process)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import time; time.sleep(600)", "did not answer within"),
        ("print('nonsense')", "something else"),
        ("print('{\"calls\": 1}')", "something else"),
    ],
)
def test_a_worker_that_is_never_ready_is_named_and_ended(code, words, impatient):
    with pytest.raises(ModelError, match=f"the variant failed: .*{words}"):
        WorkerProcess("the variant", [sys.executable, "-c", code])


def test_what_a_worker_has_started_ends_with_it(impatient, tmp_path):
    code = "import subprocess, pathlib\nchild = subprocess.Popen(['sleep', '600'])\n"
    code += f"pathlib.Path({str(tmp_path / 'id')!r}).write_text(str(child.pid))\n"
    with WorkerProcess("the variant", [sys.executable, "-c", f"{code}{READY}time.sleep(600)"]) as worker:
        child = int((tmp_path / "id").read_text())
        assert is_running(child)
        assert worker.try_ask("time", "single", first=0, seconds=0.01) is None
    end_of(child)


def test_a_worker_that_does_not_end_by_itself_is_ended(impatient):
    code = READY + "for line in sys.stdin: pass\ntime.sleep(600)"
    with WorkerProcess("the variant", [sys.executable, "-c", code]) as worker:
        process = worker.process
    assert not is_running(process)


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "Invalid argument"), KeyboardInterrupt()], ids=repr)
def test_a_process_that_cannot_be_limited_does_not_stay(error, monkeypatch):
    started = []

    def refuse(self, process):
        started.append(process)
        raise error

    monkeypatch.setattr(Limits, "apply", refuse)
    for run in (start, fresh, lambda command: WorkerProcess("one", command)):
        with pytest.raises((ModelError, KeyboardInterrupt), match=r"leave out --cores, --memory|^$"):
            run([sys.executable, "-c", "import time; time.sleep(600)"])
    assert len(started) == 3 and not any(map(is_running, started))


def test_a_process_that_has_ended_before_it_is_limited_is_quoted(monkeypatch):
    def too_late(self, process):
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(Limits, "apply", too_late)
    with pytest.raises(ModelError, match="one failed: ValueError: wrong"):
        WorkerProcess("one", [sys.executable, "-c", "raise ValueError('wrong')"])


def test_a_fresh_process_that_hangs_is_named_and_ended(impatient):
    with pytest.raises(ModelError, match="the variant failed: it did not answer within"):
        fresh([sys.executable, "-c", "import time; time.sleep(600)"], name="the variant")


def test_a_variant_that_hangs_is_missing_from_a_bench_and_the_others_are_there(
    impatient, chain_bundle, manifest, catalogue, monkeypatch
):
    good = Variant("onnxruntime", "fp32", 1, {"backend": "onnxruntime", "precision": "fp32"}, label="good")
    variants = [good]
    for label, (code, _) in ENDS.items():
        variants.append(Variant("onnxruntime", "fp32", 1, command=(sys.executable, "-c", READY + code), label=label))
    hanging = {"hangs", "talks nonsense"}
    variants = [one for one in variants if one.label == "good" or one.label in hanging | {"is killed", "crashes"}]
    plan = Plan(scenarios=("single-stream",), seconds=0.05, rounds=2)
    monkeypatch.setattr(children, "PATIENCE", 15.0)
    rows = measure.measure_variants(variants, chain_bundle, synthetic_workload(manifest, catalogue, 5, 0), plan)
    assert next((row["kind"], row["variant"]) for row in rows) == ("speed", "good")
    absent = {row["variant"]: row["reason"] for row in rows if row["kind"] == "absent"}
    assert absent.keys() == {one.label for one in variants} - {"good"}
    assert "did not answer within" in absent["hangs"]


def test_the_end_of_a_process_that_has_ended_is_no_error():
    process = start([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    process.wait()
    end(process)
    end(process)


def end_of(process, seconds=10):
    """Wait until a process that nobody here may wait for is gone."""
    stop = time.monotonic() + seconds
    while is_running(process) and time.monotonic() < stop:
        time.sleep(0.02)
    assert not is_running(process)
