"""Ablate and patch: each intervention proves that it changed something.

Every function returns a function from tokens to logits at y0..y7, which the evaluations in
`helpers.training` take in place of a model. `model` is a TransformerBridge or a `Zoo`.

Zero, mean and resample ablation differ in what the rest of the model gets to read: nothing, the
average, or an honest value from another sequence (Heimersheim & Nanda 2024, "How to use and
interpret activation patching"; Chan et al. 2022, "Causal scrubbing").
"""

from __future__ import annotations

import numpy as np
import torch

from helpers import task as T
from helpers.model import HOOKS, Zoo, get_kind, has, in_parts, logits

PARTS = {"attention": "attn_out", "mlp": "mlp_out"}
HOW = ("zero", "mean", "resample")


class NothingChanged(RuntimeError):
    """An intervention left the value, or everything downstream of it, exactly as it was."""


def intervene(model, edits: dict, effect: bool = True, prepare=None):
    """Run `model` with `edits` on any tokens: name of `HOOKS` -> function (value, given) -> value.

    `given` is the tokens `[batch, 17]`, or what `prepare(tokens)` made of them before the run (an
    edit cannot itself run the model, whose hooks are then in place).

    Raises NothingChanged when an edit returns what it was given, or when the logits of the first
    batch are bit for bit those of the untouched model; of a zoo, for any of its models.
    `effect=False` allows both, for controls.
    """
    for name in edits:
        _check(model, name)
    checked = not effect

    @torch.no_grad()
    def run(tokens):
        nonlocal checked
        given = tokens if prepare is None else prepare(tokens)

        def counted(name, edit):
            def apply(value):
                new = edit(value, given)
                if not checked and (same := _unchanged(model, new, value)):
                    raise NothingChanged(f"the edit of {name!r} returned the value unchanged{same}")
                return new

            return apply

        out = logits(model, tokens, {n: counted(n, e) for n, e in edits.items()})
        if not checked and (same := _unchanged(model, out, logits(model, tokens))):
            raise NothingChanged(f"editing {', '.join(edits)} did not reach the logits{same}")
        checked = True
        return out

    run.n_models = (
        len(model) if isinstance(model, Zoo) else 1
    )  # evaluations size their chunks by it
    return run


def _unchanged(model, new, old) -> str:
    """Where `new` is `old` bit for bit: "" for nowhere, a full stop or the seeds of a zoo."""
    if not isinstance(model, Zoo):
        return "." if torch.equal(new, old) else ""
    same = (new.expand_as(old) == old).flatten(1).all(1).tolist()
    seeds = [str(seed) for seed, is_same in zip(model.seeds, same) if is_same]
    return f" in seed {', '.join(seeds)}." if seeds else ""


@torch.no_grad()
def record(model, name: str, tokens: torch.Tensor) -> torch.Tensor:
    """The value at `name` of `HOOKS` for `tokens` `[batch, 17]`: `[(models,) batch, 8, ...]`."""
    _check(model, name)
    seen = []

    def keep(value):
        seen.append(value)
        if isinstance(model, Zoo):
            raise _Seen  # the rest of the pass is not wanted
        return value

    try:
        logits(model, tokens, {name: keep})
    except _Seen:
        pass
    return seen[0]


class _Seen(Exception):
    """Ends a pass whose value was recorded."""


@torch.no_grad()
def mean_of(model, name: str, sequences: torch.Tensor | None = None):
    """The mean of `name` over `sequences` (default: all 65,536), position by position.

    `[8, ...]`, or `[models, 1, 8, ...]` for a zoo, so that it broadcasts over a batch.
    """
    sequences = _all(model) if sequences is None else sequences
    part_sum = lambda part: record(model, name, part).sum(-3, keepdim=isinstance(model, Zoo))
    return sum(in_parts(part_sum, model, sequences)) / len(sequences)


