"""A process is killed at a random moment, or at a random file operation, of every command that writes."""

from __future__ import annotations

import random
from pathlib import Path

from campaigns._commands import Commands
from campaigns._writers import Case, Cases, digest, leftovers, make_base
from campaigns.campaign import Campaign, Outcome


class Kills(Campaign):
    """Each attempt kills one command up to three times, and then gives it again undisturbed."""

    name = "kills"
    promise = (
        "A command killed at any moment leaves what was there before or the whole of the new, and given again it ends "
        "with the same files, byte for byte, as if nothing had happened."
    )

    def prepare(self, folder: Path) -> None:
        self.folder = folder / "place"
        self.folder.mkdir()
        self.commands = Commands(self.folder)
        make_base(self.folder, self.commands)
        self.cases = Cases(self.folder, self.commands)

    def attempt(self, random: random.Random) -> Outcome:
        case = self.cases.draw(random)
        writer, out = case.writer, self.folder / case.writer.out
        exchange = random.random() < 0.5
        faults = [self.fault(case, random) for _ in range(random.choice([1, 1, 2, 3]))]
        kind = f"{writer.name}: {faults[0][0]}{'' if exchange else ', no exchange'}"
        for fault in faults:
            ended = self.commands.run(*writer.words, fault=fault, exchange=exchange)
            if ended.code not in (0, -9):
                return Outcome.other(kind, f"{faults}: {ended}")
            if not case.is_whole(digest(out)) and not self.is_moved_aside(out):
                return Outcome.other(kind, f"{faults}: the output is neither the old nor the new")
        again = self.commands.run(*writer.words, exchange=exchange)
        if again.code or digest(out) != case.new:
            return Outcome.other(kind, f"{faults}: given again, {again}")
        if left := leftovers(self.folder):
            return Outcome.other(kind, f"{faults}: what was left is still there: {left}")
        return Outcome.right(kind)

    def fault(self, case: Case, random: random.Random) -> tuple[str, float]:
        if random.random() < 0.7:
            return "kill at operation", random.randint(1, max(1, case.operations))
        return "kill after", random.random() * case.seconds

    def is_moved_aside(self, out: Path) -> bool:
        """Whether the old output is where the next command finds it; it is on file systems without an exchange."""
        return not out.exists() and any(out.parent.glob(f".{out.name}.*.old"))

    def close(self) -> None:
        self.commands.close()
