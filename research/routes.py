"""By which routes a token reaches an output: it is exchanged in every subset of them.

The query reads it (at y0, where it stands at the output's own place), the key and the value do, or
it stays in its own stream, the MLP behind it included ("direct", at y0 too). With one layer these
are all: what each subset does is listed, and shared out by Shapley values (Shapley 1953).
"""

import math
from itertools import permutations

import torch

from helpers import task
from helpers.model import after_z, layernorm, linear, stream_table

ROUTES = ("query", "key", "value", "direct")  # the first is the lowest bit of a subset's number
NEW, OLD = torch.tensor(list(permutations(range(task.DIGITS), 2))).T  # all ordered pairs of tokens


class At:
    """Models at one output, on `sequences` `[n, 17]` of which only the source's token is exchanged.
    `tokens` `[models, 4, d_model]`: the stream at the source, by token. `nodes`: what each of the
    output's routes reads there, and last the mean of the four tokens, `[models, 5, d]`."""

    def __init__(self, zoo, output: int, sequences: torch.Tensor):
        at, self.source = zoo.length + output, zoo.length - output
        self.weights, places = zoo.weights, torch.arange(at + 1)
        stream = stream_table(zoo.weights)
        rest = self.reads(stream[:, places, sequences[:, : at + 1]])  # [models, n, place, d]
        self.here, self.keys, self.values = places == self.source, rest["key"], rest["value"]
        self.values[:, :, self.source] = 0  # it is added by its route
        self.given = {route: rest[route][:, None, :, at] for route in ("query", "direct")}
        self.tokens = stream[:, self.source, : task.DIGITS]
        read, there = self.reads(self.tokens), ROUTES if output == 0 else ROUTES[1:3]
        self.nodes = {r: torch.cat([read[r], read[r].mean(1, True)], 1) for r in there}

    def reads(self, stream: torch.Tensor) -> dict[str, torch.Tensor]:
        """What each route reads of a stream, both `[models, ..., d]`."""
        w, normed = self.weights, layernorm(stream, self.weights, "blocks.0.ln1")
        read = {route: linear(normed, w, f"blocks.0.attn.{route[0]}") for route in ROUTES[:3]}
        return read | dict(direct=stream)

    def by(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        """The nodes `[models, k, 1, d]` where the source has these tokens `[k]`."""
        return {route: table[:, tokens][:, :, None] for route, table in self.nodes.items()}

    def pattern(self, nodes: dict) -> torch.Tensor:
        """Attention `[models, k, n, place]` of nodes `[models, k, n or 1, d]`."""
        query, key = (self.given | nodes)["query"], nodes["key"]
        scores = torch.einsum("mknd,mnpd->mknp", query, self.keys)
        scores = torch.where(self.here, (query * key).sum(-1, keepdim=True), scores)
        return (scores / math.sqrt(key.shape[-1])).softmax(-1)

    def logits(self, nodes: dict, pattern: torch.Tensor, edits=None) -> torch.Tensor:
        """Logits `[models, k, n, vocab]` of nodes and of a pattern, with `edits` as `forward`."""
        z = torch.einsum("mknp,mnpd->mknd", pattern, self.values)
        z = z + pattern[..., self.source, None] * nodes["value"]
        return after_z(self.weights, (self.given | nodes)["direct"], z, edits)


def difference(logits: torch.Tensor, new=NEW, old=OLD) -> torch.Tensor:
    """The logit of the answer to token `new` less that of the answer to `old`: `[models, k, n]` of
    logits `[models, k, n, vocab]` and tokens `[k]`."""
    k, a, b = torch.arange(len(new)), (new + 1) % task.DIGITS, (old + 1) % task.DIGITS
    return (logits[:, k, :, a] - logits[:, k, :, b]).transpose(0, 1)


@torch.no_grad()
def follow(zoo, output: int, sequences, subsets=None, mean: bool = False) -> tuple:
    """How often an output follows the token that its source has in some routes only, and the mean
    logit difference: two `[models, subsets]`, of all subsets or of those given by number, a bit for
    each route. The others have another token, in all ordered pairs, or the `mean` of all four."""
    here, nodes = At(zoo, output, sequences), {}
    subsets = torch.arange(2 ** len(here.nodes)) if subsets is None else torch.as_tensor(subsets)
    rest = torch.full_like(OLD, task.DIGITS) if mean else OLD
    for bit, route in enumerate(here.nodes):
        given = (subsets >> bit & 1).bool()
        nodes[route] = here.by(torch.where(given, NEW[:, None], rest[:, None]).flatten())[route]
    logits = here.logits(nodes, here.pattern(nodes))
    new, old = (x.repeat_interleave(len(subsets)) for x in (NEW, OLD))
    right = (logits.argmax(-1) == ((new + 1) % task.DIGITS)[:, None]).double()
    found = (right, difference(logits, new, old))
    return tuple(x.mean(-1).unflatten(1, (len(NEW), -1)).mean(1) for x in found)


def shapley(value: torch.Tensor) -> torch.Tensor:
    """What each of k routes adds to the `value` `[..., 2**k]` of subsets, in the mean over all
    orders in which they can be added: `[..., k]`. The sum is what all have more than none."""
    k = value.shape[-1].bit_length() - 1
    subsets, shares = torch.arange(2**k), []
    size = sum(subsets >> bit & 1 for bit in range(k))
    orders = torch.tensor([1 / (k * math.comb(k - 1, s)) for s in range(k)], dtype=value.dtype)
    for route in range(k):
        without = subsets[subsets >> route & 1 == 0]
        more = value[..., without + 2**route] - value[..., without]
        shares.append(more @ orders[size[without]])
    return torch.stack(shares, -1)
