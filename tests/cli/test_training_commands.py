"""finetune, train and distill: how defaults, recipe, file and flags become settings, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
from command_lines import leaves
from typer.testing import CliRunner

from lightrec.cli.app import NOT_RESUMED, app, main
from lightrec.errors import ConfigError

RECORD = {"validation": {"ndcg@10": 0.1, "hr@10": 0.2, "epoch": 1}, "epochs_trained": 1, "seconds": 1.0}


@pytest.fixture
def settings_of(monkeypatch):
    """The settings that a command line hands to training, which is caught right there."""
    caught = []

    def catch(data, out, settings, reporter=None):
        caught.append(settings)
        return RECORD

    for place in ("finetune.finetune", "train_student.train", "train_student.distill"):
        monkeypatch.setattr(f"lightrec.training.{place}", catch)

    def give(*words):
        done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=True)
        if isinstance(done.exception, ConfigError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return caught[-1]

    return give


def test_flags_reach_the_settings(settings_of):
    found = settings_of("train", "d", "--out", "o", "--student", "mini-bert", "--epochs", 3, "--dropout", 0.0)
    assert (found.student, found.epochs, found.dropout) == ("mini-bert", 3, 0.0)
    found = settings_of("distill", "d", "--out", "o", "--teacher", "a", "--teacher", "b", "--temperature", 4)
    assert (found.teachers, found.temperature) == (("a", "b"), 4.0)
    assert settings_of("finetune", "d", "--out", "o", "--item-input", "ids").item_input == "ids"


def test_flags_win_over_the_file_and_the_file_over_the_recipe(settings_of, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('student = "sasrec"\nepochs = 7\nanneal = 0.25\n')
    common = ("distill", "d", "--out", "o", "--teacher", "t", "--recipe", "paper")
    assert (settings_of(*common).student, settings_of(*common).init_items) == ("mini-bert", "none")
    found = settings_of(*common, "--config", file, "--epochs", 2)
    assert (found.student, found.epochs, found.anneal, found.init_items) == ("sasrec", 2, 0.25, "none")


def test_the_paper_recipe_masks_item_ids(settings_of):
    found = settings_of("finetune", "d", "--out", "o", "--recipe", "paper")
    assert (found.item_input, found.objective) == ("ids", "masked")


def test_all_mistakes_are_named_at_once(settings_of, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('epoch = 7\nstudent = "gru"\nhidden_size = "wide"\n')
    with pytest.raises(ConfigError) as refused:
        settings_of("train", "d", "--out", "o", "--config", file)
    for part in ("settings.toml", "'epoch' (did you mean 'epochs'?)", "student = 'gru'", "hidden_size = 'wide'"):
        assert part in str(refused.value)
    with pytest.raises(ConfigError, match=r"hidden_size = 10 must be a multiple of num_heads = 4; dropout = 1.5"):
        settings_of("train", "d", "--out", "o", "--hidden-size", 10, "--num-heads", 4, "--dropout", 1.5)
    with pytest.raises(ConfigError, match="--recipe secret is not known: choose default or paper"):
        settings_of("distill", "d", "--out", "o", "--recipe", "secret")


def test_a_saved_run_is_a_config_file(settings_of, tmp_path):
    from lightrec.config import to_mapping, to_toml

    first = settings_of("distill", "d", "--out", "o", "--teacher", "t", "--epochs", 5)
    (tmp_path / "settings.toml").write_text(to_toml(to_mapping(first)))
    assert settings_of("distill", "d", "--out", "o", "--config", tmp_path / "settings.toml") == first


def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capfd):
    words = ["lightrec", "train", str(tmp_path), "--out", str(tmp_path / "run"), "--epochs", "0"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capfd.readouterr().err.strip() == "Error: In the options: epochs = 0 must be at least 1."
    assert not (tmp_path / "run").exists()


@pytest.fixture
def command_line(monkeypatch, capfd):
    """Run a command line as a program; its exit code and what it said on standard error."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["lightrec", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, capfd.readouterr().err

    return run


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["train", "d", "--out", "o"], "dropout"),
        (["finetune", "d", "--out", "o"], "item-learning-rate"),
        (["distill", "d", "--out", "o", "--teacher", "t"], "temperature"),
        (["tune", "d", "--out", "o"], "quantile"),
        (["evaluate", "popularity", "d"], "quantile"),
        (["export", "r", "--out", "o"], "max-ndcg-drop"),
        (["items", "add", "b", "--out", "o"], "max-ndcg-drop"),
        (["bench", "b"], "seconds"),
        (["bench", "b"], "p99-ms"),
        (["serve", "b"], "timeout"),
        (["compare", "a", "b"], "max-ndcg-drop"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_by_their_flag(command_line, words, flag, number):
    code, said = command_line(*words, f"--{flag}={number}")
    assert code == 2
    assert f"--{flag}" in said or f"{flag.replace('-', '_')} =" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "goes_on"),
    [
        (["train", "d", "--out", "o"], True),
        (["data", "get", "ml-100k", "--out", "o"], True),
        (["tune", "d", "--out", "o"], True),
        (["demo"], True),
        (["data", "prepare", "d", "--out", "o"], False),
        (["export", "r", "--out", "o"], False),
        (["teacher-scores", "r", "d", "--out", "train"], False),
        (["bench", "train"], False),
        (["items", "add", "b", "--out", "o"], False),
    ],
)
def test_a_stopped_command_promises_to_go_on_only_where_it_does(command_line, monkeypatch, words, goes_on):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("lightrec.cli.app.app", stop)
    code, said = command_line(*words)
    assert code == 130
    assert ("again" in said, "Nothing was changed" in said) == (goes_on, not goes_on)


