"""Programs and commands in random environments: nothing foreign in the home, nobody reached."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
from campaigns.campaign import Campaign, Outcome
from mini_bundle import write_bundle
from watched import Watched, watch

EARLY = ("accelerate", "huggingface_hub", "numpy", "optuna", "peft", "polars", "torch", "transformers", "typer")
"""Libraries that a program may have imported before lightrec without a report of their own."""

LATE = (*EARLY, "nncf", "onnx", "onnxruntime", "openvino", "openvino.tools.ovc", "optimum", "onnxscript")
"""Libraries that it may import afterwards."""

COMMANDS = {
    "doctor": 0,
    "doctor --json": 0,
    "recommend bundle --history i3,i4": 0,
    "recommend bundle --history i3 --backend openvino": 0,
    "recommend bundle --history nobody --json": 0,
    "recommend missing --history i3": 2,
    "verify bundle": 0,
    "verify missing": 2,
    "export missing --out made": 2,
    "train missing --out made": 2,
}
"""Commands with their exit codes."""

ACTIONS = {
    "nothing": "",
    "recommend": "lightrec.Recommender.load('bundle').recommend(['i3'], k=5)",
    "openvino": "lightrec.Recommender.load('bundle', backend='openvino').recommend(['i3'], k=5)",
    "convert": "import openvino; openvino.save_model(openvino.convert_model('bundle/model.onnx'), 'made.xml')",
    "export": "import lightrec.export.writers.to_openvino",
    "train": "import lightrec.training.loop.trainer",
    "child": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import onnxruntime'], check=True)",
}
"""What a program does after its imports."""

WISHES = (
    *({name: value} for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY") for value in ("0", "false", "")),
    {"DO_NOT_TRACK": "0", "DISABLE_TELEMETRY": "0"},
    {"AI_AGENT": "someone", "AGENT": "someone"},
    {"XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""},
    {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "0"},
    {"LC_ALL": "C", "COLUMNS": "40"},
)
"""Environment variables that ask for reports, or change where files go."""


class PrivacyCampaign(Campaign):
    """Draws a command, or a program with its imports in any order, and an environment."""

    name = "privacy"
    promise = "In no environment and order of imports lightrec leaves a foreign file in the home or reaches anybody."

    def prepare(self, folder: Path) -> None:
        """Write a bundle of twenty items for both runtimes."""
        self.folder, self.number = folder, 0
        scores = np.random.default_rng(0).random((20, 20), dtype=np.float32)
        write_bundle(folder / "work/bundle", scores, [f"i{item}" for item in range(20)], None, range(20), openvino=True)

    def attempt(self, random: random.Random) -> Outcome:
        """Watch one process."""
        variables = {
            name: value for wish in random.sample(WISHES, random.randint(0, 3)) for name, value in wish.items()
        }
        if random.random() < 0.4:
            words = random.choice(list(COMMANDS))
            kind, expected = f"lightrec {words.split()[0]}", COMMANDS[words]
            command = [sys.executable, "-m", "lightrec", *words.split()]
        else:
            imports = [*random.sample(EARLY, random.randint(0, 3)), "lightrec"]
            imports += random.sample(LATE, random.randint(0, 4))
            kind, expected = random.choice(list(ACTIONS)), 0
            script = "\n".join([*(f"import {name}" for name in imports), ACTIONS[kind]])
            command = [sys.executable, "-c", script]
        return self._judged(kind, expected, command, variables)

    def _judged(self, kind: str, expected: int, command: list[str], variables: dict[str, str]) -> Outcome:
        self.number += 1
        found: Watched = watch(command, self.folder / f"home-{self.number}", self.folder / "work", **variables)
        if (found.code, found.foreign, found.reached) == (expected, set(), set()):
            return Outcome.right(kind)
        seen = f"code {found.code}, files {sorted(found.foreign)[:9]}, reached {sorted(found.reached | found.names)}"
        return Outcome.other(kind, f"{command[2:]} with {variables}: {seen}\n{found.said[-500:]}")
