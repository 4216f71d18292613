"""The README and the docs are true: their commands exist, their code runs, their tables come from stored rows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from campaigns.run import find_campaigns
from command_lines import lightrec_lines, parsed, shell_lines
from mini_bundle import write_bundle

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.is_file() else ""
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text, *languages):
    """The fenced code blocks of a Markdown text in one of ``languages``."""
    return [code for language, code in FENCE.findall(text) if language in languages]


PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = blocks(TEXT, "bash", "sh", "console")
COMMANDS = [line for block in SHELL for line in lightrec_lines(block)]


def test_blocks_and_lines_are_found():
    shell = "```bash\n$ lightrec train d \\\n    --out r  # a comment\npip install x && lightrec demo\n```\n"
    text = f"words\n{shell}\n```python\n1\n```\n"
    assert blocks(text, "python") == ["1\n"]
    (shell,) = blocks(text, "bash")
    assert list(shell_lines(shell)) == ["lightrec train d --out r", "pip install x", "lightrec demo"]
    assert lightrec_lines(shell) == ["lightrec train d --out r", "lightrec demo"]


def test_the_two_commands_open_the_readme():
    opening = "\n".join(SHELL[:2])
    assert re.search(r'^pip install -e "\.\[all\]" && lightrec demo$', opening, re.MULTILINE)
    assert re.search(r'^pip install -e "\.\[all,dev\]" && pytest -n auto$', opening, re.MULTILINE)


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_exists(page):
    for block in blocks(page.read_text(encoding="utf-8"), "bash", "sh", "console"):
        for line in lightrec_lines(block):
            parsed(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_linked_file_exists(page):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_and_path_of_a_page_exists(page):
    text = page.read_text(encoding="utf-8")
    packages = {f"lightrec/{name}": name for name in ("export", "benchmarks", "cli")}
    missing = []
    for name in set(re.findall(r"\blightrec(?:\.[a-z_]+)+", text)):
        words = name.split(".")
        for length in range(len(words), 1, -1):  # the last words may name a function or a file's ending
            path = "/".join(words[:length])
            for mapped, folder in packages.items():
                path = re.sub(rf"^{mapped}(?=/|$)", folder, path)
            if (ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file():
                break
        else:
            missing += [] if words[1] in ("js", "mjs", "d", "errors") else [name]
            continue
        if len(words) - length > 1:
            missing.append(name)
    paths = r"`((?:lightrec|export|benchmarks|cli|tests|docs|examples)/[\w./-]+\.(?:py|md|js|mjs|c|toml|jsonl|html))`"
    assert missing + [path for path in set(re.findall(paths, text)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("file", ["README.md", "docs/results.md", "docs/teachers.md", "docs/reliability.md"])
def test_every_table_comes_from_the_stored_rows(file):
    from lightrec.benchmarks.project.readme_tables import fill_tables

    text = (ROOT / file).read_text(encoding="utf-8")
    assert "<!-- table:" in text and fill_tables(text, ROOT / "benchmarks" / "results") == text


def test_every_test_that_the_promises_name_exists():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    files = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert set(re.findall(r"test_\w+\.py", text)) - files == set()
    campaigns = set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"campaigns? [^;|.]*", text))))
    assert campaigns == {campaign.name for campaign in find_campaigns().values()}


@pytest.mark.parametrize("page", ["README.md", "docs/getting-started.md", "docs/python.md"])
def test_the_python_code_of_a_page_runs_in_order(page, tmp_path):
    """Run all blocks in one process, as a reader would: each bundle that they load is a miniature."""
    code = "\n".join(blocks((ROOT / page).read_text(encoding="utf-8"), "python"))
    ids = sorted(set(re.findall(r"[\"']([\w-]+)[\"']", code)) | {f"item {number}" for number in range(20)})
    scores = np.random.default_rng(0).normal(size=(len(ids), len(ids)))
    paths = set(re.findall(r"Recommender\.load\(\s*[\"']([^\"']+)[\"']", code))
    assert paths, "the page loads no bundle"
    for path in paths:
        write_bundle(tmp_path / path, scores, ids, [f"Title of {id}" for id in ids], range(len(ids)), openvino=True)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


QUICK = {
    "train": ["--epochs", "1"],
    "distill": ["--epochs", "1"],
    "finetune": ["--epochs", "1", "--base", "tiny-language-model"],
    "export": ["--max-ndcg-drop", "1"],
    "bench": ["--seconds", "0.1", "--cases", "20"],
    "package": ["--onnxruntime-web", "onnxruntime-web"],
}
"""Options added to the README's commands, so that miniature data takes seconds: later ones win."""


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_order(tmp_path, tiny_dataset):
    """On miniature data, and with the demo and the service, which have tests of their own, left out."""
    from mini_language_model import save_bert

    from lightrec.web.package import RUNTIME_FILES

    save_bert(tmp_path / "tiny-language-model")
    (tmp_path / "onnxruntime-web").mkdir()
    for name in RUNTIME_FILES:  # the tests of the room web fetch the real ones
        (tmp_path / "onnxruntime-web" / name).touch()
    for line in dict.fromkeys(COMMANDS):
        words, options = shlex.split(line)[1:], parsed(line)
        if words[0] in ("demo", "serve") or words[-1] in ("--help", "--version"):
            continue
        if words[:2] == ["data", "get"]:
            shutil.copytree(tiny_dataset.path, tmp_path / options["out"])
            continue
        if words[:2] == ["data", "prepare"]:
            _write_tables(tmp_path, options["interactions"][0], options["items"])
        command = [sys.executable, "-m", "lightrec", *words, *QUICK.get(words[0], [])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def _write_tables(folder: Path, interactions: Path, items: Path | None) -> None:
    """CSV files of 30 users who each take 10 of 20 items one after the other."""
    rows = [f"u{user},i{(user + step) % 20},{1_700_000_000 + 100 * step}" for user in range(30) for step in range(10)]
    for path, head, lines in [
        (interactions, "user_id,item_id,timestamp", rows),
        (items, "item_id,title", [f"i{item},item {item}" for item in range(20)]),
    ]:
        if path is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("\n".join([head, *lines, ""]))
