"""Splits of a data set into training sequences and the cases that a model is evaluated on."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import numpy as np

from lightrec.data.dataset import Dataset
from lightrec.errors import ConfigError, DataError

SplitName = Literal["leave-one-out", "temporal"]


@dataclasses.dataclass(frozen=True)
class Cases:
    """C cases of next-item prediction, each with one history and one target.

    The history of case c is ``items[starts[c]:ends[c]]`` and its target is ``targets[c]``, the event at ``ends[c]``.
    """

    items: np.ndarray
    """The data set's events, int32."""
    users: np.ndarray
    """int64 ``[C]``: the user of each case."""
    starts: np.ndarray
    """int64 ``[C]``: the position of the user's first event in ``items``."""
    ends: np.ndarray
    """int64 ``[C]``: one past the last event of the history."""
    targets: np.ndarray
    """int64 ``[C]``: the item to be ranked high."""

    def __len__(self) -> int:
        return len(self.targets)

    def history(self, case: int) -> np.ndarray:
        """Return the whole history of a case, oldest first."""
        return self.items[self.starts[case] : self.ends[case]]

    def take(self, chosen: np.ndarray) -> Cases:
        """Return the cases at the positions ``chosen`` (integers or a boolean mask)."""
        parts = {name: getattr(self, name)[chosen] for name in ("users", "starts", "ends", "targets")}
        return Cases(items=self.items, **parts)


@dataclasses.dataclass(frozen=True)
class Split:
    """A data set divided into training sequences, validation cases and test cases."""

    name: SplitName
    n_items: int
    """Size of the catalogue, N."""
    train_items: np.ndarray
    """int32 ``[M]``: the training events, user after user, oldest first."""
    train_offsets: np.ndarray
    """int64 ``[users + 1]``: user u's training events are ``train_items[train_offsets[u]:train_offsets[u + 1]]``."""
    train_timestamps: np.ndarray
    """int64 ``[M]``: the times of the training events."""
    validation: Cases
    """Cases for every choice of model or setting; their targets are not in the training events."""
    test: Cases
    """Cases for reported results only, never for choices; histories may include the validation event, as in use."""

    def popularity(self) -> np.ndarray:
        """Count how often each item occurs in the training events: int64 ``[N]``."""
        return np.bincount(self.train_items, minlength=self.n_items)


def make_split(dataset: Dataset, name: SplitName = "leave-one-out", quantile: float = 0.9) -> Split:
    """Split ``dataset`` by name; only the temporal split uses ``quantile``.

    Raises:
        ConfigError: for an unknown name.
        DataError: if the data set cannot be split that way.
    """
    if name not in get_args(SplitName):
        raise ConfigError(f"The split {name!r} is not known: choose one of {', '.join(get_args(SplitName))}.")
    return leave_one_out(dataset) if name == "leave-one-out" else temporal(dataset, quantile)


def leave_one_out(dataset: Dataset) -> Split:
    """Hold out each user's last event as the test target and the event before it as the validation target.

    All events of users with fewer than three are training events; such users give no case.

    Raises:
        DataError: if no user has three events.
    """
    starts, ends = dataset.offsets[:-1], dataset.offsets[1:]
    users = np.flatnonzero(ends - starts >= 3)
    if not len(users):
        raise DataError(f"No user of {dataset.name} has three events, so there is nothing to hold out: get more data.")
    held_out = np.zeros(dataset.n_users, dtype=np.int64)
    held_out[users] = 2
    return _split(
        dataset,
        "leave-one-out",
        train_ends=ends - held_out,
        validation=_cases(dataset, users, ends[users] - 2),
        test=_cases(dataset, users, ends[users] - 1),
    )


def temporal(dataset: Dataset, quantile: float = 0.9, *, successive: bool = False) -> Split:
    """Split all users' events at one point in time: training before it, test after it.

    The test point is the ``quantile`` of all timestamps, the validation point the same quantile of the events
    before it (arXiv 2507.16289). Every user with an event after a point and one before that event gives one case:
    the last event (before the test point, for validation) is the target. With ``successive``, each test event
    with a history is a target. Events exactly at a point count as before it.

    Raises:
        DataError: if the data's times are positions (``order_only``), ``quantile`` is not within (0, 1), or no user
            has an event after a point and one before that event.
    """
    if dataset.order_only:
        raise DataError(
            f"{dataset.name} is marked order-only: its times are positions in a user's history, so there is no "
            "common clock to split by. Use the leave-one-out split."
        )
    if not 0 < quantile < 1:
        raise DataError(f"The temporal split's quantile is {quantile}: it must lie between 0 and 1.")
    times = np.asarray(dataset.timestamps)
    test_point = np.quantile(times, quantile, method="lower")
    validation_point = np.quantile(times[times <= test_point], quantile, method="lower")
    train_ends = _ends_before(dataset, times, validation_point)
    test_starts = _ends_before(dataset, times, test_point)
    starts, ends = dataset.offsets[:-1], dataset.offsets[1:]

    asked = np.flatnonzero((test_starts > train_ends) & (test_starts - starts >= 2))
    if successive:
        owner = _owners(dataset)
        positions = np.flatnonzero(np.arange(len(owner)) >= np.maximum(test_starts, starts + 1)[owner])
        test = _cases(dataset, owner[positions], positions)
    else:
        tested = np.flatnonzero((ends > test_starts) & (ends - starts >= 2))
        test = _cases(dataset, tested, ends[tested] - 1)
    if not len(asked) or not len(test):
        raise DataError(
            f"The temporal split of {dataset.name} at quantile {quantile} leaves {len(asked)} validation and "
            f"{len(test)} test cases: choose a smaller quantile, or the leave-one-out split."
        )
    return _split(
        dataset,
        "temporal",
        train_ends=train_ends,
        validation=_cases(dataset, asked, test_starts[asked] - 1),
        test=test,
    )


def _ends_before(dataset: Dataset, times: np.ndarray, point: int) -> np.ndarray:
    """Return, for each user, the position after the last event at or before ``point``."""
    before = np.concatenate([[0], np.cumsum(times <= point)])
    return dataset.offsets[:-1] + before[dataset.offsets[1:]] - before[dataset.offsets[:-1]]


def _owners(dataset: Dataset) -> np.ndarray:
    """Return the user of each event."""
    return np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))


def _cases(dataset: Dataset, users: np.ndarray, positions: np.ndarray) -> Cases:
    return Cases(
        items=dataset.items,
        users=users.astype(np.int64),
        starts=dataset.offsets[users],
        ends=positions.astype(np.int64),
        targets=np.asarray(dataset.items)[positions].astype(np.int64),
    )


def _split(dataset: Dataset, name: SplitName, train_ends: np.ndarray, validation: Cases, test: Cases) -> Split:
    kept = np.arange(len(dataset.items)) < train_ends[_owners(dataset)]
    lengths = train_ends - dataset.offsets[:-1]
    return Split(
        name=name,
        n_items=dataset.n_items,
        train_items=np.asarray(dataset.items)[kept],
        train_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        train_timestamps=np.asarray(dataset.timestamps)[kept],
        validation=validation,
        test=test,
    )
