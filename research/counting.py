"""How many tokens are right on every input, for many models: several times as fast as running them.

At an output attention writes a ratio of two sums over the keys. Which token stands at a key adds a
fixed pair (weight times value, weight), once the token at the output's own place is given. So the
sums of the left four digits and of the right four (256 each) are made once and added: no softmax
for each sequence.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from helpers import evaluation, task
from helpers.model import Zoo, after_z, as_zoo, attention_reads, stream_table

AT_ONCE = 14  # models whose numbers fit a processor's cache
FAR_APART = 600.0  # scores further apart than this would overflow the sums


def groups(zoo: Zoo) -> list[Zoo]:
    """The models, `AT_ONCE` in a zoo, unedited."""
    group = torch.arange(len(zoo)) // AT_ONCE
    return [zoo.where(group == g) for g in group.unique()]


def n_right(model) -> torch.Tensor:
    """On how many of all inputs every token is right, `[models]`: equal to `evaluation.n_right`."""
    return _count(as_zoo(model), lambda hit: hit.all(-1).sum(-1))


def by_position(model) -> torch.Tensor:
    """Share of right tokens, `[models, length]`: equal to `evaluation.by_position`."""
    zoo = as_zoo(model)
    return _count(zoo, lambda hit: hit.sum(1)).double() / task.DIGITS**zoo.length


@torch.no_grad()
def _count(zoo: Zoo, count) -> torch.Tensor:
    """The sum of `count(hit)` over all inputs: by sums where they hold, else by running each."""
    if len(zoo) > AT_ONCE and not zoo.edits:
        return torch.cat([_count(few, count) for few in groups(zoo)])
    weight = _attention(zoo)
    if weight is None:
        return sum(count(evaluation.hits(zoo(part), part)) for part in evaluation.parts(zoo))
    return sum(count(hit) for hit in _hits(zoo, weight))


def _attention(zoo: Zoo) -> torch.Tensor | None:
    """What a token at a key weighs, before all weights are divided by their sum: `[models, output,
    own token, key, token]`, at least 1 together. None where sums do not hold: where a key depends
    on digits of both halves, a pattern is made for each input, or a weight would be too large."""
    n, device, pattern = zoo.length, zoo.device, zoo.edits.get("pattern")
    if zoo.task != "reverse_plus_one" or callable(pattern):
        return None
    if pattern is not None:
        fixed = pattern.to(zoo.weights["embed.weight"]).expand(len(zoo), 1, n, 2 * n)
        return fixed[:, 0, :, None, :, None].expand(-1, -1, task.DIGITS, -1, task.VOCAB)
    q, k, _ = attention_reads(zoo.weights)
    q = q[:, n:, : task.DIGITS] / math.sqrt(q.shape[-1])
    scores = torch.einsum("moad,mktd->moakt", q, k)
    key, token = torch.arange(2 * n, device=device), torch.arange(task.VOCAB, device=device)
    seen = (key <= key[n:, None])[:, None, :, None]  # [output, 1, key, 1]
    can_be = (key[:, None] == 0) == (token == task.BOS)  # [key, token]
    scores = scores.masked_fill(~(seen & can_be), -math.inf)
    # Whatever stands there, some key has at least this score.
    least = scores.masked_fill(~can_be, math.inf).amin(-1).amax(-1)
    scores = scores - least[..., None, None]
    return scores.exp() if scores.max() < FAR_APART else None


def _hits(zoo: Zoo, weight: torch.Tensor) -> Iterator[torch.Tensor]:
    """Which tokens are right, `[models, inputs, length]`, one left half of digits after another."""
    n, half, device = zoo.length, zoo.length // 2, zoo.device
    parts = task.full_sequences(length=n).to(device).split(task.DIGITS ** (n - half))
    digit = torch.tensor([-1, *range(n), *range(n - 1, 0, -1)], device=device)  # shown at a key
    *_, v = attention_reads(zoo.weights)
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)  # the last component sums the weights

    def total(rows, keys):
        """Sums over `keys`, [models, row, output, own token, component]."""
        shown = F.one_hot(rows[:, : 2 * n], task.VOCAB) * keys[:, None]  # [row, key, token]
        pair = (weight[..., None] * v[:, None, None]).flatten(3, 4)
        return torch.einsum("moakc,rk->mroac", pair, shown.flatten(1).to(pair))

    left = total(torch.stack([part[0] for part in parts]), digit < half)
    right = total(parts[0], digit >= half).flatten(1, 3)
    stream = stream_table(zoo.weights)[:, n:, : task.DIGITS].flatten(1, 2)
    # The rows of these tables: four tokens of each output, and for `right` of each input.
    first = task.DIGITS * torch.arange(n, device=device)
    of_input = task.DIGITS * n * torch.arange(len(parts[0]), device=device)[:, None]

    for i, part in enumerate(parts):
        row = first + part[:, n : 2 * n]  # of the token at the output's own place
        z = left[:, i].flatten(1, 2)[:, row] + right[:, of_input + row]
        z = z[..., :-1] if "pattern" in zoo.edits else z[..., :-1] / z[..., -1:]
        logits = after_z(zoo.weights, stream[:, row], z, zoo.edits, part)
        yield evaluation.hits(logits, part)
