"""``lightrec bench --host``: over the system's ssh, to a real sshd on the loopback interface."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from debian_packages import unpack
from emulated_arm64 import MODEL, arm64

from lightrec.benchmarks.agreement import quality
from lightrec.benchmarks.harness.remote import bench_there
from lightrec.benchmarks.harness.workload import real_workload
from lightrec.cli.app import main
from lightrec.errors import ConfigError
from lightrec.files.download import cache_folder
from lightrec.runtime.recommender import Recommender

# In mounts of its own, where the user that sshd wants is there without being made on this machine.
START = """set -e
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /run
mkdir /run/sshd
exec "$2" -D -e -f "$1/sshd_config"
"""


def find_sshd():
    """The server, and the folder of its libraries where it is not installed but unpacked."""
    installed = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if installed:
        return installed, ""
    folder = cache_folder() / "sshd"
    if not folder.is_dir():
        unpack(["openssh-server", "libwrap0"], folder.with_name("sshd.part"), "bookworm")
        folder.with_name("sshd.part").rename(folder)
    return str(folder / "usr/sbin/sshd"), str(folder / "usr/lib/x86_64-linux-gnu")


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The name under which ssh finds the server; its ``ssh`` comes first on the PATH."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("ssh", "ssh-keygen", "unshare"))):
        pytest.skip("a server of our own needs root on Linux and OpenSSH's client")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("a server of our own needs the right to mount")
    folder = tmp_path_factory.mktemp("sshd")
    sshd, libraries = find_sshd()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    (folder / "passwd").write_text(known + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PermitRootLogin yes\nStrictModes no\nPasswordAuthentication no\nPidFile none\n"
    )
    (folder / "ssh_config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {folder}/user\n"
        f"  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking accept-new\n"
    )
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    (bin_folder / "ssh").chmod(0o755)
    command = ["unshare", "--mount", "sh", "-c", START, "sh", str(folder), sshd]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": libraries})
    path, before = f"{bin_folder}:{os.environ['PATH']}", os.environ["PATH"]
    os.environ["PATH"] = path
    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    else:
        pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()[-200:]}")
    yield "board"
    os.environ["PATH"] = before
    server.terminate()
    server.wait()


@pytest.fixture
def bare_python(tmp_path):
    """An interpreter that has what a board has: torch, transformers and OpenVINO cannot be imported in it."""
    (tmp_path / "bare").mkdir()
    refused = ", ".join(f"{name}=None" for name in ("torch", "transformers", "openvino"))
    # Of a name that stands for None, Python finds nothing and imports nothing.
    (tmp_path / "bare" / "sitecustomize.py").write_text(f"import sys\nsys.modules.update({refused})\n")
    command = tmp_path / "python"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/bare:$PYTHONPATH" exec {sys.executable} "$@"\n')
    command.chmod(0o755)
    refusal = subprocess.run([command, "-c", "import torch"], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in refusal.stderr
    return str(command)


@pytest.mark.slow
def test_rows_come_back_from_the_board(board, bare_python, chain_bundle, tiny_dataset, tmp_path, monkeypatch, capsys):
    rows = tmp_path / "rows.jsonl"
    words = ["lightrec", "bench", str(chain_bundle), "--data", str(tiny_dataset.path), "--host", board]
    words += ["--host-python", bare_python, "--scenario", "single-stream", "--seconds", "0.1", "--cases", "10"]
    monkeypatch.setattr("sys.argv", [*words, "--out", str(rows)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    first, *others = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    reasons = {row["variant"]: row["reason"] for row in others}
    assert reasons["Sentence encoder"] == "not installed: pip install 'lightrec[train]'"  # torch was not to be had
    assert first["machine"]["openvino_devices"] == {} and first["elapsed_seconds"] > 0
    assert (first["kind"], first["variant"], first["host"]) == ("speed", "ONNX Runtime fp32", "board")
    assert (first["bundle"], first["data"]["name"]) == (chain_bundle.name, "tiny") and first["quality"]["cases"] == 10
    assert first["scenarios"] == ["single-stream"] and "--host board" in first["command"]
    assert "ONNX Runtime fp32" in said.out


@pytest.mark.slow
@pytest.mark.arm64
def test_rows_come_back_from_arm64(
    board, chain_bundle, manifest, catalogue, tiny_dataset, tmp_path, monkeypatch, capsys
):
    """What it answers; how long it takes under emulation says nothing, and its rows say so."""
    python, rows, report = arm64().python(tmp_path / "python"), tmp_path / "rows.jsonl", tmp_path / "report.md"
    words = ["lightrec", "bench", str(chain_bundle), "--data", str(tiny_dataset.path), "--host", board]
    words += ["--host-python", str(python), "--scenario", "single-stream", "--seconds", "0.1", "--cases", "10"]
    monkeypatch.setattr("sys.argv", [*words, "--out", str(rows), "--report", str(report)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    first, *others = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    assert (first["kind"], first["variant"], first["host"]) == ("speed", "ONNX Runtime fp32", "board")
    assert {row["kind"] for row in others} == {"absent"} and first["failed"] == {}
    machine = first["machine"]
    assert machine["system"].endswith(", aarch64") and not {"torch", "openvino"} & machine["packages"].keys()
    assert machine["processor"] == MODEL and MODEL in report.read_text(encoding="utf-8")
    # The golden case is answered as recorded, and the users' as on this machine.
    agreement = first["agreement"]
    assert (agreement["cases"], agreement["golden"], agreement["wrong_items"]) == (10, None, False)
    workload = real_workload(tiny_dataset.path, chain_bundle, manifest, catalogue, 10, seed=0)
    ranked = Recommender.load(chain_bundle).top_k(workload.histories, manifest.n_items)
    here = quality(ranked, workload, manifest.n_items, k=10, seed=0)
    assert first["quality"]["cases"] == here["cases"] == 10 and first["quality"]["wrong_items"] is False
    assert first["quality"]["ndcg@10"] == pytest.approx(here["ndcg@10"])
    assert first["quality"]["hr@10"] == pytest.approx(here["hr@10"])


@pytest.mark.slow
def test_what_goes_wrong_there_is_one_sentence(board, chain_bundle):
    with pytest.raises(ConfigError, match=r"^--host board says: .*no-such-python"):
        bench_there(board, chain_bundle, None, {}, python="no-such-python")
    with pytest.raises(ConfigError, match=r"^--host board says: --threads is 0"):
        bench_there(board, chain_bundle, None, {"--threads": 0}, python=sys.executable)
    with pytest.raises(ConfigError, match=r"^--host nobody-is-called-so says: "):
        bench_there("nobody-is-called-so", chain_bundle, None, {})


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b"])
def test_a_host_is_a_name(host, chain_bundle):
    with pytest.raises(ConfigError, match="give user@board"):
        bench_there(host, chain_bundle, None, {})


def test_what_needs_more_than_the_base_package_is_refused(chain_bundle, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lightrec", "bench", str(chain_bundle), "--host", "board", "--full", "--browser"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "--host measures with the base package alone: leave out --full, --browser." in capsys.readouterr().err
