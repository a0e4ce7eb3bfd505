# %% [markdown]
# # 2 · A transformer, computed by hand
#
# A transformer is a black box because it is large, not because anything in it is hidden.
# Ours has 360 numbers, and its forward pass is a few lines that you can write yourself.
#
# **Question:** What happens between the tokens and the answer?
#
# **You will**
# - see the parts in one picture, and count their parameters;
# - compute each part for our input, and compare it with what TransformerLens computes;
# - let the model write its answer;
# - see on a sphere everything that attention can tell apart.
#
# **Time:** about 30 minutes, and 15 more for the exercises.
# **You should know:** matrix products, and what a softmax is.
# **Before this:** [01_dataset](01_dataset.ipynb).
#
# Run the cells from the top.

# %% [markdown] tags=["badge"]
# This notebook opens in JupyterLab, and on Colab once `pyproject.toml` has an address.

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, this cell does nothing.
import importlib.util, sys

sys.path[:0] = [".."]
if not importlib.util.find_spec("helpers"):
    raise SystemExit(
        "Open this notebook in a copy of the whole series: "
        "pyproject.toml does not say yet where the rest could be fetched from."
    )
from helpers import colab

added = colab.install_missing()

# %%
import torch

from helpers import plotting, task
from helpers.model import CONFIG, load_trained
from helpers.page import claim, compare, drawing, show
from lessons import lesson_02
from research import figures

torch.set_num_threads(1)  # quicker for tensors as small as these
torch.set_grad_enabled(False)  # we only look; nothing is trained here
model = load_trained()

# %% [markdown]
# These are the weights that [03_training](03_training.ipynb) will find.
#
# ## Which parts are there?
#
# Read the picture from the bottom upwards.
# Each token becomes a vector of `d_model` = 4 numbers, which runs along the left: the **residual stream**.
# Attention and the MLP read the stream, compute something, and *add* it.
# Together they are one **layer**; large models stack dozens.
# A longer introduction is [Neel Nanda's](https://neelnanda.io/transformer-tutorial).

# %%
drawing("architecture")

# %% [markdown]
# **TransformerLens**, a library for looking into transformers, builds the model from this configuration; `load_trained` then sets the weights.

# %%
for name, value in CONFIG.items():
    print(f"{name:20} {value}")

# %% [markdown]
# ## Where are the 360 numbers?

# %%
layer = model.blocks[0]
parts = {
    "embedding": model.embed,
    "positions": model.pos_embed,
    "LN before attention": layer.ln1,
    "attention": layer.attn,
    "LN before the MLP": layer.ln2,
    "MLP": layer.mlp,
    "last LN": model.ln_final,
    "unembedding": model.unembed,
}


# %%
def n_parameters(part):
    return sum(weights.numel() for weights in part.parameters())


for name, part in parts.items():
    print(f"{name:20} {n_parameters(part):3}")

# %%
claim("parameters", n_parameters(model))

# %% [markdown]
# Attention has less than a quarter of them.
#
# ## How does a token become a vector?
#
# TransformerLens runs the model on our input and keeps every intermediate value in a **cache**.
# The last token, $y_7$, is left out, because nothing comes after it.

# %%
x = task.read_tokens(task.EXAMPLE)  # our input
tokens = task.full_sequences(x)[:, :16]
logits, cache = model.run_with_cache(tokens)
print("tokens", tokens[0].tolist(), " logits", tuple(logits.shape))

# %% [markdown]
# The **embedding** $W_E$ has a row of four numbers for each token, the **position embedding** $W_{pos}$ one for each position.
# Their sum begins the residual stream.


# %%
def assert_equal(mine, library):
    """Our value and the library's have one shape, and are the same but for rounding."""
    assert mine.shape == library.shape, (mine.shape, library.shape)
    assert (mine - library).abs().max() < 1e-10


resid_pre = model.W_E[tokens] + model.W_pos[:16]  # the 17th is never used
assert_equal(resid_pre, cache["resid_pre", 0])
print("resid_pre", tuple(resid_pre.shape), "= [batch, position, d_model]")

# %% [markdown]
# ## Why does each part read through a layer norm?
#
# **Layer norm** (LN) makes vectors comparable: subtract the mean of the four numbers, divide by their standard deviation, then apply a learnt weight and bias to each.


# %%
def layer_norm(x, part):
    centred = x - x.mean(-1, keepdim=True)
    # 1e-5 prevents a division by zero
    scale = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / scale * part.weight + part.bias


normed = layer_norm(resid_pre, layer.ln1)
assert_equal(normed, cache["blocks.0.ln1.hook_out"])

