"""What a machine tells of itself: noise, energy, limits, fingerprint; from made-up files where it need not have it."""

import os
import subprocess
import sys
import time

import pytest

from lightrec.benchmarks.fingerprint import fingerprint
from lightrec.benchmarks.harness.energy import EnergyMeter
from lightrec.benchmarks.harness.noise import NoiseMeter, warning
from lightrec.benchmarks.harness.worker_limits import Limits, make_limits, parse_bytes
from lightrec.errors import ConfigError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells it")


@LINUX
def test_other_processes_are_seen():
    burn = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    burning = [subprocess.Popen([sys.executable, "-c", burn]) for _ in os.sched_getaffinity(0)]
    try:
        meter = NoiseMeter()
        for _ in range(5):
            meter.sample()
            time.sleep(0.1)
        found = meter.report()
        ours = NoiseMeter([process.pid for process in burning])
        time.sleep(0.3)
        ours.sample()
        own = ours.report()
    finally:
        for process in burning:
            process.kill()
            process.wait()
    assert found["others"] > 0.3
    assert "other processes took" in found["warning"]
    assert own["others"] < found["others"]  # what the benchmark itself does is no noise
    assert found["calibration_ms"]["low"] <= found["calibration_ms"]["p50"] <= found["calibration_ms"]["high"]


@LINUX
def test_the_loop_runs_on_the_cores_of_the_workers():
    usable = os.sched_getaffinity(0)
    meter = NoiseMeter(cores=[max(usable)])
    meter.sample()
    assert meter.report()["calibration_ms"]["p50"] > 0
    assert os.sched_getaffinity(0) == usable


def test_a_quiet_machine_is_not_warned_of():
    assert warning({"spread": 0.1, "others": 0.1, "steal": 0.02}) is None
    assert warning({"spread": 0.11, "others": None, "steal": None}).startswith(
        "The machine was not quiet: a fixed loop varied by 11 %;"
    )


def zone(folder, name, energy, most=1_000_000):
    path = folder / f"intel-rapl:{len(list(folder.iterdir()))}"
    path.mkdir()
    for file, value in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", most)):
        (path / file).write_text(f"{value}\n")
    return path


def test_energy_is_that_of_all_packages_and_counters_begin_again(tmp_path):
    first, _, second = (zone(tmp_path, name, 999_000) for name in ("package-0", "dram", "package-1"))
    meter = EnergyMeter(tmp_path)
    before = meter.read()
    assert before == [999_000, 999_000]
    (first / "energy_uj").write_text("1000\n")  # over the end: 2,000 uJ
    (second / "energy_uj").write_text("999500\n")
    assert meter.millijoules(before, meter.read()) == 2.5


def test_energy_that_cannot_be_read_is_none(tmp_path):
    meter = EnergyMeter(tmp_path / "nothing")
    assert meter.millijoules(meter.read(), meter.read()) is None


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


def test_the_fingerprint_of_a_laptop_in_a_container(tmp_path):
    for name, text in {
        "devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
        "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "4700000",
        "fs/cgroup/cpu.max": "150000 100000",
        "fs/cgroup/memory.max": "1073741824",
        "class/power_supply/AC/type": "Mains",
        "class/power_supply/AC/online": "0",
        "class/power_supply/BAT0/type": "Battery",
        "class/power_supply/BAT0/capacity": "80",
        "firmware/acpi/platform_profile": "low-power",
    }.items():
        write(tmp_path / name, text)
    found = fingerprint(tmp_path, root=tmp_path / "none", proc=tmp_path / "none")
    assert (found["governor"], found["mhz"]) == ("powersave", 4700)
    assert found["container"] == {"cores": 1.5, "memory_bytes": 2**30}
    assert found["power"] == {"source": "battery", "battery_percent": 80, "profile": "low-power"}


@pytest.mark.parametrize(
    ("modes", "mode"),
    [
        ("< POWER_MODEL ID=0 NAME=15W >\nx\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n", "nvpmodel MAXN_SUPER"),
        (None, "nvpmodel 2"),
    ],
)
def test_the_power_mode_of_a_jetson(tmp_path, modes, mode):
    write(tmp_path / "var/lib/nvpmodel/status", "pmode:0002")
    if modes is not None:
        write(tmp_path / "etc/nvpmodel.conf", modes)
    found = fingerprint(tmp_path / "sys", root=tmp_path)
    assert found["power"] == {"source": None, "battery_percent": None, "profile": mode}


def test_what_a_machine_does_not_tell_is_none(tmp_path):
    found = fingerprint(tmp_path, root=tmp_path, proc=tmp_path)
    assert (found["governor"], found["container"], found["power"]) == (None, None, None)


@LINUX
def test_limits_hold_the_process_they_are_applied_to():
    code = (
        "import os, resource\ninput()\nprint(len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    limits = make_limits(profile="edge")
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    limits.apply(process.pid)
    assert process.communicate("\n")[0].split() == ["1", str(512 * 2**20)]
    assert limits.to_json() == {
        "cores": 1,
        "memory_bytes": 512 * 2**20,
        "profile": "edge",
        "enforced_by": {"cores": "sched_setaffinity", "memory": "RLIMIT_DATA"},
    }
    assert make_limits(memory="1GB", profile="edge").memory_bytes == 2**30
    assert Limits().to_json() is None


@pytest.mark.parametrize("wrong", ["512", "MB", "0MB", "-1GB", "many"])
def test_memory_that_is_not_understood_is_refused(wrong):
    with pytest.raises(ConfigError, match="--memory is"):
        parse_bytes(wrong)


def test_limits_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="--profile is 'moon'"):
        make_limits(profile="moon")
    with pytest.raises(ConfigError, match="--cores is 4096"):
        make_limits(cores=4096)
