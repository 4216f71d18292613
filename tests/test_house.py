"""The guards of the house: packaging, who may import whom, and what no file may hold."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPPED = {"export", "benchmarks", "cli"}
"""Folders at the top of the tree that are imported under the one name lightrec."""

PROJECT = ROOT / "benchmarks" / "project"
"""What serves this repository alone: it is not in the wheel."""

SOURCES = sorted(path for name in ("lightrec", *MAPPED) for path in (ROOT / name).rglob("*.py"))
EVERYTHING = SOURCES + sorted(path for name in ("tests", "examples") for path in (ROOT / name).rglob("*.py"))


@dataclass(frozen=True)
class Rule:
    """What a room may import besides the standard library and itself."""

    rooms: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    deferred: set[str] = field(default_factory=set)
    """Rooms and libraries that may be imported only inside a function, or for type checkers."""


FOUNDATION = {"errors", "metrics", "bundle", "extras", "files", "config", "telemetry", "settings"}
LEARNING = {"numpy", "torch", "transformers", "huggingface_hub", "accelerate", "safetensors"}
PEERS = {"rectools", "replay", "pandas", "lightning", "pytorch_lightning"}
"""Imported by the workers alone, which run in the peers' own virtual environments."""
PHONES = {"ai_edge_litert", "litert_torch", "executorch"}
"""Runtimes for phones and what writes their files."""
ROOMS = {
    "data",
    "runtime",
    "verify",
    "machine",
    "models",
    "training",
    "baselines",
    "evaluation",
    "export",
    "web",
    "serve",
}

RULES = {
    "errors": Rule(),
    "terminal": Rule({"errors"}, {"rich"}),
    "files": Rule({"errors"}, {"numpy"}),
    "telemetry": Rule(),
    "config": Rule({"errors"}),
    "settings": Rule(),  # the command line builds its options from it, without the training extra
    "extras": Rule({"errors"}),
    "metrics": Rule(libraries={"numpy"}),
    "bundle": Rule({"errors", "files"}, {"numpy"}),
    "web": Rule({"errors", "files", "bundle"}),
    "verify": Rule({"errors", "files", "bundle", "runtime", "web"}, {"numpy"}),
    "machine": Rule({"errors", "extras", "runtime", "telemetry"}, deferred={"onnxruntime", "openvino"}),
    "data": Rule(FOUNDATION, {"numpy", "polars"}, {"zstandard"}),
    "runtime": Rule(
        {"errors", "files", "bundle", "extras", "telemetry"},
        {"numpy", "onnxruntime"},
        {"openvino", *PHONES, "torch"},  # each inside its backend; ExecuTorch takes torch's tensors
    ),
    "serve": Rule(
        {"errors", "files", "bundle", "runtime"},
        {"numpy", "fastapi", "starlette", "pydantic", "prometheus_client", "uvicorn"},
    ),
    "models": Rule({"errors", "extras", "files", "config", "settings"}, {*LEARNING, "peft"}),
    "training": Rule(
        {"models", "data", "baselines", "evaluation", "terminal", *FOUNDATION}, {*LEARNING, "optuna", "rich"}
    ),
    "baselines": Rule({"data", "evaluation", *FOUNDATION}, {"numpy"}, {"torch"}),
    "evaluation": Rule({"data", "runtime", *FOUNDATION}, {"numpy"}),
    "export": Rule(
        {"models", "runtime", "machine", "verify", "evaluation", "data", *FOUNDATION},
        {*LEARNING, "onnx", "onnxruntime", "onnxscript", "openvino", "optimum", "nncf"},
        PHONES,
    ),
    "benchmarks": Rule(
        {
            "runtime",
            "machine",
            "bundle",
            "baselines",
            "evaluation",
            "data",
            "metrics",
            "files",
            "config",
            "errors",
            "extras",
            "settings",
            "terminal",
        },
        {"numpy", "onnxruntime", "rich"},
        {
            "models",
            "training",
            "verify",
            "web",
            "torch",
            "transformers",
            "tokenizers",
            "openvino",
            "playwright",
            *PEERS,
        },
    ),
    "cli": Rule(
        {"errors", "files", "settings", "terminal"},
        {"typer", "rich"},
        {*FOUNDATION, *ROOMS, "benchmarks", "torch", "numpy"},
    ),
    "__init__": Rule({"telemetry"}, deferred={"errors", "runtime"}),
    "__main__": Rule({"cli"}),
}
HEAVY = ["numpy", "onnx", "onnxruntime", "openvino", "polars", "torch", "transformers"]


