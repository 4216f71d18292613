"""Evaluation of items that a model never saw in training: their cases, and the expected result of a random order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.data.held_out_items import held_out_items, without_items
from lightrec.data.splits import Split
from lightrec.errors import ConfigError
from lightrec.evaluation.allowed_data import Provenance
from lightrec.evaluation.protocol import Evaluation


def held_out(sources: Sequence[Provenance], dataset: Dataset, wanted: bool) -> np.ndarray | None:
    """Return the items that the models held out of training, bool ``[N]``; None if they are not ``wanted``.

    Raises:
        ConfigError: if items were held out but are not wanted, or the reverse, or if the models differ.
    """
    trained = [source for source in sources if source.record]
    held = [held_out_items(dataset, source.record) for source in trained]
    if not wanted:
        for source, items in zip(trained, held, strict=True):
            if items.any():
                raise ConfigError(
                    f"{source.name} held {items.sum()} items out of training: add --cold-items to ask for these, or "
                    "train without --hold-out-items."
                )
        return None
    for source, items in zip(trained, held, strict=True):
        if not items.any():
            raise ConfigError(
                f"{source.name} held no items out of training: train with --hold-out-items 0.05 for --cold-items."
            )
        if not np.array_equal(items, held[0]):
            raise ConfigError(f"{source.name} held other items out of training: compare runs of one seed and share.")
    if not held:
        raise ConfigError("--cold-items needs a run that held items out of training: name it as MODEL or --against.")
    return held[0]


def ask_for(split: Split, held: np.ndarray) -> Split:
    """Return ``split`` with only the cases whose target is in ``held``, and without training events of ``held``.

    The histories stay complete, because histories in production contain new items too.
    """
    left = without_items(split, held)
    return dataclasses.replace(
        left,
        validation=split.validation.take(held[split.validation.targets]),
        test=split.test.take(held[split.test.targets]),
    )


def by_chance(evaluation: Evaluation, n_items: int) -> dict[str, float]:
    """Return the expected HR and NDCG of a random order of the items that remain for each case.

    With R items left, the target is at each rank with probability 1 / R.
    """
    cases = evaluation.cases
    seen = [len(np.unique(cases.history(case))) for case in range(len(cases))] if evaluation.filter_seen else [0]
    share = float(np.mean(~evaluation.hidden / (n_items - np.asarray(seen))))
    gains = 1 / np.log2(np.arange(max(evaluation.ks)) + 2)
    return {f"hr@{k}": share * k for k in evaluation.ks} | {
        f"ndcg@{k}": share * float(gains[:k].sum()) for k in evaluation.ks
    }
