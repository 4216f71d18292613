import shutil

import pytest
from mini_bundle import write_bundle


@pytest.fixture(scope="session")
def both_runtimes(tmp_path_factory):
    """A miniature bundle with a model for each runtime; not to be changed."""
    return write_bundle(tmp_path_factory.mktemp("runtime") / "bundle", openvino=True)


@pytest.fixture
def own_bundle(both_runtimes, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(both_runtimes, tmp_path / "bundle")