@dataclass(frozen=True)
class Import:
    """One imported module: ``deferred`` if the import stands in a function or under ``if TYPE_CHECKING``."""

    line: int
    module: str
    deferred: bool


def imports(tree: ast.AST, deferred: bool = False) -> Iterator[Import]:
    """Every import below ``tree``; of ``from lightrec import x`` the module is ``lightrec.x``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, name.name, deferred) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "lightrec":
            yield from (Import(node.lineno, f"lightrec.{name.name}", deferred) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(node.lineno, "." * node.level + (node.module or ""), deferred)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(node.body, []), deferred=True)
            yield from imports(ast.Module(node.orelse, []), deferred)
        else:
            yield from imports(node, deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


parsed = functools.cache(ast.parse)
"""Parse a source text once: several tests read the same trees."""


@functools.cache
def text_of(path: Path) -> str:
    """Read a source file once."""
    return path.read_text(encoding="utf-8")


def target(module: str) -> str:
    """The room of lightrec that ``module`` belongs to, or the library."""
    first, _, rest = module.partition(".")
    if first != "lightrec":
        return first
    name = rest.split(".")[0]
    return name if name in RULES else "runtime"  # the public names are the runtime's


def room_of(path: Path) -> str:
    """The room that a source file belongs to."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "lightrec" else parts[0]


def breaches(room: str, source: str) -> list[str]:
    """The imports of ``source``, a file of ``room``, that its rule does not allow."""
    rule = RULES[room]
    free = rule.rooms | rule.libraries | {room, "__future__"} | sys.stdlib_module_names
    return [
        f"line {found.line}: {found.module}"
        for found in imports(parsed(source))
        if found.module != "lightrec.__version__"
        and target(found.module) not in free
        and not (found.deferred and target(found.module) in rule.deferred)
    ]


