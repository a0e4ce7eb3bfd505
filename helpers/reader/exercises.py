"""The checks of the reader's answers: `check("01-targets", my_targets)` at the end of a cell.

An answer is a number or a function. It is compared with a target that is computed another way, on
random cases that are the same for everybody. An `Exercise` lists the usual mistakes as functions too:
an answer that does what a mistake does gets the message of that mistake.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from helpers import plotting as P
from helpers import task as T
from helpers.training import RECIPE


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise: `target(*case)`, the usual `mistakes` {message: function}, and its cases.

    `cases(rng)` lists the arguments to try; a number has the one empty case. `run(answer, *case)` gets
    the value to compare from the reader's function.
    """

    target: Callable
    mistakes: dict[str, Callable]
    cases: Callable = lambda rng: [()]
    run: Callable = lambda answer, *case: answer(*case)
    tolerance: float = 1e-6


class _Untouched(Exception):
    """The answer is still the `...` of the stub."""


def check(name: str, answer) -> bool | None:
    """Compare `answer` with the target of exercise `name`, show both, and say what went wrong.

    True or False, or None (with "not tried yet") while the answer is `...`, None, or a function that
    returns one of them or raises NotImplementedError. Errors of the answer become messages.
    KeyError only for a name that is not in `EXERCISES`.
    """
    exercise = EXERCISES[name]
    with torch.no_grad():
        cases = exercise.cases(np.random.default_rng(0))
        try:
            results = [_value(exercise, answer, case) for case in cases]
        except (_Untouched, NotImplementedError):
            print("not tried yet")
            return None
        except Exception as error:  # whatever the reader's code does
            print(f"✗ Your answer could not be used. {type(error).__name__}: {error}")
            return False
        wanted = [np.asarray(exercise.target(*case), dtype=float) for case in cases]
        wrong = [i for i in range(len(cases)) if not _same(results[i], wanted[i], exercise)]
        shown = wrong[0] if wrong else 0
        _draw(results[shown], wanted[shown])
        if not wrong:
            print(f"✓ Right{f' on all {len(cases)} cases' if len(cases) > 1 else ''}.")
            return True
        for message, mistake in exercise.mistakes.items():
            made = (np.asarray(mistake(*case), dtype=float) for case in cases)
            if all(_same(r, m, exercise) for r, m in zip(results, made)):
                print(f"✗ Not yet. {message}")
                return False
    print(f"✗ Not yet. {_difference(results[shown], wanted[shown])}")
    return False


def _value(exercise, answer, case):
    """The reader's value for one case, as an array of numbers."""
    # A copy of the case: an answer that changes its input must not change the target's.
    value = exercise.run(answer, *copy.deepcopy(case)) if callable(answer) else answer
    if value is None or value is ...:
        raise _Untouched
    if case and not callable(answer):
        raise TypeError(f"a function is asked for, and this is a {type(answer).__name__}")
    return np.asarray(value, dtype=float)


def _same(a, b, exercise) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=exercise.tolerance))


def _difference(yours, target) -> str:
    """What differs, for an answer that makes none of the known mistakes."""
    if yours.shape != target.shape:
        turned = " The axes are in the wrong order." if yours.shape == target.shape[::-1] else ""
        return f"Your shape is {yours.shape}, the target's is {target.shape}.{turned}"
    if not np.isfinite(yours).all():
        return "Your answer holds a value that is no number (nan) or infinite."
    off = ~np.isclose(yours, target, rtol=0, atol=1e-6)
    if not yours.shape:
        return f"Yours is too {'high' if yours > target else 'low'}."
    first = tuple(int(i) for i in np.argwhere(off)[0])
    return f"{off.sum()} of {off.size} values differ; the first one is at {list(first)}."


def _draw(yours, target) -> None:
    """Both side by side: a matrix as two heatmaps, all else as a table of its first values."""
    from IPython.display import display

    if yours.ndim == target.ndim == 2 and np.isfinite(yours).all():
        top = float(max(np.abs(yours).max(), np.abs(target).max())) or 1
        axes = dict(x=list(range(target.shape[1])), y=list(range(target.shape[0])))
        figure = P.gallery([yours, target], ["yours", "target"], title="Yours and the target",
                           columns=2, top=top, **axes)  # fmt: skip
        same = "the same" if yours.shape == target.shape and np.allclose(yours, target) else "not"
        P.show(figure.update_layout(height=320, width=640), f"Your matrix and the target: {same}.")
        return
    flat = [a.ravel()[:8].tolist() for a in (yours, target)]
    rows = [[n, *(f"{v:.6g}" for v in values)] for n, values in zip(("yours", "target"), flat)]
    display(P.table(rows, ["", *range(max(map(len, flat)))]))


