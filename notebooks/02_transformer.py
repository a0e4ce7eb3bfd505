# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/02_transformer.ipynb)

# %% [markdown]
# # 2 · A transformer, computed by hand
#
# Nothing in a transformer is hidden.
# Ours has 360 numbers, and one forward pass is a few matrix products that you can write yourself and compare with the library, digit by digit.
#
# **You will**
# - see the architecture as one picture, and count where its parameters are;
# - compute every part in a few lines of torch, each equal to what the library computes;
# - let the model write its answer token by token;
# - see all the points that attention can tell apart, drawn whole on a sphere.
#
# **Time:** about 25 minutes.
# **You should know:** matrix products, and what a softmax is.
# **Before this:** `01_dataset`.
# **Next:** `03_training`.

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, this cell does nothing.
import importlib.util, subprocess, sys

url = "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability"
sys.path[:0] = ["..", "series"]
if not importlib.util.find_spec("helpers"):
    if subprocess.run(["git", "clone", "-q", "--depth=1", url, "series"]).returncode:
        raise SystemExit(f"Could not fetch {url}: check the address and the network.")
importlib.invalidate_caches()
from helpers.reader import colab

added = colab.install_missing()

# %%
import torch

from helpers import plotting as P
from helpers import task as T
from helpers.model import CONFIG, load_trained
from helpers.reader import exercises as X
from helpers.reader import explorers as E
from helpers.reader.claims import claim

torch.set_grad_enabled(False)  # we only look; nothing is trained here
model = load_trained()

# %% [markdown]
# The weights are those that `03_training` will find.
# Any others would do here, but with these the answer at the end is right.
#
# ## The picture
#
# Read it from the bottom upwards.
# A vector of `d_model` = 4 numbers for each token runs along the left: the **residual stream**.
# Attention and the MLP each read the stream, compute something, and *add* it.
# LN is a layer norm; what each box does comes below, one after another.
# Together, attention and MLP are one **layer**.
# Large models stack dozens.

# %%
drawing("architecture")

# %%
for name, value in CONFIG.items():
    print(f"{name:20} {value}")

# %% [markdown]
# <details><summary>If you come from an older tutorial: HookedTransformer and its names</summary>
#
# TransformerLens 4 replaced `HookedTransformer` by `TransformerBridge`.
# What older texts call… is now…
#
# | older | here |
# |---|---|
# | `HookedTransformerConfig(...)` | `TransformerBridgeConfig(...)` |
# | `HookedTransformer(cfg)` | `TransformerBridge.boot_native(cfg)` |
# | `model.W_O[0].zero_()` | `model.blocks[0].attn.W_O.zero_()`: the stacked `model.W_O` is a copy |
# | `model.unembed.b_U` | stays zero: a native model trains no unembedding bias |
# | edit `blocks.0.attn.hook_attn_scores` | has no effect; edit `blocks.0.attn.hook_pattern` |
# | edit `blocks.0.hook_resid_mid` | reaches the MLP, not the stream beside it |
# | `cache["pattern", 0]`, `run_with_hooks(...)` | the same |
# </details>
#
# ## Where the parameters are

# %%
layer = model.blocks[0]
attention, mlp = layer.attn, layer.mlp
parts = [
    ("embedding", model, ["W_E", "W_pos"]),
    ("LN before attention", layer.ln1, ["weight", "bias"]),
    ("attention", attention, ["W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O", "b_O"]),
    ("LN before the MLP", layer.ln2, ["weight", "bias"]),
    ("MLP", mlp, ["W_in", "b_in", "W_out", "b_out"]),
    ("last LN", model.ln_final, ["weight", "bias"]),
    ("unembedding", model, ["W_U"]),
]
rows = []
for part, home, names in parts:
    for name in names:
        parameter = getattr(home, name)
        rows.append((part, name, tuple(parameter.shape), parameter.numel()))
total = sum(numbers for *_, numbers in rows)
P.table([*rows, ("total", "", "", total)], ["part", "name", "shape", "numbers"])

# %%
# None is missing, none counted twice.
assert total == sum(p.numel() for p in model.parameters())
claim("parameters", total)