# %% [markdown]
# ## How does a position find what it needs?
#
# Each position makes three vectors.
# Its **query** says what it looks for, its **key** what it can be found by, its **value** what it hands over.
# The matrices $W_Q$, $W_K$ and $W_V$, and a bias each, make them; with $W_O$, which writes the result back, they are an attention **head**.
# Larger models split their width among many heads; ours has one, of width `d_head` = 4.

# %%
attention = layer.attn
q = normed @ attention.W_Q[0] + attention.b_Q[0]
k = normed @ attention.W_K[0] + attention.b_K[0]
v = normed @ attention.W_V[0] + attention.b_V[0]
print("q, k, v", tuple(q.shape), "= [batch, position, d_head]")

# %% [markdown]
# The **score** of a query and a key is their dot product, divided by $\sqrt{d_{head}}$ so that it does not grow with the width.
# No position may look ahead: those scores become $-\infty$ (the **causal mask**).
# A softmax over the keys turns scores into weights that sum to 1: the **attention pattern**.
#
# We name a row of the pattern by the token that it predicts: the row $y_0$ stands at the position of $x_7$, the row $y_1$ at that of $y_0$, and so on.
# **Predict:** in how many of the rows $y_0 … y_7$ does the source get more than nine tenths of the weight?

# %%
my_prediction = ...  # your answer: a number from 0 to 8 (or leave it)

# %%
scores = q @ k.mT / CONFIG["d_head"] ** 0.5
future = torch.ones(16, 16, dtype=torch.bool).triu(1)
pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
assert_equal(pattern, cache["pattern", 0][:, 0])  # layer 0, head 0

# %%
figure = plotting.heatmap(
    pattern[0],
    title="The attention pattern of our input",
    x=task.POSITION_NAMES,
    y=task.INPUT_NAMES + task.OUTPUT_NAMES,  # what the 16 positions predict
    y_title="query: the token predicted",
    unit="weight",
)
show(figure, "one-pattern")

# %%
# The row of y_i is 8 + i, and its source x7-i stands at position 8 - i.
on_source = torch.stack([pattern[0, 8 + i, 8 - i] for i in range(8)])
print("weight on the source, y0 to y7:", plotting.numbers(on_source, 2))
compare(my_prediction, (on_source > 0.9).sum())

# %% [markdown]
# [04_attention](04_attention.ipynb) asks what the two others do.
#
# Each position collects the values by these weights (**z** in the library), and $W_O$ writes the result into the stream.

# %%
z = pattern @ v
attn_out = z @ attention.W_O[0] + attention.b_O
assert_equal(attn_out, cache["attn_out", 0])
resid_mid = resid_pre + attn_out

# %% [markdown]
# ## What does the MLP compute?
#
# The MLP, also called **feed-forward network**, has sixteen **neurons**.
# Each adds a bias to a weighted sum of what it reads, passes it on only when it is positive (**ReLU**), and adds its own direction to the stream.
# No position sees another one here.

# %%
mlp = layer.mlp
before_relu = layer_norm(resid_mid, layer.ln2) @ mlp.W_in + mlp.b_in
post = before_relu.clamp(min=0)
mlp_out = post @ mlp.W_out + mlp.b_out
assert_equal(mlp_out, cache["mlp_out", 0])
print("neurons", tuple(post.shape), "= [batch, position, d_mlp]")

# %% [markdown]
# ## How does the stream become an answer?
#
# After one more layer norm, the **unembedding** $W_U$ gives a number for each token, its **logit**.
# A softmax turns logits into probabilities.

# %%
resid_post = resid_mid + mlp_out
my_logits = layer_norm(resid_post, model.ln_final) @ model.W_U
assert_equal(my_logits, logits)

# %%
probabilities = my_logits.softmax(-1)[0, 8:]
figure = plotting.heatmap(
    probabilities,
    title="What the model answers to our input",
    x=task.TOKEN_NAMES,
    x_title="next token",
    y_title="output predicted",
    top=1,
    text=True,
    unit="probability",
)
show(figure, "probabilities")

# %%
target = task.targets(x)
print("most probable:", probabilities.argmax(-1).tolist())
print("target:       ", target.tolist())

# %% [markdown]
# ## Can the model write the answer alone?
#
# So far the model read the right outputs and predicted the next.
# Now it gets BOS and the inputs only, and reads *its own* outputs, so one error could lead to others.

# %%
text = tokens[:, :9]
for _ in range(8):
    following = model(text)[0, -1].argmax()
    text = torch.cat([text, following.view(1, 1)], dim=1)
    print(text[0, 9:].tolist())
