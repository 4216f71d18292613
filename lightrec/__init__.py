"""Small sequential recommenders, distilled from language models, that run anywhere.

Use::

    from lightrec import Recommender

    recommender = Recommender.load("bundle")
    for item in recommender.recommend(["50", "181", "174"], k=10):
        print(item.id, item.score, item.title)

The names in ``__all__`` are stable: a minor version only adds to their arguments and results. The options of
``lightrec``, the exit codes 0 and 2, the bundle format (which has its own version) and the exports of ``lightrec.js``
are stable in the same way. All other modules are internal and may change in any release.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightrec.telemetry import switch_off

if TYPE_CHECKING:
    from lightrec import errors
    from lightrec.runtime.recommender import Recommendation, Recommendations, Recommender
    from lightrec.runtime.session import Session
    from lightrec.runtime.slot import RecommenderSlot

    __version__: str

__all__ = [
    "Recommendation",
    "Recommendations",
    "Recommender",
    "RecommenderSlot",
    "Session",
    "__version__",
    "errors",
]
# Call this before anything can import a library that reports home.
switch_off()

_MODULES = {"Session": "session", "RecommenderSlot": "slot"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``import lightrec`` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'lightrec' has no attribute {name!r}")
    if name == "errors":
        value: Any = import_module("lightrec.errors")
    elif name == "__version__":
        value = import_module("importlib.metadata").version("lightrec")
    else:
        value = getattr(import_module(f"lightrec.runtime.{_MODULES.get(name, 'recommender')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
