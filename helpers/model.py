"""The model: configuration, weights, building, running, saving, loading.

This is the only room that knows which TransformerLens API is in use (`TransformerBridge`, 4.3 or
newer). Weights are float64 and drawn by numpy, so that a run is the same on every processor.

Two things compute the same function: the TransformerBridge, which the notebooks open, and
`forward`, which runs many models at once for the sweeps. A test holds them together to 1e-10.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from helpers import task as T

WEIGHTS = Path(__file__).parent / "weights"
OUT = slice(T.LENGTH, 2 * T.LENGTH)  # positions 8..15, where y0..y7 are predicted

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


@dataclasses.dataclass(frozen=True)
class Kind:
    """A model variant: what differs from `CONFIG`, how it starts, and the task it learns.

    `init_std` is the standard deviation of every initial matrix; None takes the library's default
    (0.8 / sqrt(d_model), and 1/sqrt(2) of that for W_O and W_out).
    """

    config: dict = dataclasses.field(default_factory=dict)
    init_std: float | None = 0.05
    task: str = "reverse_plus_one"

    def __post_init__(self):
        object.__setattr__(self, "config", {**CONFIG, **self.config})


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


def get_kind(name: str) -> Kind:
    """The `Kind` called `name`; ValueError with the names there are."""
    if name not in KINDS:
        raise ValueError(f"unknown model {name!r}; there are {', '.join(KINDS)}")
    return KINDS[name]


def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter, in the order in which the initial weights are drawn.

    Matrices are stored as in torch, `[out, in]`; the library's W_Q, W_in, ... are their transposes.
    """
    c = get_kind(kind).config
    d, h, m = c["d_model"], c["d_head"] * c["n_heads"], c["d_mlp"]
    norm = c["normalization_type"] is not None

    def layernorm(name):
        return {f"{name}.weight": (d,), f"{name}.bias": (d,)} if norm else {}

    out = {"embed.weight": (c["d_vocab"], d), "pos_embed.weight": (c["n_ctx"], d)}
    out |= layernorm("blocks.0.ln1")
    for part, (rows, columns) in dict(q=(h, d), k=(h, d), v=(h, d), o=(d, h)).items():
        out[f"blocks.0.attn.{part}.weight"] = (rows, columns)
        out[f"blocks.0.attn.{part}.bias"] = (rows,)
    if not c.get("attn_only"):
        out |= layernorm("blocks.0.ln2")
        out |= {"blocks.0.mlp.in.weight": (m, d), "blocks.0.mlp.in.bias": (m,)}
        out |= {"blocks.0.mlp.out.weight": (d, m), "blocks.0.mlp.out.bias": (d,)}
    return out | layernorm("ln_final") | {"unembed.weight": (c["d_vocab"], d)}


def initial_weights(kind: str = "article", seed: int = 0) -> dict[str, torch.Tensor]:
    """Starting weights by parameter name: normal matrices, zero biases, LayerNorm at 1. float64."""
    std, d = get_kind(kind).init_std, get_kind(kind).config["d_model"]
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(kind).items():
        if len(shape) == 2:
            scale = 0.8 / math.sqrt(d) if std is None else std
            if std is None and name.endswith(("attn.o.weight", "mlp.out.weight")):
                scale /= math.sqrt(2)
            weights[name] = torch.from_numpy(rng.normal(0, scale, shape))
        else:
            fill = 1.0 if name.endswith("weight") else 0.0
            weights[name] = torch.full(shape, fill, dtype=torch.float64)
    return weights


def build(kind: str = "article", seed: int = 0, weights=None, device: str = "cpu"):
    """A TransformerBridge of that kind, float64, with `weights` or the initial ones of `seed`."""
    from transformer_lens import TransformerBridge, TransformerBridgeConfig

    cfg = TransformerBridgeConfig(**get_kind(kind).config, seed=0)  # weights are set below
    model = TransformerBridge.boot_native(cfg, device=device, dtype=torch.float64)
    weights = initial_weights(kind, seed) if weights is None else weights
    _check_shapes(weights, kind, "the weights")
    model.load_state_dict(weights, strict=False)  # not strict: the library adds unembed.bias = 0
    return model


