# %% [markdown]
# # 2 · One vector on its way through a transformer
#
# People say that a transformer is a black box.
# It is not: every number in it can be looked at, there are only too many.
# Ours is so small that we can follow one vector all the way, and see each number change.
#
# **Question:** What is inside the box?
#
# **You will**
# - see the parts of a transformer, and build ours with TransformerLens;
# - follow one vector of four numbers from the token to the answer;
# - compute every step yourself, and get the library's numbers;
# - let the model write an answer alone.
#
# **Time:** about 35 minutes, and 15 more for the exercises.
# **You should know:** how a vector is multiplied by a matrix.
# **Before this:** [01_dataset](01_dataset.ipynb).
#
# Run the cells from the top.

# %% [markdown] tags=["badge"]
# [How to open this notebook](../README.md)

# %% tags=["setup"]
# Where the series is at hand, as in JupyterLab, one sees nothing of this cell.
import contextlib, importlib.util, io, pathlib, runpy, sys, zipfile
here, at = pathlib.Path.cwd(), getattr(importlib.util.find_spec("helpers"), "origin", 0)
got = [*(p / "helpers" for p in (here, *here.parents)), *here.glob("series/**/helpers")]
got = [p for p in [*got, pathlib.Path(str(at)).parent] if (p / "claims.toml").exists()]
if not got:
    with contextlib.suppress(ImportError):  # on Colab
        from google.colab import files
        print("Choose the zip file of the series:")
        for file in map(io.BytesIO, files.upload().values()):
            zipfile.is_zipfile(file) and zipfile.ZipFile(file).extractall("series")
    got = [mark.parent for mark in here.glob("series/**/claims.toml")]
got or sys.exit(f"The series is not in {here} or above it: start in its folder "
            "notebooks (papermill: --cwd), or on Colab choose its zip file.")
runpy.run_path(str(got[0] / "colab.py"))["set_up"]()

# %%
import torch

from helpers import plotting, task
from helpers.model import CONFIG, load_trained
from helpers.page import claim, compare, drawing, show
from lessons import lesson_02

torch.set_grad_enabled(False)  # we only look; nothing is trained here
torch.set_num_threads(1)  # quicker for tensors as small as ours

# %% [markdown]
# ## Five steps, in words
#
# Whatever its size, a transformer does five things.
#
# 1. **Tokens become vectors.** Each token is looked up in a table, which gives it a short list of numbers.
# 2. **Layers work on the vectors.** A layer has two parts, attention and an MLP. Ours has one layer, a large model has dozens.
# 3. **Attention looks around.** Each position decides which earlier positions matter to it, and copies something from them.
# 4. **The MLP thinks alone.** At each position, it computes something new from what stands there.
# 5. **The last vector becomes an answer.** It is turned into one number for each token, and the largest wins.
#
# What connects them is the **residual stream**: for each position one vector, which runs through the whole model.
# A part reads the stream and *adds* something to it.
# Nothing else ever happens to the stream.
#
# Read the picture from the bottom upwards; the stream is the line on the left.

# %%
drawing("architecture")

# %% [markdown]
# ## Building it
#
# [TransformerLens](https://github.com/TransformerLensOrg/TransformerLens) is a library for looking into transformers.
# It builds a model from a few numbers, the **configuration**:

# %%
from transformer_lens import TransformerBridge, TransformerBridgeConfig

for name, value in CONFIG.items():
    print(f"{name:20} {value}")
untrained = TransformerBridge.boot_native(TransformerBridgeConfig(**CONFIG))

# %% [markdown]
# `d_model` is the length of the vectors in the stream: four numbers.
# The five tokens are `d_vocab`, and the 17 positions of a sequence are `n_ctx`.
#
# How many numbers are there to be learnt, and where are they?

# %%
block = untrained.blocks[0]
parts = {
    "embedding": untrained.embed, "positions": untrained.pos_embed,
    "layer norm 1": block.ln1, "attention": block.attn,
    "layer norm 2": block.ln2, "MLP": block.mlp,
    "last layer norm": untrained.ln_final, "unembedding": untrained.unembed,
}  # fmt: skip
for name, part in parts.items():
    print(f"{name:16} {sum(p.numel() for p in part.parameters()):4}")
claim("parameters", sum(p.numel() for p in untrained.parameters()))

# %% [markdown]
# Fresh from the box they are random.
# Here we load those that the next notebook will find:

# %%
model = load_trained()
sequence = task.full_sequences(task.read_tokens(task.EXAMPLE))
tokens = sequence[:, :16]  # the 17th token is never read: nothing comes after it
print("the model reads", *tokens[0].tolist())

