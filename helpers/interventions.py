"""Ablate and patch: each intervention proves that it changes something.

Every function takes a TransformerBridge or a `Zoo` and returns a `Zoo` with edits, which
`helpers.evaluation` counts like any other. The notebooks do the same for one model with
TransformerLens itself (`run_with_hooks`), and assert that both agree.

Zero, mean and resample ablation differ in what the rest of the model gets to read: nothing, the
average, or an honest value from another sequence (Heimersheim & Nanda 2024, "How to use and
interpret activation patching"; Chan et al. 2022, "Causal scrubbing").
"""

from __future__ import annotations

import numpy as np
import torch

from helpers import task as T
from helpers.evaluation import n_right
from helpers.model import HOOKS, Zoo, as_zoo, check_place, edit_at

PARTS = {"attention": "attn_out", "mlp": "mlp_out"}
HOW = ("zero", "mean", "resample")
N_TRIED = 512  # random sequences on which an intervention has to change something


class NothingChanged(RuntimeError):
    """An intervention leaves the value, or everything downstream of it, exactly as it was."""


@torch.no_grad()
def intervene(model, edits: dict, effect: bool = True) -> Zoo:
    """`model` with `edits`: a place of `HOOKS` -> tensor, or function (value, tokens) -> value.

    A value is `[models, batch, length, ...]`, tokens are `[batch, 2 * length + 1]`. The edits are
    tried at once on fixed random sequences: NothingChanged when one gives back what it was given,
    or when the logits stay the same bit for bit; of a zoo, for any of its models. `effect=False`
    allows both, for controls. ValueError for a place that this model does not have, or an edit that
    does not fit; KeyError for a place that is edited already.
    """
    plain = as_zoo(model)
    zoo = plain.edited(edits)
    for place in edits:
        _check_place(plain, place)
    if effect:
        sample = _sample(plain)
        for place in edits:
            what = f"the edit of {place!r} returned the value unchanged"
            _demand_change(plain, what, *_before_and_after(zoo, place, sample))
        what = f"editing {', '.join(edits)} did not reach the logits"
        _demand_change(plain, what, plain(sample), zoo(sample))
    return zoo


def _sample(zoo: Zoo) -> torch.Tensor:
    """Fixed random sequences `[N_TRIED, 2 * length + 1]` of the task of `zoo`."""
    inputs = np.random.default_rng(0).integers(0, T.DIGITS, (N_TRIED, zoo.length))
    return T.full_sequences(torch.from_numpy(inputs), zoo.task, zoo.length)


def _check_place(zoo: Zoo, place: str) -> None:
    check_place(place)
    if place in ("post", "mlp_out") and "blocks.0.mlp.in.weight" not in zoo.weights:
        there = ", ".join(name for name in HOOKS if name not in ("post", "mlp_out"))
        without = f"{zoo.kind!r} was built without an MLP; there are {there}"
        raise ValueError(f"this model has no {place}: {without}")


def _before_and_after(zoo: Zoo, place: str, sequences) -> tuple[torch.Tensor, torch.Tensor]:
    """The value that the edit of `place` is given, and what it returns."""
    seen = []

    def watched(value, tokens):
        new = edit_at(place, value, zoo.edits, tokens)
        seen.append((value, new))
        return new

    Zoo(zoo.kind, zoo.weights, zoo.seeds, edits={**zoo.edits, place: watched})(sequences)
    return seen[0]


def _demand_change(zoo: Zoo, what: str, old, new) -> None:
    same = (new.expand_as(old) == old).flatten(1).all(1).tolist()
    if any(same):
        seeds = [str(seed) for seed, is_same in zip(zoo.seeds, same) if is_same]
        raise NothingChanged(f"{what} in seed {', '.join(seeds)}, on {N_TRIED} random inputs")


@torch.no_grad()
def record(model, place: str, sequences: torch.Tensor) -> torch.Tensor:
    """The value at `place` of `HOOKS`, after its edit if any: `[models, n, length, ...]`.

    ValueError for another place, or for sequences that the model cannot read.
    """
    zoo = as_zoo(model)
    _check_place(zoo, place)
    T.check_sequences(sequences, zoo.length)
    return _before_and_after(zoo, place, sequences.to(zoo.device))[1]