# ---------------------------------------------------------------- what the exercises share


def _normal(*shapes, n=5):
    """Cases of normal random tensors of these shapes."""
    return lambda rng: [
        tuple(torch.from_numpy(rng.normal(size=s)) for s in shapes) for _ in range(n)
    ]


def _inputs(rng):
    return [(x.tolist(),) for x in torch.from_numpy(rng.integers(0, 4, (20, 8)))]


@cache
def _model():
    from helpers.model import load_trained

    return load_trained()  # a model of its own: a reader's hook cannot reach the notebook's


def _sizes(kind) -> dict[str, int]:
    from helpers.model import shapes

    return {name: math.prod(shape) for name, shape in shapes(kind).items()}


def _sample():
    return T.full_sequences()[::4099]


def _share_right(answers) -> float:
    """Share of sequences with all eight tokens right, for `answers` made from the inputs."""
    x = T.all_inputs()
    return (answers(x) == T.targets(x)).all(1).double().mean().item()


def _shifted_loss(at, tokens):
    """A mistake made on purpose: logits compared with the tokens `at`."""
    return lambda logits, t: F.cross_entropy(logits[:, at].flatten(0, 1), t[:, tokens].flatten())


def _pattern(scale=None, mask=0, axis=-1):
    """Attention patterns that are wrong on purpose; `mask` is the first diagonal to hide."""

    def pattern(q, k):
        scores = q @ k.T / (scale or math.sqrt(q.shape[1]))
        hidden = torch.ones(len(q), len(k)).triu(1 + mask) if mask is not None else 0 * scores
        return scores.masked_fill(hidden.bool(), -1e9).softmax(axis)

    return pattern


def _looks(column) -> Callable:
    """A pattern `[8, 16]` in which y_i looks at position `column(i)`."""
    return lambda: torch.stack([torch.eye(16)[column(i)] for i in range(8)])


def _with_hook(name):
    """Run the trained model with the hook to be checked: logits of 16 fixed sequences.

    With a case the answer makes the hook; without one it is the hook.
    """

    def run(answer, *case):
        hook = answer(*case) if case else answer
        if hook is None or hook is ...:
            raise _Untouched

        def guarded(value, hook, chosen=hook):
            out = chosen(value, hook)
            if out is ...:
                raise _Untouched
            return out

        return _model().run_with_hooks(_sample()[:, :16], fwd_hooks=[(name, guarded)])[:, 8:]

    return run


POST, ATTN_OUT = "blocks.0.mlp.hook_post", "blocks.0.hook_attn_out"


def _edited(place, edit):
    """Logits of the same sequences by `helpers.model.forward`, which has no hooks."""

    def run(*case):
        from helpers.model import as_zoo, logits

        return logits(as_zoo(_model()), _sample(), {place: lambda v: edit(v, *case)})[0]

    return run


def _firing(rng):
    """Neurons that fire at some output, in random order."""
    from helpers.interventions import record

    fires = (record(_model(), "post", _sample()) > 0).flatten(0, 1).any(0)
    return [(int(n),) for n in rng.permutation(fires.nonzero().flatten().numpy())]


def _patched_share(own: bool) -> float:
    """y1..y7 with attention's output of another sequence: share that is the other's (or own) answer."""
    from helpers.interventions import intervene, record

    sequences = T.split(T.full_sequences())[1]
    other, model = sequences.flip(0), _model()
    theirs = record(model, "attn_out", other)
    says = intervene(model, {"attn_out": lambda v, _: theirs})(sequences).argmax(-1)
    right = (sequences if own else other)[:, 9:]
    return (says == right)[:, 1:].double().mean().item()


def _cases_with(columns) -> int:
    """How many combinations of (output, tokens at `columns(i)`) occur."""
    sequences = T.full_sequences()
    return sum(len(sequences[:, columns(i)].unique(dim=0)) for i in range(8))


A_PASS = RECIPE.max_steps // RECIPE.epochs  # steps of one epoch