# %% [markdown]
# We follow one position: number 9, where the token y0 = 1 has just been read and **y1 is predicted**.
# Its source is x6 = 0, so the right answer is 1.
#
# ## Step 1: a token becomes a vector
#
# The **embedding** $W_E$ is a table with a row of four numbers for each token.
# But a token alone is not enough: a 1 at the beginning means something else than a 1 at the end.
# So there is a second table, the **position embedding** $W_{pos}$, with a row for each position.
# The two rows are added:

# %%
here = 9  # the position that predicts y1
print("token 1    ", plotting.numbers(model.W_E[1], 2))
print("position 9 ", plotting.numbers(model.W_pos[here], 2))
stream = model.W_E[tokens] + model.W_pos[:16]  # [batch, position, d_model]
print("their sum  ", plotting.numbers(stream[0, here], 2))

# %% [markdown]
# That sum is the beginning of the residual stream.
# We write it into a table, and add a row whenever something happens.

# %%
story = {"stream before attention": stream[0, here]}


def tell(title):
    """The story of our vector so far, as a table."""
    rows = [[name, *(f"{v:.2f}" for v in vector)] for name, vector in story.items()]
    return plotting.table(rows, ["at the position of y1", "1", "2", "3", "4"], title)


tell("Our vector, at the start")

# %% [markdown]
# ## Step 2: layer norm, or why length does not matter
#
# Vectors in the stream can be long or short.
# So each part reads the stream through a **layer norm**: take the mean of the four numbers away and divide by their size.
# Then the length is gone, and only the *direction* is left.
# At last multiply by a learnt weight and add a learnt bias, the same for all vectors.


