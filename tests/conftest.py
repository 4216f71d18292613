"""What the rooms' tests share: a miniature data set, the folder of real data, and tools whose absence is no excuse."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from mini_bundle import write_bundle

from lightrec.data.dataset import Dataset, write_dataset

# rich fixes a console's width if COLUMNS is set when the console is made, so none is made during a test that sets it.
os.environ.pop("COLUMNS", None)
import lightrec.cli.options  # noqa: F401

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores already: more threads for miniature models would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure; everything else stays as hypothesis chose it for here or for CI.
settings.register_profile("lightrec", settings(), deadline=None)
settings.load_profile("lightrec")

N_USERS, N_ITEMS = 40, 30

TOOLS = {
    "chromium": r"playwright|Chromium|onnxruntime-web|axe-core",
    "node": r"Node\.js|onnxruntime-node|typescript",
    "cc": r"C compiler|library to link with|zlib|libonnxruntime-dev",
    "arm64": r"ARM64|python3\.11-minimal|qemu-user-static",
}
"""For each word of LIGHTREC_REQUIRE, what the reasons of skips say that are due to it."""


def required_tools() -> list[str]:
    """The words of the environment variable LIGHTREC_REQUIRE, such as "chromium,node"."""
    return [word for word in re.split(r"[\s,]+", os.environ.get("LIGHTREC_REQUIRE", "")) if word]


def pytest_configure(config: pytest.Config) -> None:
    unknown = [word for word in required_tools() if word not in TOOLS]
    if unknown:
        raise pytest.UsageError(f"LIGHTREC_REQUIRE names {unknown[0]}: choose from {', '.join(TOOLS)}.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A test that is skipped for want of a required tool fails."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):  # otherwise it is expected to fail
        reason = report.longrepr[2]
        tool = next((tool for tool in required_tools() if re.search(TOOLS[tool], reason)), None)
        if tool is not None:
            report.outcome, report.longrepr = "failed", f"LIGHTREC_REQUIRE asks for {tool}. {reason}"
    return report


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """40 users, 30 items, real times: after item i comes i + 1 (modulo 30) in nine steps of ten.

    Users have 6 to 17 events, without consecutive repeats, over some 40 days; item 29 has no text. Item ids are
    "i00" to "i29" in shuffled order, so that an index is never equal to its id by accident.
    """
    rng = np.random.default_rng(20)
    sequences, times = [], []
    for _ in range(N_USERS):
        length = int(rng.integers(6, 18))
        sequence = [int(rng.integers(N_ITEMS))]
        while len(sequence) < length:
            step = 1 if rng.random() < 0.9 else int(rng.integers(2, N_ITEMS))
            sequence.append((sequence[-1] + step) % N_ITEMS)
        first = 1_700_000_000 + int(rng.integers(0, 30 * 86_400))
        sequences.append(sequence)
        times.append(first + np.cumsum(rng.integers(60, 86_400, size=length)))
    titles = [f"Part {index} of the {'red' if index < 15 else 'blue'} saga" for index in range(N_ITEMS - 1)]
    return write_dataset(
        tmp_path_factory.mktemp("tiny") / "dataset",
        name="tiny",
        user_ids=[f"u{user}" for user in range(N_USERS)],
        item_ids=[f"i{number:02d}" for number in rng.permutation(N_ITEMS)],
        item_texts=[*(f"{title}, {2000 + index}" for index, title in enumerate(titles)), None],
        item_titles=[*titles, None],
        offsets=np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]),
        items=np.concatenate(sequences),
        timestamps=np.concatenate(times),
        order_only=False,
    )


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets named by LIGHTREC_DATA; the test is skipped where there is none."""
    folder = os.environ.get("LIGHTREC_DATA")
    if not folder:
        pytest.skip("needs real data: set LIGHTREC_DATA to the folder that holds ml-100k/interactions.csv.gz")
    if not Path(folder).is_dir():
        pytest.fail(f"LIGHTREC_DATA is {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, driven by playwright, whose event loop must not outlive the module: others run their own."""
    from lightrec.verify.chromium import has_sandbox

    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    command = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if command is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command, chromium_sandbox=has_sandbox())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def both_runtimes(tmp_path_factory):
    """A miniature bundle with a model for each runtime; not to be changed."""
    return write_bundle(tmp_path_factory.mktemp("runtime") / "bundle", openvino=True)


@pytest.fixture
def own_bundle(both_runtimes, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(both_runtimes, tmp_path / "bundle")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: gzip writes the time into them, and parallel workers must see the same names."""
    return argname if isinstance(val, bytes) else None