EXERCISES = {
    # ---- 01
    "01-forgotten-mod": Exercise(
        lambda: _share_right(lambda x: x.flip(1) + 1),
        {
            "That is the share of single tokens. All eight tokens of a sequence have to be right.":
            lambda: 3 / 4,
            "That is the share of sequences with a mistake. The others are asked for.":
            lambda: 1 - (3 / 4) ** 8,
            "That would be right if only the token 0 came out right. It is the 3 that goes wrong.":
            lambda: (1 / 4) ** 8,
        }, tolerance=2e-3,
    ),
    "01-targets": Exercise(
        lambda x: T.targets(x),
        {
            "There is no reversal: y0 comes from x7, not from x0.": lambda x: [(t + 1) % 4 for t in x],
            "The 1 is missing: you only reverse.": lambda x: x[::-1],
            "3 + 1 gives 4, which is no token. Take it mod 4.": lambda x: [t + 1 for t in x[::-1]],
            "Off by one place: y0 comes from x7, y1 from x6.":
            lambda x: [(t + 1) % 4 for t in x[-2::-1] + x[-1:]],
            "You subtract 1. The task adds it.": lambda x: [(t - 1) % 4 for t in x[::-1]],
        }, _inputs,
    ),
    # ---- 02
    "02-parameters": Exercise(
        lambda: sum(_sizes("no_mlp").values()),
        {
            "The layer norm in front of the MLP goes with it: a weight and a bias.":
            lambda: sum(_sizes("no_mlp").values()) + sum(n for k, n in _sizes("article").items() if "ln2" in k),
            "Besides the two matrices the MLP has biases and a layer norm of its own.":
            lambda: sum(n for k, n in _sizes("article").items() if not k.endswith(("in.weight", "out.weight"))),
            "That is how many are taken away. How many are left?":
            lambda: sum(_sizes("article").values()) - sum(_sizes("no_mlp").values()),
        },
    ),
    "02-pattern": Exercise(
        # The library's attention with the identity as values gives back the weights.
        lambda q, k: F.scaled_dot_product_attention(q[None], k[None], torch.eye(len(k)).double()[None], is_causal=True)[0],
        {
            "The causal mask is missing: no position may look ahead.": _pattern(mask=None),
            "The scores are not divided by the square root of d_head.": _pattern(scale=1),
            "2 is the square root of our d_head only. The width is in the shape of q.": _pattern(scale=2),
            "Wrong axis: each row, one query, has to sum to 1. Take the softmax over the keys.": _pattern(axis=0),
            "Off by one: a position may look at itself, so the mask begins above the diagonal.": _pattern(mask=-1),
        }, lambda rng: [case for size in ((6, 4), (5, 3), (9, 7)) for case in _normal(size, size)(rng)[:2]],
    ),
    # ---- 03
    "03-half-known": Exercise(
        lambda: F.cross_entropy(torch.tensor([[0.0, 0.0, -1e9, -1e9, -1e9]]), torch.tensor([1])),
        {
            "That is the loss of a guess among four. Two of them are ruled out.": lambda: math.log(4),
            "That is the probability. The loss is minus its logarithm.": lambda: 0.5,
            "That is in bits. The loss uses the natural logarithm.": lambda: 1.0,
            "The sign: a loss is minus the logarithm.": lambda: -math.log(2),
        }, tolerance=5e-3,
    ),
    "03-loss": Exercise(
        _shifted_loss(slice(8, 16), slice(9, 17)),
        {
            "All positions are in. Only the last eight tokens count.": _shifted_loss(slice(0, 16), slice(1, 17)),
            "Off by one: at position 8 the model predicts the token at position 9.": _shifted_loss(slice(8, 16), slice(8, 16)),
            "That is the sum. The mean is asked for.":
            lambda logits, t: F.cross_entropy(logits[:, 8:].flatten(0, 1), t[:, 9:].flatten(), reduction="sum"),
            "The sign: a loss is minus the logarithm.": lambda logits, t: -_shifted_loss(slice(8, 16), slice(9, 17))(logits, t),
        },
        lambda rng: [(torch.from_numpy(rng.normal(size=(3, 16, 5))), torch.from_numpy(rng.integers(0, 4, (3, 17)))) for _ in range(5)],
    ),
    "03-rate": Exercise(
        lambda step, total, top: dataclasses.replace(RECIPE, lr=top, epochs=total // A_PASS).lr_at(step),
        {
            "That is a straight line. The cosine starts and ends flat.": lambda s, n, top: top * (1 - s / n),
            "It starts at twice the rate: 1 + cos goes from 2 to 0, so take half of it.": lambda s, n, top: top * (1 + math.cos(math.pi * s / n)),
            "It rises. It has to fall from the rate to zero.": lambda s, n, top: top * (1 - math.cos(math.pi * s / n)) / 2,
            "That is a whole turn: cos should go from 0 to pi, not to 2 pi.": lambda s, n, top: top * (1 + math.cos(2 * math.pi * s / n)) / 2,
        },
        lambda rng: [(int(rng.integers(A_PASS * n)), A_PASS * n, float(rng.uniform(0.01, 1))) for n in range(1, 9)],
    ),
    # ---- 04
    "04-ideal-pattern": Exercise(
        lambda: [[float(n == f"x{7 - i}") for n in T.POSITION_NAMES] for i in range(8)],
        {
            "Off by one: BOS stands at position 0, so x0 stands at position 1.": _looks(lambda i: 7 - i),
            "There is no reversal: y0 has to look at x7.": _looks(lambda i: 1 + i),
            "Each output looks at its own place there. It has to look at its source.": _looks(lambda i: 8 + i),
        },
    ),
    "04-value-weighted": Exercise(
        # One key at a time: how long is what it adds to the stream of this query?
        lambda a, v, o: [[torch.linalg.vector_norm(a[q, k] * v[k] @ o) for k in range(len(v))] for q in range(len(a))],
        {
            "W_O is missing: the norm is taken of what is written into the stream.": lambda a, v, o: a * v.norm(dim=-1),
            "The weights are missing.": lambda a, v, o: (v @ o).norm(dim=-1).expand_as(a),
            "Wrong axis: the norm belongs to the key, so it has to run along the columns.": lambda a, v, o: a * (v @ o).norm(dim=-1)[:, None],
            "That is the square. The norm is its root.": lambda a, v, o: a * (v @ o).pow(2).sum(-1),
        },
        lambda rng: [(a.softmax(-1), v, o) for a, v, o in _normal((6, 6), (6, 4), (4, 4))(rng)],
    ),
    # ---- 05
    "05-cases": Exercise(
        lambda: _cases_with(lambda i: [8 - i, 8 + i]),
        {
            "For y0 the own token is the source: only four of its sixteen pairs occur.": lambda: 8 * 16,
            "That leaves the own token out.": lambda: 8 * 4,
            "That leaves the position out.": lambda: 16,
        },
    ),
    "05-ov": Exercise(
        # Logit by logit, from the definition: what does reading this token add to that logit?
        lambda e, v, o, u: [[((e[t] @ v) @ o) @ u[:, c] for c in range(u.shape[1])] for t in range(len(e))],
        {
            "W_O comes after W_V: the value is made first, then written.": lambda e, v, o, u: e @ o @ v @ u,
            "W_O is missing.": lambda e, v, o, u: e @ v @ u,
            "Wrong axis: rows are the token attended to, columns the logits.": lambda e, v, o, u: (e @ v @ o @ u).T,
        },
        _normal((5, 4), (4, 4), (4, 4), (4, 5)),
    ),
    # ---- 06
    "06-other-sequence": Exercise(
        lambda: _patched_share(own=False),
        {
            "That is the share of its own answers. What does it say of the other sequence?": lambda: _patched_share(own=True),
            "Attention carries nearly everything about the source. So whose answer will it be?": lambda: 0.0,
        }, tolerance=0.02,
    ),
    "06-neuron-hook": Exercise(
        _edited("post", lambda v, n: v.index_fill(-1, torch.tensor([n]), 0)),
        {
            "Your hook changed nothing. Does it return the new value?": _edited("post", lambda v, n: v),
            "All neurons are off. Only one should be.": _edited("post", lambda v, n: 0 * v),
            "Wrong axis: the neuron is the last axis; you switched a position off.":
            # The reader's value has all 16 positions, this one the last eight.
            _edited("post", lambda v, n: v if n < 8 else v.index_fill(-2, torch.tensor([n - 8]), 0)),
        }, _firing, _with_hook(POST),
    ),
    "06-mean-hook": Exercise(
        _edited("attn_out", lambda v: v.mean(-3, keepdim=True).expand_as(v)),
        {
            "Your hook changed nothing. Does it return the new value?": _edited("attn_out", lambda v: v),
            "That is zero ablation. The mean is asked for.": _edited("attn_out", lambda v: 0 * v),
            "Wrong axis: take the mean over the batch (axis 0), position by position.": lambda: _mean_of_positions(),
        }, run=_with_hook(ATTN_OUT),
    ),
}  # fmt: skip


def _mean_of_positions():
    """The mistake of `06-mean-hook`: the mean over all 16 positions of each sequence."""
    model, tokens = _model(), _sample()[:, :16]
    mean = lambda v, hook: v.mean(1, keepdim=True).expand_as(v)
    return model.run_with_hooks(tokens, fwd_hooks=[(ATTN_OUT, mean)])[:, 8:]