def ablate(model, part: str, how: str = "zero", positions=None, neurons=None, seed: int = 0):
    """Silence a part: what it writes becomes zero, its mean, or its value on another sequence.

    part: "attention", "mlp", or a name of `HOOKS`. `positions` (0..7 for y0..y7) and `neurons`
    (for "post") limit it. Means are over all 65,536 sequences, position by position. Resampling
    pairs every sequence with another one by a fixed shuffle of all of them drawn from `seed`.
    """
    if part not in PARTS and part not in HOOKS:
        raise ValueError(f"no part {part!r}; there are {', '.join([*PARTS, *HOOKS])}")
    if how not in HOW:
        raise ValueError(f"no ablation {how!r}; there are {', '.join(HOW)}")
    name = PARTS.get(part, part)
    mean = mean_of(model, name) if how == "mean" else None
    prepare = None
    if how == "resample":
        partner = _partners(model, seed)
        prepare = lambda tokens: record(model, name, partner(tokens))

    def edit(value, given):
        if how == "zero":
            new = torch.zeros_like(value)
        elif how == "mean":
            new = mean.expand_as(value)
        else:
            new = given
        return _only(value, new, positions, neurons)

    return intervene(model, {name: edit}, prepare=prepare)


def set_pattern(model, pattern: torch.Tensor, effect: bool = True):
    """Replace the attention pattern by `pattern` `[8, 16]` (queries y0..y7, keys BOS..y6)."""
    pattern = torch.as_tensor(pattern, dtype=torch.float64)
    return intervene(model, {"pattern": lambda v, _: pattern.expand_as(v).clone()}, effect)


@torch.no_grad()
def one_direction(model):
    """Attention's output cut down to one number: (edit of "attn_out", share).

    The edit keeps of what attention writes its mean at each output, and its part along the one
    direction in which it varies most over all sequences and outputs (without the mean of the vector,
    which layer norm takes away). `share` of the squared size of what varies lies along it: a number,
    or `[models]` for a zoo, each model with its own direction.
    """
    usual = mean_of(model, "attn_out")

    def squares(part):
        varying = record(model, "attn_out", part) - usual
        varying = (varying - varying.mean(-1, keepdim=True)).flatten(-3, -2)
        return varying.mT @ varying  # [(models,) d_model, d_model]

    sizes, directions = torch.linalg.eigh(sum(in_parts(squares, model, _all(model))))  # ascending
    line = directions[..., None, None, :, -1]
    edit = lambda v, _: usual + ((v - usual) * line).sum(-1, keepdim=True) * line
    return edit, sizes[..., -1] / sizes.sum(-1)


def ideal_pattern() -> torch.Tensor:
    """The pattern of the clean story: y_i looks at its source x_{7-i} and nowhere else. `[8, 16]`."""
    pattern = torch.zeros(T.LENGTH, 16, dtype=torch.float64)
    for i in range(T.LENGTH):
        pattern[i, T.LENGTH - i] = 1  # x_{7-i} stands at position 8-i, behind BOS
    return pattern


def _only(value, new, positions, neurons):
    """`new` at the chosen positions and neurons, `value` elsewhere."""
    mask = torch.ones_like(value, dtype=torch.bool)
    for axis, keep in ((-2, positions), (-1, neurons)):
        if keep is not None:
            chosen = torch.zeros(value.shape[axis], dtype=torch.bool)
            chosen[list(keep)] = True
            mask &= chosen.view(*[-1 if a == axis else 1 for a in range(-value.dim(), 0)])
    return torch.where(mask, new, value)


def _check(model, name):
    """ValueError unless `name` is a place of `HOOKS` that this model has."""
    if name not in HOOKS:
        raise ValueError(f"no place {name!r} in a model; there are {', '.join(HOOKS)}")
    if not has(model, name):
        raise ValueError(f"this model has no {name}: it was built without that part")


def _all(model) -> torch.Tensor:
    return T.full_sequences(task=_task(model))


def _task(model) -> str:
    return get_kind(model.kind).task if isinstance(model, Zoo) else "reverse_plus_one"


def _partners(model, seed):
    """A function tokens `[batch, 17]` -> the sequences they are paired with."""
    everything = _all(model)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(T.N_SEQUENCES))
    place = T.DIGITS ** torch.arange(T.LENGTH - 1, -1, -1)
    return lambda tokens: everything[order[(tokens[:, 1:9] * place).sum(1)]]
