"""Models are asked only what they may be asked."""

import pytest

from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, ModelError
from lightrec.evaluation.allowed_data import Provenance, check_data, choose_split

BASELINE = Provenance("popularity")
LEAVE_ONE_OUT = Provenance("run-a", {"split": {"name": "leave-one-out", "quantile": 0.9}})
TEMPORAL = Provenance("run-b", {"split": {"name": "temporal", "quantile": 0.8}})


def test_the_split_is_the_models_own() -> None:
    assert choose_split([BASELINE], None, None) == ("leave-one-out", 0.9)
    assert choose_split([BASELINE, TEMPORAL], None, None) == ("temporal", 0.8)
    assert choose_split([LEAVE_ONE_OUT, BASELINE], None, None) == ("leave-one-out", 0.9)
    assert choose_split([TEMPORAL], "temporal", None) == ("temporal", 0.8)
    assert choose_split([BASELINE], "temporal", 0.7) == ("temporal", 0.7)


@pytest.mark.parametrize(
    ("sources", "name", "quantile"),
    [
        ([LEAVE_ONE_OUT], "temporal", None),
        ([TEMPORAL], "leave-one-out", None),
        ([TEMPORAL], None, 0.9),
        ([LEAVE_ONE_OUT, TEMPORAL], None, None),
    ],
)
def test_a_split_that_leaks_is_refused(sources: list[Provenance], name: str | None, quantile: float | None) -> None:
    with pytest.raises(ConfigError, match="may know answers"):
        choose_split(sources, name, quantile)


def test_flags_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose leave-one-out or temporal"):
        choose_split([BASELINE], "random", None)
    with pytest.raises(ConfigError, match="--quantile belongs to the temporal split"):
        choose_split([LEAVE_ONE_OUT], None, 0.9)


def test_other_data_are_refused(tiny_dataset: Dataset) -> None:
    check_data(BASELINE, tiny_dataset)
    check_data(Provenance("run", {"dataset": {"checksum": tiny_dataset.checksum}}), tiny_dataset)
    check_data(BASELINE, tiny_dataset, tiny_dataset.item_ids)
    with pytest.raises(ModelError, match="'other' with checksum 0123456789ab,"):
        check_data(Provenance("run", {"dataset": {"name": "other", "checksum": "0123456789abcdef"}}), tiny_dataset)
    with pytest.raises(ModelError, match="items of bundle are not those"):
        check_data(Provenance("bundle"), tiny_dataset, sorted(tiny_dataset.item_ids))
