"""The model: configurations, weights, and the forward pass of many models at once.

A TransformerBridge (TransformerLens 4.3) is what a reader opens; everything inside runs on a `Zoo`,
stacked weights with a leading models axis. `as_zoo` is the one door from the first to the second; a
test holds the two functions together to 1e-10. Weights are float64 and drawn by numpy, so that a
run is the same on every processor.
"""

import dataclasses
import math
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F

from helpers import task
from helpers.storage import load

WEIGHTS = Path(__file__).parent / "weights"
LN_EPS = 1e-5  # added to the variance in every layer norm
LENGTH = task.LENGTH

# The article's model: 360 parameters.
CONFIG = dict(
    n_layers=1, d_model=4, d_head=4, n_heads=1, d_mlp=16, d_vocab=task.VOCAB, n_ctx=17,
    act_fn="relu", normalization_type="LN",
)  # fmt: skip
# What `forward` computes; of other settings the library would make another function.
COMPUTED = dict(n_layers=[1], n_heads=[1], act_fn=["relu"], d_vocab=[task.VOCAB])
COMPUTED |= dict(normalization_type=["LN", None], attn_only=[False, True])


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained. Rates per step; `epochs` is the most passes over the train set."""

    lr: float = 5e-2
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 7
    clip: float = 1.0  # largest gradient norm
    patience: int = 50  # stop after so many batches in a row without one wrong token

    def lr_at(self, step: int) -> float:
        """Cosine decay from `lr` at step 0 to zero at the last step."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / self.max_steps))

    @property
    def max_steps(self) -> int:
        return self.epochs * (task.N_TRAIN // self.batch)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A model variant: what differs from `CONFIG`, how it starts, its task (as `task.targets` takes
    it), its number of digits, and the recipe by which it is trained.

    `init_std` is the standard deviation of every initial matrix; None takes the library's default
    (0.8 / sqrt(d_model), and 1/sqrt(2) of that for W_O and W_out). ValueError for a setting that
    `forward` does not compute, and for a task that is none.
    """

    config: dict = dataclasses.field(default_factory=dict)
    init_std: float | None = 0.05
    task: object = "reverse_plus_one"  # a name of `task.TASKS`, or a rule of your own
    length: int = LENGTH
    recipe: Recipe = Recipe()

    def __post_init__(self):
        task.targets(torch.arange(2 * self.length).view(2, -1) % task.DIGITS, self.task)
        full = {**CONFIG, "n_ctx": 2 * self.length + 1, **self.config}
        for name, value in full.items():
            task.one_of(name, [*CONFIG, "attn_only"], "setting of a model")
            if name in COMPUTED and value not in COMPUTED[name]:
                allowed = " and ".join(map(repr, COMPUTED[name]))
                raise ValueError(f"got {name} = {value!r}; allowed is {allowed}")
            if name.startswith("d_"):
                task.whole(value, name, 1)
        object.__setattr__(self, "config", full)


_WIDE = dict(d_model=16, d_head=16, d_mlp=64)
_SLOW = Recipe(lr=1e-2)
KINDS = {
    "article": Kind(),
    "article_default_init": Kind(init_std=None),
    "no_mlp": Kind(dict(attn_only=True)),
    "no_layernorm": Kind(dict(normalization_type=None)),
    "no_mlp_no_layernorm": Kind(dict(attn_only=True, normalization_type=None)),
    "sum_pairs": Kind(_WIDE, 0.4, "sum_pairs", recipe=_SLOW),
    "sum_pairs_no_mlp": Kind(dict(_WIDE, attn_only=True), 0.4, "sum_pairs", recipe=_SLOW),
}


def get_kind(kind: str | Kind) -> Kind:
    """The `Kind` of that name (a `Kind` is its own); ValueError with the names there are."""
    return kind if isinstance(kind, Kind) else KINDS[task.one_of(kind, KINDS, "model")]


def shapes(kind: str | Kind) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order in which initial weights are drawn. Matrices
    are stored as in torch, `[out, in]`; the library's W_Q, W_in, ... are their transposes."""
    c = get_kind(kind).config
    d, h, m = c["d_model"], c["d_head"], c["d_mlp"]
    norm = c["normalization_type"] is not None

    def layer_norm(name):
        return {f"{name}.weight": (d,), f"{name}.bias": (d,)} if norm else {}

    out = {"embed.weight": (c["d_vocab"], d), "pos_embed.weight": (c["n_ctx"], d)}
    out |= layer_norm("blocks.0.ln1")
    for part, (rows, columns) in dict(q=(h, d), k=(h, d), v=(h, d), o=(d, h)).items():
        out[f"blocks.0.attn.{part}.weight"] = (rows, columns)
        out[f"blocks.0.attn.{part}.bias"] = (rows,)
    if not c.get("attn_only"):
        out |= layer_norm("blocks.0.ln2")
        out |= {"blocks.0.mlp.in.weight": (m, d), "blocks.0.mlp.in.bias": (m,)}
        out |= {"blocks.0.mlp.out.weight": (d, m), "blocks.0.mlp.out.bias": (d,)}
    return out | layer_norm("ln_final") | {"unembed.weight": (c["d_vocab"], d)}