# %%
def layer_norm(x, part):
    """The layer norm of vectors x, with the weight and bias of this part."""
    centred = x - x.mean(-1, keepdim=True)
    size = (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()  # never 0
    return centred / size * part.weight + part.bias


block = model.blocks[0]
read = layer_norm(stream, block.ln1)
print("in the stream       ", plotting.numbers(stream[0, here], 2))
print("as attention sees it", plotting.numbers(read[0, here], 2))

# %% [markdown]
# Is this what the library computes?
# TransformerLens runs the model and keeps every value on the way, in a **cache**.
# We look up each value there, and compare.

# %%
logits, cache = model.run_with_cache(tokens)


def same(mine, library):
    """Stop unless the two are equal, but for rounding."""
    assert mine.shape == library.shape, (mine.shape, library.shape)
    assert (mine - library).abs().max() < 1e-10


same(stream, cache["resid_pre", 0])
same(read, cache["blocks.0.ln1.hook_out"])

# %% [markdown]
# ## Step 3: attention looks around
#
# Our position must find out what x6 is, which stands two positions back.
# How does it know where to look?
#
# Every position makes three vectors out of what it reads:
#
# - a **query**: what am I looking for?
# - a **key**: by what can I be found?
# - a **value**: what do I hand over when I am found?
#
# Why two different vectors for looking and for being found?
# Because what I look for is rarely what I am.
# Our position holds a 1 and looks for *position 7*.
# The matrices $W_Q$, $W_K$ and $W_V$, with a bias each, make the three.
# Together with $W_O$, which we meet in a moment, they are an attention **head**; a large model has many.

# %%
attention = block.attn
query = read @ attention.W_Q[0] + attention.b_Q[0]
key = read @ attention.W_K[0] + attention.b_K[0]
value = read @ attention.W_V[0] + attention.b_V[0]
print("query of our position", plotting.numbers(query[0, here], 1))
print("key of x6            ", plotting.numbers(key[0, 7], 1))
print("key of x5            ", plotting.numbers(key[0, 6], 1))

# %% [markdown]
# How well a query and a key fit is their dot product, the **score**.
# (It is divided by 2, the square root of the four numbers, so that wider models do not get larger scores.)
#
# A position may only look at itself and backwards: what comes later is not known yet.
# So our position has ten scores.
# A **softmax** turns them into ten weights that sum to 1.
#
# **Before you run it:** how much of its weight does our position give to x6?

# %%
my_weight = ...  # your answer: a number from 0 to 1 (or leave it)

# %%
scores = query[0, here] @ key[0, : here + 1].T / 2
weights = scores.softmax(-1)
rows = [
    [name, f"{score:.1f}", f"{weight:.3f}"]
    for name, score, weight in zip(task.POSITION_NAMES, scores, weights)
]
compare(my_weight, weights[7])
plotting.table(rows, ["key", "score", "weight"], "What the position of y1 looks at")

# %% [markdown]
# Nearly everything, on one token.
#
# The same for all positions at once is the **attention pattern**.
# The scores that would look ahead are set to minus infinity, which is called the **causal mask**:

# %%
scores = query @ key.mT / CONFIG["d_head"] ** 0.5
ahead = torch.ones(16, 16, dtype=torch.bool).triu(1)
pattern = scores.masked_fill(ahead, -torch.inf).softmax(-1)
same(pattern, cache["pattern", 0][:, 0])  # layer 0, head 0

# %% [markdown]
# The rows of the picture are the tokens that are *predicted*, the columns those that are looked at.
# In the lower half stand the eight answers.
# Do you see the reversal?

# %%
figure = plotting.heatmap(
    pattern[0],
    x=task.POSITION_NAMES,
    y=task.INPUT_NAMES + task.OUTPUT_NAMES,
    y_title="query: the token predicted",
    unit="weight",
    title="The attention pattern of our input",
)
show(figure, "one-pattern")

# %% [markdown]
# Most answers look at their source; y0 and y3 are not so sure.
# We come back to y0 in [04_attention](04_attention.ipynb), with surprising news.
#
# Now our position collects the *values* of what it looks at, each by its weight.
# $W_O$ writes the result into the stream.
# What is written is **added** to what was there:

# %%
attn_out = (pattern @ value) @ attention.W_O[0] + attention.b_O
after_attention = stream + attn_out
same(attn_out, cache["attn_out", 0])
story["attention adds"] = attn_out[0, here]
story["stream before the MLP"] = after_attention[0, here]
tell("Our vector, after attention")

# %% [markdown]
# To add is a gentle way to work together: no part overwrites what another one has written.
#
# ## Step 4: the MLP thinks alone
#
# The MLP has sixteen **neurons**.
# Each of them reads the four numbers (through a layer norm of its own), weighs them, and passes the result on only when it is positive: that cut is called **ReLU**, and it is what makes the MLP non-linear.
# Each neuron that fires pushes the stream in a direction of its own.

# %%
mlp = block.mlp
before_relu = layer_norm(after_attention, block.ln2) @ mlp.W_in + mlp.b_in
neurons = before_relu.clamp(min=0)
mlp_out = neurons @ mlp.W_out + mlp.b_out
same(mlp_out, cache["mlp_out", 0])
print("the sixteen neurons", plotting.numbers(neurons[0, here], 1))
after_mlp = after_attention + mlp_out
story["the MLP adds"] = mlp_out[0, here]
story["stream at its end"] = after_mlp[0, here]
tell("Our vector, after the MLP")

# %% [markdown]
# Only a few of the sixteen fire here.
#
# ## Step 5: a vector becomes an answer
#
# One last layer norm.
# Then the **unembedding** $W_U$ gives one number for each token, its **logit**.
# The highest logit is the answer; a softmax makes probabilities of them.

# %%
my_logits = layer_norm(after_mlp, model.ln_final) @ model.W_U
same(my_logits, logits)
probabilities = my_logits.softmax(-1)
rows = [
    ["logit", *(f"{v:.1f}" for v in my_logits[0, here])],
    ["probability", *(f"{p:.4f}" for p in probabilities[0, here])],
]
plotting.table(rows, ["at the position of y1", *task.TOKEN_NAMES], "The answer")

# %% [markdown]
# It says 1, and it is sure of it.
# And the other seven answers, computed in the same way?

# %%
figure = plotting.heatmap(
    probabilities[0, 8:], x=task.TOKEN_NAMES, y=task.OUTPUT_NAMES, top=1, text=True,
    x_title="next token", y_title="output predicted", unit="probability",
    title="What the model answers to our input",
)  # fmt: skip
show(figure, "probabilities")
assert torch.equal(probabilities[0, 8:].argmax(-1), sequence[0, 9:])  # all right

# %% [markdown]
# That was the whole model: you have computed each of its numbers.
# And yet, can you say *how* it added 1?
#
# ## Can it write the answer alone?
#
# Until now the model was shown the right answers, and predicted the next.
# Now it gets the question only, and reads what it has written itself.
# One mistake could lead to others.

# %%
text = tokens[:, :9]  # BOS and the eight digits
for _ in range(8):
    following = model(text)[0, -1].argmax()
    text = torch.cat([text, following.view(1, 1)], dim=1)
    print(text[0, 9:].tolist())
claim("writes-the-answer", torch.equal(text, sequence))

# %% [markdown]
# ## Explore: every stop on the way
#
# The figure shows one of eighteen stops, the neurons; the cell after it walks through all of them.

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
# How many numbers are left to be learnt?

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
# - You have seen the parts of a transformer, and built ours.
# - You have followed one vector from the token to the answer.
# - You have computed every step, and got the library's numbers.
# - You have let the model write an answer alone.
#
# **Answer:** a stream of vectors, one for each position. Attention adds what it fetches from other positions, the MLP adds what its neurons make of it, and the unembedding reads the answer off.
#
# **Open:** where do these 360 numbers come from, and would others do as well?
# [03_training](03_training.ipynb) starts from random ones and watches.
