"""Requests as JavaScript writes them, right and wrong, each with what Python would be given in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

WRONG = object()
"""In place of a value: JavaScript has to refuse the request."""
LEFT_OUT = object()
"""In place of an option: it is not given."""
Written = tuple[str, Any]
"""A value's source text, and the value for Python."""

NO_ID = ["null", "undefined", "true", "0.5", "NaN", "Infinity", "1e21", "[]", "{}", '["a"]', 'Symbol("a")', "() => 1"]
NO_ID += ["new Date(0)", 'Buffer.from("50")', 'new String("a")', "-1.5", "2 ** 60", "{ toString: () => 'a' }"]
NO_LIST = ["null", "7", "0.5", '"i03"', '""', "true", "{}", "{ length: 1 }", 'Buffer.from("i03")', "new Date(0)"]
NO_LIST += ['new Map([["i03", 1]])', 'Promise.resolve(["i03"])', "() => []", "Symbol()", 'new String("i03")', "10n"]
NO_K = ["0", "-1", "1.5", '"3"', "null", "true", "3n", "NaN", "Infinity", "[]", "{}", "Symbol()", "-0"]
NO_BOOST = ["false", "0", '"i03"', '["i03"]', "[]", 'new Set(["i03"])', "1n", "() => 1", "new Date(0)", "Symbol()"]
NO_AMOUNT = ["NaN", "Infinity", "-Infinity", '"1"', "null", "true", "1n", "undefined", "[1]", "{}"]
NO_OPTIONS = ["null", "7", '"k"', "[]", '[["k", 3]]', 'new Map([["k", 3]])', "true", "() => 1", "10n"]
NO_OPTION = ["K: 3", "exlude: []", "top: 5", "history: []", '"": 1', "candidate: []"]
UNKNOWN = [
    "",
    " ",
    "i99",
    "I03",
    "__proto__",
    "constructor",
    "toString",
    "\ud800",
    "x" * 300,
    "i03 ",
    "日本",
    "\0",
    "-0",
]


def item(random: Random, ids: list[str], wrong: float) -> Written:
    """An id; one that is none with probability ``wrong``."""
    if random.random() < wrong:
        return random.choice(NO_ID), WRONG
    kind = random.random()
    if kind < 0.75:
        found = random.choice(ids)
        return json.dumps(found), found
    if kind < 0.9:
        found = random.choice(UNKNOWN)
        return json.dumps(found), found
    number = random.choice([0, 7, 50, -3, 2**53 - 1])
    return (f"{number}n" if random.random() < 0.3 else str(number)), str(number)


def sequence(random: Random, ids: list[str], wrong: float, most: int = 14) -> Written:
    """A list of ids in any form that JavaScript has."""
    if random.random() < wrong:
        return random.choice(NO_LIST), WRONG
    items = [item(random, ids, wrong / 3) for _ in range(random.randint(0, most))]
    source, values = f"[{', '.join(source for source, _ in items)}]", [value for _, value in items]
    form = random.randrange(6)
    if form == 0:  # of equal members the first is kept; 7, 7n and "7" are different ones
        first = dict(reversed(items))
        items = list(dict.fromkeys(items)) if all(isinstance(value, str) for value in values) else list(first.items())
        source, values = f"new Set({source})", [value for _, value in items]
    elif form == 1:
        source = f"(function* () {{ yield* {source}; }})()"
    elif form == 2:
        source = f"{source}.values()"
    return source, WRONG if any(value is WRONG for value in values) else values


def candidates(random: Random, ids: list[str], wrong: float) -> Written:
    """A list, or none."""
    if random.random() < 0.2:
        return random.choice(["null", "undefined"]), None
    source, values = sequence(random, ids, wrong)
    return (source, None) if source == "null" else (source, values)


def boost(random: Random, ids: list[str], wrong: float) -> Written:
    """Numbers by item."""
    if random.random() < wrong:
        return random.choice(NO_BOOST), WRONG
    if random.random() < 0.15:
        return random.choice(["null", "undefined"]), None
    found: dict[str, Any] = {}
    pairs = []
    for _ in range(random.randint(0, 5)):
        name = random.choice([*ids, "i99", "7"])
        if random.random() < wrong / 3:
            pairs.append((name, random.choice(NO_AMOUNT)))
            found[name] = WRONG
        else:
            amount = random.choice([0, 1, -1, 0.5, 3.25, -7.5, 100, 1e6])
            pairs.append((name, repr(amount)))
            found[name] = amount
    if random.random() < 0.5:
        source = f"new Map([{', '.join(f'[{json.dumps(name)}, {amount}]' for name, amount in pairs)}])"
    else:  # an object lists names that are whole numbers before the others
        found = dict(sorted(found.items(), key=lambda pair: int(pair[0]) if pair[0].isdecimal() else 99))
        source = f"{{ {', '.join(f'{json.dumps(name)}: {amount}' for name, amount in pairs)} }}"
    return source, WRONG if any(amount is WRONG for amount in found.values()) else found


def whole(random: Random, wrong: float) -> Written:
    """How many items."""
    if random.random() < wrong:
        return random.choice(NO_K), WRONG
    k = random.choice([1, 2, 3, 5, 10, 24, 25, 1000, 2**53 - 1])
    return str(k), k


def options(random: Random, ids: list[str], wrong: float) -> Written:
    """The second argument of ``recommend``, with its values by name."""
    if random.random() < 0.1:
        return random.choice(["", "undefined"]), {}
    if random.random() < wrong / 2:
        return random.choice(NO_OPTIONS), WRONG
    parts: list[str] = []
    values: dict[str, Any] = {}
    makers: dict[str, Callable[[], Written]] = {
        "k": lambda: whole(random, wrong),
        "exclude": lambda: sequence(random, ids, wrong),
        "candidates": lambda: candidates(random, ids, wrong),
        "boost": lambda: boost(random, ids, wrong),
    }
    for name, make in makers.items():
        if random.random() < 0.4:
            source, values[name] = make()
            parts.append(f"{name}: {source}")
    if random.random() < wrong / 3:
        parts.append(random.choice(NO_OPTION))
        values["unknown"] = WRONG
    bad = any(value is WRONG for value in values.values())
    return f"{{ {', '.join(parts)} }}", WRONG if bad else values
