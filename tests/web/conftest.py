"""A miniature bundle, a stand-in for ONNX Runtime's files where nothing runs them, and the package of both."""

import shutil

import pytest
from mini_bundle import write_bundle

from lightrec.web.package import RUNTIME_FILES, package_for_web


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """For both runtimes; not to be changed."""
    return write_bundle(tmp_path_factory.mktemp("web") / "bundle", openvino=True)


@pytest.fixture
def own_bundle(bundle, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(bundle, tmp_path / "own-bundle")


@pytest.fixture(scope="session")
def runtime_files(tmp_path_factory):
    """Files with the names of ONNX Runtime's."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(b"x" * 1000)
    return folder


@pytest.fixture(scope="session")
def package(bundle, runtime_files, tmp_path_factory):
    """Not to be changed."""
    return package_for_web(bundle, tmp_path_factory.mktemp("package") / "web", onnxruntime_web=runtime_files)