def read_weights(model) -> dict[str, torch.Tensor]:
    """The trained parameters of a TransformerBridge by name, detached, on the CPU."""
    skip = "unembed.bias"  # a zero buffer that the library lists among the weights
    state = model.state_dict()
    return {k: v.detach().cpu().clone().contiguous() for k, v in state.items() if k != skip}


# ---------------------------------------------------------------- running

# Where a value can be read or edited, and what the library calls the place. Not in the list:
# hook_attn_scores (4.3 discards edits of it) and hook_resid_mid (an edit of it reaches the MLP but
# not the residual stream). Tests pin both.
HOOKS = {
    "pattern": "blocks.0.attn.hook_pattern",  # [..., batch, 8, 16] queries y0..y7, all keys
    "z": "blocks.0.attn.hook_z",  # [..., batch, 8, d_head]
    "attn_out": "blocks.0.hook_attn_out",  # [..., batch, 8, d_model]
    "post": "blocks.0.mlp.hook_post",  # [..., batch, 8, d_mlp]
    "mlp_out": "blocks.0.hook_mlp_out",
    "resid_post": "blocks.0.hook_resid_post",
}


def layernorm(x, weights, name, eps=1e-5):
    """LayerNorm `name` of stacked models on x `[models, ..., d_model]`; x itself without one."""
    if f"{name}.weight" not in weights:
        return x
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return x * _lead(weights[f"{name}.weight"], x) + _lead(weights[f"{name}.bias"], x)


def _lead(vector, x):
    """[models, d] reshaped so that it broadcasts against x [models, ..., d]."""
    return vector.reshape(len(vector), *[1] * (x.dim() - 2), -1)


def _linear(x, weights, name):
    y = torch.bmm(x.flatten(1, -2), weights[f"{name}.weight"].mT).view(*x.shape[:-1], -1)
    return y.add_(_lead(weights[f"{name}.bias"], y)) if f"{name}.bias" in weights else y


def forward(weights, tokens: torch.Tensor, edits=None) -> torch.Tensor:
    """Logits `[models, batch, 8, vocab]` at the positions of y0..y7, for many models at once.

    `weights` maps parameter names to tensors with a leading models axis. `tokens` are
    `[batch, 16 or 17]`, or `[models, batch, ...]` for other tokens in each model. `edits` maps
    names of `HOOKS` to functions value -> value. Only the eight output queries are computed.
    """
    edits = edits or {}

    def at(name, value):
        return edits[name](value) if name in edits else value

    # With one layer, what attention reads depends on position and token only: 16 * 5 rows are
    # computed once and picked, instead of 16 for every sequence.
    embed, pos = weights["embed.weight"], weights["pos_embed.weight"]
    table = (pos[:, :16, None] + embed[:, None]).flatten(1, 2)  # [models, 16 * vocab, d_model]
    row = tokens[..., :16] + T.VOCAB * torch.arange(16, device=tokens.device)

    def pick(rows, table):
        if rows.dim() == 2:
            return table.index_select(1, rows.flatten()).view(len(table), *rows.shape, -1)
        index = rows.flatten(1)[..., None].expand(-1, -1, table.shape[-1])
        return table.gather(1, index).view(*rows.shape, -1)

    normed = layernorm(table, weights, "blocks.0.ln1")
    q = pick(row[..., OUT], _linear(normed, weights, "blocks.0.attn.q"))
    k = pick(row, _linear(normed, weights, "blocks.0.attn.k"))
    v = pick(row, _linear(normed, weights, "blocks.0.attn.v"))
    future = torch.ones(16, 16, dtype=torch.bool, device=q.device).triu(1)[OUT]
    # In place where autograd allows it: for many models at once, fresh memory costs more than sums.
    scores = (q / math.sqrt(q.shape[-1]) @ k.mT).masked_fill_(future, -math.inf)
    pattern = at("pattern", scores.softmax(-1))
    z = at("z", pattern @ v)
    resid_mid = pick(row[..., OUT], table) + at("attn_out", _linear(z, weights, "blocks.0.attn.o"))
    resid_post = resid_mid
    if "blocks.0.mlp.in.weight" in weights:
        pre = _linear(layernorm(resid_mid, weights, "blocks.0.ln2"), weights, "blocks.0.mlp.in")
        post = at("post", pre.relu_())
        resid_post = resid_mid + at("mlp_out", _linear(post, weights, "blocks.0.mlp.out"))
    return unembed(at("resid_post", resid_post), weights)


