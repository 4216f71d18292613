"""Bundles for the examples: random weights, real runtimes."""

import numpy as np
import pytest

from lightrec.bundle import Catalogue

TITLES = [
    "Alien",
    "Brazil",
    'The "Quoted" One',
    "Back\\slash",
    "Tab\there",
    "Amélie",
    "Amélie 2",
    "千と千尋",
    "😀",
    None,
]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Students of 60 items and a window of 8 by precision; not to be changed."""
    from lightrec.export.random_bundle import random_bundle
    from lightrec.models.students.sasrec import SasrecConfig

    folder = tmp_path_factory.mktemp("examples")
    titles = [*TITLES, *(f"Part {number} of the saga" for number in range(50))]
    ids = [f"i{number}" for number in range(58)] + ['q"uote', "Ünïcode"]
    order = np.random.default_rng(0).permutation(60)
    config = SasrecConfig(n_items=60, hidden_size=32, num_layers=2, num_heads=2, max_length=8)
    for precision in ("fp32", "int8"):
        random_bundle(Catalogue(ids, order, titles), config, precision, folder / precision, seed=1)
    return {precision: folder / precision for precision in ("fp32", "int8")}
