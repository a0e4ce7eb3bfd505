"""Do the usual tools find the true route? Each is judged on models of which the truth is listed.

`python -m research.tools FOLDER` makes the table, a row for each output of each exact model; 64 of
three other kinds are trained again in FOLDER. What tools answer by what they measure, say the rules
in `weights/tools_predictions.toml`, written before any was judged.
"""

import sys
import tomllib

import torch
import torch.nn.functional as F
from tqdm import tqdm

from helpers import task
from helpers.model import Zoo, unembed
from research import WEIGHTS, survey
from research.census import SEQUENCES
from research.counting import by_position, groups
from research.routes import NEW, OLD, ROUTES, At, difference, follow, shapley
from research.sweep import sweep

TABLE, OTHERS = WEIGHTS / "tools.parquet", ("article_default_init", "no_mlp", "no_layernorm")
_DRAWN = torch.randperm(len(SEQUENCES), generator=torch.Generator().manual_seed(1))
TRUTH, LOOKS = SEQUENCES[_DRAWN[:128]], SEQUENCES[_DRAWN[128:192]]  # the other digits
WRITTEN = tomllib.loads((WEIGHTS / "tools_predictions.toml").read_text(encoding="utf-8"))
TOOLS = {tool["id"]: tool for tool in WRITTEN["tool"]}
COLUMNS = dict(kind="the kind of the model", seed="its seed", output="0 for y0 to 7 for y7")
COLUMNS |= dict.fromkeys(ROUTES, "Shapley value of this route, of the share of right answers")
COLUMNS |= dict(follows="share right by subset of routes", differs="mean logit difference")
COLUMNS |= dict(from_mean="share right, a mean in the other routes")
COLUMNS |= {name: tool["rule"] for name, tool in TOOLS.items() if "survey" not in tool}


def patched(zoo: Zoo, output: int, noise: bool) -> torch.Tensor:
    """Effects `[models, routes]` of activation patching, one route at a time."""
    k = 4 if output == 0 else 2
    start = 2**k - 1 if noise else 0
    _, effect = follow(zoo, output, LOOKS, [start, *(start ^ 1 << i for i in range(k))])
    return (effect[:, :1] - effect[:, 1:]) * (1 if noise else -1)


@torch.enable_grad()
def estimated(zoo: Zoo, output: int, at=(1.0,), mend=False) -> torch.Tensor:
    """The same by gradients, summed over places `at` on the way from the old token to the new."""
    here, effects = At(zoo, output, LOOKS), 0
    old, new = here.by(OLD), here.by(NEW)
    for share in at:
        nodes = here.reads(here.tokens[:, OLD].lerp(here.tokens[:, NEW], share)[:, :, None])
        nodes = {r: nodes[r].repeat(1, 1, len(LOOKS), 1).requires_grad_() for r in new}
        pattern = here.pattern(nodes)
        total = difference(here.logits(nodes, pattern)).sum()
        *slopes, at_pattern = torch.autograd.grad(total, [*nodes.values(), pattern])
        changes = {r: (new[r] - old[r]) * slope for r, slope in zip(nodes, slopes)}
        for route in {"query", "key"} & set(nodes) if mend else ():
            changes[route] = (pattern - here.pattern(new | {route: old[route]})) * at_pattern
        effects += torch.stack([x.sum(-1).mean((1, 2)) for x in changes.values()], 1)
    return effects.detach()


class Seen(At):
    """What tools read that exchange nothing, by the source's token: `[models, token, n, ...]`."""

    def __init__(self, zoo, output):
        super().__init__(zoo, output, LOOKS)
        seen, nodes = {}, self.by(torch.arange(task.DIGITS))
        watch = {p: lambda x, _, p=p: seen.setdefault(p, x) for p in ("attn_out", "resid_post")}
        self.looks = self.pattern(nodes)
        self.weight = self.looks[..., self.source].mean(2)
        self.logits(nodes, self.looks, watch)
        attn, self.end = seen.values()
        self.before = attn + (self.given | nodes)["direct"]
        self.parts = dict(attention=attn, direct=self.before - attn, mlp=self.end - self.before)
        self.token = torch.arange(task.DIGITS)[:, None].expand(attn.shape[:3])

    def values_weighted(self) -> torch.Tensor:
        """The source's share of the lengths of weight times W_O v: `[models]`."""
        out = self.weights["blocks.0.attn.o.weight"].mT[:, None]
        value = (self.nodes["value"][:, : task.DIGITS, None] @ out).norm(dim=-1)
        source = self.looks[..., self.source] * value
        rest = (self.looks * (self.values @ out).norm(dim=-1)[:, None]).sum(-1)
        return (source / (source + rest)).mean((1, 2))

    def adds(self, norm: bool) -> list[torch.Tensor]:
        """What each part adds to the answer's logit less the mean of the others: `[models]`."""
        added, w, divisor = [], self.weights, self.end.std(-1, correction=0, keepdim=True)
        for x in self.parts.values():
            if norm and "ln_final.weight" in w:
                x = (x - x.mean(-1, True)) / divisor * w["ln_final.weight"][:, None, None]
            logits = (x @ w["unembed.weight"].mT[:, None])[..., : task.DIGITS].mean(2)
            right = logits.roll(-1, 2).diagonal(0, 1, 2).sum(-1)  # token t has the answer t + 1
            added.append((right - (logits.sum((1, 2)) - right) / 3) / task.DIGITS)
        return added

    def probe(self, x: torch.Tensor) -> torch.Tensor:
        """How often logistic regression on the first half of `x` finds the token in the other."""
        x = (x - x.mean((1, 2), True)) / x.std((1, 2), keepdim=True).clamp(1e-9)
        (x, new), (token, _) = (y.chunk(2, 2) for y in (F.pad(x, (0, 1), value=1.0), self.token))
        p = descend(x.new_zeros(len(x), 1, x.shape[-1], task.DIGITS), lambda p: x @ p, token)
        return ((new @ p).argmax(-1) == token).double().mean((1, 2))

    def constant(self) -> torch.Tensor:
        """The constant of least loss in the MLP's place (optimal ablation): `[models, d_model]`."""
        mean, answer = self.parts["mlp"].mean((1, 2), True), (self.token + 1) % task.DIGITS
        return descend(mean, lambda p: unembed(self.before + p, self.weights), answer)[:, 0, 0]


