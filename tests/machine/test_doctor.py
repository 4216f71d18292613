import dataclasses
import json
import sys

import numpy as np
import pytest

from lightrec.errors import LightrecError
from lightrec.extras import EXTRAS
from lightrec.machine import doctor
from lightrec.machine.doctor import container_limits, diagnose, known_features, processor, require_healthy


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


def test_the_wheels_that_bring_onnxruntime_are_told(monkeypatch):
    monkeypatch.setattr(doctor, "_version", {"onnxruntime-gpu": "1.23.0", "tensorrt": "10.13"}.get)
    packages = diagnose().packages
    assert {name: found for name, found in packages.items() if found} == {
        "onnxruntime-gpu": "1.23.0",
        "tensorrt": "10.13",
    }
    assert packages["onnxruntime"] is packages["onnxruntime-openvino"] is None


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nFeatures\t: fp asimd\n", "NVIDIA Jetson Orin Nano"),
        ("Features\t: fp asimd\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("model name\t: A processor\nFeatures\t: fp asimd\n", "A processor"),
    ],
)
def test_a_board_whose_processor_has_no_name_has_its_own(tmp_path, cpuinfo, name):
    write(tmp_path / "cpuinfo", cpuinfo)
    write(tmp_path / "device-tree/model", "NVIDIA Jetson Orin Nano\0")
    assert processor(tmp_path) == (name, ["NEON"])


def test_the_least_of_the_groups_counts(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/outer/inner\n")
    write(tmp_path / "groups/outer/inner/cpu.max", "300000 100000\n")
    write(tmp_path / "groups/outer/inner/memory.max", "max\n")
    write(tmp_path / "groups/outer/cpu.max", "150000 100000\n")
    write(tmp_path / "groups/outer/memory.max", "1073741824\n")
    write(tmp_path / "groups/other/memory.max", "1\n")
    assert container_limits(tmp_path / "groups", tmp_path / "proc") == (1.5, 2**30)


def test_groups_of_version_1_have_a_folder_for_each_kind(tmp_path):
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/a1\n3:cpu,cpuacct:/docker/a1\n1:name=systemd:/\n")
    write(tmp_path / "groups/memory/docker/a1/memory.limit_in_bytes", "536870912\n")
    write(tmp_path / "groups/memory/memory.limit_in_bytes", "9223372036854771712\n")  # none
    write(tmp_path / "groups/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")  # in a container its own group is the topmost
    write(tmp_path / "groups/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert container_limits(tmp_path / "groups", tmp_path / "proc") == (0.5, 2**29)


def test_no_group_is_no_limit(tmp_path):
    assert container_limits(tmp_path, tmp_path) == (None, None)


def test_features_of_an_arm_processor():
    assert known_features("fp asimd evtstrm aes asimdhp asimddp i8mm") == [
        "NEON",
        "NEON dot product",
        "NEON FP16",
        "INT8 matrix multiply",
    ]