# %% [markdown]
# The positions ($W_{pos}$) and the two matrices of the MLP make up more than half.
# Attention, the part that is most talked about, has less than a quarter.
#
# ## In: embedding and position
#
# The library runs the model and keeps every intermediate value in a **cache**.
# We take one sequence, the one of `01_dataset`, and leave out its last token: nothing comes after it.

# %%
tokens = T.full_sequences([0, 1, 2, 3, 2, 0, 3, 1])[:, :16]
logits, cache = model.run_with_cache(tokens)
print("tokens", tuple(tokens.shape), " logits", tuple(logits.shape))

# %% [markdown]
# The **embedding** $W_E$ has a row of four numbers for each token, the **position embedding** $W_{pos}$ one for each place.
# Their sum is where the residual stream begins.


# %%
def largest_difference(mine, library):
    """Largest absolute difference between our values and the library's."""
    assert mine.shape == library.shape, (mine.shape, library.shape)
    return (mine - library).abs().max().item()


resid_pre = model.W_E[tokens] + model.W_pos[:16]
print("resid_pre", tuple(resid_pre.shape), "= [batch, position, d_model]")
claim("hand-embedding", largest_difference(resid_pre, cache["resid_pre", 0]))

# %% [markdown]
# ## Layer norm
#
# **Layer norm** (LN) makes the four numbers comparable: subtract their mean, divide by their standard deviation, then apply a learnt weight and bias to each.
# (The `1e-5` keeps it from dividing by zero.)


# %%
def layer_norm(x, part):
    centred = x - x.mean(-1, keepdim=True)
    scale = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / scale * part.weight + part.bias


normed = layer_norm(resid_pre, layer.ln1)
claim("hand-layernorm", largest_difference(normed, cache["blocks.0.ln1.hook_out"]))

# %% [markdown]
# ## Attention
#
# Each position makes three vectors from what it reads.
# Its **query** says what it looks for, its **key** what it offers to be found by, its **value** what it hands over when it is found.
# The three matrices that make these vectors ($W_Q$, $W_K$, $W_V$), with the one that writes the result back ($W_O$), are an attention **head**.
# Larger models have many heads side by side, each with its own share of the width; ours has one, of width `d_head` = 4.

# %%
q = normed @ attention.W_Q[0] + attention.b_Q[0]
k = normed @ attention.W_K[0] + attention.b_K[0]
v = normed @ attention.W_V[0] + attention.b_V[0]
print("q, k, v", tuple(q.shape), "= [batch, position, d_head]")

# %% [markdown]
# The **score** of a query and a key is their dot product, divided by $\sqrt{d_{head}}$ so that it does not grow with the width.
# No position may look at what comes after it: those scores are set to $-\infty$ (the **causal mask**).
# A softmax over the keys turns scores into weights that sum to 1: the **attention pattern**.
#
# **Before you look:** $y_0$ is predicted at the position of $x_7$, $y_1$ at the position of $y_0$, and so on.
# From $y_7$ back to $y_0$ the source goes from $x_0$ to $x_7$.
# Which shape would the largest weights of those eight rows have, if every output looked at its source?

# %%
a_shape = "a diagonal that falls from right to left"  # your prediction
scores = q @ k.mT / CONFIG["d_head"] ** 0.5
future = torch.ones(16, 16, dtype=torch.bool).triu(1)
pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
claim("hand-pattern", largest_difference(pattern, cache["pattern", 0][:, 0]))

# %%
axes = dict(x=T.POSITION_NAMES, y=T.POSITION_NAMES, unit="weight")
axes |= dict(y_title="query: the position that looks")
show(
    P.heatmap(pattern[0], **axes, title="The whole attention pattern for one sequence"), "the-whole-attention-pattern-for-one")

# %%
print("predicted:", a_shape)
for row in range(8, 16):
    weight, best = pattern[0, row].max(0)
    here, there = T.POSITION_NAMES[row], T.POSITION_NAMES[best]
    print(f"predicting {T.OUTPUT_NAMES[row - 8]} at {here}:", end=" ")
    print(f"looks most at {there} ({weight:.2f})")

