"""Claims: one sentence, one bound, one cell that asserts it. `claims.toml` lists them."""

from __future__ import annotations

import math
import operator
import tomllib
from functools import cache
from numbers import Real
from pathlib import Path

from helpers import task as T

FILE = Path(__file__).with_name("claims.toml")
BOUNDS = {"equals": operator.eq, "at_least": operator.ge, "at_most": operator.le}


@cache
def claims() -> dict[str, dict]:
    """Every claim of the series by id, as written in claims.toml."""
    return {c["id"]: c for c in tomllib.loads(FILE.read_text(encoding="utf-8"))["claim"]}


def claim(name: str, measured) -> None:
    """Assert that `measured` (number or bool) is within the bound of claim `name`; print one line.

    KeyError for an id that is not in claims.toml; TypeError for what is no such value: a bool where
    the bound is one, else a number; AssertionError, with the sentence, the value and the bound,
    when it does not hold, as it does for no value that is not finite.
    """
    if not T.named(name, claims()):
        there = ", ".join(claims())
        raise KeyError(f"{T.shown(name)} is not in {FILE.name}; there are {there}")
    entry = claims()[name]
    value = T.single(measured)
    wanted = bool if isinstance(entry.get("equals"), bool) else Real
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is Real):
        allowed = "True or False" if wanted is bool else "one number"
        given = f"{T.shown(value)} ({type(value).__name__})"
        raise TypeError(f"{name!r} is given {given}; allowed is {allowed}")
    bounds = {k: entry[k] for k in BOUNDS if k in entry}
    asked = [
        ("" if k == "equals" else k.replace("_", " ") + " ") + _show(bounds[k]) for k in bounds
    ]
    # Differences that are zero but for rounding are shown alike on every machine.
    tiny = isinstance(value, float) and abs(value) < 1e-9
    found = "under 1e-9" if tiny else _show(value)
    endless = isinstance(value, float) and not math.isfinite(value)
    if endless or not all(BOUNDS[k](value, bound) for k, bound in bounds.items()):
        says = f"{entry['says']}\n  measured {found}, must be {', '.join(asked)}"
        raise AssertionError(f"does not hold: {says} · {entry['seeds']} · {entry['inputs']}")
    print(f"✓ {found}  ({name})")


def _show(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if T.is_whole(value, -(10**18), 10**18) else T.shown(value)
