"""The checks of the reader's answers: `check("01-targets", my_targets)` at the end of a cell.

An answer is a number or a function. It is compared with a target that is computed another way, on
random cases that are the same for everybody, and with the usual mistakes: an answer that does what
a mistake does is told so. The exercises themselves stand in `helpers.reader.answers`. A target is
never shown before the answer is right.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import traceback

import numpy as np
import torch
from IPython.display import display

from helpers import plotting as P
from helpers import task as T
from helpers.reader.answers import EXERCISES, Untouched


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is said of an answer. `right` is None while nothing was tried.

    `given` is the input of the case spoken of, in words; `yours` and `target` are its values.
    """

    right: bool | None
    says: str
    given: str = ""
    yours: np.ndarray | None = None
    target: np.ndarray | None = None


def check(name: str, answer) -> None:
    """Say whether `answer` solves exercise `name`, and what went wrong; see `judge`."""
    verdict = judge(name, answer)
    print(verdict.says)
    if verdict.given:
        print(f"This was the input: {verdict.given}.")
    if verdict.yours is not None:
        _draw(verdict.yours, verdict.target if verdict.right else None)


@torch.no_grad()
def judge(name: str, answer) -> Verdict:
    """The `Verdict` on `answer`; whatever the reader's code raises becomes words.

    `right` is None while the answer is `...` or None, or returns `...` or raises a bare
    NotImplementedError (torch raises some of its own, with a message). KeyError only for a name
    that is not in `EXERCISES`; it lists those that are.
    """
    if not T.named(name, EXERCISES):
        raise KeyError(f"no exercise {T.shown(name)}; there are {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    cases, yours = exercise.cases(np.random.default_rng(0)), []
    for case in cases:
        try:
            yours.append(_value(exercise, answer, case))
        except Exception as error:  # whatever the reader's code does
            bare = type(error) is NotImplementedError and not error.args
            if isinstance(error, Untouched) or bare:
                return Verdict(None, "not tried yet")
            return Verdict(False, f"✗ {_what_failed(answer, error)}", _given(answer, case))
    wanted = [np.asarray(exercise.target(*case), dtype=float) for case in cases]
    wrong = [i for i in range(len(cases)) if not same(yours[i], wanted[i], exercise.tolerance)]
    if not wrong:
        tried = f" on all {len(cases)} cases" if len(cases) > 1 else ""
        return Verdict(True, f"✓ Right{tried}.", "", yours[0], wanted[0])
    first = wrong[0]
    says = _mistake_of(exercise, cases, yours) or _difference(yours[first], wanted[first])
    shown = yours[first] if yours[first].shape else None  # the reader knows a number of his own
    return Verdict(False, f"✗ Not yet. {says}", _given(answer, cases[first]), shown)


def same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays have one shape, and values no more than `tolerance` apart."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=tolerance))


def _value(exercise, answer, case) -> np.ndarray:
    """The reader's value for one case, as an array of numbers."""
    if answer is None or answer is ...:
        raise Untouched
    if case and not callable(answer):
        raise TypeError(f"a function is asked for, and this is a {type(answer).__name__}")
    # A copy of the case: an answer that changes its input must not change the target's.
    value = exercise.run(answer, *copy.deepcopy(case)) if callable(answer) else answer
    if value is ...:
        raise Untouched
    if value is None:
        raise TypeError("your function returned nothing: end it with return")
    value = value.detach().cpu() if isinstance(value, torch.Tensor) else value
    kind = np.asarray(value).dtype.kind
    if kind in "US":
        text = f"{T.shown(value)} is text"
        raise TypeError(f"{text}, and numbers are asked for: leave the quotes out")
    if kind == "c":
        raise TypeError(f"{T.shown(value)} is complex, and real numbers are asked for")
    return np.asarray(value, dtype=float)


def _what_failed(answer, error) -> str:
    """The error in words, with the line of the reader's own code where there is one."""
    cell = answer.__code__.co_filename if inspect.isfunction(answer) else None
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == cell]
    if not lines:
        return f"Your answer could not be used: {str(error) or type(error).__name__}."
    number, line = lines[-1].lineno, lines[-1].line
    where = f"line {number} of your cell" + (f", `{line}`" if line else "")
    return f"Your function stopped at {where}. {type(error).__name__}: {error}"


def _given(answer, case) -> str:
    """The arguments of a case in words, by the names that the reader gave them."""
    if not case:
        return ""
    try:
        names = list(inspect.signature(answer).parameters)
    except (TypeError, ValueError):  # it cannot be called, or is one like max, which has none
        names = []
    names += ["?"] * (len(case) - len(names))
    return ", ".join(f"{name} = {_short(value)}" for name, value in zip(names, case))


def _short(value) -> str:
    if not isinstance(value, torch.Tensor):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    rows = P.numbers(value.flatten()[:4], 2)
    return f"a tensor {list(value.shape)} that begins {', '.join(map(str, rows))}"


def _mistake_of(exercise, cases, yours) -> str:
    """The words for the usual mistake that gives just these values, or ""."""
    for words, mistake in exercise.mistakes().items():
        made = (_value(exercise, mistake, case) for case in cases)
        if all(same(y, m, exercise.tolerance) for y, m in zip(yours, made)):
            return words
    return ""


def _difference(yours, target) -> str:
    """What differs, for an answer that makes none of the known mistakes; never the target."""
    if yours.shape != target.shape:
        turned = " The axes are in the wrong order." if yours.shape == target.shape[::-1] else ""
        return f"Your shape is {list(yours.shape)}; asked for is {list(target.shape)}.{turned}"
    if not np.isfinite(yours).all():
        return "Your answer holds a value that is no number (nan) or infinite."
    if not yours.shape:
        return f"Yours, {yours:,.6g}, is too {'high' if yours > target else 'low'}."
    off = ~np.isclose(yours, target, rtol=0, atol=1e-6)
    first = tuple(np.argwhere(off)[0].tolist())
    too = "high" if yours[first] > target[first] else "low"
    return (
        f"{off.sum()} of {off.size} values differ; the first one, at {list(first)}, is too {too}."
    )


def _draw(yours, target=None) -> None:
    """`yours`, beside the target if it is given: a matrix as a map, all else as a table."""
    pair = {"yours": yours} | ({} if target is None else {"target": target})
    beside = "" if target is None else " and the target"
    if yours.ndim == 2 and yours.size and np.isfinite(yours).all():
        rows, columns = yours.shape
        top, signed = float(np.abs(yours).max()) or 1.0, bool((yours < 0).any())
        axes = dict(x=list(range(columns)), y=list(range(rows)), top=top, signed=signed)
        title = f"Your matrix{beside}"
        text = columns * len(pair) <= 16  # more do not fit into the cells
        figure = P.gallery(pair.values(), pair, title=title, columns=len(pair), text=text, **axes)
        says = f"{title}, {rows} by {columns}: values from {yours.min():.2f} to {yours.max():.2f}."
        return P.show(P.sized(figure, 320), says)
    rows = [[n, *(f"{v:,.6g}" for v in value.ravel()[:8])] for n, value in pair.items()]
    display(P.table(rows, ["", *range(min(yours.size, 8))], f"Your numbers{beside}"))
