"""The command line as a whole: help, examples, exit codes. What each command does is tested in its room."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from command_lines import GROUP, leaves, lightrec_lines, parsed
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.errors import ModelError

COMMANDS = sorted(leaves())
GROUPS = [(), *sorted({words[:-1] for words in COMMANDS if len(words) > 1})]


def spoken(words):
    return " ".join(("lightrec", *words))


def command(words):
    found = GROUP
    for word in words:
        found = found.commands[word]
    return found


def lightrec(*arguments):
    """Run the real command in a new process."""
    return subprocess.run([sys.executable, "-m", "lightrec", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("words", [*GROUPS, *COMMANDS], ids=spoken)
def test_every_command_has_a_help_page(words):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("words", COMMANDS, ids=spoken)
def test_every_help_page_shows_examples_that_the_command_takes(words):
    examples = lightrec_lines(command(words).help)
    assert any(line.startswith(spoken(words)) for line in examples)
    for line in examples:
        parsed(line)


def test_the_examples_of_the_whole_are_commands():
    examples = lightrec_lines(GROUP.help)
    assert len(examples) >= 3
    for line in examples:
        parsed(line)


@pytest.mark.parametrize(
    "line",
    ["lightrec trian x --out y", "lightrec train x --out y --epoks 3", "lightrec train x", "lightrec data fetch x"],
)
def test_an_example_that_no_command_takes_is_seen(line):
    with pytest.raises(Exception, match=r"(?i)no command|no such option|missing parameter"):
        parsed(line)


@pytest.mark.parametrize("fetch", [True, False])
def test_the_demo_runs_commands_as_users_write_them(fetch, tmp_path):
    from lightrec.benchmarks.recipes.demo_steps import QUICK, THOROUGH, Layout, demo_steps

    for pace in (QUICK, THOROUGH):
        lines = [step.line for step in demo_steps(Layout(out=tmp_path, data=tmp_path / "data"), pace, 2, fetch=fetch)]
        assert len(lines) > 5
        for line in lines:
            parsed(line)


def test_every_parameter_is_explained():
    silent = [
        f"{spoken(words)} {option.name}"
        for words in COMMANDS
        for option in command(words).params
        if option.name != "help" and not option.help
    ]
    assert silent == []


def test_the_same_word_means_the_same_everywhere():
    kinds = {}
    for words in COMMANDS:
        for option in command(words).params:
            for flag in {"--out", "--seed", "--epochs", "--device", "--json", "--config"} & set(option.opts):
                kinds.setdefault(flag, set()).add((option.type_descriptor.annotation, option.is_flag, option.multiple))
    assert {flag: len(found) for flag, found in kinds.items() if len(found) > 1} == {}


def test_the_version_is_the_packages():
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    done = lightrec("--version")
    assert (done.returncode, done.stdout) == (0, f"lightrec {pyproject['project']['version']}\n")


def test_the_console_script_is_the_same_command():
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["scripts"] == {"lightrec": "lightrec.cli.app:main"}


@pytest.mark.parametrize(
    "arguments",
    [("--nonsense",), ("nonsense",), ("train", "--nonsense", "3"), ("train",), ("data", "prepare"), ("evaluate", "x")],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments):
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend", "nowhere"),
        ("verify", "nowhere"),
        ("bench", "nowhere"),
        ("data", "describe", "nowhere"),
        ("data", "prepare", "nowhere.csv", "--out", "out"),
        ("evaluate", "popularity", "nowhere"),
        ("train", "nowhere", "--student", "sasrec", "--out", "out"),
        ("finetune", "nowhere", "--out", "out"),
        ("distill", "nowhere", "--teacher", "nobody", "--out", "out"),
        ("export", "nowhere", "--out", "out"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_is_not_there_is_one_sentence_and_exit_code_2(arguments, tmp_path, monkeypatch, capfd):
    from lightrec.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["lightrec", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    output = capfd.readouterr()
    assert (stop.value.code, output.out) == (2, "")
    assert output.err.startswith("Error: ") and output.err.count("\n") == 1
    assert "nowhere" in output.err
    assert list(tmp_path.iterdir()) == []


def test_an_error_has_no_traceback_in_a_real_process(tmp_path):
    done = lightrec("verify", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_an_interruption_is_a_sentence_and_exit_code_130(monkeypatch, capfd):
    from lightrec.cli.app import main

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("lightrec.cli.app.app", interrupted)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    assert "Run the same command again" in capfd.readouterr().err


def test_an_interruption_inside_a_command_ends_it_with_a_sentence(monkeypatch, capfd):
    from lightrec.cli.app import main

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("lightrec.machine.doctor.diagnose", interrupted)
    monkeypatch.setattr("sys.argv", ["lightrec", "doctor"])
    with pytest.raises(SystemExit) as stop:
        main()
    output = capfd.readouterr()
    assert (stop.value.code, output.out) == (130, "") and output.err.startswith("Stopped.")


@pytest.mark.parametrize(("error", "expected"), [(KeyboardInterrupt(), BaseException), (typer.Exit(1), ModelError)])
def test_a_step_that_is_interrupted_or_fails_is_not_followed_by_the_next(error, expected, monkeypatch, tmp_path):
    from lightrec.benchmarks.recipes.step import Step
    from lightrec.cli.recipes.run_steps import run_steps

    ran = []

    def stopped():
        ran.append("doctor")
        raise error

    monkeypatch.setattr("lightrec.machine.doctor.diagnose", stopped)
    steps = [Step("Look", ("doctor",), tmp_path / "done")] * 2
    with pytest.raises(expected) as found:
        run_steps(steps)
    assert not isinstance(found.value, SystemExit)
    assert ran == ["doctor"] and list(tmp_path.iterdir()) == []
