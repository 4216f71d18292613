"""Several processes, and parts of a step: the same training as on one, position for position."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lightrec.errors import ConfigError, DataError
from lightrec.settings import StudentSettings
from lightrec.training.loop.batches import Batches
from lightrec.training.loop.precision import resolve_precision
from lightrec.training.progress import Silent
from lightrec.training.train_student import train

EXACT = StudentSettings(
    hidden_size=16, dropout=0.0, epochs=4, patience=0, learning_rate=1e-2, max_length=8, batch_size=16, device="cpu"
)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]


@given(
    lengths=st.lists(st.integers(2, 51), min_size=12, max_size=300),
    shares=st.sampled_from([1, 2, 3]),
    accumulation=st.sampled_from([1, 2]),
    epoch=st.integers(0, 3),
)
def test_processes_share_what_one_would_take_in_a_step(lengths, shares, accumulation, epoch):
    def steps(rank, shares, accumulation):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WORLD_SIZE", str(shares))
            patch.setenv("RANK", str(rank))
            batches = Batches(np.array(lengths), 12, accumulation, seed=7)
        batches.epoch = epoch
        parts = list(batches)
        assert len(parts) == len(batches)
        assert all(parts)
        return [list(chain(*parts[i : i + accumulation])) for i in range(0, len(parts), accumulation)]

    whole = steps(0, 1, 1)
    assert sorted(chain(*whole)) == list(range(len(lengths)))
    assert max(map(len, whole)) <= 12
    assert max(map(len, whole)) - min(map(len, whole)) <= 1
    shared = zip(*(steps(rank, shares, accumulation) for rank in range(shares)), strict=True)
    assert [sorted(chain(*parts)) for parts in shared] == [sorted(step) for step in whole]


def test_batches_hold_windows_of_like_length_in_another_order_each_epoch():
    lengths = np.random.default_rng(0).geometric(0.1, 5000).clip(2, 51)
    batches = Batches(lengths, 64, 1, seed=0)
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert lengths.sum() / padded > 0.9
    first = list(batches)
    assert first == list(batches)
    batches.epoch = 1
    assert first != list(batches)


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"--batch-size 18 .* 2 process\(es\) x --gradient-accumulation 2.*of 4"):
        Batches(np.full(100, 5), 18, 2, seed=0)
    with pytest.raises(DataError, match="3 training windows are too few"):
        Batches(np.full(3, 5), 16, 2, seed=0)


def test_gradient_accumulation_takes_the_same_steps(tiny_dataset, tmp_path):
    train(tiny_dataset.path, tmp_path / "whole", EXACT, Silent())
    parts = dataclasses.replace(EXACT, gradient_accumulation=4)
    train(tiny_dataset.path, tmp_path / "parts", parts, Silent())
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), abs=2e-5)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("student", ["sasrec", "gru4rec"])
def test_two_processes_take_the_same_steps_as_one(tiny_dataset, tmp_path, student):
    settings = dataclasses.replace(EXACT, student=student, epochs=3)
    train(tiny_dataset.path, tmp_path / "one", settings, Silent())
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    (tmp_path / "settings.toml").write_text((tmp_path / "one" / "settings.toml").read_text())
    command += ["-m", "lightrec", "train", str(tiny_dataset.path), "--out", str(tmp_path / "two")]
    command += ["--config", str(tmp_path / "settings.toml"), "--json"]
    outcome = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert json.loads(outcome.stdout)["processes"] == 2  # printed once: one process speaks
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], atol=1e-3, rtol=1e-2)


def test_bf16_trains_and_keeps_its_weights_in_float32(tiny_dataset, tmp_path, monkeypatch):
    # Emulated where the processor has none, which is refused to users as slower than fp32.
    monkeypatch.setattr("lightrec.training.loop.precision._cpu_has_bf16", lambda: True)
    record = train(
        tiny_dataset.path, tmp_path / "run", dataclasses.replace(EXACT, precision="auto", epochs=12), Silent()
    )
    assert record["precision"] == "bf16"
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0] * 0.7
    assert all(tensor.dtype == torch.float32 for tensor in weights(tmp_path / "run").values())


def test_bf16_is_refused_where_the_hardware_lacks_it(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("lightrec.training.loop.precision._cpu_has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="this cpu device has no bf16 arithmetic; give auto or fp32"):
        train(tiny_dataset.path, tmp_path / "run", dataclasses.replace(EXACT, precision="bf16"), Silent())
    assert not (tmp_path / "run" / "run.json").exists()
    with pytest.raises(ConfigError, match="this mps device has no bf16 arithmetic"):
        resolve_precision("bf16", "mps")
    assert resolve_precision("auto", "mps") == resolve_precision("auto", "cpu") == "fp32"
