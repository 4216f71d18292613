"""Every option of every command against values that nobody should give it: one sentence that names it, exit code 2."""

import re
import sys
import typing

import pytest
from command_lines import GROUP, leaves

from lightrec.benchmarks.harness.worker_limits import parse_bytes
from lightrec.benchmarks.plan import Plan, parse_sizes
from lightrec.cli.app import main
from lightrec.cli.number_ranges import check_numbers
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
    found = ["--data", "nowhere"] if words == ("demo",) else []  # without, it would fetch some
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


def strange_paths(folder):
    """Paths that exist and are something else than expected, and paths that cannot exist."""
    (folder / "file").write_bytes(bytes(range(256)))
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to(folder / "loop")
    return [
        "",
        "x" * 300,
        "a\nb [/b]\x1b[2J",
        "file",
        "file/below",
        "empty",
        "folder",
        "loop",
        "é 🎬 \udcff",
        "a/" * 2100,
    ]


def places():
    """Every option and argument of every command that is a path."""
    return [
        pytest.param(words, parameter, id=f"{' '.join(words)} {parameter.opts[0]}")
        for words in sorted(leaves())
        for parameter in command(words).params
        if kind(parameter) == "Path"
    ]


def state(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs file names that are bytes")
@pytest.mark.parametrize(("words", "parameter"), places())
def test_strange_paths_are_one_sentence_and_change_nothing(words, parameter, lightrec, tmp_path):
    paths = strange_paths(tmp_path)
    before = state(tmp_path)
    for path in paths:
        rest = required(words, (parameter,))
        own = [path] if parameter.param_type_name == "argument" else [f"{parameter.opts[0]}={path}"]
        code, err = lightrec(*words, *(own + rest if parameter.param_type_name == "argument" else rest + own))
        assert code == 2, (path, err)
        assert "Traceback" not in err and "\x1b" not in err and len(err) < 3000
        assert err.startswith("Error: ") is False or err.count("\n") == 1
        assert state(tmp_path) == before, path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00seed", "UTF-8"),
        ("seed = 1".encode("utf-16"), "UTF-8"),
        (b"seed = = 1", "not valid TOML"),
        (b"seed = " + b"[" * 50_000, "TOML|nested"),
        (b'seed = "x"\nepochs = [1]\nlearning_rate = true\n[dropout]\nx = 1979-05-27', "seed.*epochs.*learning_rate"),
        (b"epoks = 3", "epoks.*epochs"),
        (b"learning_rate = nan", "learning_rate"),
        (b"epochs = 99999999999999999999", "epochs"),
        (None, "does not exist"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_sentence(content, words, lightrec, tmp_path):
    config = tmp_path / "settings [b] é.toml"
    if content is not None:
        config.write_bytes(content)
    code, err = lightrec("train", "nowhere", "--out", "out", "--config", config)
    assert code == 2 and err.startswith("Error: ") and err.count("\n") == 1
    assert re.search(words, err) and "settings [b]" in err
    assert not (tmp_path / "out").exists()
