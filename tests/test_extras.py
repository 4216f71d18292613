import re
import sys
import tomllib
from pathlib import Path

import pytest

from lightrec.errors import LightrecError, MissingExtraError
from lightrec.extras import EXTRAS, missing_modules, require_extra

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
OPTIONAL = PYPROJECT["project"]["optional-dependencies"]


def hide(monkeypatch, *modules):
    """Make modules look as if they were not installed."""
    find_spec = missing_modules.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in modules else find_spec(name))


def packages(extra):
    """The packages that an extra brings, those of the extras in it included."""
    found = set()
    for requirement in OPTIONAL[extra]:
        name, inner = re.match(r"([\w-]+)(?:\[(.*?)\])?", requirement).groups()
        found |= set().union(*map(packages, inner.split(","))) if inner else {name.replace("-", "_")}
    return found


def test_a_complete_extra_is_silent(monkeypatch):
    hide(monkeypatch)
    for extra in EXTRAS:
        require_extra(extra, "Testing")


def test_the_message_names_the_modules_and_the_extra(monkeypatch):
    hide(monkeypatch, "torch")
    with pytest.raises(MissingExtraError) as error:
        require_extra("train", "Training")
    assert str(error.value) == "Training needs torch, which is not installed: run  pip install 'lightrec[train]'"


def test_several_missing_modules_are_named_together(monkeypatch):
    hide(monkeypatch, "torch", "polars")
    assert missing_modules("train") == ["torch", "polars"]
    with pytest.raises(MissingExtraError, match=r"torch, polars, which are not installed"):
        require_extra("train", "Training")


def test_it_is_an_import_error_and_one_of_ours(monkeypatch):
    hide(monkeypatch, "openvino")
    with pytest.raises(ImportError) as error:
        require_extra("openvino", "This backend")
    assert isinstance(error.value, LightrecError)


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_module_of_an_extra_is_brought_by_it(extra):
    assert set(EXTRAS[extra]) <= packages(extra)


def test_all_brings_every_extra_but_the_developers():
    assert packages("all") == set().union(*(packages(extra) for extra in EXTRAS))


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("lightrec.models.students.student", "torch"),
        ("lightrec.training.run_folder", "torch"),
        ("lightrec.export.writers.to_onnx", "onnx"),
    ],
)
def test_importing_a_room_without_its_extra_says_which(monkeypatch, module, needs):
    room = ".".join(module.split(".")[:2])
    for name in [name for name in sys.modules if name.startswith(room)]:
        monkeypatch.delitem(sys.modules, name)
    hide(monkeypatch, needs)
    with pytest.raises(MissingExtraError, match=rf"{needs}.*pip install 'lightrec\["):
        __import__(module)