def unembed(resid, weights):
    """The logit lens of stacked models: ln_final, then W_U. `[models, ..., d_model]` -> logits."""
    return _linear(layernorm(resid, weights, "ln_final"), weights, "unembed")


def in_parts(run, model, sequences: torch.Tensor, size: int = 4096) -> list:
    """What `run` gives for parts of `sequences`, in order; a zoo's parts on two cores at a time.

    `size`: how many sequences times models a part holds. (The hooks of a TransformerBridge belong to
    one run at a time.)
    """
    many = len(model) if isinstance(model, Zoo) else getattr(model, "n_models", 1)
    parts = sequences.split(max(64, size // many))
    if many == 1:
        return [run(part) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, parts))


def has(model, name: str) -> bool:
    """Whether `model` (TransformerBridge or Zoo) has the place `name` of `HOOKS`."""
    if isinstance(model, Zoo):
        return name not in ("post", "mlp_out") or "blocks.0.mlp.in.weight" in model.weights
    return HOOKS[name] in model.hook_dict


def logits(model, tokens: torch.Tensor, edits=None) -> torch.Tensor:
    """Logits at y0..y7 of a TransformerBridge (`[batch, 8, vocab]`) or a Zoo (one more axis first).

    An edit gets and returns the value at the eight output positions, for both alike.
    """
    if isinstance(model, Zoo):
        return forward(model.weights, tokens, edits)

    def hook_for(name, edit):
        def hook(value, hook):
            part = value[..., OUT, :] if name == "pattern" else value[:, OUT]
            new = edit(part.reshape(len(value), T.LENGTH, -1))  # one head: its axis is dropped
            value = value.clone()
            (value[..., OUT, :] if name == "pattern" else value[:, OUT]).copy_(new.view_as(part))
            return value

        return (HOOKS[name], hook)

    hooks = [hook_for(name, edit) for name, edit in (edits or {}).items()]
    return model.run_with_hooks(tokens[:, :16], fwd_hooks=hooks)[:, OUT]


# ---------------------------------------------------------------- saving and loading


class Zoo:
    """Many trained models of one kind: `weights` stacked `[models, ...]`, their `seeds`, `exact`.

    `zoo[i]` is the i-th as a TransformerBridge; `zoo.where(mask)` a smaller zoo.
    """

    def __init__(self, kind: str, weights: dict, seeds: list[int], info: dict | None = None):
        self.kind, self.weights, self.seeds = kind, weights, list(seeds)
        self.info = info or {}

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, i: int):
        return build(self.kind, weights={k: v[i].clone() for k, v in self.weights.items()})

    @property
    def exact(self) -> torch.Tensor:
        """Recorded: which models are right on all 65,536 inputs. bool `[models]`."""
        return torch.tensor(self.info["n_right"]) == T.N_SEQUENCES

    def where(self, mask) -> Zoo:
        """The models for which `mask` (bool `[models]`) is true, in the same order."""
        keep = torch.as_tensor(mask).nonzero().flatten().tolist()
        info = {k: [v[i] for i in keep] for k, v in self.info.items() if len(v) == len(self)}
        weights = {k: v[keep] for k, v in self.weights.items()}
        return Zoo(self.kind, weights, [self.seeds[i] for i in keep], info)


