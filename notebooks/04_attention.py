# %% [markdown]
# # 4 · Where the model looks
#
# The attention pattern is the first thing everybody draws, and the first that misleads.
#
# **Question:** Where does each output look, and does the picture explain the answer?
#
# **You will**
# - draw where each output looks, for our input and for all inputs;
# - replace the pattern while the model runs, and count what is still right;
# - see one output say something by looking *away*, and find out why;
# - ask the same of those of 32 seeds that are **exact**, right on every input.
#
# **Time:** about 35 minutes, and 15 more for the exercises.
# **You should know:** query, key, value and pattern ([02_transformer](02_transformer.ipynb)).
# **Before this:** [03_training](03_training.ipynb).
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

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import HOOKS, load_trained
from helpers.page import claim, compare, k_of_n, show
from lessons import lesson_04

torch.set_num_threads(1)  # for tensors as small as these, more threads are no faster

# %%
torch.set_grad_enabled(False)
model = load_trained()
sequences = task.full_sequences()
tokens = sequences[:, :16]  # what the model reads: nothing comes after y7
claim("exact-04", n_right(model)[0])

# %% [markdown]
# ## Where does each output look on our input?
#
# TransformerLens keeps what a model computes on the way: `run_with_cache`.
# Of the pattern, `[batch, head, query, key]`, we cut out the queries at positions 8 to 15, where $y_0 … y_7$ are predicted, and the keys BOS and $x_0 … x_7$.
# As in the article we take four sequences; our input is the first.

# %%
sample = sequences[60_000:60_004]
logits, cache = model.run_with_cache(sample[:, :16])
pattern = cache["pattern", 0][:, 0, 8:, :9]
print("whole pattern", tuple(cache["pattern", 0].shape))
print("cut out      ", tuple(pattern.shape))

# %%
KEYS = ["BOS", *task.INPUT_NAMES]
title = f"Where each output looks (input {task.EXAMPLE})"
figure = plotting.heatmap(
    pattern[0], title=title, x=KEYS, top=1, unit="weight", text=True
)
show(figure, "pattern-of-our-input")

# %% [markdown]
# The same pattern in **CircuitsVis**, a viewer that many papers use.
# It has all 16 positions, and names a row by the token that is *read* there: y0 is predicted in the row of x7.
# If the box stays empty (it needs scripts and the network), the figure above shows the same rows.

# %%
from circuitsvis.attention import attention_heads

read_here = zip(task.POSITION_NAMES[1:], sample[0, 1:16].tolist())
names = ["[BOS]", *(f"{name}={token}" for name, token in read_here)]
whole = cache["pattern", 0][0].round(decimals=4)
view = attention_heads(whole, names, attention_head_names=["head 0"])
plotting.circuitsvis(view, "whole-pattern")

# %% [markdown]
# ## Is it so on every input?
#
# One picture is one sequence; here is the mean over all 65,536.
# A named value that can be changed is a **hook point**.

# %%
print(len(model.hook_dict), "hook points:", *list(model.hook_dict)[:3], "…")
PATTERN = HOOKS["pattern"]  # the one of the pattern: blocks.0.attn.hook_pattern
_, cache = model.run_with_cache(tokens, names_filter=PATTERN)
everywhere = cache[PATTERN][:, 0, 8:]  # [sequence, output, key]
mean = everywhere.mean(0)  # [output, key]
title = "Mean pattern, all inputs"
figure = plotting.heatmap(
    mean[:, :9], title=title, x=KEYS, top=1, unit="weight", text=True
)
show(figure, "mean-pattern")

# %%
on_source = [mean[i, 8 - i].item() for i in range(8)]
claim("rows-on-the-diagonal", min(on_source[i] for i in (1, 2, 4, 5, 7)))
claim("y0-half-on-its-source", on_source[0])

# %% [markdown]
# In **the clean story** attention reverses and the MLP adds 1, so every output looks at its **source**, the input token that decides it.
# Five rows do, two give their source most of their weight, and y0 about half.
# Yet every answer is right.
# Is y0 an exception because it is predicted *at the position of* $x_7$, its source, so that the token is already in the stream?
#
# ## Does the picture explain the answer?
#
# A picture does not show what would happen if the head looked elsewhere.
# So we change the pattern while the model runs, an **intervention**, and count on all inputs.
# A **hook** does it: a function that gets the value at a hook point, and gives back what the model shall use instead.
#
# **First: is it enough to look at the source?**
# We force every output to look at its source, with weight 1.
# **Before you run it:** how many of the eight outputs stay right on every input?

# %%
my_clean_outputs = ...  # your answer: a number from 0 to 8 (or leave it)

