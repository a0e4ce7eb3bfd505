"""Lesson 2, the transformer: its explorer and its exercises."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from helpers import plotting, task
from helpers.model import CONFIG, as_zoo, shapes
from lessons import exercises, explorer

# A stop of the forward pass: name -> (name in the library's cache, what happens there).
STOPS = {
    "embedding": ("hook_embed", "Each token becomes its row of W_E."),
    "position": ("hook_pos_embed", "Each place has its row of W_pos."),
    "resid_pre": ("blocks.0.hook_resid_pre", "Their sum begins the residual stream."),
    "ln1": ("blocks.0.ln1.hook_out", "Layer norm makes it comparable for attention."),
    "query": ("blocks.0.attn.hook_q", "What each position looks for."),
    "key": ("blocks.0.attn.hook_k", "What each position offers to be found by."),
    "value": ("blocks.0.attn.hook_v", "What each position hands over when it is found."),
    "pattern": ("blocks.0.attn.hook_pattern", "How much each position looks at each one up to it."),
    "z": ("blocks.0.attn.hook_z", "The values, collected by these weights."),
    "attn_out": ("blocks.0.hook_attn_out", "What attention adds to the stream, through W_O."),
    "resid_mid": ("blocks.0.hook_resid_mid", "The stream after attention."),
    "ln2": ("blocks.0.ln2.hook_out", "Layer norm makes it comparable for the MLP."),
    "neurons": ("blocks.0.mlp.hook_post", "The {} neurons; a negative one is set to zero."),
    "mlp_out": ("blocks.0.hook_mlp_out", "What the MLP adds to the stream, through W_out."),
    "resid_post": ("blocks.0.hook_resid_post", "The stream at its end."),
    "ln_final": ("ln_final.hook_out", "The last layer norm."),
    "logits": ("hook_unembed", "A number for each token, through W_U."),
    "probabilities": ("hook_unembed", "A softmax turns logits into probabilities."),
}


@torch.no_grad()
def forward_figure(model, tokens=task.EXAMPLE, stop: str = "resid_pre"):
    """The tensor at one of `STOPS` of the forward pass of a TransformerBridge: (figure, says).
    ValueError for another stop or bad tokens."""
    number = list(STOPS).index(task.one_of(stop, STOPS, "stop")) + 1
    zoo = as_zoo(model)
    n, x = zoo.length, explorer.read_typed(tokens, zoo.length)
    inputs, outputs = explorer.names("x", n), explorer.names("y", n)
    sequence, (name, what) = task.full_sequences([x], zoo.task, n), STOPS[stop]
    value = model.run_with_cache(sequence[:, :-1])[1][name].reshape(2 * n, -1)
    value = value.softmax(-1) if stop == "probabilities" else value
    width = value.shape[1]
    x_title, columns = {
        "pattern": ("position looked at", ["BOS", *inputs, *outputs[:-1]]),
        "neurons": ("neuron", [str(n) for n in range(width)]),
        "logits": ("next token", task.TOKEN_NAMES),
        "probabilities": ("next token", task.TOKEN_NAMES),
    }.get(stop, ("component", [str(c) for c in range(width)]))
    read = [f"{name}={t}" for name, t in zip(inputs + outputs[:-1], sequence[0, 1:].tolist())]
    rows = [f"{out} at {here}" for out, here in zip(inputs + outputs, ["BOS", *read])]
    share = stop in ("pattern", "probabilities")
    figure = plotting.heatmap(
        value, title=f"Stop {number} of {len(STOPS)}: {stop}, input {explorer.text_of(x)}",
        x=columns, y=rows, x_title=x_title, y_title="what is predicted, at the token read",
        signed=not share, top=1 if share else None,
    )  # fmt: skip
    row, column = np.unravel_index(int(value.abs().argmax()), tuple(value.shape))
    says = (
        f"Stop {number}, {stop} [position, {x_title}], {2 * n} by {width} numbers. "
        f"{what.format(explorer.IN_LETTERS.get(width, width))} The "
        f"largest one is {value[row, column]:.2f}, in row {rows[row]}, column {columns[column]}."
    )
    return plotting.sized(figure, explorer.HEIGHT), says


def explore_forward(model) -> explorer.Explorer:
    """Step through the forward pass of a TransformerBridge with one slider."""
    stop = explorer.steps("stop", "resid_pre", list(STOPS), "420px")
    controls = dict(stop=stop, tokens=explorer.token_text())
    return explorer.Explorer(partial(forward_figure, model), controls)


def _pattern(q, k, scale=None, mask=1, axis=-1):
    """An attention pattern, right as it stands; `mask` is the first diagonal to hide."""
    scores = q @ k.T / (scale or math.sqrt(q.shape[1]))
    hidden = torch.ones(len(q), len(k), dtype=torch.bool).triu(mask)
    return scores.masked_fill(hidden, -1e9).softmax(axis)


def _librarys_pattern(q, k):
    """The library's attention with the identity as values gives back the weights."""
    one = torch.eye(len(k)).double()[None]
    return F.scaled_dot_product_attention(q[None], k[None], one, is_causal=True)[0]


WITH_MLP, WITHOUT_MLP = (sum(map(math.prod, shapes(k).values())) for k in ("article", "no_mlp"))
EXERCISES = {
    "02-parameters": exercises.Exercise(
        target=lambda: WITHOUT_MLP,
        mistakes={
            "The layer norm in front of the MLP goes with it: a weight and a bias.":
                WITHOUT_MLP + 2 * CONFIG["d_model"],
            "Besides the two matrices the MLP has biases and a layer norm of its own.":
                WITH_MLP - 2 * CONFIG["d_model"] * CONFIG["d_mlp"],
            "That is how many are taken away. How many are left?": WITH_MLP - WITHOUT_MLP,
        },
    ),
    "02-pattern": exercises.Exercise(
        target=_librarys_pattern,
        cases=lambda rng: sum(
            (exercises.normal(size, size, n=2)(rng) for size in ((6, 4), (5, 3), (9, 7))), []
        ),
        mistakes={
            "The causal mask is missing: no position may look ahead.": partial(_pattern, mask=99),
            "The scores are not divided by the square root of d_head.":
                partial(_pattern, scale=1),
            "2 is the square root of our d_head only. The width is in the shape of q.":
                partial(_pattern, scale=2),
            "Wrong axis: each row, one query, has to sum to 1. Take the softmax over the keys.":
                partial(_pattern, axis=0),
            "Off by one: a position may look at itself, so the mask begins above the diagonal.":
                partial(_pattern, mask=0),
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