def _sum_over_inputs(zoo: Zoo, place: str, of_part) -> torch.Tensor:
    """The sum over all inputs of `of_part(value)`, the value at `place` for a part of them."""
    parts = {}

    def watched(value, tokens):
        value = edit_at(place, value, zoo.edits, tokens)
        parts[T.number(tokens[0, 1 : zoo.length + 1]).item()] = of_part(value)
        return value

    n_right(Zoo(zoo.kind, zoo.weights, zoo.seeds, edits={**zoo.edits, place: watched}))
    return sum(parts[first] for first in sorted(parts))  # in one order, whoever was first


@torch.no_grad()
def mean_of(model, place: str) -> torch.Tensor:
    """The mean at `place` over every input, output by output: `[models, 1, length, ...]`.

    ValueError for a place that this model does not have.
    """
    zoo = as_zoo(model)
    _check_place(zoo, place)
    total = _sum_over_inputs(zoo, place, lambda value: value.sum(1, keepdim=True))
    return total / T.DIGITS**zoo.length


@torch.no_grad()
def ablate(
    model, part: str, how="zero", positions=None, neurons=None, seed: int = 0, effect: bool = True
) -> Zoo:
    """Silence a part: what it writes becomes zero, its mean, or its value on another sequence.

    part: "attention", "mlp", or a name of `HOOKS`. `positions` (0 for y0, ...) limits it to these
    outputs, `neurons` to these of "post". Means are over every input, output by output. Resampling
    pairs every sequence with another one by a fixed shuffle of all of them, drawn from `seed`.
    `effect` and errors as in `intervene`; ValueError for a part, position, neuron or seed that is
    none.
    """
    if not T.named(part, [*PARTS, *HOOKS]):
        raise ValueError(f"no part {T.shown(part)}; there are {', '.join([*PARTS, *HOOKS])}")
    if not T.named(how, HOW):
        raise ValueError(f"no ablation {T.shown(how)}; there are {', '.join(HOW)}")
    T.whole(seed, "seed")
    zoo, place = as_zoo(model), PARTS.get(part, part)
    _check_place(zoo, place)
    if neurons is not None and place != "post":
        raise ValueError(f"got neurons for {part!r}; only 'post' has neurons")
    silenced = _mask("position", positions, zoo.length, zoo.device)[:, None]
    if neurons is not None:
        width = len(zoo.weights["blocks.0.mlp.in.bias"][0])
        silenced = silenced & _mask("neuron", neurons, width, zoo.device)
    if how == "resample":
        partner = _partners(zoo, seed)

    def edit(value, tokens):
        if how == "resample":
            new = record(zoo, place, partner(tokens))
        else:
            new = mean if how == "mean" else torch.zeros_like(value)
        return torch.where(silenced, new, value)

    mean = mean_of(zoo, place) if how == "mean" else None
    return intervene(zoo, {place: edit}, effect)


def _mask(what: str, chosen, size: int, device) -> torch.Tensor:
    """bool `[size]`, true at `chosen`, or everywhere for None; ValueError for what is not there."""
    chosen = range(size) if chosen is None else T.whole_numbers(chosen, f"{what}s")
    mask = torch.zeros(size, dtype=torch.bool, device=device)
    mask[[T.whole(c, what, 0, size - 1) for c in chosen]] = True
    return mask


def partners(n: int, seed: int = 0) -> np.ndarray:
    """Which of `n` inputs each is paired with in resampling `[n]`: a fixed shuffle.

    ValueError unless both are whole numbers, `n` from 1 and `seed` from 0 on.
    """
    n = T.whole(n, "number of inputs", 1, T.DIGITS**T.LONGEST_LIST)
    return np.random.default_rng(T.whole(seed, "seed")).permutation(n)


