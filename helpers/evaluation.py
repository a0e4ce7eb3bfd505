"""How many tokens are right, on chosen sequences or on every input.

At an output attention writes a ratio of two sums over the keys. Which token stands at a key adds a
fixed pair (weight times value, weight), once the token at the output's own place is given. So over
all 4^8 inputs the sums of the left four digits and of the right four (256 each) are made once and
added: no softmax for each sequence. Edits that want the pattern of each sequence go the long way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from helpers import task as T
from helpers.model import (
    Zoo,
    after_attention,
    after_z,
    as_zoo,
    attention_reads,
    linear,
    stream_table,
)

AT_ONCE, AT_ONCE_GPU = 4096, 2**21  # sequences times models that are held in memory at a time
MODELS_AT_ONCE = 32
FAR_APART = 600.0  # scores further apart than this would overflow the sums


def hits(logits: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Which tokens are right: bool `[..., n, length]` for logits `[..., n, length, vocab]`."""
    return _answers(logits, -1) == _wanted(sequences, logits.shape[-2])


def right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Which tokens are right: bool `[models, n, length]`, on `sequences` or on every input.

    `model` is a TransformerBridge or a `Zoo`, edited or not, as `helpers.interventions` returns it.
    """
    return torch.cat(_evaluate(as_zoo(model), sequences, lambda hit: hit), dim=1)


def by_position(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Share of right tokens at each output: `[models, length]`."""
    counts = sum(_evaluate(as_zoo(model), sequences, lambda hit: hit.sum(1)))
    return counts.double() / _how_many(model, sequences)


def n_right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """How many sequences have all tokens right: `[models]` counts."""
    return sum(_evaluate(as_zoo(model), sequences, lambda hit: hit.all(-1).sum(-1)))


def only_exact(zoo: Zoo) -> Zoo:
    """The models of `zoo` that are right on every input; counted, not looked up."""
    return zoo.where(n_right(zoo) == T.DIGITS**zoo.length)


def _how_many(model, sequences) -> int:
    return T.DIGITS ** as_zoo(model).length if sequences is None else len(sequences)


def _wanted(sequences, length):
    return sequences[..., length + 1 : 2 * length + 1]


def _answers(logits, axis):
    """argmax, the first of equals; over a short axis this is several times as fast as torch's."""
    best, *others = logits.unbind(axis)
    answer = torch.zeros_like(best, dtype=torch.uint8)
    for token, other in enumerate(others, 1):
        answer.masked_fill_(other > best, token)
        best = torch.maximum(best, other)
    return answer


