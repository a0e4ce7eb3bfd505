"""How many tokens are right, on chosen sequences or on every input.

At an output attention writes a ratio of two sums over the keys. Which token stands at a key adds a
fixed pair (weight times value, weight), once the token at the output's own place is given. So over
all 4^8 inputs the sums of the left four digits and of the right four (256 each) are made once and
added: no softmax for each sequence. Edits that want the pattern of each sequence go the long way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F

from helpers import task as T
from helpers.model import Zoo, after_z, as_zoo, attention_reads, folded, stream_table

# What is held in memory at a time, on the CPU (what its caches hold) and elsewhere.
MODELS_AT_ONCE = {True: 14, False: 512}
SEQUENCES_AT_ONCE = {True: 4096, False: 2**21}  # times models
FAR_APART = 600.0  # scores further apart than this would overflow the sums


def hits(logits: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Which tokens are right: bool `[..., n, length]` for logits `[..., n, length, vocab]`."""
    n = logits.shape[-2]
    return answers(logits) == sequences[..., n + 1 : 2 * n + 1]


def answers(logits: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """The token of the highest logit along `dim`, the first of equals: uint8. Over an axis as short
    as this it is several times as fast as torch's argmax."""
    best, *others = logits.unbind(dim)
    answer = torch.zeros_like(best, dtype=torch.uint8)
    for token, other in enumerate(others, 1):
        answer.masked_fill_(other > best, token)
        best = torch.maximum(best, other)
    return answer


def right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Which tokens are right: bool `[models, n, length]`, on `sequences` or on every input.

    `model` is a TransformerBridge or a `Zoo`, edited or not, as `helpers.interventions` returns it.
    ValueError for another one, and for other sequences than `[n, 2 * length + 1]` of tokens.
    """
    return _evaluate(as_zoo(model), sequences, lambda hit: hit, partial(torch.cat, dim=1))


def by_position(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Share of right tokens at each output: `[models, length]`. ValueErrors as of `right`."""
    zoo = as_zoo(model)
    count = _evaluate(zoo, sequences, lambda hit: hit.sum(1), sum)
    return count.double() / (T.DIGITS**zoo.length if sequences is None else len(sequences))


def n_right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """How many sequences have all tokens right: `[models]` counts. ValueErrors as of `right`."""
    return _evaluate(as_zoo(model), sequences, lambda hit: hit.all(-1).sum(-1), sum)


def only_exact(zoo: Zoo) -> Zoo:
    """The models of `zoo` that are right on every input; counted, not looked up."""
    zoo = as_zoo(zoo)
    return zoo.where(n_right(zoo) == T.DIGITS**zoo.length)


@contextmanager
def one_thread():
    """torch with one thread while it lasts: tensors this small cost more to share than to do.
    Yields how many threads there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def _evaluate(zoo: Zoo, sequences, count: Callable, join: Callable) -> torch.Tensor:
    """`join` of the list of `count(hit)` for parts of the sequences, in order: `[models, ...]`.

    hit is bool `[models, part, length]`.
    """
    on_cpu = zoo.device.type == "cpu"
    if len(zoo) > MODELS_AT_ONCE[on_cpu] and not zoo.edits:
        groups = torch.arange(len(zoo), device="cpu") // MODELS_AT_ONCE[on_cpu]
        each = [zoo.where(groups == g) for g in groups.unique()]
        return torch.cat([_evaluate(group, sequences, count, join) for group in each])
    if sequences is not None:
        T.check_sequences(sequences, zoo.length, answers=True)
    logits, size = zoo, max(64, SEQUENCES_AT_ONCE[on_cpu] // len(zoo))
    if sequences is None:
        with zoo.device:
            sequences = T.full_sequences(task=zoo.task, length=zoo.length)
        if sums := every_input(zoo, sequences):
            logits, size = sums, T.DIGITS ** (zoo.length - zoo.length // 2)

    def job(part):
        with torch.no_grad():  # it does not reach other threads
            return count(hits(logits(part), part))

    parts = sequences.to(zoo.device).split(size)
    with one_thread() as threads:
        if threads == 1 or not on_cpu:
            return join([job(part) for part in parts])
        with ThreadPoolExecutor(threads) as pool:
            return join(list(pool.map(job, parts)))


def every_input(zoo: Zoo, sequences: torch.Tensor) -> Callable | None:
    """A function from all inputs with the same left half of digits, in order, to their logits.

    `sequences` are all there are. None where the sums cannot be used: a task in which a key depends
    on digits of both halves; a pattern made for each sequence; scores too far apart.
    """
    n, fixed = zoo.length, zoo.edits.get("pattern")
    if zoo.task != "reverse_plus_one" or callable(fixed):
        return None
    plain = not {"z", "attn_out", "mlp_out", "resid_post"} & set(zoo.edits)
    weights = folded(zoo.weights) if plain else zoo.weights
    stream = stream_table(weights)  # [key, models, d_model, token]
    q, k, v = attention_reads(stream, weights)
    if fixed is None:
        weight = _attention(q[n:, ..., : T.DIGITS], k)
        if weight is None:
            return None
    else:
        weight = fixed.to(v).expand(len(zoo), 1, n, 2 * n)[:, 0].transpose(0, 1)
        weight = weight[:, :, None, :, None].expand(-1, -1, T.DIGITS, -1, T.VOCAB)
    v = torch.cat([v, torch.ones_like(v[:, :, :1])], 2)  # the last component sums the weights
    pair = weight[:, :, None] * v.permute(1, 2, 0, 3)[:, :, None]
    pair = pair.flatten(-2)  # [output, models, component, own token, key * token]

    half, n_right = n // 2, T.DIGITS ** (n - n // 2)
    digit = torch.tensor([-1, *range(n), *range(n - 1, 0, -1)], device=v.device)  # shown at a key

    def total(rows, keys):
        shown = F.one_hot(rows[:, : 2 * n], T.VOCAB) * keys[:, None]
        return pair @ shown.flatten(1).T.to(pair)  # [output, models, component, own token, row]

    def by_own(table):
        """[output * own token, models, component, right half]; where the right half decides the
        own token, that of the right half, whatever is asked for."""
        for i in (digit[n:] >= half).nonzero().flatten().tolist():
            own = sequences[:n_right, n + i]
            table[i] = table[i, own, :, :, torch.arange(n_right, device=v.device)].permute(1, 2, 0)
        return table.flatten(0, 1)

    left = total(sequences[::n_right], digit < half).permute(4, 0, 1, 2, 3).flatten(2, 3)
    right = by_own(total(sequences[:n_right], digit >= half).permute(0, 3, 1, 2, 4).contiguous())
    own = stream[n:, ..., : T.DIGITS].permute(0, 3, 1, 2)[..., None].expand(*[-1] * 4, n_right)
    stream = by_own(own.contiguous())
    first = T.DIGITS * torch.arange(n, device=v.device)

    def logits(part):
        row = first + part[0, n : 2 * n]
        own = F.one_hot(part[:, n : 2 * n], T.VOCAB)[..., : T.DIGITS].to(pair).permute(1, 2, 0)
        both = (
            right.index_select(0, row)
            .flatten(1, 2)
            .baddbmm_(left[T.number(part[0, 1 : half + 1])], own)
        )
        both = both.view(n, len(zoo), -1, n_right)
        z = both[:, :, :-1] if fixed is not None else both[:, :, :-1] / both[:, :, -1:]
        return after_z(weights, stream.index_select(0, row), z, zoo.edits, part)

    return logits


def _attention(q, k) -> torch.Tensor | None:
    """exp of the scores, `[output, models, own token, key, token]`, 0 for what cannot be; divided
    by so much that they sum to at least 1. None if one of them would be too large."""
    n_keys, out = len(k), len(k) - len(q)
    scores = torch.einsum("imdo,kmdt->imokt", q / math.sqrt(q.shape[2]), k)
    seen = torch.ones(n_keys, n_keys, dtype=torch.bool, device=k.device).tril()[out:, :, None]
    is_bos = torch.arange(T.VOCAB, device=k.device) == T.BOS
    at_start = torch.arange(n_keys, device=k.device)[:, None] == 0
    can_be = seen & (at_start == is_bos)  # [output, key, token]
    scores = scores.masked_fill(~can_be[:, None, None], -math.inf)
    # Whatever stands there, some key has at least this score.
    least = torch.where(can_be[:, None, None], scores, math.inf).amin(-1)
    least = least.masked_fill(~seen[:, None, None, :, 0], -math.inf).amax(-1)
    scores = scores - least[..., None, None]
    return scores.exp() if scores.max() < FAR_APART else None
