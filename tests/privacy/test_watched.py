"""The watcher sees what the tests of this folder rely on."""

import sys

import pytest
from watched import reached, watch

CONNECT = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as one:
    try:
        one.connect((sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(("address", "port"), [("192.0.2.7", "443"), ("2001:db8::7", "443"), ("127.0.0.53", "53")])
def test_an_attempt_to_connect_is_seen(address, port, tmp_path):
    found = watch([sys.executable, "-c", CONNECT, address, port], tmp_path / "home", tmp_path)
    assert (found.code, found.reached) == (0, {f"{address}:{port}"})


@pytest.mark.slow
def test_a_name_that_is_looked_up_is_seen(tmp_path):
    script = "import socket\ntry: socket.getaddrinfo('example.org', 443)\nexcept OSError: pass"
    found = watch([sys.executable, "-c", script], tmp_path / "home", tmp_path)
    assert (found.reached, found.names) == ({"127.0.0.1:53"}, {"example.org"})


@pytest.mark.slow
def test_files_in_the_home_are_seen_and_this_machine_may_be_reached(tmp_path):
    script = "from pathlib import Path; (Path.home() / 'a').mkdir(); (Path.home() / 'a/b').touch();" + CONNECT
    found = watch([sys.executable, "-c", script, "127.0.0.1", "80"], tmp_path / "home", tmp_path)
    assert (found.code, found.files, found.reached) == (0, {"a", "a/b"}, set())


@pytest.mark.slow
def test_no_ci_service_is_recognized(tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "true")
    found = watch([sys.executable, "-c", "import os; print(os.environ.get('CI'))"], tmp_path / "home", tmp_path)
    assert found.said == "None\n"


def test_addresses_are_read_from_the_log():
    log = (
        'connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 9) = 0\n'
        "connect(3, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}, 28) = 0\n'
        'sendto(4, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.1")}, 16) = 1\n'
    )
    assert reached(log) == {"192.0.2.1:9"}