def initial_weights(kind: str | Kind = "article", seed: int = 0, device="cpu") -> dict:
    """Starting weights by parameter name: normal matrices, zero biases, LayerNorm at 1. float64.
    ValueError for an unknown kind, and for a seed that is no whole number from 0 on."""
    std, d = get_kind(kind).init_std, get_kind(kind).config["d_model"]
    rng = np.random.default_rng(task.whole(seed, "the seed"))
    weights = {}
    for name, shape in shapes(kind).items():
        if len(shape) == 2:
            scale = 0.8 / math.sqrt(d) if std is None else std
            if std is None and name.endswith(("attn.o.weight", "mlp.out.weight")):
                scale /= math.sqrt(2)
            value = torch.from_numpy(rng.normal(0, scale, shape))
        else:
            value = torch.full(shape, float(name.endswith("weight")), dtype=torch.float64)
        weights[name] = value.to(device)
    return weights


def build(kind: str | Kind = "article", seed: int = 0, weights=None, device="cpu"):
    """A TransformerBridge of that kind, float64, with `weights` or the initial ones of `seed`;
    ValueError for weights of another kind."""
    from transformer_lens import TransformerBridge, TransformerBridgeConfig

    weights = initial_weights(kind, seed) if weights is None else weights
    check_shapes(weights, kind, "the weights")
    cfg = TransformerBridgeConfig(**get_kind(kind).config, seed=0)  # weights are set below
    with torch.device(device):
        model = TransformerBridge.boot_native(cfg, device=str(device), dtype=torch.float64)
    model.load_state_dict(weights, strict=False)  # not strict: the library adds unembed.bias = 0
    model.kind = kind  # so that `as_zoo` knows it
    return model


def read_weights(model) -> dict[str, torch.Tensor]:
    """The trained parameters of a TransformerBridge by name, detached copies on its device."""
    skip = "unembed.bias"  # a zero buffer that the library lists among the weights
    return {k: v.detach().clone().contiguous() for k, v in model.state_dict().items() if k != skip}


def check_shapes(weights: dict, kind: str | Kind, where) -> None:
    """ValueError, naming `where` and the parameter, unless `weights` are those of one `kind`."""
    expected = shapes(kind)
    for name in sorted(set(expected) ^ set(weights)):
        what = "is missing" if name in expected else "is not a parameter of this kind"
        raise ValueError(f"{where}: {name} {what} ({kind!r})")
    for name, shape in expected.items():
        if (given := tuple(weights[name].shape)) != shape:
            raise ValueError(f"{where}: {name} has shape {given}, expected {shape}")