@torch.enable_grad()
def descend(start: torch.Tensor, logits_of, tokens) -> torch.Tensor:
    """Where 300 steps of Adam lead from `start` `[models, ...]`, down the cross-entropy of each."""
    p = start.clone().requires_grad_()
    adam = torch.optim.Adam([p], 0.1)
    for _ in range(300):
        loss = F.cross_entropy(logits_of(p).movedim(-1, 1), tokens) * len(p)
        (p.grad,) = torch.autograd.grad(loss, [p])
        adam.step()
    return p.detach()


MEASURED = dict(
    denoising=lambda *at: patched(*at, noise=False),
    noising=lambda *at: patched(*at, noise=True),
    both_ways=lambda *at: patched(*at, noise=False) + patched(*at, noise=True),
    attribution=estimated,
    attribution_denoising=lambda *at: estimated(*at, at=(0.0,)),
    integrated=lambda *at: estimated(*at, at=(0.2, 0.4, 0.6, 0.8, 1.0)),
    mended=lambda *at: estimated(*at, mend=True),
    weight=lambda *at: Seen(*at).weight.mean(1),
    weight_varies=lambda *at: (s := Seen(*at).weight).amax(1) - s.amin(1),
    weighted_values=lambda *at: Seen(*at).values_weighted(),
    norm_frozen=lambda *at: (s := Seen(*at).adds(True))[0] - s[1],
    norm_left_out=lambda *at: (s := Seen(*at).adds(False))[0] - s[1],
    probe=lambda *at: (s := Seen(*at)).probe(s.parts["attention"]),
    mlp_adds=lambda *at: (s := Seen(*at).adds(True))[2] / sum(s),
    probe_before=lambda *at: 1 - (s := Seen(*at)).probe(s.before),
    best_constant=lambda *at: Seen(*at).constant(),
)


@torch.no_grad()
def measure(zoo: Zoo) -> list[dict]:
    """The rows of these models, output after output: the truth, and what each tool measures."""
    rows, ours = [], zoo.kind == "article"
    for output in range(task.LENGTH):
        right, logits = follow(zoo, output, TRUTH)
        found = dict(zip(At(zoo, output, TRUTH).nodes, shapley(right).unbind(1)), follows=right)
        found |= dict(differs=logits, from_mean=follow(zoo, output, LOOKS, mean=True)[0])
        for tool, how in MEASURED.items():
            if dict(route=True, y0=output == 0, mlp=ours)[TOOLS[tool]["asks"]]:
                found[tool] = how(zoo, output)
        every = [dict(kind=zoo.kind, seed=seed, output=output) for seed in zoo.seeds]
        rows += [row | {k: x[i] for k, x in found.items()} for i, row in enumerate(every)]
    if ours:  # the best constants were found on few inputs, and are counted on all
        best = torch.stack([row["best_constant"] for row in rows]).unflatten(0, (-1, 1, len(zoo)))
        right = by_position(zoo.edited({"mlp_out": best.transpose(0, 2)})).T.flatten()
        for row, wrong in zip(rows, ((1 - right) * task.N_SEQUENCES).round().long()):
            row["best_constant"] = wrong
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    seeds = {kind: survey.exact_models(kind).index[:64].tolist() for kind in OTHERS}
    zoos = [sweep(k, s, shard=64, n_jobs=1, folder=sys.argv[1])[0] for k, s in seeds.items()]
    models, rows = survey.load_models(), []
    for zoo in [*zoos, models.where(models.exact)]:
        for few in tqdm(groups(zoo), zoo.kind):
            rows += measure(few)
    survey.write_table(TABLE, rows, dict(weights=survey.digest(models)), COLUMNS)
