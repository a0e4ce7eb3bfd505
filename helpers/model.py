"""The model: configurations, weights, and the forward pass of many models at once.

This is the only room that knows which TransformerLens API is in use (`TransformerBridge`, 4.3 or
newer). The bridge is what a reader opens; everything inside helpers runs on a `Zoo`, stacked
weights with a leading models axis. `as_zoo` is the one door from the first to the second. Both
compute the same function: a test holds them together to 1e-10. Weights are float64 and drawn by
numpy, so that a run is the same on every processor.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import torch

from helpers import task as T
from helpers.storage import load

WEIGHTS = Path(__file__).parent / "weights"
SEVERAL = ("zoo", "survey")  # files of many models
LN_EPS = 1e-5  # added to the variance in every layer norm

# The article's model: 360 parameters.
CONFIG = dict(
    n_layers=1,
    d_model=4,
    d_head=4,
    n_heads=1,
    d_mlp=16,
    d_vocab=T.VOCAB,
    n_ctx=17,
    act_fn="relu",
    normalization_type="LN",
)
# What `forward` computes; of other settings the library would make another function.
COMPUTED = dict(
    n_layers=[1], n_heads=[1], act_fn=["relu"], normalization_type=["LN", None],
    d_vocab=[T.VOCAB], attn_only=[False, True],
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kind:
    """A model variant: what differs from `CONFIG`, how it starts, its task and number of digits.

    `init_std` is the standard deviation of every initial matrix; None takes the library's default
    (0.8 / sqrt(d_model), and 1/sqrt(2) of that for W_O and W_out). ValueError for what no model
    can have.
    """

    config: dict = dataclasses.field(default_factory=dict)
    init_std: float | None = 0.05
    task: str = "reverse_plus_one"
    length: int = T.LENGTH

    def __post_init__(self):
        T.whole(self.length, "length", 1)
        if not T.named(self.task, T.TASKS):
            raise ValueError(f"unknown task {T.shown(self.task)}; there are {', '.join(T.TASKS)}")
        std = self.init_std
        if std is not None and not (isinstance(std, (int, float)) and 0 <= std < math.inf):
            raise ValueError(f"init_std is {T.shown(std)}; allowed are None and numbers from 0 on")
        names = [*CONFIG, "attn_only"]
        if not isinstance(self.config, dict) or set(self.config) - set(names):
            given = T.shown(self.config)
            raise ValueError(f"got the config {given}; allowed is a dict of {', '.join(names)}")
        full = {**CONFIG, "n_ctx": 2 * self.length + 1, **self.config}
        for name, allowed in COMPUTED.items():
            if name in full and full[name] not in allowed:
                said = " and ".join(repr(value) for value in allowed)
                raise ValueError(f"got {name} = {T.shown(full[name])}; allowed is {said}")
        for name in ("d_model", "d_head", "d_mlp"):
            T.whole(full[name], name, 1)
        object.__setattr__(self, "config", full)


_WIDE = dict(d_model=16, d_head=16, d_mlp=64)
KINDS = {
    "article": Kind(),
    "article_default_init": Kind(init_std=None),
    "no_mlp": Kind(dict(attn_only=True)),
    "no_layernorm": Kind(dict(normalization_type=None)),
    "no_mlp_no_layernorm": Kind(dict(attn_only=True, normalization_type=None)),
    "sum_pairs": Kind(_WIDE, 0.4, "sum_pairs"),
    "sum_pairs_no_mlp": Kind(dict(_WIDE, attn_only=True), 0.4, "sum_pairs"),
}


def get_kind(kind: str | Kind) -> Kind:
    """The `Kind` of that name (a `Kind` is its own); ValueError with the names there are."""
    if isinstance(kind, Kind):
        return kind
    if not T.named(kind, KINDS):
        raise ValueError(f"unknown model {T.shown(kind)}; there are {', '.join(KINDS)}")
    return KINDS[kind]


def shapes(kind: str | Kind) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order in which the initial weights are drawn.

    Matrices are stored as in torch, `[out, in]`; the library's W_Q, W_in, ... are their transposes.
    """
    c = get_kind(kind).config
    d, h, m = c["d_model"], c["d_head"] * c["n_heads"], c["d_mlp"]
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

    ValueError for an unknown kind, and for a seed that is no whole number from 0 on; a device that
    is not there gives torch's own error.
    """
    seed = T.whole(seed, "seed")
    std, d = get_kind(kind).init_std, get_kind(kind).config["d_model"]
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(kind).items():
        if len(shape) == 2:
            scale = 0.8 / math.sqrt(d) if std is None else std
            if std is None and name.endswith(("attn.o.weight", "mlp.out.weight")):
                scale /= math.sqrt(2)
            value = torch.from_numpy(rng.normal(0, scale, shape))
        else:
            fill = 1.0 if name.endswith("weight") else 0.0
            value = torch.full(shape, fill, dtype=torch.float64, device=device)
        weights[name] = value.to(device)
    return weights


def build(kind: str | Kind = "article", seed: int = 0, weights=None, device="cpu"):
    """A TransformerBridge of that kind, float64, with `weights` or the initial ones of `seed`.

    ValueError for weights of another kind, and those of `initial_weights`.
    """
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


def check_shapes(weights, kind, where) -> None:
    """ValueError, naming `where` and the parameter, unless `weights` are those of one `kind`."""
    expected = shapes(kind)
    if not isinstance(weights, dict):
        raise ValueError(f"{where}: got {T.shown(weights)}; allowed is a dict of tensors by name")
    for name in sorted(set(expected) ^ set(weights), key=str):
        what = "is missing" if name in expected else "is not a parameter of this kind"
        raise ValueError(f"{where}: {name} {what} ({kind!r})")
    for name, shape in expected.items():
        if not isinstance(value := weights[name], torch.Tensor) or not value.is_floating_point():
            raise ValueError(f"{where}: {name} is {T.shown(value)}, expected a tensor of floats")
        if tuple(value.shape) != shape:
            raise ValueError(f"{where}: {name} has shape {tuple(value.shape)}, expected {shape}")


class Zoo:
    """Models of one kind: `weights` stacked `[models, ...]`, their `seeds`, and `edits` if any.

    `zoo[i]` is the i-th as a TransformerBridge, `zoo.where(mask)` a smaller zoo. `zoo(tokens)` are
    the logits. `info` is what was recorded when they were trained: lists with an entry a model,
    and in a zoo as it was loaded what all of them share.
    """

    def __init__(self, kind, weights: dict, seeds, info: dict | None = None, edits=None):
        self.kind, self.weights, self.seeds = kind, weights, list(seeds)
        self.info, self.edits = info or {}, edits or {}

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, i: int):
        return build(self.kind, weights={k: v[i] for k, v in self.weights.items()})

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits `[models, batch, length, vocab]` at the outputs; see `forward`.

        ValueError for other tokens than `helpers.task.check_sequences` allows.
        """
        T.check_sequences(tokens, self.length)
        if tokens.dim() == 3 and len(tokens) != len(self):
            shape = tuple(tokens.shape)
            raise ValueError(f"got tokens of shape {shape}; allowed are {len(self)} models first")
        return forward(self.weights, tokens.to(self.device), self.edits)

    @property
    def task(self) -> str:
        return get_kind(self.kind).task

    @property
    def length(self) -> int:
        return get_kind(self.kind).length

    @property
    def device(self) -> torch.device:
        return self.weights["embed.weight"].device

    @property
    def exact(self) -> torch.Tensor:
        """Recorded: which models are right on every input. bool `[models]`."""
        return torch.tensor(self.info["n_right"]) == T.DIGITS**self.length

    def to(self, device) -> Zoo:
        """The same models on another device."""
        weights = {k: v.to(device) for k, v in self.weights.items()}
        return Zoo(self.kind, weights, self.seeds, self.info, self.edits)

    def edited(self, edits: dict) -> Zoo:
        """The same models with more edits: a place of `HOOKS` -> tensor or function, as `forward`.

        KeyError for a place that has an edit already: which of two comes first would be a guess.
        ValueError for a place that is none, or an edit that is neither of the two; when the models
        run, for a value that does not fit its place.
        """
        if not isinstance(edits, dict):
            raise ValueError(f"got the edits {T.shown(edits)}; allowed is a dict of them by place")
        for place, edit in edits.items():
            check_place(place)
            if not (isinstance(edit, torch.Tensor) or callable(edit)):
                got = f"got {T.shown(edit)} as the edit of {place!r}"
                raise ValueError(f"{got}; allowed are a tensor and a function (value, tokens)")
        if twice := set(edits) & set(self.edits):
            raise KeyError(f"{', '.join(sorted(twice))} of these models is edited already")
        return Zoo(self.kind, self.weights, self.seeds, self.info, {**self.edits, **edits})

    def where(self, mask) -> Zoo:
        """The models for which `mask` (bool `[models]`) is true, in the same order, unedited.

        ValueError for another mask, such as the numbers of the models.
        """
        keep = [i for i, wanted in enumerate(T.check_mask(mask, len(self))) if wanted]
        lists = {k: v for k, v in self.info.items() if isinstance(v, list) and len(v) == len(self)}
        info = {k: [v[i] for i in keep] for k, v in lists.items()}
        weights = {k: v[keep] for k, v in self.weights.items()}
        return Zoo(self.kind, weights, [self.seeds[i] for i in keep], info)


