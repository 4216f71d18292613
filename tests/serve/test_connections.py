"""Connections that take their time: a server in this process, with clocks of hundredths of a second."""

from __future__ import annotations

import asyncio
import functools
import json
import logging

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

import uvicorn

from lightrec.serve.limits.connections import MAX_HEAD_BYTES, Connection, Connections

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SMALL = b"small"


async def answer(scope, receive, send):
    """``/large`` has a large answer, ``/slow`` waits for /go, all others answer at once; bodies are read."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await scope["state"]["go"].wait()
    content = b"x" * 50_000_000 if scope["path"] == "/large" else SMALL
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


def serving(scenario, **limits):
    """Run ``scenario(open, connections, go)``: a function that connects, the limits, and an event."""
    connections = Connections(**{"most": 100, "max_body": 1000, "head_seconds": 30, "write_seconds": 30, **limits})

    async def run():
        config = uvicorn.Config(answer, lifespan="off", ws="none", log_level="critical", timeout_keep_alive=30)
        config.load()
        state = uvicorn.server.ServerState()
        go = asyncio.Event()
        make = functools.partial(Connection, connections, config=config, server_state=state, app_state={"go": go})
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await asyncio.wait_for(
                scenario(lambda: asyncio.open_connection("127.0.0.1", port), connections, go), 30
            )
        finally:
            go.set()
            server.close()
            for connection in list(connections.open):
                connection.drop()
            await asyncio.gather(*state.tasks, return_exceptions=True)

    return asyncio.run(run())


async def status(reader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(size)


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n"])
def test_half_sent_headers_time_out(start):
    async def scenario(connect, connections, _):
        reader, writer = await connect()
        writer.write(start)
        code, body = await status(reader)
        assert code == 408 and "did not arrive" in json.loads(body)["error"]
        assert await reader.read() == b""
        await asyncio.sleep(0)
        return connections.open

    assert serving(scenario, head_seconds=0.05) == set()


def test_bytes_that_drip_do_not_stop_the_clock():
    async def scenario(connect, *_):
        reader, writer = await connect()
        for byte in [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 1000]:
            writer.write(byte)
            await asyncio.sleep(0.02)
            if reader._buffer:
                return await status(reader)

    assert serving(scenario, head_seconds=0.1)[0] == 408


def test_a_connection_that_says_nothing_is_closed():
    async def scenario(connect, *_):
        return await (await connect())[0].read()

    assert serving(scenario, head_seconds=0.05) == b""


def test_the_second_request_of_a_connection_has_a_clock_too():
    async def scenario(connect, *_):
        reader, writer = await connect()
        writer.write(GET)
        assert await status(reader) == (200, SMALL)
        await asyncio.sleep(0.15)  # idle for longer than headers may take
        writer.write(GET)
        assert await status(reader) == (200, SMALL)
        writer.write(GET[:9])
        return await status(reader)

    assert serving(scenario, head_seconds=0.1)[0] == 408


def test_half_sent_requests_keep_nobody_out():
    async def scenario(connect, connections, _):
        half = [await connect() for _ in range(30)]
        for _, writer in half:
            writer.write(GET[:9])
        reader, writer = await connect()
        writer.write(GET)
        assert await status(reader) == (200, SMALL)
        assert len(connections.open) <= 10
        return await half[0][0].read()  # the first to come was the first to go

    assert serving(scenario, most=10) == b""


def test_where_all_are_being_answered_one_more_is_refused():
    async def scenario(connect, _, go):
        busy = [await connect() for _ in range(3)]
        for _, writer in busy:
            writer.write(GET.replace(b"/ ", b"/slow "))
        await asyncio.sleep(0.1)
        reader, writer = await connect()
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in head
        go.set()
        return [await status(reader) for reader, _ in busy]

    assert serving(scenario, most=3) == [(200, SMALL)] * 3


def test_an_answer_that_is_not_taken_is_given_up():
    async def scenario(connect, connections, _):
        _, writer = await connect()
        writer.transport.pause_reading()
        writer.write(GET.replace(b"/ ", b"/large "))
        while not connections.open:
            await asyncio.sleep(0.01)
        while connections.open:
            await asyncio.sleep(0.01)

    serving(scenario, write_seconds=0.1)


def test_headers_without_end_are_refused():
    async def scenario(connect, *_):
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"y" * (MAX_HEAD_BYTES + 1))
        return await status(reader)

    code, body = serving(scenario)
    assert code == 431 and "65,536 bytes" in json.loads(body)["error"]


def test_a_body_without_end_is_cut_off():
    async def scenario(connect, *_):
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(1000):
                writer.write(b"1;" + b"x" * 1000 + b"\r\ny\r\n")
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""

    assert serving(scenario) == b""


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_is_not_http_is_answered_in_json_and_not_logged(request_, caplog):
    async def scenario(connect, *_):
        reader, writer = await connect()
        writer.write(request_)
        return await status(reader)

    with caplog.at_level(logging.ERROR):
        code, body = serving(scenario)
    assert code == 400 and "not HTTP" in json.loads(body)["error"] and caplog.records == []


def test_a_broken_request_behind_a_good_one_leaves_its_answer_alone():
    async def scenario(connect, _, go):
        reader, writer = await connect()
        writer.write(GET.replace(b"/ ", b"/slow ") + b"nonsense\r\n\r\n")
        await asyncio.sleep(0.05)
        go.set()
        first = await status(reader)
        return first, await reader.read()

    assert serving(scenario) == ((200, SMALL), b"")


def test_a_client_may_offer_another_protocol():
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"

    async def scenario(connect, *_):
        reader, writer = await connect()
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n" + offer + b"\r\n{}")
            assert await status(reader) == (200, SMALL)

    serving(scenario)
