"""A census of models: what is measured of each, and which descriptions run in its place.

A description keeps less than the model has: of what attention writes, of the token at the output's
own place, of what the MLP says. It is run in the model's place and counted on every input. With one
layer the outputs do not meet, so each is counted by itself, and what attention writes on every
input is computed once.
"""

from __future__ import annotations

import hashlib
import io
import json
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F

from helpers import interventions as I
from helpers import task as T
from helpers.evaluation import by_position
from helpers.model import (
    WEIGHTS,
    Zoo,
    as_zoo,
    attention_writes,
    get_kind,
    layernorm,
    linear,
    load_zoo,
    stream_table,
)
from helpers.storage import write_whole

TABLE, MODELS = WEIGHTS / "survey.parquet", WEIGHTS / "survey.safetensors"

# What the columns of the table are. `[8]`: a number for each output, y0 to y7. Counts are of all
# 65,536 inputs, and say how many are right, if nothing else is said; `no_own`: with the token at
# the output's own place taken out of the stream (its mean over the four tokens put in), at y1-y7.
COLUMNS = dict(
    kind="the kind of the model, as `helpers.model.KINDS` has it",
    seed="its seed",
    steps="training steps",
    stopped="whether 50 batches in a row without a wrong token ended the training",
    right="[8] the model as it is",
    weight="[8] mean weight of attention on the source",
    ideal="[8] with the ideal pattern: weight 1 on the source",
    frozen="[8] with the pattern frozen at its mean",
    attn_zero="[8] attention's output zero",
    attn_zero_bos="at how many of 8 x 65,536 outputs it then says BOS",
    W_O_zero="[8] W_O zero: attention writes its bias",
    W_O_zero_bos="at how many outputs it then says BOS",
    attn_mean="[8] attention's output replaced by its mean",
    attn_resample="[8] attention's output taken from another input",
    W_out_zero="[8] W_out zero: the MLP writes its bias",
    W_out_zero_bos="at how many outputs it then says BOS",
    mlp_zero="[8] the MLP's output zero: what the logit lens reads before the MLP",
    mlp_zero_bos="at how many outputs it then says BOS",
    source_before="[8] how often the logit lens reads the source before the MLP",
    mlp_mean="[8] the MLP's output replaced by its mean",
    mlp_resample="[8] the MLP's output taken from another input",
    mlp_best="[8] ... by the best constant that was found: a lower bound",
    mlp_by_own="[8] ... by its mean for each own token",
    mlp_by_source="[8] ... by its mean for each source token",
    silent_neurons="how many of 16 neurons are never on at an output",
    away="[8, 4] with no weight on the source, by source token (of 16,384)",
    weight_by_source="[8, 4] mean weight on the source, by source token",
    places="[8, 4] mean place along the first direction, by source token; 2 right of 1",
    share="share of the squared size of what attention writes along the first direction",
    line="[8] attention's output cut down to its mean and one direction",
    line_each="[8] the same, each output with a direction of its own",
    plane="[8] attention's output cut down to its mean and two directions",
    no_own="[8] no_own",
    line_no_own="[8] line, no_own",
    line_each_no_own="[8] line_each, no_own",
    plane_no_own="[8] plane, no_own",
    line_mean="[8] line, and the MLP's output replaced by its mean",
    line_best="[8] line, no_own, and the best constant found; -1 where line_no_own fails",
    table="[8] attention's output replaced by its mean for each source token",
    table_no_own="[8] table, no_own: 32 vectors",
    look_no_own="[8] w V + (1 - w) d, no_own: look at the source or at a default",
    four_no_own="[8] m + g v, no_own: four vectors v for y1-y7 together, y0 as in table",
    any_own="[8] right whichever other token stands at the own place; attention as it was",
    cases="cases of its proof",
    pause="step at which the accuracy of y1-y7 came to one half; -1: never",
    pairs="[8] the number in `PAIRS` of the pairs that an output then knew; -1: none",
)