# %%
# [8, 16]; you write it yourself in an exercise below
ideal_pattern = interventions.ideal_pattern()


def look_at_the_source(value, hook):
    value[:, 0, 8:] = ideal_pattern  # value is [batch, head, query, key]
    return value


forced = model.run_with_hooks(tokens, fwd_hooks=[(PATTERN, look_at_the_source)])
ideal = accuracy(forced, sequences)  # share of right tokens at y0..y7: [8]
compare(my_clean_outputs, (ideal == 1).sum())

# %% [markdown]
# **Second: is the mean pattern enough?**
# We freeze the pattern at it.

# %%
def look_as_on_average(value, hook):
    value[:, 0, 8:] = mean
    return value


fixed = model.run_with_hooks(tokens, fwd_hooks=[(PATTERN, look_as_on_average)])
frozen = accuracy(fixed, sequences)

# %% [markdown]
# **Third: which outputs need attention at all?**
# We replace what attention writes at each position by its mean over all inputs: **silent attention** still writes, but says nothing about the input.
# **Before you run it:** which outputs stay right?

# %%
my_outputs_without = ...  # your answer: one of "none", "y0", "all" (or leave it)

# %%
ATTN_OUT = HOOKS["attn_out"]
_, cache = model.run_with_cache(tokens, names_filter=ATTN_OUT)
usual = cache[ATTN_OUT].mean(0)  # [position, d_model]


def say_the_same(value, hook):
    return usual.expand_as(value)


muted = model.run_with_hooks(tokens, fwd_hooks=[(ATTN_OUT, say_the_same)])
silent = accuracy(muted, sequences)
stay = [name for name, share in zip(task.OUTPUT_NAMES, silent) if share > 0.99]
compare(my_outputs_without, ", ".join(stay) or "none")

# %%
figure = plotting.bars(
    {"ideal reversal": ideal, "frozen at its mean": frozen, "silent": silent},
    title="Three interventions on attention",
    y_title="accuracy, all inputs",
    reference={"chance": 0.25},
    colours=[plotting.NEUTRAL[0], plotting.SKY, plotting.NEUTRAL[3]],
)
show(figure, "three-interventions")

# %%
claim("ideal-keeps-y1-to-y7", ideal[1:].min())
claim("frozen-breaks-y0-and-y6", frozen[[0, 6]].max())
claim("silent-attention-breaks-y0", silent[0])

# %% [markdown]
# We call an output **clean** if the ideal reversal leaves it right on every input, and a model clean if all its outputs are.
# (The clean *story* also says that the MLP adds 1.)
# In this model y1 to y7 are clean, and y0 is not.
# The mean pattern does worse at y0 and y6: it averages patterns that differ.
# And y0 *could* use the token at its own position, but it relies on attention like the others.
#
# ## How does y0 speak without looking?
#
# We exchange one token of our input, $x_7$, and look at the row of y0:

# %%
pair = task.full_sequences([[3, 2, 2, 2, 1, 2, 0, 0], [3, 2, 2, 2, 1, 2, 0, 3]])
_, cache = model.run_with_cache(pair[:, :16])
rows = cache["pattern", 0][:, 0, 8, :9]  # the query that predicts y0
figure = plotting.bars(
    {"x7 = 0": rows[0], "x7 = 3": rows[1]},
    title="Our input, one token exchanged",
    x=KEYS, x_title="key", y_title="weight from y0",
    colours=[plotting.TOKEN_COLOURS[0], plotting.TOKEN_COLOURS[3]],
)
show(figure, "one-token-exchanged")
claim("swap-moves-y0", rows[0, 8] - rows[1, 8])

# %% [markdown]
# And on all inputs, sorted by $x_7$:

# %%
x7 = sequences[:, 8]
by_token = torch.stack([everywhere[x7 == t, 0, :9].mean(0) for t in range(4)])
values = [f"x7 = {t}" for t in range(4)]
figure = plotting.heatmap(
    by_token, title="The row of y0, by the value of x7",
    x=KEYS, y=values, y_title="value of the source", top=1, unit="weight", text=True,
)
show(figure, "row-of-y0-by-x7")
claim("y0-looks-by-value", by_token[2, 8] - by_token[3, 8])

# %% [markdown]
# The row looks at its source or away from it, *depending on the value of the source*.
# If the head looks away more for some values than for others, how much it looks can tell them apart: **coding by looking away**.
# If so, forcing y0 to look must spoil the message.
# For which values does it?

# %%
for token in range(4):
    says = forced[x7 == token, 8].argmax(-1)
    wrong = (says != (token + 1) % 4).double().mean()
    print(f"x7 = {token}: y0 says {says.unique().tolist()}, wrong on {wrong:.0%}")