def _partners(zoo: Zoo, seed: int):
    """A function tokens `[batch, 2 * length + 1]` -> the sequences they are paired with."""
    with zoo.device:
        everything = T.full_sequences(task=zoo.task, length=zoo.length)
    others = everything[torch.from_numpy(partners(len(everything), seed))]
    return lambda tokens: others[T.number(tokens[:, 1 : zoo.length + 1])]


def set_pattern(model, pattern) -> Zoo:
    """The attention pattern replaced by `pattern` `[length, 2 * length]`, from BOS on.

    ValueError for another shape, or for values that are no finite numbers; see `intervene`.
    """
    zoo = as_zoo(model)
    shape = (zoo.length, 2 * zoo.length)
    try:
        values = torch.as_tensor(pattern, dtype=torch.float64, device=zoo.device)
        finite = "complex" not in str(getattr(pattern, "dtype", "")) and values.isfinite().all()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        given = T.shown(pattern)
        raise ValueError(f"got the pattern {given}; allowed are numbers {shape}") from None
    if tuple(values.shape[-2:]) != shape:
        raise ValueError(f"got a pattern of shape {tuple(values.shape)}; allowed is {shape}")
    if not finite:
        raise ValueError(f"got the pattern {T.shown(pattern)}; allowed are finite real numbers")
    return intervene(zoo, {"pattern": values})


def ideal_pattern(length: int = T.LENGTH) -> torch.Tensor:
    """The pattern of the clean story: y_i looks at its source and nowhere else.
    `[length, 2 * length]`. ValueError for a length that is no whole number from 1 on."""
    length = T.whole(length, "length", 1)
    pattern = torch.zeros(length, 2 * length, dtype=torch.float64)
    for i in range(length):
        pattern[i, length - i] = 1  # x_{n-1-i} stands at position n - i, behind BOS
    return pattern


@torch.no_grad()
def directions_of(model):
    """Where attention's output varies: (mean `[models, 1, length, d_model]`, directions
    `[models, d_model, d_model]`, shares `[models, d_model]`).

    Over all inputs and outputs, each output's mean taken away, and the mean of the vector, which
    layer norm takes away. The directions are rows, the one with most of the squared size first;
    `shares` is how much each has. Each points from the answers 2 to the answers 3: where the task
    is +1, from source 1 to source 2.
    """
    zoo = as_zoo(model)
    usual = mean_of(zoo, "attn_out")

    def squares(value):
        varying = value - usual
        varying = (varying - varying.mean(-1, keepdim=True)).flatten(1, 2)
        return varying.mT @ varying  # [models, d_model, d_model]

    sizes, columns = torch.linalg.eigh(_sum_over_inputs(zoo, "attn_out", squares))  # ascending
    found = columns.flip(-1).mT
    return usual, found * _signs(zoo, usual, found), sizes.flip(-1) / sizes.sum(-1, keepdim=True)


def _signs(zoo: Zoo, usual, found) -> torch.Tensor:
    """1 or -1 for each direction `[models, n, 1]`, so that answer 3 lies right of answer 2."""
    sample = _sample(zoo)
    places = torch.einsum("mbld,mkd->mkbl", record(zoo, "attn_out", sample) - usual, found)
    answers = sample[:, zoo.length + 1 :].to(places.device)
    right, left = (places[..., answers == token].mean(-1, keepdim=True) for token in (3, 2))
    return torch.where(right < left, -1.0, 1.0).to(found)


def keep_directions(usual, directions):
    """The edit of "attn_out" that keeps its mean, and of the rest the part along `directions`.

    `usual` as `directions_of` gives it, `directions` `[models, k, d_model]` the first k of them.
    """

    def edit(value, tokens):
        places = torch.einsum("mbld,mkd->mblk", value - usual, directions)
        return usual + torch.einsum("mblk,mkd->mbld", places, directions)

    return edit


def one_direction(model):
    """Attention's output cut down to one number: (edit of "attn_out", share `[models]`).

    The edit keeps the mean and the part along the first of `directions_of`, whose `share` this is.
    """
    usual, directions, shares = directions_of(model)
    return keep_directions(usual, directions[:, :1]), shares[:, 0]
