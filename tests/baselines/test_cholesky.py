"""Inverses and solutions against numpy's in double precision, and whose memory they take."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from lightrec.baselines.cholesky import inverse_in_place, solve_in_place


@pytest.fixture(params=[True, False], ids=["torch", "numpy"])
def with_torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where torch is installed, and where it is not."""
    if not request.param:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def definite(size: int) -> np.ndarray:
    factor = np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)
    return factor @ factor.T + np.eye(size, dtype=np.float32)


@pytest.mark.parametrize("size", [1, 2, 7, 200])
def test_the_inverse_takes_the_place_of_the_matrix(with_torch: None, size: int) -> None:
    matrix = definite(size)
    expected = np.linalg.inv(matrix.astype(np.float64))
    found = inverse_in_place(matrix)
    assert found is matrix
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("size", "columns"), [(1, 1), (7, 3), (7, 7), (50, 200)])
def test_the_solution_takes_the_place_of_the_right_side(with_torch: None, size: int, columns: int) -> None:
    matrix, right = definite(size), np.random.default_rng(0).standard_normal((size, columns)).astype(np.float32)
    expected = np.linalg.solve(matrix.astype(np.float64), right)
    found = solve_in_place(matrix, right)
    assert found is right
    np.testing.assert_allclose(found, expected, atol=1e-4)