@torch.no_grad()
def _evaluate(zoo: Zoo, sequences, count: Callable) -> list:
    """`count(hit)` for parts of the sequences, in order; hit is bool `[models, part, length]`."""

    if len(zoo) > MODELS_AT_ONCE and not zoo.edits:
        groups = torch.arange(len(zoo)) // MODELS_AT_ONCE
        each = [_evaluate(zoo.where(groups == g), sequences, count) for g in groups.unique()]
        return [torch.cat(same_part) for same_part in zip(*each)]
    if sequences is None and (halves := _Halves.of(zoo)):
        return [count(halves.hits(part)) for part in range(halves.n_parts)]
    if sequences is None:
        sequences = T.full_sequences(task=zoo.task, length=zoo.length)
    parts = sequences.to(zoo.device).split(max(64, AT_ONCE // len(zoo)))
    return [count(hits(zoo(part), part)) for part in parts]


class _Halves:
    """The sums of attention over the left and the right half of the digits, for every output.

    Whatever depends on the input is kept as `[models, component, digit, digit, ...]`: an axis of 4
    for each digit that it depends on, an axis of 1 for the others. A part is all inputs that begin
    with the same `n_fixed` digits.
    """

    @classmethod
    def of(cls, zoo: Zoo) -> _Halves | None:
        """For this zoo, or None where the sums cannot be used."""
        by_sequence = callable(zoo.edits.get("pattern"))
        if by_sequence or zoo.task != "reverse_plus_one" or zoo.length > T.LONGEST_LIST:
            return None
        halves = cls(zoo)
        return halves if halves.apart < FAR_APART else None

    def __init__(self, zoo: Zoo):
        self.zoo, n = zoo, zoo.length
        stream = stream_table(zoo.weights)  # [models, position, token, d_model]
        q, k, v = attention_reads(stream, zoo.weights)
        # Weights that sum to 1 let the values go through W_O and its bias before they are summed.
        self.writes = not {"z", "pattern"} & set(zoo.edits)
        v = linear(v, zoo.weights, "blocks.0.attn.o") if self.writes else v
        q = q[:, n:, : T.DIGITS] / math.sqrt(q.shape[-1])
        scores = torch.einsum("miod,mktd->miokt", q, k)  # output, own token, key, its token
        self.values = torch.cat([v, torch.ones_like(v[..., :1])], -1)[:, None]
        self.apart = 0.0
        self.sums = [self._sums(i, scores[:, i]) for i in range(n)]
        own = stream[:, n:, : T.DIGITS].permute(0, 3, 1, 2)  # [models, d_model, output, token]
        self.stream = [self._by_digits(own[:, :, i], i, []) for i in range(n)]
        at_once = AT_ONCE if zoo.device.type == "cpu" else AT_ONCE_GPU
        free = math.ceil(math.log(max(1, at_once / len(zoo)), T.DIGITS))
        self.n_fixed = max(0, n - free)
        self.n_parts = T.DIGITS**self.n_fixed
        self.sequences = T.full_sequences(length=n).to(zoo.device).chunk(self.n_parts)

    def _sums(self, i: int, scores: torch.Tensor) -> list[torch.Tensor]:
        """Two sums `[models, d_head + 1, digits...]` for y_i, over BOS and the left digits and over
        the right ones; the last component is the divisor."""
        n, place = self.zoo.length, self.zoo.length + i
        fixed = self.zoo.edits.get("pattern")
        if fixed is None:
            n_keys, scores = place + 1, scores[:, :, : place + 1]
            digits = scores[:, :, 1:, : T.DIGITS]
            # Whatever stands there, some key has at least this score: the divisor is at least 1.
            least = torch.maximum(digits.amin(-1).amax(-1), scores[:, :, 0, T.BOS])
            scores = scores - least[..., None, None]
            self.apart = max(self.apart, scores[:, :, 1:, : T.DIGITS].max().item())
            pair = scores.clamp(max=FAR_APART).exp()[..., None] * self.values[:, :, :n_keys]
        else:
            n_keys = 2 * n
            row = fixed.to(self.values).expand(len(self.zoo), 1, n, n_keys)[:, 0, i]
            pair = row[:, None, :, None, None] * self.values.expand(-1, T.DIGITS, -1, -1, -1)
            pair[..., -1] = 0  # these weights are what they are: the divisor is 1, put at BOS
            pair[:, :, 0, T.BOS, -1] = 1
        pair = pair.permute(0, 4, 1, 2, 3)  # [models, component, own token, key, token]
        plus_one = torch.arange(1, T.DIGITS + 1) % T.DIGITS

        def total(start, inputs):
            for axis, j in enumerate(inputs):
                term = pair[:, :, :, 1 + j, : T.DIGITS]
                if 2 * n - j < n_keys:  # where the answer to this digit stands, a key as well
                    term = term + pair[:, :, :, 2 * n - j][..., plus_one]
                shape = [1] * len(inputs)
                shape[axis] = T.DIGITS
                start = start + term.reshape(*term.shape[:3], *shape)
            return self._by_digits(start, i, inputs)

        bos = pair[:, :, :, 0, T.BOS].reshape(*pair.shape[:3], *[1] * (n // 2))
        return [total(bos, range(n // 2)), total(0.0, range(n // 2, n))]

    def _by_digits(self, value, i: int, inputs) -> torch.Tensor:
        """`value` `[models, component, own token, *inputs]` with an axis for each of all digits:
        the token at the place of y_i is x_{n-i} + 1, or x_{n-1} for y_0."""
        n = self.zoo.length
        source, step = (n - i, 1) if i else (n - 1, 0)
        value = value.roll(-step, 2)  # now indexed by that digit
        shape = [T.DIGITS if j in inputs or j == source else 1 for j in range(n)]
        if source in inputs:
            value = value.diagonal(0, 2, 3 + inputs.index(source)).movedim(
                -1, 2 + inputs.index(source)
            )
        elif inputs and source > inputs[-1]:
            value = value.movedim(2, -1)
        return value.reshape(*value.shape[:2], *shape).contiguous()

    def hits(self, part: int) -> torch.Tensor:
        """Which tokens are right on the inputs of this part: bool `[models, inputs, length]`."""
        sequences, zoo = self.sequences[part], self.zoo
        first = sequences[0, 1 : 1 + self.n_fixed].tolist()

        def at(value):
            where = [digit if size > 1 else 0 for digit, size in zip(first, value.shape[2:])]
            return value[(slice(None), slice(None), *where)]

        free = [T.DIGITS] * (zoo.length - self.n_fixed)
        z, stream = (
            self.values.new_empty(len(zoo), size, zoo.length, *free)
            for size in (self.values.shape[-1] - 1, self.stream[0].shape[1])
        )
        for i, (left, right) in enumerate(self.sums):
            both = at(left) + at(right)
            torch.div(both[:, :-1], both[:, -1:], out=z[:, :, i])
            stream[:, :, i] = at(self.stream[i])
        flat = [x.flatten(3) if free else x[..., None] for x in (stream, z)]
        finish = after_attention if self.writes else after_z
        logits = finish(zoo.weights, *flat, zoo.edits, sequences, axis=1)
        wanted = _wanted(sequences, zoo.length).T
        return (_answers(logits, 1) == wanted).mT
