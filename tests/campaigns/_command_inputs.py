"""Miniature inputs for every command, and the command lines that take them: ``python _command_inputs.py FOLDER``."""

import json
import sys
from pathlib import Path

LINES = {
    "bench": "bench bundle --seconds 0.01 --scenario single-stream --cases 2 --out new/rows.jsonl",
    "bench report": "bench bundle --seconds 0.01 --scenario single-stream --cases 2 --data data --report new/r.html",
    "compare": "compare rows.jsonl rows.jsonl --json",
    "describe": "data describe data --json",
    "get": "data get nothing --out new/out --reuse-ids data",
    "prepare": "data prepare log.csv --items items.csv --out new/out --k-core 0 --json",
    "doctor": "doctor --json",
    "demo": "demo --out new/demo --data absent",
    "distill": "distill absent --teacher run --out new/out --config config.toml",
    "evaluate": "evaluate popularity data --json --out new/found.json",
    "evaluate bundle": "evaluate bundle data --against popularity --json",
    "export": "export run --out new/out --precision fp32 --data absent",
    "finetune": "finetune absent --base absent --out new/out --config config.toml",
    "items add": "items add bundle titles.csv --vectors vectors.npy --out new/out",
    "items fit": "items fit run absent --base absent",
    "items remove": "items remove bundle 1 --file ids.txt --out new/out",
    "items retitle": "items retitle bundle titles.csv --out new/out --json",
    "package web": "package bundle --for web --out new/out --onnxruntime-web absent",
    "package triton": "package bundle --for triton --out new/out --json",
    "recommend": "recommend bundle --history 1,2 -k 5 --json",
    "recommend table": "recommend bundle --history 3 --exclude 4 --boost 5=0.5",
    "report": "report rows.jsonl --out new/r.md",
    "report csv": "report rows.jsonl rows.jsonl --out new/r.csv --pareto new/p.svg",
    "reproduce": "reproduce ml-100k --data data --out new/out --dry-run",
    "serve": "serve absent --port 0 --block ids.txt",
    "teacher-scores": "teacher-scores run absent --out new/scores.parquet",
    "train": "train absent --out new/out --config config.toml --epochs 1",
    "tune": "tune absent --out new/out --config config.toml --trials 1",
    "verify": "verify bundle --json",
}
"""Command lines by name; those that would train or fetch name something that is absent."""

SAME = ("compare", "describe", "evaluate", "evaluate bundle", "recommend", "recommend table", "reproduce")
"""Those that print the same every time, as long as paths are the same."""


def make(folder: Path) -> None:
    """Write the inputs: a log, its prepared form, a bundle and rows."""
    import numpy as np
    from mini_bundle import write_bundle

    from lightrec.benchmarks.measure import bench
    from lightrec.benchmarks.plan import Plan
    from lightrec.benchmarks.rows import append_rows
    from lightrec.data.prepare import prepare

    events = [(user, (user + step) % 12, 1_700_000_000 + 3600 * step) for user in range(15) for step in range(8)]
    lines = [f"{user},{item},{time}" for user, item, time in events]
    (folder / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines, ""]))
    titles = [f'{item},"Title [/b] {item}"' for item in range(12)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *titles, ""]))
    (folder / "titles.csv").write_text("item_id,title\n1,New\n")
    (folder / "ids.txt").write_text("2\n3\n")
    (folder / "config.toml").write_text("seed = 1\n")
    np.save(folder / "vectors.npy", np.zeros((1, 4), dtype=np.float32))
    dataset = prepare(folder / "log.csv", folder / "data", items=folder / "items.csv", k_core=0)
    scores = np.random.default_rng(0).permutation(12 * 12).reshape(12, 12).astype(np.float32)
    write_bundle(folder / "bundle", scores, dataset.item_ids, dataset.item_titles, list(range(12)), openvino=False)
    plan = Plan(scenarios=("single-stream",), seconds=0.02, rounds=3)
    append_rows(folder / "rows.jsonl", bench(folder / "bundle", folder / "data", plan=plan, cases=3))
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text(json.dumps({"kind": "train"}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    make(Path(sys.argv[1]))
