"""Run campaigns for as long as you like: ``python tests/campaigns/run.py --minutes 60 --out rows.jsonl``.

With ``--out`` each campaign adds one row to a JSON lines file: its counts by outcome, seed, commit, command and
machine. docs/reliability.md is made from the rows in benchmarks/results/campaigns.jsonl.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import inspect
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:  # campaigns use the helpers of the tests: campaigns.campaign, mini_bundle, ...
    sys.path.insert(0, str(HERE.parent))

from campaigns.campaign import Campaign, Report, run_campaign  # noqa: E402

NOT_CAMPAIGNS = {"campaign", "run", "test_campaigns"}


def find_campaigns() -> dict[str, type[Campaign]]:
    """Every campaign of this folder, by its name."""
    found: dict[str, type[Campaign]] = {}
    for file in sorted(HERE.glob("*.py")):
        if file.stem in NOT_CAMPAIGNS or file.stem.startswith("_"):
            continue
        module = importlib.import_module(f"campaigns.{file.stem}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Campaign) and kind.__module__ == module.__name__ and not inspect.isabstract(kind):
                found[kind.name] = kind
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaigns one after the other; the exit code is 1 if an attempt was neither right nor refused."""
    known = find_campaigns()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; all if left out.")
    parser.add_argument("--minutes", type=float, default=1.0, help="For how long each of them runs.  [default: 1]")
    parser.add_argument("--seed", type=int, default=0, help="Of all choices.  [default: 0]")
    parser.add_argument("--first", type=int, default=0, help="The number of the first attempt.  [default: 0]")
    parser.add_argument("--attempts", type=int, help="At most how many attempts.")
    parser.add_argument("--out", type=Path, help="JSON lines file that gets one row for each campaign.")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"unknown campaign {unknown[0]!r}: choose from {', '.join(known)}.")
    command = shlex.join(["python", "tests/campaigns/run.py", *(sys.argv[1:] if arguments is None else arguments)])
    failed = False
    for name in options.names or known:
        with tempfile.TemporaryDirectory(prefix="lightrec-campaign-") as folder:
            limits = {"seed": options.seed, "first": options.first, "attempts": options.attempts}
            report = run_campaign(known[name](), Path(folder), options.minutes * 60, **limits)
        print(summary(name, report), flush=True)
        failed = failed or bool(report.total("other"))
        if options.out is not None:
            _append(options.out, row(known[name], report, options.seed, options.first, command))
    return int(failed)


def summary(name: str, report: Report) -> str:
    """The counts in one line, then the failures."""
    counts = ", ".join(f"{report.total(result):,} {result}" for result in report.counts)
    lines = [f"{name}: {report.attempts:,} attempts in {report.seconds:.0f} s: {counts}"]
    lines += [f"  attempt {failure['number']} ({failure['kind']}): {failure['detail']}" for failure in report.failures]
    return "\n".join(lines)


def row(campaign: type[Campaign], report: Report, seed: int, first: int, command: str) -> dict[str, Any]:
    """The row that is stored."""
    from lightrec.benchmarks.rows import machine, software

    return {
        "kind": "campaign",
        "campaign": campaign.name,
        "promise": campaign.promise,
        "attempts": report.attempts,
        "seconds": round(report.seconds, 1),
        **{result: report.total(result) for result in report.counts},
        "by_kind": {result: dict(sorted(counts.items())) for result, counts in report.counts.items()},
        "failures": [{**failure, "detail": without_folders(str(failure["detail"]))} for failure in report.failures],
        "seed": seed,
        "first": first,
        "command": command,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **software(),
        "machine": machine(),
    }


def without_folders(detail: str) -> str:
    """Shorten the paths of a traceback to a file and its folder: a stored row names no machine's folders."""
    return re.sub(r'File "/[^"]*?([^"/]+/[^"/]+)"', r'File "\1"', detail)


def _append(path: Path, values: dict[str, Any]) -> None:
    from lightrec.benchmarks.rows import append_rows

    append_rows(path, [values])


if __name__ == "__main__":
    sys.exit(main())