def as_zoo(model, kind: str = "article") -> Zoo:
    """A TransformerBridge as a zoo of one, for functions that take stacked weights."""
    if isinstance(model, Zoo):
        return model
    return Zoo(kind, {k: v[None] for k, v in read_weights(model).items()}, [0])


def _check_shapes(weights, kind, where):
    expected = shapes(kind)
    for name in sorted(set(expected) ^ set(weights)):
        what = "is missing" if name in expected else "is not a parameter of this kind"
        raise ValueError(f"{where}: {name} {what} ({kind!r})")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(
                f"{where}: {name} has shape {tuple(weights[name].shape)}, expected {shape}"
            )


def versions() -> dict[str, str]:
    """Versions of Python and the libraries that a training run depends on."""
    names = ("torch", "numpy", "transformer-lens", "safetensors")
    return {"python": platform.python_version(), **{n: version(n) for n in names}}


def save(path, tensors: dict[str, torch.Tensor], info: dict) -> None:
    """Write `path` (.safetensors) and its .json with `info`, versions and SHA-256.

    Each file is written beside its place and moved there whole: never half a file.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path)
    blob = to_bytes({k: v.contiguous() for k, v in tensors.items()})
    note = info | {"versions": versions(), "sha256": hashlib.sha256(blob).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, data in [(path, blob), (path.with_suffix(".json"), _json(note).encode())]:
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _json(note: dict) -> str:
    return json.dumps(note, indent=1, sort_keys=True) + "\n"


def load(path) -> tuple[dict[str, torch.Tensor], dict]:
    """(tensors, info) of a file written by `save`, checked against its recorded SHA-256.

    FileNotFoundError when either file is missing; ValueError when the bytes are not the recorded
    ones or cannot be read. Both name the file.
    """
    from safetensors.torch import load as from_bytes

    path = Path(path)
    note = path.with_suffix(".json")
    for file in (path, note):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; expected a weights file and its .json")
    try:
        info = json.loads(note.read_text(encoding="utf-8"))
        expected = info["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{note}: not a JSON note with a sha256 ({error!r})") from None
    blob = path.read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != expected:
        raise ValueError(
            f"{path}: {len(blob)} bytes with SHA-256 {found}; {note.name} expects {expected}. "
            "The file was cut short or altered: fetch it again, or train and save again."
        )
    try:
        return from_bytes(blob), info
    except Exception as error:  # safetensors raises its own type, which is not public
        raise ValueError(f"{path}: not a safetensors file ({error})") from None


def load_trained(name: str = "article", folder=WEIGHTS, device: str = "cpu"):
    """The trained TransformerBridge that 03 saved, ready to use; its file is checked first.

    ValueError for an unknown name (the message lists the names there are), and the errors of `load`.
    """
    names = sorted(p.stem for p in Path(folder).glob("*.safetensors") if p.stem != "zoo")
    path = Path(folder) / f"{name}.safetensors"
    if name not in names and name not in KINDS:
        raise ValueError(f"unknown model {name!r}; there are {', '.join(names) or 'none'}")
    weights, info = load(path)
    kind = info.get("kind")
    if kind not in KINDS:
        raise ValueError(f"{path}: its note names the kind {kind!r}; there are {', '.join(KINDS)}")
    _check_shapes(weights, kind, path)
    return build(kind, weights=weights, device=device).eval()


def load_zoo(kind: str = "article", path=WEIGHTS / "zoo.safetensors") -> Zoo:
    """The 32 trained models of `kind` with their seeds; failed seeds are in, see `Zoo.exact`.

    ValueError for an unknown kind (the message lists the kinds there are), and those of `load`.
    """
    get_kind(kind)
    tensors, info = load(path)
    if kind not in info.get("kinds", {}):
        raise ValueError(
            f"{path}: no models of kind {kind!r}; there are {', '.join(info['kinds'])}"
        )
    prefix = f"{kind}/"
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    _check_shapes({k: v[0] for k, v in weights.items()}, kind, path)
    record = info["kinds"][kind]
    return Zoo(kind, weights, record["seeds"], record)
