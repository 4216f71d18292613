"""Damaged requests to a service in a process of its own, compared with a Recommender in this one."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from campaigns import _service_oracle as oracle
from campaigns import _service_requests as make
from campaigns._service_requests import Reply
from campaigns.campaign import Campaign, Outcome
from mini_bundle import write_bundle
from service_process import Server

from lightrec.runtime.recommender import Recommender

INFER = "/v2/models/bundle/infer"
MAX_BODY = 100_000
MORE_MEMORY = 300 * 2**20
"""Bytes by which the service's largest memory may exceed that of its first answers."""
HALF_SENT = 40
"""Connections that are left with half a request."""
REFUSED = object()
"""In place of an answer: the request must be refused."""
EITHER = object()
"""In place of an answer: any refusal will do, and any answer is compared elsewhere."""


class ServiceCampaign(Campaign):
    """Every request is answered as the library answers it, or refused by a sentence with a status of 400 to 499."""

    name = "service"
    promise = (
        "Whatever is sent to the service, it answers as the library does or refuses with one sentence, in bounded "
        "memory and without a hang."
    )

    def prepare(self, folder: Path) -> None:
        """Start the service, over the bundle that the oracle has loaded too."""
        size = len(make.KNOWN)
        scores = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
        titles = [None if place % 3 else f"<b>{name}</b>\x1b[1m" for place, name in enumerate(make.KNOWN)]
        order = list(np.random.default_rng(1).permutation(size))
        bundle = write_bundle(folder / "bundle", scores, make.KNOWN, titles, order)
        self.log = folder / "service.log"
        options = ["--timeout", "2", "--max-body", str(MAX_BODY), "--connections", "30", "--workers", "2"]
        self.server = Server(bundle, *options, log=self.log)
        self.recommender = Recommender.load(bundle)
        self.kept: list[Any] = []
        for path, value in (("/recommend", make.single), ("/recommend/batch", make.batch), (INFER, make.infer)):
            for seed in range(20):
                self._ask(path, json.dumps(value(Random(seed))).encode())
        self.most = self.server.memory(peak=True) + MORE_MEMORY

    def attempt(self, random: Random) -> Outcome:
        """One request, or what passes for one; then a look at the service's memory and log."""
        attack = random.choice(
            [
                *[self._right, self._right_tensors, self._damaged_value, self._damaged_text] * 3,
                *[self._damaged_tensors, self._damaged_binary, self._damaged_head] * 3,
                self._claims,
                self._pipelined,
                self._chunked,
                self._too_large,
                self._other_routes,
                self._half_sent,
            ]
        )
        try:
            outcome = attack(random)
        except TimeoutError:
            return Outcome.other(attack.__name__, "no answer in time")
        taken = self.server.memory(peak=True)
        if taken > self.most:
            return Outcome.other(outcome.kind, f"the service has taken {taken:,} bytes")
        if self.log.stat().st_size:
            return Outcome.other(outcome.kind, f"the service has logged {self.log.read_text()[-3000:]}")
        return outcome

    def close(self) -> None:
        """End the service, which must end by itself."""
        for line in self.kept:
            line.close()
        if self.server.stop() != 0:
            raise RuntimeError("The service did not end in order.")

    def _right(self, random: Random) -> Outcome:
        batch = random.random() < 0.4
        value = make.batch(random) if batch else make.single(random)
        return self._compared("right JSON", value, batch)

    def _damaged_value(self, random: Random) -> Outcome:
        batch = random.random() < 0.4
        value = make.damage_value(make.batch(random) if batch else make.single(random), random)
        return self._compared("JSON with another value", value, batch)

    def _damaged_text(self, random: Random) -> Outcome:
        batch = random.random() < 0.3
        body = json.dumps(make.batch(random) if batch else make.single(random)).encode()
        return self._compared_text("JSON with other bytes", make.damage_bytes(body, random)[:MAX_BODY], batch)

    def _right_tensors(self, random: Random) -> Outcome:
        value = make.infer(random)
        expected = self._infer_answer(value)
        if random.random() < 0.5:
            return self._judged("right tensors", self._ask(INFER, json.dumps(value).encode()), expected)
        head, content = make.binary(value)
        header = b"Inference-Header-Content-Length: %d" % len(head)
        return self._judged("right binary tensors", self._ask(INFER, head + content, header), expected)

    def _damaged_tensors(self, random: Random) -> Outcome:
        value = make.damage_value(make.infer(random), random)
        kind, reply = "tensors with another value", self._ask(INFER, json.dumps(value).encode())
        if reply is None or reply.status != 200:
            return self._judged(kind, reply, EITHER)
        return self._judged(kind, reply, self._infer_answer(value))

    def _damaged_binary(self, random: Random) -> Outcome:
        head, content = make.binary(make.infer(random))
        length: bytes = b"%d" % len(head)
        damaged = random.choice(["head", "content", "length"])
        if damaged == "head":
            head = make.damage_bytes(head, random)
            length = b"%d" % len(head)
        elif damaged == "content":
            content = make.damage_bytes(content, random)
        else:
            wrong = [b"\xb2", b"9" * 5000, b"-1", b"", b"1 2", b"0", b"0x9", str(random.randrange(10**6)).encode()]
            length = random.choice(wrong)
        reply = self._ask(INFER, (head + content)[:MAX_BODY], b"Inference-Header-Content-Length: " + length)
        kind = f"binary tensors with another {damaged}"
        if reply is not None and reply.status == 200:
            try:
                return Outcome.right(kind) if _is_infer_answer(json.loads(reply.body)) else Outcome.other(kind, "shape")
            except ValueError as error:
                return Outcome.other(kind, str(error))
        return self._judged(kind, reply, EITHER)

    def _claims(self, random: Random) -> Outcome:
        """Shapes that claim what the body does not hold."""
        sizes = [0, 1, 2, 1024, 1025, 65_536, 65_537, 10**6, 5 * 10**7, 10**8, 2**31, 2**63, 10**30, -1]
        shape = [random.choice(sizes) for _ in range(random.choice([1, 2, 2, 2, 3]))]
        name, datatype = random.choice(["history", "exclude"]), random.choice(["INT64", "INT32", "BYTES"])
        claim: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if random.random() < 0.5:
            claim["data"] = random.choice([[], [7], [[]], ["a"]])
        else:
            claim["parameters"] = {"binary_data_size": 0}
        history = {"name": "history", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}
        value = {"inputs": [claim] if name == "history" else [history, claim]}
        reply = self._ask(INFER, json.dumps(value).encode())
        if reply is not None and reply.status == 200:
            return self._judged("claimed shapes", reply, self._infer_answer(value))
        return self._judged("claimed shapes", reply, EITHER)

    def _damaged_head(self, random: Random) -> Outcome:
        """Other bytes before the body: an answer, if any, is that of the body."""
        value = make.single(random)
        body = json.dumps(value).encode()
        head = make.post("/recommend", body, b"Accept: */*", b"Connection: close")[: -len(body)]
        sent = make.damage_bytes(head, random) + body
        answer = oracle.answer(self.recommender, oracle.question(value, False), False)
        kind, patient = "other bytes before the body", random.random() < 0.03
        try:
            reply = make.exchange(self.server.port, sent, seconds=make.SECONDS if patient else 0.5)
        except TimeoutError:
            if patient:
                raise
            return self._half_sent(random)  # the service waits for more: it is left with this
        if reply is None:
            return Outcome.other(kind, f"no answer to {sent[:300]!r}")
        if reply.status == 200 and json.loads(reply.body) == answer:
            return Outcome.right(kind)
        return self._judged(kind, reply, EITHER)

    def _pipelined(self, random: Random) -> Outcome:
        values = [make.single(random) for _ in range(random.randint(2, 5))]
        with contextlib.closing(make.connect(self.server.port)) as line:
            line.sendall(b"".join(make.post("/recommend", json.dumps(value).encode()) for value in values))
            for value, reply in zip(values, make.replies(line), strict=False):
                outcome = self._judged("several requests at once", reply, self._answer(value, False))
                if outcome.result == "other":
                    break
        return outcome

    def _chunked(self, random: Random) -> Outcome:
        value = make.single(random)
        body, chunks = json.dumps(value).encode(), []
        while body:
            size = random.choice([1, 2, 7, 50])
            chunks.append(b"%x\r\n%s\r\n" % (len(body[:size]), body[:size]))
            body = body[size:]
        lines = [
            b"POST /recommend HTTP/1.1",
            b"Host: a",
            b"Content-Type: application/json",
            b"Transfer-Encoding: chunked",
        ]
        content = b"\r\n".join([*lines, b"", b"".join(chunks) + b"0\r\n", b""])
        return self._judged("a body in chunks", make.exchange(self.server.port, content), self._answer(value, False))

    def _too_large(self, random: Random) -> Outcome:
        body = b" " * (MAX_BODY + random.choice([1, 1000, 3 * MAX_BODY]))
        return self._judged("too large a body", self._ask("/recommend", body), REFUSED)

    def _other_routes(self, random: Random) -> Outcome:
        """Routes and methods that there are not."""
        method = random.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "POST", "HEAD", "TRACE", "XYZ"])
        names = [
            random.choice(["recommend", "v2", "models", "..", "%00", "%ff", "%", "docs", "a" * 3000, "\x7f"])
            for _ in "12"
        ]
        reply = make.exchange(
            self.server.port, f"{method} /{'/'.join(names)}?x=%ff HTTP/1.1\r\nHost: a\r\n\r\n".encode(), method
        )
        if method == "HEAD" and reply is not None:
            return Outcome.right("other routes") if 400 <= reply.status < 500 else Outcome.other("HEAD", str(reply))
        return self._judged("other routes", reply, REFUSED)

    def _half_sent(self, random: Random) -> Outcome:
        """Leave half a request behind; others are answered all the same."""
        body = json.dumps(make.single(random)).encode()
        line = make.connect(self.server.port)
        with contextlib.suppress(ConnectionError):
            content = make.post("/recommend", body)
            line.sendall(content[: random.randrange(len(content))])
        self.kept.append(line)
        if len(self.kept) > HALF_SENT or random.random() < 0.3:
            self.kept.pop(0).close()
        value = make.single(random)
        return self._judged("beside half-sent requests", self._post("/recommend", value), self._answer(value, False))

    def _compared(self, kind: str, value: Any, batch: bool) -> Outcome:
        return self._compared_text(kind, json.dumps(value).encode(), batch)

    def _compared_text(self, kind: str, body: bytes, batch: bool) -> Outcome:
        try:
            expected = self._answer(oracle.parse(body), batch)
        except oracle.Wrong:
            expected = REFUSED
        return self._judged(kind, self._ask("/recommend/batch" if batch else "/recommend", body), expected)

    def _answer(self, value: Any, batch: bool) -> Any:
        """The answer to a body, or :data:`REFUSED`."""
        try:
            return oracle.answer(self.recommender, oracle.question(value, batch), batch)
        except oracle.Wrong:
            return REFUSED

    def _infer_answer(self, value: dict[str, Any]) -> dict[str, Any]:
        """The answer to a right inference request."""
        histories, k, excludes = oracle.infer_rules(value)
        outputs = oracle.infer_outputs(self.recommender.recommend_batch(histories, k, excludes))
        kinds = {"items": "BYTES", "scores": "FP32", "fallback": "BOOL"}
        wanted = [output["name"] for output in value.get("outputs") or []] or list(kinds)
        said = [
            {"name": name, "datatype": kinds[name], "shape": outputs[name][0], "data": outputs[name][1]}
            for name in wanted
        ]
        number = {} if value.get("id") is None else {"id": value["id"]}
        return {"model_name": "bundle", "model_version": "1", "outputs": said, **number}

    def _judged(self, kind: str, reply: Reply | None, expected: Any) -> Outcome:
        """An answer must be the expected one; a refusal must be due, and have a sentence."""
        if reply is None:
            return Outcome.other(kind, "the connection was closed without an answer")
        try:
            said = json.loads(reply.body.decode("utf-8"))
        except ValueError as error:
            return Outcome.other(kind, f"{reply.status} with a body that is no JSON ({error})")
        if reply.status == 200 and expected is not REFUSED and said == expected:
            return Outcome.right(kind)
        refused = 400 <= reply.status < 500 and isinstance(said, dict) and list(said) == ["error"]
        if refused and (expected is REFUSED or expected is EITHER):
            return Outcome.refused(kind, said["error"])
        return Outcome.other(kind, f"{reply.status} {str(said)[:1000]} in place of {str(expected)[:1000]}")

    def _ask(self, path: str, body: bytes, *headers: bytes) -> Reply | None:
        return make.exchange(self.server.port, make.post(path, body, *headers))

    def _post(self, path: str, value: Any) -> Reply | None:
        return self._ask(path, json.dumps(value).encode())


def _is_infer_answer(said: Any) -> bool:
    """Whether the outputs hold as many values as their shapes say."""
    return all(len(output["data"]) == int(np.prod(output["shape"])) for output in said["outputs"])