# %% [markdown]
# From `04_attention` on we name such a row after what it *predicts*.
#
# Each position collects the values by these weights (the library calls the result **z**), and $W_O$ writes it back into the stream.

# %%
z = pattern @ v
attn_out = z @ attention.W_O[0] + attention.b_O
claim("hand-attention", largest_difference(attn_out, cache["attn_out", 0]))
resid_mid = resid_pre + attn_out
print("resid_mid", tuple(resid_mid.shape))

# %% [markdown]
# ## The MLP
#
# Sixteen **neurons**: each takes a weighted sum of what it reads, and passes it on only when it is positive (**ReLU**).
# Then each adds its own direction to the stream.
# Positions do not see each other here.

# %%
before_relu = layer_norm(resid_mid, layer.ln2) @ mlp.W_in + mlp.b_in
post = before_relu.clamp(min=0)
mlp_out = post @ mlp.W_out + mlp.b_out
print("neurons", tuple(post.shape), "= [batch, position, d_mlp]")
claim("hand-mlp", largest_difference(mlp_out, cache["mlp_out", 0]))

# %% [markdown]
# ## Out: unembedding and softmax
#
# One more layer norm, then $W_U$ gives a number for each token: the **logits**.
# A softmax makes them probabilities.

# %%
resid_post = resid_mid + mlp_out
my_logits = layer_norm(resid_post, model.ln_final) @ model.W_U
claim("hand-logits", largest_difference(my_logits, logits))

# %%
probabilities = my_logits.softmax(-1)[0, 8:]
axes = dict(x=T.TOKEN_NAMES, x_title="next token", y_title="output position")
title = "Probabilities at the eight output positions"
show(
    P.heatmap(probabilities, **axes, top=1, text=True, unit="probability", title=title), "probabilities-at-the-eight-output-positions")

# %%
wanted = T.targets([0, 1, 2, 3, 2, 0, 3, 1])
print("most probable:", probabilities.argmax(-1).tolist())
print("wanted:       ", wanted.tolist())
claim("hand-answer", torch.equal(probabilities.argmax(-1), wanted))

# %% [markdown]
# This was one whole forward pass.
# A large transformer of this kind does the same with more layers, more heads and longer vectors.
#
# ## The model writes
#
# So far the model read the right outputs and predicted the next.
# Used on its own, it gets BOS and the inputs only and reads *its own* answers.
# A mistake would then lead to others.

# %%
text = torch.tensor([[T.BOS, 0, 1, 2, 3, 2, 0, 3, 1]])
for _ in range(8):
    following = model(text)[0, -1].argmax()
    text = torch.cat([text, following.view(1, 1)], dim=1)
    print(text[0, 9:].tolist())
claim("writes-the-answer", torch.equal(text[0, 9:], wanted))

# %% [markdown]
# ## A gift: all that attention can tell apart, in one picture
#
# Layer norm subtracts the mean of the four numbers, so one of four dimensions is gone.
# Then it fixes their length.
# What is left lies on a **sphere in three dimensions**, and three dimensions can be drawn: not a projection, not a choice of two components, but all of it.
# (The layer norm's learnt weight and bias come after that. They stretch and move the whole sphere in one fixed way, as do $W_Q$, $W_K$ and $W_V$, so they add no difference that is not on it.)
#
# **Before the next cell:** the input of attention depends on the token and on its position, nothing else.
# How many different points can there be?

# %%
my_guess = 16 * 5  # positions times tokens; or are there fewer?
digits = model.W_E[:4] + model.W_pos[1:16, None]  # [15 positions, 4 tokens, d_model]
bos = model.W_E[T.BOS] + model.W_pos[0]  # BOS stands at position 0 only
points = torch.cat([digits.flatten(0, 1), bos[None]])
print("guessed:", my_guess, " different points:", len(points.unique(dim=0)))

# %%
centred = points - points.mean(-1, keepdim=True)
normalised = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
rank = torch.linalg.matrix_rank(normalised, atol=1e-8)
lengths = normalised.norm(dim=-1)
print(f"rank: {rank}   lengths: {lengths.min():.4f} to {lengths.max():.4f}")
claim("sphere-rank", rank)
claim("sphere-length", (lengths - 2).abs().max())

