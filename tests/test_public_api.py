import subprocess
import sys

import pytest

import lightrec

PUBLIC = ["Recommendation", "Recommendations", "Recommender", "RecommenderSlot", "Session", "__version__", "errors"]


def test_the_public_names_are_these():
    assert sorted(lightrec.__all__) == sorted(PUBLIC)
    assert dir(lightrec) == sorted(PUBLIC)
    assert all(getattr(lightrec, name) is not None for name in PUBLIC)


def test_public_names_are_the_objects_of_their_rooms():
    from lightrec.runtime.recommender import Recommendation, Recommender

    assert (lightrec.Recommender, lightrec.Recommendation) == (Recommender, Recommendation)
    assert issubclass(lightrec.errors.BundleError, lightrec.errors.LightrecError)
    assert lightrec.__version__.count(".") == 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Recomender'"):
        _ = lightrec.Recomender


@pytest.mark.parametrize("statement", ["import lightrec", "from lightrec.cli.app import app"])
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print(*sorted(m for m in sys.modules if m in {HEAVY!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


HEAVY = ["numpy", "onnxruntime", "openvino", "polars", "torch", "transformers"]
