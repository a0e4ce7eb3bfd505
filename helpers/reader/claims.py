"""Claims: one sentence, one bound, one cell that asserts it. `claims.toml` lists them."""

from __future__ import annotations

import operator
import tomllib
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("claims.toml")
BOUNDS = {"equals": operator.eq, "at_least": operator.ge, "at_most": operator.le}


@cache
def claims() -> dict[str, dict]:
    """Every claim of the series by id, as written in claims.toml."""
    return {c["id"]: c for c in tomllib.loads(FILE.read_text(encoding="utf-8"))["claim"]}


def claim(name: str, measured) -> None:
    """Assert that `measured` (number or bool) is within the bound of claim `name`; print one line.

    KeyError for an id that is not in claims.toml; AssertionError, with the sentence, the value and
    the bound, when it does not hold.
    """
    if name not in claims():
        raise KeyError(f"{name!r} is not in {FILE.name}; there are {', '.join(claims())}")
    entry = claims()[name]
    value = measured.item() if hasattr(measured, "item") else measured
    bounds = {k: entry[k] for k in BOUNDS if k in entry}
    asked = [
        ("" if k == "equals" else k.replace("_", " ") + " ") + _show(bounds[k]) for k in bounds
    ]
    # Differences that are zero but for rounding are shown alike on every machine.
    tiny = isinstance(value, float) and abs(value) < 1e-9
    found = "under 1e-9" if tiny else _show(value)
    if not all(BOUNDS[k](value, bound) for k, bound in bounds.items()):
        says = f"{entry['says']}\n  measured {found}, must be {', '.join(asked)}"
        raise AssertionError(f"does not hold: {says} · {entry['seeds']} · {entry['inputs']}")
    print(f"✓ {found}  ({name})")


def _show(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
