"""How much a visitor of a page with Amazon Beauty loads, without ONNX Runtime."""

import numpy as np
import pytest

from lightrec.data.prepare import prepare
from lightrec.web.package import package_for_web


@pytest.mark.slow
def test_model_library_and_page_take_less_than_one_and_a_half_megabytes(data_folder, runtime_files, tmp_path):
    """12,101 items with their titles, a student of width 64 in 8 bits; what its weights are does not matter here."""
    from lightrec.bundle import Catalogue
    from lightrec.export.random_bundle import random_bundle
    from lightrec.models.students.sasrec import SasrecConfig

    folder = data_folder / "amazon14-beauty"
    if not folder.is_dir():
        pytest.skip("LIGHTREC_DATA holds no amazon14-beauty")
    files = {"items": folder / "items.csv.gz", "order_only": True}
    dataset = prepare(folder / "interactions.csv.gz", tmp_path / "data", **files)
    catalogue = Catalogue(dataset.item_ids, np.arange(dataset.n_items), dataset.item_titles)
    config = SasrecConfig(n_items=dataset.n_items, hidden_size=64, num_layers=2, num_heads=2, max_length=50)
    random_bundle(catalogue, config, "int8", tmp_path / "bundle")
    package = package_for_web(tmp_path / "bundle", tmp_path / "web", onnxruntime_web=runtime_files)
    graphs_for_sessions = 25_000
    assert 1_300_000 < package.own_bytes + graphs_for_sessions < 1_500_000