def as_zoo(model) -> Zoo:
    """The one door into helpers: a Zoo as it is, a TransformerBridge as a zoo of one.

    A bridge made here knows its kind; of any other the configuration tells it. ValueError for a
    model of no known kind.
    """
    if isinstance(model, Zoo):
        return model
    kind = getattr(model, "kind", None) if hasattr(model, "state_dict") else None
    if kind is None:
        asked = [k for k, known in KINDS.items() if _is_configured(model, known.config)]
        if not asked:
            raise ValueError(
                f"got {type(model).__name__}; allowed are a Zoo, and a TransformerBridge "
                f"configured as one of {', '.join(KINDS)}"
            )
        kind = asked[0]
    return Zoo(kind, {k: v[None] for k, v in read_weights(model).items()}, [0])


def _is_configured(model, config: dict) -> bool:
    config = {"attn_only": False} | config
    return all(getattr(getattr(model, "cfg", None), k, "?") == v for k, v in config.items())


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


def check_place(place) -> None:
    """ValueError, with the names there are, unless `place` is one of `HOOKS`."""
    if not T.named(place, HOOKS):
        raise ValueError(f"no place {T.shown(place)} in a model; there are {', '.join(HOOKS)}")


def forward(weights: dict, tokens: torch.Tensor, edits: dict | None = None) -> torch.Tensor:
    """Logits `[models, batch, length, vocab]` at the positions that predict y0, y1, ...

    `weights` maps parameter names to tensors with a leading models axis. `tokens` are
    `[batch, 2 * length (+ 1)]`, or `[models, batch, ...]` for other tokens in each model. `edits`
    maps names of `HOOKS` to a tensor that replaces the value there (broadcast to it), or to a
    function (value, tokens) -> value. Only the output positions are computed.
    """
    stream = stream_table(weights)
    q, k, v = attention_reads(stream, weights)
    n_keys, vocab = len(stream), stream.shape[-1]
    out = slice(n_keys // 2, n_keys)
    # With one layer, what attention reads depends on position and token only: the keys * vocab
    # rows of a table are computed once and picked, instead of once for every sequence.
    row = tokens[..., :n_keys] + vocab * torch.arange(n_keys, device=tokens.device)

    def pick(rows, table):
        table = table.permute(1, 0, 3, 2).flatten(1, 2)  # [models, keys * vocab, d]
        if rows.dim() == 2:
            return table.index_select(1, rows.flatten()).view(len(table), *rows.shape, -1)
        index = rows.flatten(1)[..., None].expand(-1, -1, table.shape[-1])
        return table.gather(1, index).view(*rows.shape, -1)

    q, k, v = pick(row[..., out], q), pick(row, k), pick(row, v)
    future = torch.ones(n_keys, n_keys, dtype=torch.bool, device=q.device).triu(1)[out]
    # In place where autograd allows it: for many models at once, fresh memory costs more than sums.
    scores = (q / math.sqrt(q.shape[-1]) @ k.mT).masked_fill_(future, -math.inf)
    pattern = edit_at("pattern", scores.softmax(-1), edits, tokens)
    own = pick(row[..., out], stream)
    return after_z(weights, own.permute(INSIDE), (pattern @ v).permute(INSIDE), edits, tokens)


# Inside, a vector has its components on the last axis but one, [output, models, d, batch]: several
# times as fast where there are many sequences and few components. Edits see the usual order.
INSIDE, USUAL = (2, 0, 3, 1), (1, 3, 0, 2)


def after_z(weights: dict, stream, z, edits: dict | None, tokens) -> torch.Tensor:
    """Logits as `forward`, from the stream before attention `[output, models, d_model, batch]` and
    z, what attention collected, `[output, models, d_head, batch]`."""

    def edited(place, value):
        if not edits or place not in edits:
            return value
        return edit_at(place, value.permute(USUAL), edits, tokens).permute(INSIDE)

    z = edited("z", z)
    # The sum has the memory layout of its first part: the fast one.
    resid = edited("attn_out", linear(z, weights, "blocks.0.attn.o")) + stream
    if "blocks.0.mlp.in.weight" in weights:
        pre = linear(layernorm(resid, weights, "blocks.0.ln2"), weights, "blocks.0.mlp.in")
        post = edited("post", pre.relu_())
        resid = resid + edited("mlp_out", linear(post, weights, "blocks.0.mlp.out"))
    resid = layernorm(edited("resid_post", resid), weights, "ln_final")
    return linear(resid, weights, "unembed").permute(USUAL)


def edit_at(place: str, value, edits: dict | None, tokens) -> torch.Tensor:
    """`value` at `place`, or what its edit makes of it; ValueError where that does not fit."""
    edit = edits.get(place) if edits else None
    if edit is None:
        return value
    new = edit(value, tokens) if callable(edit) else edit
    try:
        return new.to(value).expand_as(value)
    except (AttributeError, TypeError, RuntimeError):
        got = f"of shape {tuple(new.shape)}" if isinstance(new, torch.Tensor) else T.shown(new)
        raise ValueError(
            f"the edit of {place!r} gives a value {got}; "
            f"allowed is a tensor of shape {tuple(value.shape)}, or one that broadcasts to it"
        ) from None


def stream_table(weights: dict) -> torch.Tensor:
    """The stream where attention reads it: `[position, models, d_model, token]`."""
    position = weights["pos_embed.weight"][:, :-1].transpose(0, 1)  # nothing is read at the last
    return position[..., None] + weights["embed.weight"].mT


def attention_reads(stream: torch.Tensor, weights: dict) -> list[torch.Tensor]:
    """Queries, keys, values `[..., models, d_head, n]` of a stream `[..., models, d_model, n]`."""
    normed = layernorm(stream, weights, "blocks.0.ln1")
    return [linear(normed, weights, f"blocks.0.attn.{part}") for part in "qkv"]


def attention_writes(weights: dict) -> torch.Tensor:
    """What a token at a position adds to the stream where it alone is looked at, without the bias:
    `[models, position, token, d_model]`."""
    *_, values = attention_reads(stream_table(weights), weights)
    return (weights["blocks.0.attn.o.weight"] @ values).permute(1, 0, 3, 2)


def unembed(resid: torch.Tensor, weights: dict) -> torch.Tensor:
    """The logit lens: ln_final, then W_U. Logits `[models, ..., vocab]` of a stream `[models, ...,
    d_model]`."""
    normed = layernorm(resid.flatten(1, -2).mT, weights, "ln_final")
    return linear(normed, weights, "unembed").mT.unflatten(1, resid.shape[1:-1])


def layernorm(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    """LayerNorm `name` of x `[..., models, d, n]`; x itself in models without one."""
    if f"{name}.weight" not in weights:
        return x
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if weight is None:  # `folded`: x is centred already
        return x * (x.pow(2).mean(-2, keepdim=True) + LN_EPS).rsqrt()
    x = x - x.mean(-2, keepdim=True)
    x = x / (x.pow(2).mean(-2, keepdim=True) + LN_EPS).sqrt()
    return x * weight[..., None] + bias[..., None]


def linear(x: torch.Tensor, weights: dict, name: str) -> torch.Tensor:
    """The matrix `name` of each model times x `[..., models, d, n]`, plus its bias if any."""
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    y = x if weight is None else weight @ x  # None: `folded`
    return y if bias is None else y.add_(bias[..., None])


_READERS = {
    "blocks.0.ln1": [f"blocks.0.attn.{part}" for part in "qkv"],
    "blocks.0.ln2": ["blocks.0.mlp.in"],
    "ln_final": ["unembed"],
}
_WRITERS = {"embed": -1, "pos_embed": -1, "blocks.0.attn.o": -2, "blocks.0.mlp.out": -2}


def folded(weights: dict) -> dict:
    """Weights that give the same logits in fewer steps, for models that nobody looks into.

    Whatever writes to the stream writes centred, and the weight and bias of a layer norm stand in
    the matrices behind it; W_O stands in W_V. None is left in their places. TransformerLens does
    the same to one model (`center_writing_weights`, `fold_layer_norm`).
    """
    new = dict(weights)
    for norm, readers in _READERS.items():
        if f"{norm}.weight" in weights:
            for name in readers:
                matrix, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias", 0)
                new[f"{name}.weight"] = matrix * weights[f"{norm}.weight"][:, None]
                new[f"{name}.bias"] = bias + (matrix @ weights[f"{norm}.bias"][..., None])[..., 0]
            new |= {f"{norm}.weight": None, f"{norm}.bias": None}
    for name, written in _WRITERS.items() if "ln_final.weight" in weights else ():
        for key, axis in ((f"{name}.weight", written), (f"{name}.bias", -1)):
            if key in weights:
                new[key] = weights[key] - weights[key].mean(axis, keepdim=True)
    w_o, v = new["blocks.0.attn.o.weight"], "blocks.0.attn.v"
    new[f"{v}.weight"] = w_o @ new[f"{v}.weight"]
    new[f"{v}.bias"] = (w_o @ new[f"{v}.bias"][..., None])[..., 0]
    return new | {"blocks.0.attn.o.weight": None}


def load_trained(name: str = "article", folder=WEIGHTS, device="cpu"):
    """The trained TransformerBridge that 03 saved, ready to use; its file is checked first.

    ValueError for an unknown name (the message lists the names there are), and the errors of
    `helpers.storage.load`.
    """
    names = sorted(path.stem for path in Path(folder).glob("*.safetensors"))
    if not T.named(name, [*names, *KINDS]):
        there = ", ".join(n for n in names if n not in SEVERAL) or "none"
        raise ValueError(f"unknown model {T.shown(name)}; there are {there}")
    path = Path(folder) / f"{name}.safetensors"
    weights, note = load(path)
    kind = note.get("kind")
    if not T.named(kind, KINDS):
        raise ValueError(f"{path}: its note names the kind {kind!r}; there are {', '.join(KINDS)}")
    check_shapes(weights, kind, path)
    return build(kind, weights=weights, device=device).eval()


def load_zoo(kind: str = "article", path=WEIGHTS / "zoo.safetensors", device="cpu") -> Zoo:
    """The trained models of `kind` with their seeds; failed seeds are in, see `Zoo.exact`.

    ValueError for an unknown kind (the message lists the kinds there are) or other weights than
    the note says, and the errors of `helpers.storage.load`.
    """
    get_kind(kind)
    tensors, note = load(path)
    there = note.get("kinds", {})
    if not T.named(kind, there):
        given, names = T.shown(kind), ", ".join(map(str, there))
        raise ValueError(f"{path}: no models of kind {given}; there are {names or 'none'}")
    prefix = f"{kind}/"
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    record = there[kind]
    seeds = record.get("seeds", ())
    if any(value.shape[:1] != (len(seeds),) for value in weights.values()):
        raise ValueError(f"{path}: its weights are not of the {len(seeds)} seeds in its note")
    check_shapes({k: v[0] for k, v in weights.items()}, kind, path)
    return Zoo(kind, weights, record["seeds"], record).to(device)
