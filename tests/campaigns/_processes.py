"""A process that answers each line of JSON with a line of JSON, replaced when it ends, hangs or has done enough."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class AnsweringProcess:
    """Started at once, and again after each end."""

    def __init__(
        self,
        command: list[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
        most_lines: int = 400,
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            folder: where it runs; here if None.
            environment: its variables; ours if None.
            seconds: after which a question counts as hanging.
            most_lines: after so many questions it starts anew, as what it has loaded stays in its memory.
        """
        self.command, self.folder, self.environment = command, folder, environment
        self.seconds, self.most_lines = seconds, most_lines
        self._start()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any] | str:
        """Its answer, or in one word what happened in its place: "hung" or "ended"."""
        if self.asked == self.most_lines:
            self.stop()
            self._start()
        self.asked += 1
        try:
            self.process.stdin.write(json.dumps(question) + "\n")  # type: ignore[union-attr]
            self.process.stdin.flush()  # type: ignore[union-attr]
            line, instead = self.lines.get(timeout=self.seconds), "ended"
        except BrokenPipeError:
            line, instead = "", "ended"
        except queue.Empty:
            line, instead = "", "hung"
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.stop()
        self._start()
        return instead

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()

    def _start(self) -> None:
        self.asked = 0
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _read(process: Any, lines: queue.Queue[str]) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")
