"""The load test of the service: its client against servers that stall or refuse, and all of it once."""

import asyncio

import pytest
from mini_bundle import write_bundle

from lightrec.benchmarks.project.serve_load import Client, load, main
from lightrec.benchmarks.rows import read_rows


def run_against(answer, rate, seconds):
    """The row of a load on a server in this process; ``answer(number)`` gives the status of its n-th request."""

    async def scenario():
        count, lock = 0, asyncio.Lock()

        async def serve(reader, writer):
            nonlocal count
            while await reader.readuntil(b"\r\n\r\n"):
                async with lock:
                    count += 1
                    status = await answer(count)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status)

        async def quiet(reader, writer):
            try:
                await serve(reader, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(quiet, "127.0.0.1", 0)
        client = Client(server.sockets[0].getsockname()[1], [b""])
        await client.connect()
        row = await load(client, rate, seconds, seed=0)
        await client.close()
        server.close()
        return row

    return asyncio.run(scenario())


def test_a_stall_is_felt_by_all_who_arrive_meanwhile():
    async def stalling(number):
        if number == 20:
            await asyncio.sleep(0.4)
        return 200

    row = run_against(stalling, rate=100, seconds=1)
    # Of 100 requests in a second some 40 arrive while the server stalls, and wait 0.2 s on average.
    assert row["requests"] == 100 and row["dropped"] == 0
    assert row["p99"] > 300 and row["p50"] < 150


def test_refusals_are_counted_and_not_timed():
    async def refusing(number):
        return 503 if number % 10 == 0 else 200

    row = run_against(refusing, rate=400, seconds=0.25)
    assert (row["dropped"], row["errors"]) == (10, {"503": 10})


@pytest.mark.slow
def test_the_command_finds_the_highest_rate(tmp_path, capsys):
    pytest.importorskip("fastapi", reason="needs the extra serve")
    bundle, out = write_bundle(tmp_path / "bundle"), tmp_path / "rows.jsonl"
    assert main([str(bundle), "--seconds", "0.5", "--p99-ms", "60", "--out", str(out), "--cases", "50"]) == 0
    (row,) = read_rows(out)
    assert row["kind"] == "serve" and row["max_rate"] and row["at_max_rate"]["p99"] <= 60
    assert [point["rate"] for point in row["curve"]] == sorted(point["rate"] for point in row["curve"])
    assert "Highest sustained rate" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere")]) == 2
