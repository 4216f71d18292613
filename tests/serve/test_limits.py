"""What the service does when too much is asked: through its ASGI application, in this process."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import threading

import pytest
from mini_bundle import write_bundle
from service_app import post

pytest.importorskip("fastapi", reason="needs the extra serve")

from lightrec.errors import ConfigError
from lightrec.serve import server
from lightrec.serve.app import make_app
from lightrec.serve.limits import request_bodies as gate
from lightrec.serve.limits import work_queue as workers_module
from lightrec.serve.limits.work_queue import QueueFullError, Workers
from lightrec.serve.service import ServeSettings, Service


def held(hold: threading.Event):
    """Work that waits for ``hold``, though not for ever where a test fails before it is set."""
    return functools.partial(hold.wait, 20)


QUESTION = json.dumps({"history": ["a"], "k": 1}).encode()


@pytest.fixture
def make_service(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    return lambda **limits: Service(ServeSettings(bundle, "bundle", **limits))


def test_a_full_queue_refuses_at_once_and_has_room_again(make_service):
    service, hold = make_service(workers=1, queue=1), threading.Event()
    app = make_app(service)

    async def scenario():
        busy = [asyncio.create_task(service.workers.run(held(hold), 9)) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await post(app, QUESTION)
        hold.set()
        await asyncio.gather(*busy)
        return refused, await post(app, QUESTION)

    (status, headers, answer), after = asyncio.run(scenario())
    assert status == 503 and headers["retry-after"] == "1" and "Too many requests" in answer["error"]
    assert after[0] == 200


def test_a_request_that_waits_too_long_is_never_begun(make_service):
    service, hold = make_service(workers=1, queue=1, timeout=0.05), threading.Event()
    app = make_app(service)

    async def scenario():
        busy = asyncio.create_task(service.workers.run(held(hold), 9))
        await asyncio.sleep(0)
        late = await post(app, QUESTION)
        assert service.workers.pending == 1
        hold.set()
        await busy
        return late

    status, _, answer = asyncio.run(scenario())
    assert status == 504 and "no answer in time" in answer["error"]
    assert service.metrics.registry.get_sample_value("lightrec_users_total") == 0


def test_a_body_that_does_not_arrive_is_given_up(make_service):
    status, headers, answer = asyncio.run(post(make_app(make_service(timeout=0.05)), QUESTION, delay=9))
    assert status == 408 and headers["connection"] == "close" and "did not arrive" in answer["error"]


def test_bodies_together_are_bounded(make_service, monkeypatch):
    monkeypatch.setattr(gate, "MAX_BODIES_HELD", 2)
    app = make_app(make_service(max_body=len(QUESTION), timeout=10))

    async def scenario():
        held = [asyncio.create_task(post(app, QUESTION, last_after=0.3)) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await post(app, QUESTION)
        return refused, await asyncio.gather(*held), await post(app, QUESTION)

    (status, headers, answer), held, after = asyncio.run(scenario())
    assert status == 503 and headers["retry-after"] == "1" and "Too many large requests" in answer["error"]
    assert [status for status, *_ in held] == [200, 200] and after[0] == 200


def test_a_burst_waits_for_its_turn_but_not_for_long(monkeypatch):
    workers, hold, now = Workers(1, 1000), threading.Event(), [100.0]
    monkeypatch.setattr(workers_module, "monotonic", lambda: now[0])

    async def scenario():
        first = asyncio.create_task(workers.run(held(hold), 60))
        burst = [asyncio.create_task(workers.run(lambda: 1, 60)) for _ in range(500)]
        await asyncio.sleep(0)
        assert workers.pending == 501
        now[0] += 29  # of 60 seconds the half is 30
        later = asyncio.create_task(workers.run(lambda: 2, 60))
        await asyncio.sleep(0)
        now[0] += 2
        hold.set()
        return await first, await asyncio.gather(*burst, return_exceptions=True), await later

    first, burst, later = asyncio.run(scenario())
    assert first is True and later == 2  # what came later has its turn in time
    assert {type(found) for found in burst} == {QueueFullError} and workers.pending == 0
    workers.close()


def test_the_listener_names_its_protocol_so_that_answers_are_not_held_back():
    listener = server._listen("127.0.0.1", 0)
    connection = socket.create_connection(listener.getsockname())
    assert listener.accept()[0].proto == socket.IPPROTO_TCP
    connection.close()
    with pytest.raises(ConfigError, match=r"cannot be listened at .*: choose another --port"):
        server._listen("127.0.0.1", listener.getsockname()[1])
    listener.close()


def test_workers_count_what_they_do():
    workers, hold = Workers(1, 0), threading.Event()

    async def scenario():
        busy = asyncio.create_task(workers.run(held(hold), 9))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await workers.run(int, 9)
        hold.set()
        await busy
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 / 0, 9)
        return await workers.run(lambda: 5, 9)

    assert asyncio.run(scenario()) == 5
    workers.close()
    assert workers.pending == 0
