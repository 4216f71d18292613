"""How much a visitor of a page with Amazon Beauty loads, without ONNX Runtime."""

import pytest

from lightrec.data.prepare import prepare
from lightrec.web.package import package_for_web


@pytest.mark.slow
def test_model_library_and_page_take_less_than_one_and_a_half_megabytes(data_folder, runtime_files, tmp_path):
    """12,101 items with their titles, a student of width 64 in 8 bits; how well it is trained does not matter here."""
    from lightrec.export.write_bundle import export_bundle
    from lightrec.training.progress import Silent
    from lightrec.training.settings import StudentSettings
    from lightrec.training.students import train

    folder = data_folder / "amazon14-beauty"
    if not folder.is_dir():
        pytest.skip("LIGHTREC_DATA holds no amazon14-beauty")
    files = {"items": folder / "items.csv.gz", "order_only": True}
    dataset = prepare(folder / "interactions.csv.gz", tmp_path / "data", **files)
    settings = StudentSettings(hidden_size=64, epochs=1, validation_cases=100, device="cpu")
    train(dataset.path, tmp_path / "run", settings, Silent())
    export_bundle(tmp_path / "run", tmp_path / "bundle", ("onnx",), "int8", max_ndcg_drop=1)
    package = package_for_web(tmp_path / "bundle", tmp_path / "web", onnxruntime_web=runtime_files)
    assert 1_300_000 < package.own_bytes < 1_500_000
