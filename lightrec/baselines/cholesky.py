"""Inversion and solution of large positive definite systems in place."""

from __future__ import annotations

import importlib.util

import numpy as np


def inverse_in_place(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a positive definite float32 ``matrix [N, N]``, C-contiguous, which it overwrites.

    If torch is installed, this uses Cholesky, which takes a third of the time and no second matrix. numpy alone needs
    three matrices.
    """
    if importlib.util.find_spec("torch") is None:
        matrix[:] = np.linalg.inv(matrix)
        return matrix
    import torch

    # LAPACK reads columns: the transpose of a symmetric matrix is the same matrix and is not copied.
    columns = torch.from_numpy(matrix).T
    torch.linalg.cholesky(columns, out=columns)
    torch.cholesky_inverse(columns, out=columns)
    return matrix


def solve_in_place(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``matrix⁻¹ right`` in ``right [N, M]``, for a positive definite float32 ``matrix [N, N]``, C-contiguous.

    If torch is installed, this uses Cholesky, which takes half of the time, needs no third matrix and overwrites
    ``matrix``.
    """
    if importlib.util.find_spec("torch") is None:
        right[:] = np.linalg.solve(matrix, right)
        return right
    import torch

    columns, answer = torch.from_numpy(matrix).T, torch.from_numpy(right)
    torch.linalg.cholesky(columns, out=columns)
    torch.linalg.solve_triangular(columns, answer, upper=False, out=answer)
    torch.linalg.solve_triangular(columns.T, answer, upper=True, out=answer)
    return right
