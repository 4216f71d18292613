"""A kiosk: type a title, or a part of one, and see what to look at next. Everything happens on this machine.

    python kiosk.py bundle

Needs the base installation alone (``pip install lightrec``) and no network. An empty line starts over with the next
visitor; the end of the input (Ctrl-D) ends the kiosk.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from lightrec import Recommender


def main(bundle: str) -> None:
    recommender = Recommender.load(bundle)
    titles = {item: recommender.title(item) or item for item in recommender.item_ids}
    session = recommender.session()
    print(f"{len(titles)} titles. What do you like?")
    for line in map(str.strip, sys.stdin):
        if not line:
            session = recommender.session()
            print("\nWelcome! What do you like?")
        elif (item := find(titles, line)) is None:
            print(f"There is nothing called {line!r} here.")
        else:
            session.add(item)
            print(f"\nAfter {titles[item]}:")
            for number, next_one in enumerate(session.recommend(k=5), start=1):
                print(f"  {number}. {titles[next_one.id]}")


def find(titles: Mapping[str, str], words: str) -> str | None:
    """The item whose title holds ``words``, the one with the shortest title if there are several."""
    words = words.casefold()
    found = [item for item, title in titles.items() if words in title.casefold()]
    return min(found, key=lambda item: len(titles[item]), default=None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python kiosk.py BUNDLE")
    main(sys.argv[1])