right = forced[:, 8].argmax(-1) == sequences[:, 9]
claim("forced-y0-fails-by-value", torch.equal(right, x7 != 3))

# %% [markdown]
# Only 3, and then y0 gives the answer for 1.
# What would attention write at y0 if it looked at one key only?
# With one layer this depends on the token and the position alone, so for $x_7$ and BOS five vectors tell all.
# How far apart are they?

# %%
attention, ln1 = model.blocks[0].attn, model.blocks[0].ln1
read = ln1(model.W_E[:, None] + model.W_pos[:16])  # [token, position, d_model]
written = (read @ attention.W_V[0] + attention.b_V[0]) @ attention.W_O[0]
vectors = torch.cat([written[:4, 8], written[task.BOS, :1]])  # x7 = 0..3, and BOS
distances = torch.cdist(vectors, vectors)
names = [*values, "BOS"]
claim("one-and-three-are-written-alike", distances[1, 3] / distances[0, 2])
rows = [[name, *(f"{d:.1f}" for d in row)] for name, row in zip(names, distances)]
title = "How far apart two vectors lie, by the token"
plotting.table(rows, ["distance", *names], title)

# %% [markdown]
# Looked at fully, 1 and 3 are written to nearly the same vector, far from BOS.
# So the model can hardly tell them apart by *what* it reads; it does by *how much* it looks.
# This is decided by the scores of the query at $x_7$, before the softmax:

# %%
x7_reads = read[:4, 8]
query = x7_reads @ attention.W_Q[0] + attention.b_Q[0]  # [token of x7, d_head]
to_itself = x7_reads @ attention.W_K[0] + attention.b_K[0]
to_bos = read[task.BOS, 0] @ attention.W_K[0] + attention.b_K[0]
gap = (query * (to_itself - to_bos)).sum(-1) / 2  # the square root of d_head is 2
claim("qk-explains-y0", min(gap[0], gap[2]) - max(gap[1], gap[3]))
rows = [[name, f"{g:.1f}", f"{g.sigmoid():.3f}"] for name, g in zip(values, gap)]
header = ["", "score of x7 − score of BOS", "weight on x7, between these two"]
plotting.table(rows, header, "How the query at x7 decides")

# %% [markdown]
# With 1 about a quarter of the weight stays on $x_7$, which is enough to move what is written away from BOS; with 3 next to nothing stays.
#
# <details><summary>And the article's pattern?</summary>
#
# The article prints one pattern of its own model, on our input, and reads it as the reversal.
# Three rows do not fit: y2 looks at two inputs, and y4 and y5 hardly at any.
# Coding by looking away could explain them; that model is not here to be tested.
# </details>
#
# ## Do other models work like this?
#
# First the mean patterns of the 32 seeds, with the mean weight on the source behind each:

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

from helpers.model import load_zoo

zoo, means = load_zoo("article"), []
for i in tqdm(range(len(zoo)), file=sys.stdout, ncols=88):
    means.append(interventions.mean_of(zoo[i], "pattern")[0, 0])
patterns = torch.stack(means)  # [32, 8, 16]

# %%
sources = range(8, 0, -1)  # the positions of x7 .. x0
mean_weight = patterns[:, range(8), sources].mean(1)  # on the source: [32]
order = mean_weight.argsort(descending=True).tolist()
names = [f"{zoo.seeds[i]}: {mean_weight[i]:.2f}" for i in order]
names = [n + ("" if zoo.exact[i] else " failed") for n, i in zip(names, order)]
title = "Mean patterns of 32 seeds (rows y0 to y7, columns x0 to x7)"
figure = plotting.gallery(patterns[order][:, :, 1:9], names, title=title)
show(figure, "patterns-of-32-seeds")

# %% [markdown]
# `helpers.interventions` does the same in all exact models; on ours it must agree with the hooks:

# %%
exact, usual_patterns = zoo.where(zoo.exact), patterns[zoo.exact]
at_their_mean = {"pattern": usual_patterns[:, None]}
ideal_zoo = by_position(interventions.set_pattern(exact, ideal_pattern))  # [28, 8]
frozen_zoo = by_position(interventions.intervene(exact, at_their_mean))
silent_zoo = by_position(interventions.ablate(exact, "attention", "mean"))
assert torch.equal(ideal, ideal_zoo[0])  # the first is seed 0
assert torch.equal(frozen, frozen_zoo[0])
assert torch.equal(silent, silent_zoo[0])

# %%
def properties(ideal, frozen, silent):
    """Name -> which models; given is where each is always right, bool [models, 8]."""
    y0_clean, rest_clean = ideal[:, 0], ideal[:, 1:].all(1)
    return {
        "y0 is clean": y0_clean,
        "y1 to y7 are clean": rest_clean,
        "the whole model is clean": y0_clean & rest_clean,
        "exact with a frozen pattern": frozen.all(1),
        "y0 right with silent attention": silent[:, 0],
    }