N = T.LENGTH
SEQUENCES = T.full_sequences()
SOURCE = SEQUENCES[:, 1 : N + 1].flip(1).T  # [output, input]: the token that decides the answer
OWN = SEQUENCES[:, N : 2 * N].T  # the token at the output's own place; at y0 this is its source
ANSWER = SEQUENCES[:, N + 1 :].T
# Sixteen inputs, x_k = a + k b mod 4, which show each pair (own token, source) once at each output
# but y0. What depends on nothing else is counted on them, and each stands for 4096 inputs.
_A, _B = torch.cartesian_prod(torch.arange(T.DIGITS), torch.arange(T.DIGITS)).T[..., None]
FEW = T.number((_A + torch.arange(N) * _B) % T.DIGITS)
KEYS = list(range(N, 0, -1))  # the positions of the sources of y0, y1, ...


class Opened:
    """One model, with what its parts write on all inputs.

    `attn`, `stream`, `mlp` `[output, d_model, input]`: what attention writes, what stood there
    before, what the MLP writes (zero in a model without one). `weight` `[output, input]`: how much
    of its attention an output gives its source; `away` is `attn` with that weight taken away and
    the others made larger in its place. ValueError unless it is one model of the series' task.
    """

    @torch.no_grad()
    def __init__(self, model):
        self.zoo = zoo = as_zoo(model)
        if len(zoo) != 1 or zoo.edits or zoo.task != "reverse_plus_one" or zoo.length != N:
            raise ValueError(
                "allowed is one model, without edits, that adds 1 to 8 digits reversed"
            )
        self.has_mlp = "blocks.0.mlp.in.weight" in zoo.weights
        seen = {}

        def watch(name):
            return lambda value, tokens: seen.setdefault(name, value)

        zoo.edited({"pattern": watch("pattern"), "attn_out": watch("attn")})(SEQUENCES)
        self.attn = seen["attn"][0].permute(1, 2, 0).contiguous()
        pattern = seen["pattern"][0]  # [input, output, key]
        self.weight = torch.stack([pattern[:, i, k] for i, k in enumerate(KEYS)])
        self.pattern = pattern.mean(0)
        self.own = stream_table(zoo.weights)[N:, 0, :, : T.DIGITS]  # [output, d_model, token]
        self.stream = by_token(self.own, OWN)
        self.mlp = self.mlp_of(self.attn, self.stream)

    @cached_property
    def away(self) -> torch.Tensor:
        def not_at_the_source(value, tokens):
            value[..., range(N), KEYS] = 0
            return value / value.sum(-1, keepdim=True).clamp(min=1e-300)

        edited = self.zoo.edited({"pattern": not_at_the_source})
        return I.record(edited, "attn_out", SEQUENCES)[0].permute(1, 2, 0).contiguous()

    def mlp_of(self, attn: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
        """What the MLP writes where it reads these two together."""
        if not self.has_mlp:
            return torch.zeros_like(stream)
        return torch.stack([self._mlp(x) for x in attn + stream])

    def _mlp(self, x):
        w = self.zoo.weights
        pre = linear(layernorm(x[None], w, "blocks.0.ln2"), w, "blocks.0.mlp.in")
        return linear(pre.relu_(), w, "blocks.0.mlp.out")[0]

    def silent_neurons(self) -> torch.Tensor:
        """How many neurons are never on, at any output, on any input."""
        w, on = self.zoo.weights, []
        for x in self.attn + self.stream:
            pre = linear(layernorm(x[None], w, "blocks.0.ln2"), w, "blocks.0.mlp.in")[0]
            on.append((pre > 0).any(1))
        return (~torch.stack(on).any(0)).sum()

    def logits(self, resid: torch.Tensor) -> torch.Tensor:
        """Logits `[output, vocab, n]` of a stream after the MLP `[output, d_model, n]`."""
        w = self.zoo.weights

        def read(x):
            return linear(layernorm(x, w, "ln_final"), w, "unembed")

        if resid.shape[-1] < 4096:  # a few inputs at all outputs at once
            return read(resid[:, None])[:, 0]
        return torch.stack([read(x[None])[0] for x in resid])

    def says(self, attn=None, stream=None, mlp=None) -> torch.Tensor:
        """The answers `[output, n]` with parts replaced. The MLP reads what is replaced, unless
        what it writes is given too."""
        attn = self.attn if attn is None else attn
        stream = self.stream if stream is None else stream
        mlp = self.mlp_of(attn, stream) if mlp is None else mlp
        best, *others = self.logits(attn + stream + mlp).unbind(1)
        answer = torch.zeros_like(best, dtype=torch.uint8)
        for token, other in enumerate(
            others, 1
        ):  # argmax, the first of equals; quicker than torch's
            answer.masked_fill_(other > best, token)
            best = torch.maximum(best, other)
        return answer

    def right(self, *args, **parts) -> torch.Tensor:
        """How many of all inputs are right at each output, with parts replaced as in `says`."""
        return (self.says(*args, **parts) == ANSWER).sum(1)


def by_token(table: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Columns `[output, d, n]` of a `table` `[output, d, token]` by `tokens` `[output, n]`."""
    return torch.stack([rows[:, t] for rows, t in zip(table, tokens)])


def means(value: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The table of the means of `value` `[output, d, n]` by token: `[output, d, token]`."""
    member = F.one_hot(tokens, T.DIGITS).to(value)  # [output, n, token]
    return value @ (member / member.sum(1, keepdim=True))


# ---------------------------------------------------------------- descriptions of what is written


def along(value: torch.Tensor, k: int, shared: bool, centred: bool) -> tuple:
    """`value` `[output, d, n]` cut down to its mean at each output and its part along the `k`
    directions in which it varies most: of all outputs together (`shared`), or of each. Also the
    share of the squared size that they have, and the (first output's) directions `[d, k]`."""
    mean = value.mean(2, keepdim=True)
    varying = value - mean
    if centred:
        varying = varying - varying.mean(1, keepdim=True)
    squares = varying @ varying.mT
    sizes, found = torch.linalg.eigh(squares.sum(0, keepdim=True) if shared else squares)
    found = found[..., -k:]  # ascending: the last are the largest
    share = sizes[..., -k:].sum() / sizes.sum()
    return mean + found @ (found.mT @ varying), share, found[0]


def look_or_default(model: Opened) -> torch.Tensor:
    """The table w V + (1 - w) d: an output looks at its source with the weight w that this token
    has there in the mean, and what else it looks at is one default d, whatever the tokens."""
    bias = model.zoo.weights["blocks.0.attn.o.bias"][0][:, None]
    value = attention_writes(model.zoo.weights)[0, KEYS, : T.DIGITS].mT  # [output, d, token]
    w = means(model.weight[:, None], SOURCE)
    rest = means(model.attn, SOURCE) - bias - w * value
    default = ((1 - w) * rest).sum(2, keepdim=True) / (1 - w).pow(2).sum(2, keepdim=True).clamp(
        1e-12
    )
    return bias + w * value + (1 - w) * default


def four_vectors(table: torch.Tensor) -> torch.Tensor:
    """`table` `[output, d, token]` as m + g v: at each output a mean and a factor, and the same four
    vectors v at all of them. The best in the sense of squares."""
    mean = table.mean(2, keepdim=True)
    u, s, v = torch.linalg.svd((table - mean)[1:].flatten(1), full_matrices=False)
    found = mean[1:] + (s[0] * u[:, :1] @ v[:1]).view(table[1:].shape)
    return torch.cat([table[:1], found])


# ---------------------------------------------------------------- the best constant for an MLP

ROUNDS, STEPS = 4, 60


def best_constant(model: Opened, resid=None, first=None, starts: int = 3) -> tuple:
    """Search one vector for each output that can stand in for the MLP: (vectors `[output, d_model,
    1]`, how many inputs are then right `[output]`).

    By gradient, from `first` or the mean of what the MLP writes, then from zero and from random
    vectors (`starts` in all), on a few inputs to which those that are worst are added. Nothing found is no proof that there is
    none. `resid`: what the MLP would read, where that is not the model's own.
    """
    resid = model.attn + model.stream if resid is None else resid
    push = model.mlp.mean(2, keepdim=True) if first is None else first
    size = push.norm(dim=1, keepdim=True).clamp(min=1.0)
    best, most = push, torch.full((N,), -1)
    generator = torch.Generator().manual_seed(0)
    for start in range(starts):
        vector = push if start == 0 else 0 * push
        if start > 1:
            random = torch.randn(push.shape, generator=generator, dtype=push.dtype)
            vector = 2.0 ** (start % 3 - 1) * size * F.normalize(random, dim=1)
        sample = torch.randint(len(SEQUENCES), (N, 256), generator=generator)
        for _ in range(ROUNDS):
            margin = margins(model, resid + vector, ANSWER)
            count = (margin > 0).sum(1)
            better = count > most
            most, best = most.where(~better, count), best.where(~better[:, None, None], vector)
            if (most == len(SEQUENCES)).all():
                return best, most
            worst = margin.topk(64, dim=1, largest=False).indices
            sample = torch.cat([sample, worst], 1)
            vector = _descend(model, resid, vector, sample)
    return best, most


def _descend(model, resid, vector, sample):
    """`vector` after a few steps of Adam on the inputs `sample` `[output, k]`."""
    few = torch.stack([x[:, s] for x, s in zip(resid, sample)])
    wanted = ANSWER.gather(1, sample)
    vector = vector.detach().clone().requires_grad_()
    adam = torch.optim.Adam([vector], lr=0.2)
    with torch.enable_grad():
        for _ in range(STEPS):
            loss = F.cross_entropy(
                model.logits(few + vector).transpose(0, 1)[None], wanted[None], reduction="none"
            )
            adam.zero_grad()
            loss.mean(2).sum().backward()
            adam.step()
    return vector.detach()


def margins(model: Opened, resid: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """The right logit less the highest other one `[output, n]`."""
    logits, wanted = model.logits(resid), answer[:, None]
    right = logits.gather(1, wanted)[:, 0]
    others = logits.scatter_(1, wanted, -torch.inf).unbind(1)
    highest = others[0]
    for other in others[1:]:
        highest = torch.maximum(highest, other)
    return right - highest


# ---------------------------------------------------------------- measurements


@torch.no_grad()
def measure(model, everything: bool = True) -> dict[str, torch.Tensor]:
    """What the survey records of one model: name -> a number, `[8]` for y0 to y7, or `[8, 4]` by
    source token too; `COLUMNS` says what each is. Not `everything`: what is quick, for the models
    of other kinds."""
    m = model if isinstance(model, Opened) else Opened(model)
    zoo, w = m.zoo, m.zoo.weights
    norm = "ln_final.weight" in w
    usual, push = m.attn.mean(2, keepdim=True), m.mlp.mean(2, keepdim=True)
    another = torch.from_numpy(I.partners(len(SEQUENCES)))
    table, nothing = means(m.attn, SOURCE), torch.zeros_like(m.attn)
    line, share, direction = along(m.attn, 1, True, norm)
    plane, *_ = along(m.attn, 2, True, norm)
    mean_own = m.own.mean(2, keepdim=True).repeat(1, 1, T.DIGITS)
    mean_own[0] = m.own[0]  # at y0 the own token is the source
    no_own = by_token(mean_own, OWN)
    out = {}

    def run_few(name, attn, stream=m.own, also=None):
        """The same for tables by source and by own token."""
        attn = by_token(attn.expand(-1, -1, T.DIGITS), SOURCE[:, FEW])
        says = m.says(attn, by_token(stream, OWN[:, FEW]))
        share = len(SEQUENCES) // len(FEW)
        out[name] = (says == ANSWER[:, FEW]).sum(1) * share
        if also == "bos":
            out[f"{name}_bos"] = (says == T.BOS).sum() * share

    def run(name, attn=None, stream=None, mlp=None, also=None):
        """Count with parts replaced; of what says BOS, how often."""
        says = m.says(attn, stream, mlp)
        out[name] = (says == ANSWER).sum(1)
        if also == "bos":
            out[f"{name}_bos"] = (says == T.BOS).sum()
        return says

    run("right")
    out["weight"] = m.weight.mean(1)
    run("plane_no_own", plane, no_own)
    run_few("table_no_own", table, mean_own)
    out["ideal"] = counted(zoo.edited({"pattern": I.ideal_pattern()}))
    out["frozen"] = counted(zoo.edited({"pattern": m.pattern}))
    run_few("attn_zero", 0 * usual, also="bos")
    bias = w["blocks.0.attn.o.bias"][0][:, None].expand_as(usual)
    run_few("W_O_zero", bias, also="bos")
    run_few("attn_mean", usual)
    if m.has_mlp:
        run("W_out_zero", mlp=w["blocks.0.mlp.out.bias"][0][None, :, None], also="bos")
    if not everything:
        return out
    run("attn_resample", m.attn[..., another])
    if m.has_mlp:
        before = run("mlp_zero", mlp=nothing, also="bos")
        out["source_before"] = (before == SOURCE).sum(1)
        run("mlp_mean", mlp=push)
        run("mlp_resample", mlp=m.mlp[..., another])
        run("mlp_by_own", mlp=by_token(means(m.mlp, OWN), OWN))
        run("mlp_by_source", mlp=by_token(means(m.mlp, SOURCE), SOURCE))
        constant, out["mlp_best"] = best_constant(m)
        out["silent_neurons"] = m.silent_neurons()
    away = m.says(m.away) == ANSWER
    out["away"] = means(away[:, None].double(), SOURCE)[:, 0] * len(SEQUENCES) / T.DIGITS
    out["weight_by_source"] = means(m.weight[:, None], SOURCE)[:, 0]
    out["share"] = share
    places = means(direction[None].mT @ (m.attn - usual), SOURCE)[:, 0]
    left_to_right = (places[:, 2] - places[:, 1]).sum()
    out["places"] = -places if left_to_right < 0 else places  # source 2 right of source 1
    run("line", line)
    line_each, *_ = along(m.attn, 1, False, norm)
    run("line_each", line_each)
    run("plane", plane)
    run("no_own", stream=no_own)
    run("line_no_own", line, no_own)
    run("line_each_no_own", line_each, no_own)
    if m.has_mlp:
        run("line_mean", line, mlp=push)
        if (out["line_no_own"][1:] == len(SEQUENCES)).all():
            out["line_best"] = best_constant(m, line + no_own, constant, 1)[1]
        else:
            out["line_best"] = torch.full((N,), -1)
    run_few("table", table)
    run_few("look_no_own", look_or_default(m), mean_own)
    run_few("four_no_own", four_vectors(table), mean_own)
    any_own = torch.ones(N, len(SEQUENCES), dtype=torch.bool)
    for more in range(1, T.DIGITS):
        other = by_token(m.own, (OWN + more) % T.DIGITS)
        other[0] = m.stream[0]
        any_own &= m.says(stream=other) == ANSWER
    out["any_own"] = any_own.sum(1)
    return out


def counted(zoo: Zoo) -> torch.Tensor:
    return (by_position(zoo)[0] * len(SEQUENCES)).round().long()


# ---------------------------------------------------------------- what the curve tells

PAIRS = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]  # four tokens in two pairs
WINDOW = 10  # steps over which a curve is averaged


def pause_of(accuracy: torch.Tensor) -> int:
    """The step at which the accuracy `[steps, 8]` of y1 to y7 has come to one half, or -1: the mean
    of `WINDOW` steps, for the first time."""
    reached = accuracy[:, 1:].mean(1).unfold(0, WINDOW, 1).mean(1) >= 0.5
    return int(reached.nonzero()[0]) + WINDOW if reached.any() else -1


@torch.no_grad()
def pairs_said(model) -> torch.Tensor:
    """Which pair each output knows `[8]`: the number in `PAIRS` where it gives most often the same
    answer for both tokens of a pair, and another for the others; else -1."""
    says, found = Opened(model).says().long(), []
    for answers, source in zip(says, SOURCE):
        of_token = [answers[source == t].bincount(minlength=T.VOCAB).argmax() for t in range(4)]
        found.append(_pairs([a.item() for a in of_token]))
    return torch.tensor(found)


def _pairs(labels: list) -> int:
    """The number in `PAIRS` of the two pairs with equal `labels`; -1 if there are none."""
    for number, (one, other) in enumerate(PAIRS):
        if labels[one[0]] == labels[one[1]] != labels[other[0]] == labels[other[1]]:
            return number
    return -1


def halves(places: torch.Tensor) -> torch.Tensor:
    """The number in `PAIRS` of the left two and the right two tokens at `places` `[..., 4]`."""
    left = places.argsort(-1)[..., :2].sort(-1).values  # the pair with 0 says which it is
    right = places.argsort(-1)[..., 2:].sort(-1).values
    with_0 = torch.where(left[..., :1] == 0, left, right)
    return with_0[..., 1] - 1


# ---------------------------------------------------------------- the table


def write_table(path, rows: list[dict], note: dict) -> None:
    """Write `rows` (name of `COLUMNS` -> value; what was not measured is left out) as parquet."""
    table = {}
    for name in COLUMNS:
        values = [row.get(name) for row in rows]
        some = next(v for v in values if v is not None)
        if isinstance(some, torch.Tensor):
            exact = not some.is_floating_point() or name == "away"
            kind = pa.int32() if exact else pa.float32()
            kind = pa.list_(kind, some.numel()) if some.dim() else kind
            values = [_plain(v, exact) for v in values]
            table[name] = pa.array(values, kind)
        else:
            table[name] = pa.array(values)
    about = {"note": json.dumps(note), "columns": json.dumps(COLUMNS)}
    blob = io.BytesIO()
    pq.write_table(pa.table(table).replace_schema_metadata(about), blob, compression="zstd")
    write_whole(path, blob.getvalue())


def _plain(value, exact: bool):
    if value is None:
        return None
    value = value.flatten() if value.dim() else value
    return (value.long() if exact else value.mul(1e4).round() / 1e4).tolist()


def digest(zoo: Zoo) -> str:
    """SHA-256 over the bits of all weights, in the order of their names."""
    total = hashlib.sha256()
    for _, value in sorted(zoo.weights.items()):
        total.update(value.contiguous().numpy().astype("<f8").tobytes())
    return total.hexdigest()


class Survey:
    """The rows of one kind: `seeds`, and by name of `COLUMNS` what was measured, as tensors
    `[models]`, `[models, 8]` or `[models, 8, 4]`.

    `survey["ideal"]` is a column, `survey.row(seed)` a row, `survey.where(mask)` fewer rows. A
    column that was measured for some rows only is asked for after `where(survey.has(name))`.
    """

    def __init__(self, kind: str, columns: dict):
        self.kind, self.columns = kind, columns
        self.seeds = [int(s) for s in columns["seed"]]

    def __len__(self):
        return len(self.seeds)

    def has(self, name: str) -> torch.Tensor:
        """For which rows `name` was measured: bool `[models]`."""
        return torch.tensor([value is not None for value in self.columns[name]])

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        values = self.columns[name]
        if missing := sum(v is None for v in values):
            raise ValueError(f"{name} was not measured for {missing} of these {len(self)} models")
        found = torch.tensor(values)
        return found.unflatten(1, (N, T.DIGITS)) if found.shape[1:] == (N * T.DIGITS,) else found

    def right(self, name: str) -> torch.Tensor:
        """At which outputs every input is right under `name`: bool `[models, 8]`."""
        return self[name] == len(SEQUENCES)

    def where(self, mask) -> Survey:
        keep = torch.as_tensor(mask).tolist()
        rows = {k: [v for v, wanted in zip(c, keep) if wanted] for k, c in self.columns.items()}
        return Survey(self.kind, rows)

    def row(self, seed: int) -> dict:
        """What was measured of one seed. KeyError, with the seeds there are, for another."""
        if seed not in self.seeds:
            there = f"{min(self.seeds)} to {max(self.seeds)}"
            raise KeyError(f"seed {seed} is not in the survey of {self.kind!r}; it holds {there}")
        one = self.where([s == seed for s in self.seeds])
        return {
            name: one[name][0] for name in self.columns if name != "kind" and one.has(name).all()
        }


def load_survey(kind: str = "article", path=TABLE) -> Survey:
    """The survey's rows of `kind`. FileNotFoundError or ValueError, naming the file, where it is
    missing or no such table; ValueError for a kind that is not in it."""
    get_kind(kind)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the survey's table")
    try:
        table = pq.read_table(path)
        if table.column_names != list(COLUMNS):
            raise ValueError(f"it has the columns {', '.join(table.column_names)}")
        rows = table.filter(pc.equal(table["kind"], kind)).to_pydict()
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: not the survey's table ({error})") from None
    if not rows["seed"]:
        raise ValueError(f"{path}: no models of kind {kind!r}")
    return Survey(kind, rows)


def load_models(path=MODELS, table=TABLE) -> Zoo:
    """The article's models of the survey. ValueError unless they are those that were measured."""
    zoo = load_zoo("article", path=path)
    wanted = json.loads(pq.read_schema(table).metadata[b"note"])["weights"]
    if digest(zoo) != wanted:
        raise ValueError(f"{table} was measured on other weights than those of {path}")
    return zoo
