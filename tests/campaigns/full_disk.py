"""The disk is full, or takes no larger file, at a random moment of every command that writes."""

from __future__ import annotations

import random
from pathlib import Path

from campaigns._commands import Commands
from campaigns._writers import Cases, digest, leftovers, make_base, problem_of
from campaigns.campaign import Campaign, Outcome


class FullDisk(Campaign):
    """Each attempt runs one command under one fault, and then again without it."""

    name = "full-disk"
    promise = (
        "A command that finds no room on the disk says so in one sentence with exit code 2, leaves what was there "
        "before or the whole of the new, and given again with room it ends as if nothing had happened."
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
        faults = {
            "size limit": int(2 ** random.uniform(4, 18)),
            "full at operation": random.randint(1, max(1, case.operations)),
        }
        fault = random.choice(list(faults.items()))
        kind = f"{writer.name}: {fault[0]}"
        ended = self.commands.run(*writer.words, fault=fault)
        if ended.code == 0:
            return Outcome.right(kind) if digest(out) == case.new else Outcome.other(kind, f"{fault}: another output")
        if problem := problem_of(ended):
            return Outcome.other(kind, f"{fault}: {problem}")
        if not case.is_whole(digest(out)):
            return Outcome.other(kind, f"{fault}: the output is neither the old nor the new")
        again = self.commands.run(*writer.words)
        if again.code or digest(out) != case.new or leftovers(self.folder):
            return Outcome.other(kind, f"{fault}: given again, {again}, {leftovers(self.folder)}")
        return Outcome.refused(kind, ended.said.strip().splitlines()[-1])

    def close(self) -> None:
        self.commands.close()
