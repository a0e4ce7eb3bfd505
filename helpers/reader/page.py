"""What stands around a figure on a reader's page: its words, the reader's prediction, k of n.

The words of a figure stand in `captions.toml` under its name, not in the code above it: a reader
who has not run the cell yet does not meet the result there.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from helpers import plotting as P
from helpers import task as T

MOST = 10**9  # models
CAPTIONS = Path(__file__).with_name("captions.toml")


@cache
def captions() -> dict[str, dict]:
    """Every caption by the name of its figure: `says`, the figure in words, and its `notebook`."""
    entries = tomllib.loads(CAPTIONS.read_text(encoding="utf-8"))["figure"]
    return {entry["name"]: entry for entry in entries}


def _words(name: str) -> str:
    if not T.named(name, captions()):
        there = ", ".join(captions())
        raise KeyError(f"{T.shown(name)} is not in {CAPTIONS.name}; there are {there}")
    return captions()[name]["says"]


def show(figure, name: str) -> None:
    """Display `figure`, and below it the words that captions.toml has for `name`.

    KeyError, with the names there are, for another one.
    """
    P.show(figure, _words(name))


def drawing(name: str) -> None:
    """Display `drawings/<name>.svg` with the words that captions.toml has for `name`.

    KeyError, with the names there are, for another one.
    """
    P.drawing(name, _words(name))


def compare(prediction, measured) -> None:
    """Print the reader's prediction, if there is one (`...` is none), beside what was measured."""
    made = "no prediction made" if prediction is ... else f"predicted {_plain(prediction)}"
    print(f"{made} · measured {_plain(measured)}")


def _plain(value) -> str:
    value = T.single(value)
    try:
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    except Exception:  # an int of thousands of digits cannot be shown, nor can some objects
        return T.shown(value)


def k_of_n(k, n) -> str:
    """`k` of `n` models in words, with the 95 % interval for the share in seeds like these.

    The interval is Clopper and Pearson's, 1934. ValueError unless both are whole numbers with
    0 <= k <= n and n > 0.
    """
    from scipy.stats import binomtest

    if not T.is_whole(n, 1, MOST) or not T.is_whole(k, 0, int(n)):
        rule = "allowed are 0 to n of n, whole numbers, and n above 0"
        raise ValueError(f"got {T.shown(k)} of {T.shown(n)}; {rule}")
    k, n = int(k), int(n)
    low, high = binomtest(k, n).proportion_ci(0.95, method="exact")
    digits = 1 if high - low < 0.015 else 0  # so that the ends are not rounded to one number
    return f"{k} of {n} (95 % interval {low:.{digits}%} to {high:.{digits}%})"
