"""Every option of every command against values that nobody should give it: one sentence that names it, exit code 2."""

import re
import typing

import pytest
from command_lines import GROUP, leaves

from lightrec.benchmarks.limits import parse_bytes
from lightrec.benchmarks.plan import Plan, parse_sizes
from lightrec.cli.app import main
from lightrec.cli.numbers import check_numbers
from lightrec.errors import ConfigError


def command(words):
    found = GROUP
    for word in words:
        found = found.commands[word]
    return found


def kind(parameter):
    """What a parameter takes: "int", "float", "Path"; of ``list[int]`` "int"."""
    annotation = parameter.type_descriptor.annotation
    inner = typing.get_args(annotation)[0] if typing.get_origin(annotation) is list else annotation
    return getattr(inner, "__name__", "")


def options(*kinds):
    return [
        pytest.param(words, parameter, id=f"{' '.join(words)} {parameter.opts[0]}")
        for words in sorted(leaves())
        for parameter in command(words).params
        if parameter.param_type_name == "option" and kind(parameter) in kinds
    ]


def required(words, but=()):
    """Words for whatever else the command insists on; none of the paths is there."""
    found = []
    for parameter in command(words).params:
        if parameter.required and parameter not in but:
            value = "web" if "--for" in parameter.opts else "nowhere"
            found += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return found


@pytest.fixture
def lightrec(monkeypatch, capfd, tmp_path):
    """Run a command line; returns its exit code and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["lightrec", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, capfd.readouterr().err

    return run


def test_the_options_are_found():
    assert len(options("int")) > 40 and len(options("float")) > 15 and len(options("Path")) > 25


NUMBERS = ["nan", "-inf", "-1", f"{10**30}", "9" * 5000]


@pytest.mark.parametrize(("words", "parameter"), options("int", "float"))
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**30, -(10**30), 1e30, -1e30])
def test_numbers_out_of_all_range_are_refused_before_a_command_runs(number, words, parameter):
    for given in (number, [1, number]):
        with pytest.raises(ConfigError, match=f"^{parameter.opts[0]} is .*must be "):
            check_numbers(command(words).params, {parameter.name: given})


@pytest.mark.slow
@pytest.mark.parametrize(("words", "parameter"), options("int", "float"))
def test_numbers_that_no_command_can_use_are_refused_by_name(words, parameter, lightrec, tmp_path):
    for number in NUMBERS:
        code, err = lightrec(*words, *required(words, (parameter,)), f"{parameter.opts[0]}={number}")
        flag = parameter.opts[0].strip("-").replace("-", "[-_]")
        assert code == 2 and re.search(flag, err), (number, err)
        assert "Traceback" not in err and "\x1b" not in err and len(err) < 4000
        if err.startswith("Error: "):
            assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["9" * 400 + "GB", "99999999TB", "1e3MB", "nan", "-1MB", "0MB", "0.0000001KB", "MB", ""]
)
def test_memories_that_make_no_sense_are_refused(text):
    with pytest.raises(ConfigError, match=r"--memory is .{0,50}: write it as"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["9" * 5000, "²", "1e3", "-5", "nan", "99", "100000001"])
def test_catalogues_that_make_no_sense_are_refused(text):
    with pytest.raises(ConfigError, match="--catalogue-sizes holds"):
        Plan(catalogue_sizes=parse_sizes(text))