def test_every_command_goes_on_or_is_listed_as_one_that_does_not():
    every = {" ".join(words) for words in leaves()}
    assert every >= NOT_RESUMED
    assert every - NOT_RESUMED == {"finetune", "train", "distill", "tune", "demo", "reproduce", "data get"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError("400 requested and 16 written"),
        OSError(28, "No space left on device", "o/.part"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
        ValueError("I/O error: No space left on device (os error 28)"),
    ],
)
@pytest.mark.parametrize("out", [["--out", "o"], ["--out=o"]])
def test_a_full_disk_is_a_sentence_about_the_destination_wherever_it_is_met(command_line, monkeypatch, error, out):
    def fill():
        raise error

    monkeypatch.setattr("lightrec.cli.app.app", fill)
    code, said = command_line("anything", *out)
    assert code == 2
    assert said.startswith("Error: o cannot be written")
    assert said.count("\n") == 1


def test_other_errors_of_the_program_itself_are_shown_as_they_are(monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("lightrec.cli.app.app", fail)
    monkeypatch.setattr("sys.argv", ["lightrec", "train", "d", "--out", "o"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize("command", ["finetune", "train", "distill"])
def test_the_help_names_the_defaults_of_the_settings(command):
    import dataclasses
    import re

    from typer.main import get_command

    from lightrec import settings

    kinds = {"finetune": "FinetuneSettings", "train": "StudentSettings", "distill": "DistillSettings"}
    fields = {field.name: field.default for field in dataclasses.fields(getattr(settings, kinds[command]))}
    options = get_command(app).commands[command].params
    named = {
        option.name: found[1]
        for option in options
        if (found := re.search(r"\[default: (.*)\]", getattr(option, "help", None) or "")) and option.name != "config"
    }
    assert named == {name: str(fields[name]) for name in named}
    assert set(named) == {option.name for option in options} & set(fields) - {"teachers", "teacher_scores", "from_run"}


def test_every_setting_with_a_help_text_is_an_option_with_its_choices():
    import typing

    from command_lines import GROUP

    from lightrec.settings import DistillSettings, FinetuneSettings, StudentSettings

    kinds = {"finetune": FinetuneSettings, "train": StudentSettings, "distill": DistillSettings}
    for command, kind in kinds.items():
        options = {option.name: option for option in GROUP.commands[command].params}
        hints = typing.get_type_hints(kind)
        offered = {field.name for field in dataclasses.fields(kind) if field.metadata} & set(options)
        assert len(offered) > 15
        for name in offered:
            if typing.get_origin(hints[name]) is typing.Literal:
                assert options[name].type_descriptor.annotation == hints[name]