# %%
on_sphere = P.to_3d(normalised)  # [61, 3]: the three dimensions that are left
places, names = on_sphere[:60].reshape(15, 4, 3), T.POSITION_NAMES[1:]
groups = {f"token {t}": places[:, t] for t in range(4)} | {"BOS": on_sphere[60:]}
labels = dict.fromkeys(list(groups)[:4], names)
look = dict(colours=P.TOKEN_COLOURS, labels=labels, joined=dict(zip(names, places)))
title = "All 61 points that attention can tell apart (turn it)"
show(
    P.scatter3d(groups, **look, radius=2, title=title), "all-61-points-that-attention-can")

# %%
spread = [torch.pdist(torch.as_tensor(place)).mean().item() for place in places]
order = sorted(zip(spread, names))
print("mean distance of the four tokens of a position:")
print("smallest", *(f"{name} {distance:.2f}" for distance, name in order[:3]))
print("largest ", *(f"{name} {distance:.2f}" for distance, name in order[-3:]))
claim("x7-is-spread-most", order[-1][1] == "x7" and order[-1][0] / order[-2][0])

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# Where the four points of one position lie close together, the position dominates; where they lie apart, the token does. (u₁, u₂ and u₃ are three perpendicular directions in what layer norm leaves; their choice has no meaning.)
# Attention has to find "the token at position 8 − i" on this sphere, and the same sphere has to carry the value of that token.
# At $x_7$, of all places, the token decides.
# `04_attention` asks how the model uses that.
# </details>
#
# Is +1 mod 4 hard for such a machine?
# `01_dataset` showed that it is a 4 × 4 permutation matrix on one-hot tokens.
# The way through attention, $W_E W_V W_O W_U$, is a product of matrices: apart from the layer norms and what they rescale, it is a linear map from tokens to logits.
# So there is a path in this picture that *could* do the +1 without any neuron.
# Whether it does is an experiment (`05_mlp`, `06_ablation`).

# %% [markdown]
# ## Explore
#
# One forward pass has eighteen stops, from the embedding to the probabilities.
# The figure shows one of them.
# With a running kernel, the slider steps through all of them; other tokens can be typed.
# Watch where the rows begin to differ from one input to another, and at which stop the eight last rows know their answers.

# %%
P.show(*E.forward_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_forward(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell.
# The check shows it beside the target, and says what may have gone wrong.
# Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: a model without its MLP
#
# *★☆☆ easy, about 5 minutes.*
# Take the whole MLP away, with everything that belongs to it.
# **Predict:** how many parameters are left?
# (The table of parameters above helps.)

# %%
my_count = ...

X.check("02-parameters", my_count)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# W_in, b_in, W_out, b_out = 4 * 16, 16, 16 * 4, 4
# layer_norm_of_mlp = 4 + 4
# my_count = 360 - (W_in + b_in + W_out + b_out) - layer_norm_of_mlp
# ```
#
# The layer norm in front of the MLP is easily forgotten.
# Without an MLP nobody reads what it makes.
# </details>

# %% [markdown]
# ### Exercise: the attention pattern
#
# *★★☆ medium, about 10 minutes.*
# Write the pattern of one head from its queries `q` and keys `k`, both `[position, d_head]`: scores, scaling, causal mask, softmax.
# Give back `[position, position]`, one row for each query.
# The check tries other sizes than ours.

# %%
def my_pattern(q, k):
    """Weights [query, key]; each row sums to 1 and does not look ahead."""
    return ...


X.check("02-pattern", my_pattern)

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
# The mask comes before the softmax.
# Setting weights to zero afterwards would leave rows that do not sum to 1.
# </details>

# %% [markdown]
# ## What you have
#
# - You have the architecture as a picture, and 360 parameters counted.
# - You have computed every part in a few lines, each equal to the library's value.
# - You have let the model write its answer.
# - You have seen all 61 points that attention can tell apart, on a sphere.
#
# **Open:** where do these 360 numbers come from?
# **Next:** `03_training`.
