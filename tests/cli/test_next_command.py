"""The command that ``lightrec data prepare`` prints at the end works for the data at hand."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from mini_language_model import save_gpt2
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.cli.bundles.export import _print_report
from lightrec.terminal import SafeConsole

RUN = CliRunner()


@pytest.mark.parametrize("with_texts", [False, True])
def test_the_printed_command_trains(tmp_path, monkeypatch, with_texts):
    """The folder's name needs quotes, and items without texts need --item-input ids."""
    monkeypatch.chdir(tmp_path)
    rows = [f"u{user},i{(user + step) % 9},{1_700_000_000 + step}" for user in range(12) for step in range(6)]
    (tmp_path / "e.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "i.csv").write_text("\n".join(["id,title", *(f"i{item},Film {item}" for item in range(9))]))
    items = ["--items", "i.csv"] if with_texts else []
    done = RUN.invoke(app, ["data", "prepare", "e.csv", *items, "--out", "it's my data/one [b]"])
    assert done.exit_code == 0, done.output
    commands = [line.split(":", 1)[1] for line in done.output.splitlines() if line.startswith(("Look at it", "Go on"))]
    assert ("--item-input ids" in commands[1]) is not with_texts
    small = ["--base", str(save_gpt2(tmp_path / "gpt2")), "--epochs", "1", "--max-length", "8", "--device", "cpu"]
    for command, more in zip(commands, ([], small), strict=True):
        done = RUN.invoke(app, [*shlex.split(command)[1:], *more])
        assert done.exit_code == 0, done.output


def test_the_command_after_an_export_is_quoted(capsys, monkeypatch):
    """Folders may have spaces and brackets in their names."""
    model = SimpleNamespace(backend="onnxruntime", precision="fp32", files=())
    manifest = SimpleNamespace(model_type="lightrec-sasrec", n_items=2, models=(model,), gate={"models": []})
    parity = SimpleNamespace(cases=1, ndcg_model=0.5, ndcg_exported=0.5, ndcg_drop=0.0, top10_overlap=1.0)
    report = SimpleNamespace(path=Path("my [b] bundle"), manifest=manifest, parity=[parity], deployed_bytes=1)
    monkeypatch.setattr("lightrec.cli.bundles.export.console", SafeConsole(width=200))
    _print_report(report)
    assert "Next:  lightrec bench 'my [b] bundle'" in capsys.readouterr().out
