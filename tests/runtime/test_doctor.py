import dataclasses
import json
import sys

import numpy as np
import pytest

from lightrec.errors import LightrecError
from lightrec.extras import EXTRAS
from lightrec.runtime.doctor import diagnose, known_features, require_healthy


def test_the_diagnosis_tells_what_is_here():
    diagnosis = diagnose()
    assert diagnosis.python == ".".join(map(str, sys.version_info[:3]))
    assert diagnosis.packages["numpy"] == np.__version__
    assert "CPUExecutionProvider" in diagnosis.onnxruntime_providers
    assert 0 < diagnosis.usable_cores <= diagnosis.cores
    assert diagnosis.memory_bytes is None or diagnosis.memory_bytes > 2**20
    assert diagnosis.extras.keys() == EXTRAS.keys()
    assert json.loads(json.dumps(dataclasses.asdict(diagnosis))) == dataclasses.asdict(diagnosis)
    require_healthy(diagnosis)


def test_a_missing_extra_is_told_and_is_no_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    diagnosis = diagnose()
    assert diagnosis.extras["openvino"] == ["openvino"]
    assert (diagnosis.openvino_devices, diagnosis.problems) == ({}, [])


def test_a_broken_base_installation_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    diagnosis = diagnose()
    assert diagnosis.onnxruntime_providers == []
    with pytest.raises(LightrecError, match=r"ONNX Runtime cannot be loaded .* pip install --force-reinstall"):
        require_healthy(diagnosis)


def test_features_of_an_arm_processor():
    assert known_features("fp asimd evtstrm aes asimdhp asimddp i8mm") == [
        "NEON",
        "NEON dot product",
        "NEON FP16",
        "INT8 matrix multiply",
    ]