few = properties(ideal_zoo == 1, frozen_zoo == 1, silent_zoo == 1)

# %% [markdown]
# Twenty-eight are few, so 1,024 more seeds were trained, measured in the same way and stored as a table:

# %%
from research import survey

thousand = survey.exact_models()
columns = ("ideal", "frozen", "attn_mean")
many = properties(*(survey.right(thousand, column) for column in columns))
rows = []
for name in few:
    counted = [k_of_n(mask.sum(), len(mask)) for mask in (few[name], many[name])]
    rows.append([name, *counted])
title = "Do the exact models of other seeds work like this?"
plotting.table(rows, ["exact models", "of 32 seeds", "of 1,024 more"], title)

# %%
claim("zoo-clean-y0", few["y0 is clean"].sum())
claim("zoo-clean-y1-to-y7", few["y1 to y7 are clean"].sum())
claim("zoo-clean", few["the whole model is clean"].sum())
claim("zoo-frozen", few["exact with a frozen pattern"].sum())
claim("zoo-silent-y0", few["y0 right with silent attention"].sum())

# %% [markdown]
# The ideal reversal is enough for y1 to y7 in most exact models, and for y0 in about half.
# Where freezing costs something, the model attends *depending on the input*, as ours does at y0.
# Does y0 rely on attention where it looks (mean weight on $x_7$ above one half)?

# %%
def relying(looks, relies):
    return k_of_n((looks & relies).sum(), looks.sum())


looks = usual_patterns[:, 0, 8] > 0.5  # more than half of the weight on x7
relies = ~few["y0 right with silent attention"]
print("Of those that look, rely on attention:", relying(looks, relies))
print("Of those that do not look:            ", relying(~looks, relies))
looks_more = survey.values(thousand, "weight")[:, 0] > 0.5
relies_more = ~many["y0 right with silent attention"]
print("Of 1,024 more seeds, of those that look:", relying(looks_more, relies_more))
claim("zoo-lookers-rely", (looks & relies).sum())

# %% [markdown]
# Nearly all that look rely on attention.
# If y0 does not look at $x_7$, the pattern alone cannot tell.
# (A thousand seeds: [beyond/seeds](beyond/seeds.ipynb); [other starts: beyond/more](beyond/more.ipynb).)
#
# ## Explore
#
# A weight does not say how much a head *writes* because of it.
# The right panel multiplies each weight by the length of what that key writes through $W_V$ and $W_O$ ([Kobayashi et al. 2020](https://arxiv.org/abs/2004.10102)).
# Change $x_7$ first: which row moves?

# %%
figure, says = lesson_04.attention_figure(model)
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_04.explore_attention(model)

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: the pattern of the clean story
#
# *★☆☆ easy, 5 minutes.*
# Build the ideal pattern `[8, 16]`: each row, $y_i$, has a single 1, at its source. The columns are the positions 0 to 15; mind BOS.

# %%
def my_ideal_pattern():
    """Weights [8, 16]."""
    return ...


lesson_04.check("04-ideal-pattern", my_ideal_pattern)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_ideal_pattern():
#     pattern = torch.zeros(8, 16)
#     for i in range(8):
#         pattern[i, 8 - i] = 1
#     return pattern
# ```
#
# BOS moves $x_{7-i}$ to position 8 - i.
# </details>

# %% [markdown]
# ### Exercise: weight times norm
#
# *★★☆ medium, 10 minutes.*
# Write the right panel from above: `pattern` is `[query, key]`, `values` `[key, d_head]`, `W_O` `[d_head, d_model]`.
# An entry is the norm of what this key adds to this query's stream.

# %%
def my_value_weighted(pattern, values, W_O):
    """Norms [query, key]."""
    return ...


lesson_04.check("04-value-weighted", my_value_weighted)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_value_weighted(pattern, values, W_O):
#     written = values @ W_O
#     return pattern * written.norm(dim=-1)
# ```
# </details>

# %% [markdown]
# ## What you have
#
# - You have drawn where each output looks, for our input and for all inputs.
# - You have replaced the pattern, and counted what is still right.
# - You have seen x7 = 3 coded by looking away, and found out why.
# - You have asked the same of the exact ones among 32 seeds.
#
# **Answer:** in this model it is enough for y1 to y7 to look at their source; y0 also speaks by looking away, as an experiment confirmed.
#
# **Open:** attention brings the source, and what adds 1?
# Next: [05_mlp](05_mlp.ipynb).
