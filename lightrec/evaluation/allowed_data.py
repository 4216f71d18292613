"""Checks that a model is evaluated only on its own data, and never on events that it was trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lightrec.data.dataset import Dataset
from lightrec.data.splits import SplitName
from lightrec.errors import ConfigError, ModelError


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The recorded origin of a model."""

    name: str
    """The name that the user gave: a path, or a baseline's name."""
    record: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The run's run.json, or the part of it in a bundle; empty for a baseline, which is fitted when it is evaluated."""

    @property
    def checksum(self) -> str | None:
        """The checksum of the training data set; None if it is not recorded."""
        return self.record.get("dataset", {}).get("checksum")

    @property
    def split(self) -> tuple[SplitName, float] | None:
        """The name and quantile of the split that the model was trained on; None if it is not recorded."""
        split = self.record.get("split")
        return (split["name"], split.get("quantile", 0.9)) if split else None


def check_data(source: Provenance, dataset: Dataset, item_ids: Sequence[str] | None = None) -> None:
    """Raise :class:`ModelError` if the model was made for other data.

    Args:
        source: the model.
        dataset: the data set to evaluate it on.
        item_ids: the item ids of the model, by index, if it contains them.
    """
    if item_ids is not None and list(item_ids) != dataset.item_ids:
        raise ModelError(
            f"The items of {source.name} are not those of {dataset.path}: evaluate it on the data set that it was "
            "exported from."
        )
    if source.checksum not in (None, dataset.checksum):
        raise ModelError(
            f"{source.name} was trained on the data set {source.record['dataset'].get('name')!r} with checksum "
            f"{source.checksum:.12}, but {dataset.path} has {dataset.checksum:.12}: evaluate it on the data set that "
            "it was trained on, or train it again on this one."
        )


def choose_split(sources: Sequence[Provenance], name: str | None, quantile: float | None) -> tuple[SplitName, float]:
    """Return the split to evaluate on: the requested one, else the models' own, else leave-one-out.

    Raises:
        ConfigError: if a model was trained on another split, whose training events contain some of the targets.
    """
    recorded = next((source.split for source in sources if source.split is not None), ("leave-one-out", 0.9))
    name = name or recorded[0]
    if name not in ("leave-one-out", "temporal"):
        raise ConfigError(f"--split is {name!r}: choose leave-one-out or temporal.")
    if quantile is not None and name != "temporal":
        raise ConfigError("--quantile belongs to the temporal split: add --split temporal, or leave it out.")
    chosen: tuple[SplitName, float] = (name, recorded[1] if quantile is None else quantile)  # type: ignore[assignment]
    for source in sources:
        if source.split is not None and _differ(source.split, chosen):
            raise ConfigError(
                f"{source.name} was trained on the split {describe_split(*source.split)} and may know answers of the "
                f"split {describe_split(*chosen)}: evaluate it on its own split, or train it on this one."
            )
    return chosen


def describe_split(name: str, quantile: float) -> str:
    """Return the split as text: ``leave-one-out``, or for example ``temporal (quantile 0.9)``."""
    return f"temporal (quantile {quantile:g})" if name == "temporal" else name


def _differ(one: tuple[str, float], other: tuple[str, float]) -> bool:
    return one[0] != other[0] or (one[0] == "temporal" and one[1] != other[1])