def relative(path: Path) -> str:
    """The path of a file from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def failing(paths: Iterable[Path], problems: Callable[[Path, str], list]) -> dict[str, list]:
    """The files in which ``problems(path, source)`` finds anything, and what it finds there."""
    found = {relative(path): problems(path, text_of(path)) for path in paths}
    return {name: problems for name, problems in found.items() if problems}


def test_the_packages_are_the_folders_that_hold_an_init():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    inits = [path for path in SOURCES if path.name == "__init__.py" and not path.is_relative_to(PROJECT)]
    folders = [relative(path.parent).replace("/", ".") for path in inits]
    names = [folder if folder.startswith("lightrec") else f"lightrec.{folder}" for folder in folders]
    assert sorted(settings["packages"]) == sorted(names)
    assert settings["package-dir"] == {f"lightrec.{name}": name for name in MAPPED}


def test_every_source_file_lies_in_a_package():
    assert [relative(path) for path in SOURCES if not (path.parent / "__init__.py").is_file()] == []


def test_every_room_has_a_rule():
    assert {room_of(path) for path in SOURCES} == set(RULES)


def test_rooms_import_what_their_rule_allows():
    assert failing(SOURCES, lambda path, source: breaches(room_of(path), source)) == {}


def test_only_the_command_line_imports_the_command_line_and_the_benchmarks():
    allowed = {room: rule.rooms | rule.deferred for room, rule in RULES.items()}
    assert [room for room in allowed if "cli" in allowed[room]] == ["__main__"]
    assert [room for room in allowed if "benchmarks" in allowed[room]] == ["cli"]


def test_nothing_in_the_wheel_imports_what_is_not():
    def from_project(_: Path, source: str) -> list[Import]:
        return [found for found in imports(parsed(source)) if found.module.startswith("lightrec.benchmarks.project")]

    assert failing([path for path in SOURCES if not path.is_relative_to(PROJECT)], from_project) == {}


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("runtime", "import torch", ["line 1: torch"]),
        ("runtime", "import openvino", ["line 1: openvino"]),
        ("runtime", "def f():\n    import openvino, transformers", ["line 2: transformers"]),
        ("runtime", "class A:\n    def f(self):\n        from transformers import X", ["line 3: transformers"]),
        ("models", "from lightrec.cli.app import app", ["line 1: lightrec.cli.app"]),
        ("models", "from lightrec import errors, data", ["line 1: lightrec.data"]),
        ("models", "from lightrec import Recommender, __version__", ["line 1: lightrec.Recommender"]),
        ("cli", "from lightrec.models import load", ["line 1: lightrec.models"]),
        ("cli", "if TYPE_CHECKING:\n    import torch\nelse:\n    import numpy", ["line 4: numpy"]),
        ("data", "try:\n    import torch\nexcept ImportError:\n    pass", ["line 2: torch"]),
    ],
)
def test_a_breach_of_the_rule_is_seen(room, source, found):
    assert breaches(room, source) == found


def test_imports_are_absolute_and_under_the_one_name():
    def relative_or_bare(_: Path, source: str) -> list[Import]:
        return [found for found in imports(parsed(source)) if found.module.split(".")[0] in {"", *MAPPED}]

    assert failing(EVERYTHING, relative_or_bare) == {}


def modules_loaded_by(code: str) -> list[str]:
    """Which of the heavy modules a new interpreter holds after ``code``; it may take 3 s of processor time."""
    report = f"print('LOADED', *sorted(set(sys.modules) & set({HEAVY})), time.process_time() < 3)"
    whole = f"import sys, time\ntry:\n    {code}\nexcept SystemExit:\n    pass\n{report}"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True)
    *loaded, in_time = done.stdout.splitlines()[-1].split()[1:]
    assert in_time == "True"
    return loaded


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["evaluate", "--help"], ["data", "prepare", "--help"]]
)
def test_help_loads_nothing_heavy(arguments):
    code = f"sys.argv = {['lightrec', *arguments]}; from lightrec.cli.app import main; main()"
    assert modules_loaded_by(code) == []


def test_opening_a_prepared_data_set_needs_numpy_alone():
    assert modules_loaded_by("import lightrec.data.dataset, lightrec.data.splits") == ["numpy"]


def dangers(source: str) -> list[str]:
    """Ways to run code out of data that stand in ``source``."""
    tree = parsed(source)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    options = [(option.arg, ast.unparse(option.value)) for call in calls for option in call.keywords]
    return [
        *(f"import {one.module}" for one in imports(tree) if target(one.module) in UNSAFE_MODULES),
        *(f"{call.func.id}()" for call in calls if isinstance(call.func, ast.Name) and call.func.id in UNSAFE_CALLS),
        *(f"{name}={value}" for name, value in options if (name, value) in UNSAFE_OPTIONS),
    ]


UNSAFE_CALLS = {"eval", "exec"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_OPTIONS = {("allow_pickle", "True"), ("trust_remote_code", "True"), ("weights_only", "False"), ("shell", "True")}


def test_no_data_is_ever_run_as_code():
    assert failing(SOURCES, lambda _, source: dangers(source)) == {}


def test_running_data_as_code_is_seen():
    source = "import pickle\nnp.load(p, allow_pickle=True)\nmodel.eval()\neval(text)\nload(p, weights_only=True)"
    assert dangers(source) == ["import pickle", "eval()", "allow_pickle=True"]


MACHINE_PATH = re.compile(r"(?<![\w.~)}-])/(?:work|home|root|Users|opt)/\w")
REGISTRY_ADDRESS = re.compile(r"(?i)https?://\S*(?:pypi|registry|npmjs|/simple\b|hosted\.org)|\bindex-url\b")


def test_no_tracked_file_names_a_machine_or_a_package_registry():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("needs a git checkout")
    found = []
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or b"\0" in path.read_bytes()[:1024]:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line) or REGISTRY_ADDRESS.search(line):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []


@pytest.mark.parametrize("line", ["cd /home/me/x", "see https://a.registry.org/x", "pip --index-url X"])
def test_machine_paths_and_registries_are_seen(line):
    assert MACHINE_PATH.search(line) or REGISTRY_ADDRESS.search(line)


@pytest.mark.parametrize("line", ["/etc/os-release", "../shared/data", "https://github.com/x/y", "docs/home/x"])
def test_other_paths_and_addresses_are_not(line):
    assert not MACHINE_PATH.search(line) and not REGISTRY_ADDRESS.search(line)


MARKUP = {"lightrec/terminal.py", "cli/data/commands.py"}
"""Where rich may read markup: in the one function that keeps values out of it, and in tables that escape theirs."""


def loose_output(source: str) -> list[str]:
    """Consoles that would read markup in a user's text or pass on its control characters, in ``source``."""
    calls = [node for node in ast.walk(parsed(source)) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func).rpartition(".")[2] for call in calls]
    options = [ast.unparse(option) for call in calls for option in call.keywords]
    return [name for name in names if name in ("Console", "from_markup")] + [
        option for option in options if option == "markup=True"
    ]


def test_text_reaches_the_terminal_through_the_safe_console():
    guarded = [path for path in SOURCES if relative(path) not in MARKUP]
    assert failing(guarded, lambda _, source: loose_output(source)) == {}


def test_output_past_the_safe_console_is_seen():
    source = "rich.console.Console(stderr=True)\nText.from_markup(f'{x}')\nconsole.print(x, markup=True)\nstyled('x')"
    assert loose_output(source) == ["Console", "from_markup", "markup=True"]