class Zoo:
    """Models of one kind: `weights` stacked `[models, ...]`, their `seeds`, and `edits` if any.

    `zoo[i]` is a zoo of the i-th alone, `zoo.where(mask)` one of several, `zoo.bridge(i)` the i-th
    as a TransformerBridge. `zoo(tokens)` are the logits. `info` is what was recorded when they were
    trained: lists with an entry a model, such as `n_right`. `task` and `length` are the kind's.
    """

    def __init__(self, kind, weights: dict, seeds, info: dict | None = None, edits=None):
        self.kind, self.weights, self.seeds = kind, weights, list(seeds)
        self.info, self.edits = info or {}, edits or {}
        self.task, self.length = get_kind(kind).task, get_kind(kind).length
        self.device = weights["embed.weight"].device

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, i: int) -> Self:
        return self._only([range(len(self))[i]])  # IndexError where there is none

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[models, batch, length, vocab]` at the outputs; see `forward`."""
        return forward(self.weights, tokens.to(self.device), self.edits)

    def where(self, mask) -> Self:
        """The models for which `mask` (bool `[models]`) is true, in the same order, unedited."""
        mask = torch.as_tensor(mask)
        assert mask.shape == (len(self),) and mask.dtype == torch.bool, "a bool for each model"
        return self._only(mask.nonzero().flatten().tolist())

    def _only(self, keep: list[int]) -> Self:
        lists = {k: v for k, v in self.info.items() if isinstance(v, list) and len(v) == len(self)}
        info = {k: [v[i] for i in keep] for k, v in lists.items()}
        weights = {k: v[keep] for k, v in self.weights.items()}
        return Zoo(self.kind, weights, [self.seeds[i] for i in keep], info)

    def bridge(self, i: int = 0):
        """The i-th model as a TransformerBridge, to be opened with the library; unedited."""
        return build(self.kind, weights={k: v[i] for k, v in self.weights.items()})

    def edited(self, edits: dict) -> Self:
        """The same models with more edits: a place of `HOOKS` -> tensor or function, as `forward`.
        ValueError for a place that they do not have, KeyError for one that is edited already."""
        for place in edits:
            task.one_of(place, self.places, "place in this model")
            if place in self.edits:
                raise KeyError(f"{place} of these models is edited already")
        return Zoo(self.kind, self.weights, self.seeds, self.info, {**self.edits, **edits})

    @property
    def places(self) -> list[str]:
        """The names of `HOOKS` that these models have."""
        has_mlp = "blocks.0.mlp.in.weight" in self.weights
        return [place for place in HOOKS if has_mlp or place not in ("post", "mlp_out")]

    @property
    def exact(self) -> torch.Tensor:
        """Recorded: which models are right on every input. bool `[models]`."""
        return torch.tensor(self.info["n_right"]) == task.DIGITS**self.length

    def to(self, device) -> Self:
        weights = {k: v.to(device) for k, v in self.weights.items()}
        return Zoo(self.kind, weights, self.seeds, self.info, self.edits)


def as_zoo(model) -> Zoo:
    """The one door into helpers: a Zoo as it is, a TransformerBridge as a zoo of one.

    A bridge made here knows its kind; of any other the configuration tells it. ValueError for one
    of no known kind, and for one that computes something else than `forward` (by a hook, say).
    """
    if isinstance(model, Zoo):
        return model
    cfg, kind = getattr(model, "cfg", None), getattr(model, "kind", None)
    for name, known in KINDS.items():
        config = {"attn_only": False} | known.config
        if kind is None and all(getattr(cfg, k, "?") == v for k, v in config.items()):
            kind = name
    if cfg is None or kind is None:
        there = f"a Zoo, and a TransformerBridge configured as one of {', '.join(KINDS)}"
        raise ValueError(f"got {type(model).__name__}; allowed are {there}")
    zoo = Zoo(kind, {k: v[None] for k, v in read_weights(model).items()}, [0])
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, task.VOCAB, (8, 2 * zoo.length)))
    with torch.no_grad():
        theirs, ours = model(tokens.to(zoo.device))[:, zoo.length :], zoo(tokens)[0]
    if zoo.device.type != "meta" and not torch.allclose(theirs, ours, 1e-3, 1e-3, equal_nan=True):
        raise ValueError("got other logits than `forward`; allowed: no unembed.bias, no hooks")
    return zoo


# ---------------------------------------------------------------- the forward pass

# Where a value can be read or edited, and what the library calls the place. Not in the list:
# hook_attn_scores (4.3 discards edits of it) and hook_resid_mid (an edit of it reaches the MLP but
# not the residual stream). Tests pin both.
HOOKS = {
    "pattern": "blocks.0.attn.hook_pattern",  # [models, batch, length, 2 * length]: outputs, keys
    "z": "blocks.0.attn.hook_z",  # [models, batch, length, d_head]
    "attn_out": "blocks.0.hook_attn_out",  # [models, batch, length, d_model]
    "post": "blocks.0.mlp.hook_post",  # [models, batch, length, d_mlp]
    "mlp_out": "blocks.0.hook_mlp_out",
    "resid_post": "blocks.0.hook_resid_post",
}


def forward(weights: dict, tokens: torch.Tensor, edits: dict | None = None) -> torch.Tensor:
    """Logits `[models, batch, length, vocab]` at the positions that predict y0, y1, ...

    `weights` maps parameter names to tensors with a leading models axis. `tokens` are
    `[batch, 2 * length (+ 1)]`, or `[models, batch, ...]` for other tokens in each model. `edits`
    maps names of `HOOKS` to a tensor that replaces the value there (broadcast to it), or to a
    function (value, tokens) -> value. Only the output positions are computed.
    """
    stream = stream_table(weights)  # [models, position, token, d_model]
    q, k, v = attention_reads(weights)
    n_keys, vocab = stream.shape[1:3]
    n = n_keys // 2
    # With one layer, what attention reads depends on position and token only: a row of these tables
    # is picked for each token, instead of computed for each sequence.
    row = tokens[..., :n_keys] + vocab * torch.arange(n_keys, device=tokens.device)
    q, k, v = _pick(q, row[..., n:]), _pick(k, row), _pick(v, row)
    future = torch.ones(n, n_keys, dtype=torch.bool, device=q.device).triu(n + 1)
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future, -math.inf)
    pattern = edit_at("pattern", scores.softmax(-1), edits, tokens)
    return after_z(weights, _pick(stream, row[..., n:]), pattern @ v, edits, tokens)


def after_z(weights: dict, stream, z, edits: dict | None = None, tokens=None) -> torch.Tensor:
    """Logits as `forward`, from the stream before attention `[models, batch, output, d_model]` and
    z, what attention collected, `[models, batch, output, d_head]`."""
    z = edit_at("z", z, edits, tokens)
    stream = stream + edit_at("attn_out", linear(z, weights, "blocks.0.attn.o"), edits, tokens)
    if "blocks.0.mlp.in.weight" in weights:
        read = layernorm(stream, weights, "blocks.0.ln2")
        post = edit_at("post", linear(read, weights, "blocks.0.mlp.in").relu(), edits, tokens)
        out = linear(post, weights, "blocks.0.mlp.out")
        stream = stream + edit_at("mlp_out", out, edits, tokens)
    return unembed(edit_at("resid_post", stream, edits, tokens), weights)


def _pick(table, row):
    """Rows `[models, batch, ..., d]` of a table `[models, position, token, d]`, by their numbers
    `[batch, ...]`, or `[models, batch, ...]` where each model has its own."""
    table = table.flatten(1, 2)
    if row.dim() == 2:
        return table.index_select(1, row.flatten()).view(len(table), *row.shape, -1)
    index = row.flatten(1)[..., None].expand(-1, -1, table.shape[-1])
    return table.gather(1, index).view(*row.shape, -1)


def edit_at(place: str, value, edits: dict | None, tokens) -> torch.Tensor:
    """`value` at `place`, or what its edit makes of it, broadcast to the same shape."""
    if not edits or place not in edits:
        return value
    edit = edits[place]
    new = edit(value, tokens) if callable(edit) else edit
    return new.to(value).expand_as(value)


def stream_table(weights: dict) -> torch.Tensor:
    """The stream where attention reads it: `[models, position, token, d_model]`."""
    position = weights["pos_embed.weight"][:, :-1]  # nothing is read at the last
    return position[:, :, None] + weights["embed.weight"][:, None]


def attention_reads(weights: dict) -> list[torch.Tensor]:
    """Queries, keys and values of tokens at positions: `[models, position, token, d_head]`."""
    normed = layernorm(stream_table(weights), weights, "blocks.0.ln1")
    return [linear(normed, weights, f"blocks.0.attn.{part}") for part in "qkv"]


def attention_writes(weights: dict) -> torch.Tensor:
    """What a token at a position adds to the stream where it alone is looked at, without the bias:
    `[models, position, token, d_model]`."""
    return attention_reads(weights)[2] @ weights["blocks.0.attn.o.weight"][:, None].mT


def unembed(resid: torch.Tensor, weights: dict) -> torch.Tensor:
    """The logit lens, ln_final and W_U: `[models, ..., vocab]` of `[models, ..., d_model]`."""
    return linear(layernorm(resid, weights, "ln_final"), weights, "unembed")


def layernorm(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    """LayerNorm `name` of x `[models, ..., d]`; x itself in models without one."""
    if f"{name}.weight" not in weights:
        return x
    shape = (len(x), *[1] * (x.dim() - 2), -1)
    weight, bias = (weights[f"{name}.{part}"].view(shape) for part in ("weight", "bias"))
    return F.layer_norm(x, x.shape[-1:], eps=LN_EPS) * weight + bias


def linear(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    """The matrix `name` of each model times x `[models, ..., d]`, plus its bias if any."""
    matrix, bias = weights[f"{name}.weight"].mT, weights.get(f"{name}.bias")
    rows = x.flatten(1, -2)
    out = rows @ matrix if bias is None else torch.baddbmm(bias[:, None], rows, matrix)
    return out.view(*x.shape[:-1], -1)


# ---------------------------------------------------------------- trained models, from files


def load_trained(name: str = "article", folder=WEIGHTS, device="cpu"):
    """The trained TransformerBridge that 03 saved, ready to use; its file is checked first.
    ValueError for an unknown name, and the errors of `helpers.storage.load`."""
    names = sorted({path.stem for path in Path(folder).glob("*.safetensors")} - {"zoo"})
    path = Path(folder) / f"{task.one_of(name, names, 'model')}.safetensors"
    weights, note = load(path)
    check_shapes(weights, task.one_of(note.get("kind"), KINDS, f"kind in {path}:"), path)
    return build(note["kind"], weights=weights, device=device).eval()


def load_zoo(kind: str = "article", path=WEIGHTS / "zoo.safetensors", device="cpu") -> Zoo:
    """The trained models of `kind` with their seeds; failed seeds are in, see `Zoo.exact`.
    ValueError for an unknown kind, and the errors of `helpers.storage.load`."""
    tensors, note = load(path)
    record = note.get("kinds", {})[task.one_of(kind, note.get("kinds", {}), f"model in {path}:")]
    own = [name for name in tensors if name.startswith(f"{kind}/")]
    weights = {name.removeprefix(f"{kind}/"): tensors[name] for name in own}
    if any(len(value) != len(record["seeds"]) for value in weights.values()):
        raise ValueError(f"{path}: its weights are not of the {len(record['seeds'])} seeds noted")
    check_shapes({name: value[0] for name, value in weights.items()}, kind, path)
    return Zoo(kind, weights, record["seeds"], record).to(device)
