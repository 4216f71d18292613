import math
import tomllib
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightrec.config import from_mapping, read_toml, to_mapping, to_toml
from lightrec.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    data: str
    rate: float = 0.5
    epochs: int = 3
    student: Literal["sasrec", "mini-bert"] = "sasrec"
    resume: bool = False
    layers: tuple[int, ...] = (1, 2)
    device: str | None = None

    def problems(self):
        return [] if self.epochs > 0 else [f"epochs = {self.epochs} must be at least 1"]


def test_missing_keys_keep_their_defaults():
    settings = from_mapping(Settings, {"data": "d", "epochs": 7}, "x.toml")
    assert settings == Settings("d", epochs=7)


def test_values_take_the_type_of_their_field():
    values = {"data": "d", "rate": 1, "student": "mini-bert", "resume": True, "layers": [4, 5, 6], "device": None}
    settings = from_mapping(Settings, values, "x.toml")
    assert settings == Settings("d", 1.0, 3, "mini-bert", True, (4, 5, 6), None)
    assert isinstance(settings.rate, float)


@pytest.mark.parametrize(
    ("key", "value", "mistake"),
    [
        ("epochs", "7", "epochs = '7' must be of type int"),
        ("epochs", True, "epochs = True must be of type int"),
        ("epochs", 2.5, "epochs = 2.5 must be of type int"),
        ("epochs", 0, "epochs = 0 must be at least 1"),
        ("rate", "fast", "rate = 'fast' must be of type float"),
        ("rate", math.nan, "rate = nan must be a finite number"),
        ("rate", -math.inf, "rate = -inf must be a finite number"),
        ("epochs", math.inf, "epochs = inf must be a finite number"),
        ("rate", 10**400, f"rate = {10**400} is too large"),
        ("epochs", 2**63, f"epochs = {2**63} is too large"),
        ("resume", 1, "resume = 1 must be of type bool"),
        ("student", "gru", "student = 'gru' must be one of sasrec, mini-bert"),
        ("layers", 3, "layers = 3 must be a list"),
        ("layers", [1, "2"], "layers = [1, '2'] must be of type int"),
        ("device", 3, "device = 3 must be of type str"),
        ("epoch", 3, "unknown key 'epoch' (did you mean 'epochs'?)"),
        ("zzz", 3, "unknown key 'zzz' (known: data, device, epochs, layers, rate, resume, student)"),
    ],
)
def test_a_mistake_is_named(key, value, mistake):
    with pytest.raises(ConfigError) as error:
        from_mapping(Settings, {"data": "d", key: value}, "x.toml")
    assert str(error.value) == f"In x.toml: {mistake}."


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        from_mapping(Settings, {"epohcs": 3, "rate": "fast", "student": "gru"}, "the command line")
    message = str(error.value)
    for part in (
        "In the command line: ",
        "did you mean 'epochs'?",
        "rate = 'fast'",
        "student = 'gru'",
        "data is required",
    ):
        assert part in message
    assert message.count(";") == 3


def test_a_mapping_and_back():
    settings = Settings("d", layers=(9,), device="cpu")
    assert to_mapping(settings)["layers"] == [9]
    assert from_mapping(Settings, to_mapping(settings), "x") == settings


def test_a_toml_file_that_cannot_be_read_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        read_toml(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = = 3")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML: .*line 1"):
        read_toml(broken)
    for content in (
        b"seed = " + b"9" * 5000,
        b"x = " + b"[" * 100_000,
        b"x = '\xff'",
        "x = 1".encode("utf-16"),
        b"\x00",
    ):
        broken.write_bytes(content)
        with pytest.raises(ConfigError, match=r"broken\.toml is "):
            read_toml(broken)


def test_a_toml_file_is_its_tables(tmp_path):
    (tmp_path / "x.toml").write_text('data = "d"\nlayers = [1, 2]\n')
    assert read_toml(tmp_path / "x.toml") == {"data": "d", "layers": [1, 2]}
    (tmp_path / "x.toml").write_text('data = "d"\n', encoding="utf-8-sig")
    assert read_toml(tmp_path / "x.toml") == {"data": "d"}


TOML_VALUES = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), TOML_VALUES | st.none() | st.lists(TOML_VALUES)))
def test_what_is_written_as_toml_is_read_back(values):
    expected = {key: value for key, value in values.items() if value is not None}
    found = tomllib.loads(to_toml(values))
    assert found == expected
    numbers = [key for key, value in expected.items() if isinstance(value, float)]
    assert all(math.copysign(1, found[key]) == math.copysign(1, expected[key]) for key in numbers)