claim("writes-the-answer", torch.equal(text[0, 9:], target))

# %% [markdown]
# ## What can attention tell apart at all?
#
# The input of attention depends on the token and on its position only.
# Sixteen positions times five tokens would be 80 points; how many are there?

# %%
digits = model.W_E[:4] + model.W_pos[1:16, None]  # [15 positions, 4 tokens, d_model]
bos = model.W_E[task.BOS] + model.W_pos[0]  # BOS stands at position 0 only
points = torch.cat([digits.flatten(0, 1), bos[None]])
print("different points:", len(points.unique(dim=0)))

# %% [markdown]
# BOS stands at one position only, and no digit stands there.
#
# Layer norm takes the mean away, so three of four dimensions are left; then it fixes the length.
# So all points lie on a **sphere in three dimensions**, which can be drawn whole.
# (The learnt weight and bias come later, and change all points alike.)

# %%
centred = points - points.mean(-1, keepdim=True)
normalised = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
lengths = normalised.norm(dim=-1)
print("dimensions:", torch.linalg.matrix_rank(normalised, atol=1e-8).item())
print(f"lengths: {lengths.min():.4f} to {lengths.max():.4f}")

# %%
on_sphere = figures.to_3d(normalised)  # the three dimensions that are left
places = on_sphere[:60].reshape(15, 4, 3)  # [position, token, 3]
positions = task.POSITION_NAMES[1:]
groups = {f"token {t}": places[:, t] for t in range(4)}
labels = dict.fromkeys(groups, positions)  # shown under the pointer
groups["BOS"] = on_sphere[60:]

# %%
figure = figures.scatter3d(
    groups,
    title="All points that attention can tell apart (turn it)",
    colours=plotting.TOKEN_COLOURS,
    labels=labels,
    radius=2,
    joined={"x7": places[7]},
)
show(figure, "sphere")

# %%
spread = [torch.pdist(torch.as_tensor(place)).mean().item() for place in places]
figure = plotting.bars(
    spread,
    title="How far apart the four tokens of a position lie",
    x=positions,
    x_title="position",
    y_title="mean distance",
)
show(figure, "spread")

# %%
claim("x7-is-spread-most", spread[7] / max(spread[:7] + spread[8:]))

# %% [markdown]
# Where the four points of a position lie close together, the position dominates; where they lie apart, as at $x_7$ here, the token counts.
# [04_attention](04_attention.ipynb) asks what for.
#
# ## Explore: what stands at each stop of the forward pass?
#
# The figure shows one of eighteen stops, the neurons; the cell after it steps through all, and takes other tokens.

# %%
figure, says = lesson_02.forward_figure(model, stop="neurons")
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_02.explore_forward(model)

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: a model without its MLP
#
# *★☆☆ easy, 5 minutes.*
# Take the whole MLP away, with its biases and its layer norm.
# How many parameters are left?

# %%
my_count = ...

lesson_02.check("02-parameters", my_count)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# W_in, b_in, W_out, b_out = 4 * 16, 16, 16 * 4, 4
# layer_norm_of_mlp = 4 + 4
# my_count = 360 - (W_in + b_in + W_out + b_out) - layer_norm_of_mlp
# ```
#
# Without an MLP nobody reads what its layer norm makes.
# </details>

# %% [markdown]
# ### Exercise: the attention pattern
#
# *★★☆ medium, 10 minutes.*
# Write the pattern of one head from its queries `q` and keys `k`, both `[position, d_head]`: scores, scaling, causal mask, softmax.
# Give back `[position, position]`, for any size.


# %%
def my_pattern(q, k):
    """Weights [query, key]; each row sums to 1 and does not look ahead."""
    return ...


lesson_02.check("02-pattern", my_pattern)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_pattern(q, k):
#     scores = q @ k.T / q.shape[-1] ** 0.5
#     ahead = torch.ones(len(q), len(k), dtype=torch.bool).triu(1)
#     return scores.masked_fill(ahead, -torch.inf).softmax(-1)
# ```
#
# The mask comes before the softmax: otherwise the rows do not sum to 1.
# </details>

# %% [markdown]
# ## What you have
#
# - You have seen the parts in one picture, and counted their 360 parameters.
# - You have computed each part for our input, as TransformerLens does.
# - You have let the model write its answer.
# - You have seen all 61 points that attention can tell apart.
#
# **Answer:** Vectors of four numbers run along a stream; attention adds what it fetches from the positions so far, the MLP adds what its neurons make of the sum, and the unembedding reads the answer off.
#
# **Open:** Where do the 360 numbers come from?
# [03_training](03_training.ipynb) finds them.
