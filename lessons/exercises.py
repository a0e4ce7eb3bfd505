"""The checks of the reader's answers: what a right answer is, and what a wrong one is told.

An answer is a number or a function. It is compared with a target that is computed another way, on
random cases that are the same for everybody, and with the usual mistakes: an answer that does what
a mistake does is told so. A target is never shown before the answer is right.
"""

import copy
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from IPython.display import display

from helpers import plotting
from helpers.page import show


@dataclass(frozen=True)
class Exercise:
    """One exercise, as plain data.

    `target(*case)` is the value wanted. `mistakes` maps what the reader is told to the answer that
    is so mistaken: a number or a function, as a reader would give it. `cases(rng)` lists the
    arguments to try; a number has the one empty case. `run(answer, *case)` gets from a reader's
    answer the value to compare. Values that differ by `tolerance` or less are the same. `draw`, if
    there is one, shows an answer that was tried.
    """

    target: Callable
    mistakes: dict
    cases: Callable = lambda rng: [()]
    run: Callable = lambda answer, *case: answer(*case) if callable(answer) else answer
    draw: Callable | None = None
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer. `right` is None while nothing was tried.

    `given` is the input of the case spoken of, in words; `yours` and `target` are its values.
    """

    right: bool | None
    says: str
    given: str = ""
    yours: np.ndarray | None = None
    target: np.ndarray | None = None


def normal(*sizes, n=5):
    """A function rng -> `n` cases of normal random tensors of these sizes."""
    each = range(n)
    return lambda rng: [tuple(torch.from_numpy(rng.normal(size=s)) for s in sizes) for _ in each]


def check(exercises: dict[str, Exercise], name: str, answer) -> None:
    """Say whether `answer` solves the exercise of this name, and what went wrong; see `judge`.
    KeyError for another name than those of `exercises`, which it lists."""
    if name not in exercises:
        raise KeyError(f"no exercise {name!r} here; there are {', '.join(exercises)}")
    verdict = judge(exercises[name], answer)
    print(verdict.says)
    if verdict.given:
        print(f"This was the input: {verdict.given}.")
    if verdict.yours is not None and exercises[name].draw is not None:
        exercises[name].draw(answer)
    elif verdict.yours is not None:
        _draw(verdict.yours, verdict.target if verdict.right else None)


def judge(exercise: Exercise, answer) -> Verdict:
    """The `Verdict` on `answer`; whatever the reader's code raises becomes words.

    `right` is None while the answer is `...` or None, or returns `...` or raises a bare
    NotImplementedError (torch raises some of its own, with a message).
    """
    cases, yours = exercise.cases(np.random.default_rng(0)), []
    for case in cases:
        try:
            yours.append(value_of(exercise, answer, case))
        except Exception as error:  # whatever the reader's code does
            if type(error) is NotImplementedError and not error.args:
                return Verdict(None, "not tried yet")
            return Verdict(False, f"✗ {_what_failed(answer, error)}", _given(answer, case))
    with torch.no_grad():  # but not around the answer, which may train
        wanted = [np.asarray(exercise.target(*case), dtype=float) for case in cases]
    wrong = [i for i in range(len(cases)) if not same(yours[i], wanted[i], exercise.tolerance)]
    if not wrong:
        tried = f" on all {len(cases)} cases" if len(cases) > 1 else ""
        return Verdict(True, f"✓ Right{tried}.", "", yours[0], wanted[0])
    says, first = _difference(yours[wrong[0]], wanted[wrong[0]]), wrong[0]
    for words, mistake in exercise.mistakes.items():
        made = (value_of(exercise, mistake, case) for case in cases)
        if all(same(y, m, exercise.tolerance) for y, m in zip(yours, made)):
            says = words
    shown = yours[first] if yours[first].shape else None  # the reader knows a number of his own
    return Verdict(False, f"✗ Not yet. {says}", _given(answer, cases[first]), shown)


def same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays have one shape, and values no more than `tolerance` apart."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=tolerance))


def value_of(exercise: Exercise, answer, case) -> np.ndarray:
    """The reader's value for one case, as an array of numbers; TypeError in words if it is none."""
    if answer is None or answer is ...:
        raise NotImplementedError
    if case and not callable(answer):
        raise TypeError(f"a function is asked for, and this is a {type(answer).__name__}")
    # A copy of the case: an answer that changes its input must not change the target's.
    value = exercise.run(answer, *copy.deepcopy(case))
    if value is ...:
        raise NotImplementedError
    if value is None:
        raise TypeError("your function returned nothing: end it with return")
    value = value.detach().cpu() if isinstance(value, torch.Tensor) else value
    kind = np.asarray(value).dtype.kind
    if kind in "US":
        raise TypeError(f"{value!r} is text, and numbers are asked for: leave the quotes out")
    if kind == "c":
        raise TypeError(f"{value!r} is complex, and real numbers are asked for")
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

    def short(value):
        if not isinstance(value, torch.Tensor):
            return str(value)
        begin = ", ".join(map(str, plotting.numbers(value.flatten()[:4], 2)))
        return f"a tensor {list(value.shape)} that begins {begin}"

    return ", ".join(f"{name} = {short(value)}" for name, value in zip(names, case))


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
    too = f"at {list(first)}, is too {'high' if yours[first] > target[first] else 'low'}"
    return f"{off.sum()} of {off.size} values differ; the first one, {too}."


def _draw(yours, target=None) -> None:
    """`yours`, beside the target if it is given: a matrix as a map, all else as a table."""
    pair = {"yours": yours} | ({} if target is None else {"target": target})
    beside = "" if target is None else " and the target"
    if yours.ndim == 2 and yours.size and np.isfinite(yours).all():
        (rows, columns), low, high = yours.shape, yours.min(), yours.max()
        figure = plotting.gallery(
            pair.values(), pair, title=f"Your matrix{beside}", columns=len(pair),
            x=list(range(columns)), y=list(range(rows)),
            top=float(max(high, -low)) or 1.0, signed=bool(low < 0),
            text=columns * len(pair) <= 16,  # more do not fit into the cells
        )  # fmt: skip
        says = f"{rows} by {columns}: values from {low:.2f} to {high:.2f}."
        return show(plotting.sized(figure, 320), says=f"Your matrix{beside}, {says}")
    rows = [[n, *(f"{v:,.6g}" for v in value.ravel()[:8])] for n, value in pair.items()]
    display(plotting.table(rows, ["", *range(min(yours.size, 8))], f"Your numbers{beside}"))
