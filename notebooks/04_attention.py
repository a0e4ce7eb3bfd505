# %% [markdown]
# # 4 · Where it looks, and what that is worth
#
# Whoever opens a transformer draws the attention pattern first.
# It seems to speak, and it has fooled many people.
#
# **Question:** Does the model look where it should, and is looking what makes it right?
#
# **You will**
# - draw where each answer looks, for our input and for all inputs;
# - change where it looks, while the model runs, and count what is still right;
# - patch one token into the query, the key and the value, one at a time;
# - meet an answer that speaks by *not* looking.
#
# **Time:** about 45 minutes, and 20 more for the exercises.
# **You should know:** query, key, value and pattern ([02_transformer](02_transformer.ipynb)).
# **Before this:** [03_training](03_training.ipynb).
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
from functools import partial

import torch

from helpers import plotting, task
from helpers.evaluation import accuracy
from helpers.model import HOOKS, load_trained
from helpers.page import claim, compare, show
from lessons import lesson_04

torch.set_num_threads(1)  # quicker for tensors as small as ours
torch.set_grad_enabled(False)
model = load_trained()
sequences = task.full_sequences()
tokens = sequences[:, :16]  # what the model reads
assert (accuracy(model(tokens), sequences) == 1).all()  # exact

# %% [markdown]
# ## Where does each answer look?
#
# For each of the eight answers, the **pattern** says how much weight every token gets.
# We show it for our input.
# The answers can also look at answers before them; the last column holds what all of these get together.


# %%
def rows_of(pattern):
    """What y0 to y7 look at: BOS, x0 to x7, and all earlier answers. [8, 10]"""
    earlier = pattern[8:, 9:].sum(-1, keepdim=True)
    return torch.cat([pattern[8:, :9], earlier], -1)


COLUMNS = ["BOS", *task.INPUT_NAMES, "earlier y"]
ours = task.full_sequences(task.read_tokens(task.EXAMPLE))
pattern = model.run_with_cache(ours[:, :16])[1]["pattern", 0][0, 0]  # [query, key]
look = dict(x=COLUMNS, top=1, unit="weight", text=True)
title = f"Where each answer looks (input {task.EXAMPLE})"
figure = plotting.heatmap(rows_of(pattern), title=title, **look)
show(figure, "pattern-of-our-input")

# %% [markdown]
# There is the diagonal: y1 looks at x6, y2 at x5, and so on down to y7 and x0.
# That is the reversal, drawn by the model itself.
#
# Many papers use **CircuitsVis** for such pictures.
# It shows all 16 positions and names a row by the token that is *read* there, so y0 is predicted in the row of x7.
# (Without network or scripts the box stays empty; the figure above shows the same rows.)

# %%
from circuitsvis.attention import attention_heads

read_here = zip(task.POSITION_NAMES[1:], ours[0, 1:16].tolist())
names = ["[BOS]", *(f"{name}={token}" for name, token in read_here)]
rounded = pattern[None].round(decimals=4)
view = attention_heads(rounded, names, attention_head_names=["head 0"])
plotting.circuitsvis(view, "whole-pattern")

# %% [markdown]
# ## Is it so on every input?
#
# One picture is one input.
# We have them all, so we look at the mean over 65,536:

# %%
_, cache = model.run_with_cache(tokens, names_filter=HOOKS["pattern"])
patterns = cache["pattern", 0][:, 0]  # [sequence, query, key]
mean_pattern = patterns.mean(0)
title = "Mean pattern, all inputs"
figure = plotting.heatmap(rows_of(mean_pattern), title=title, **look)
show(figure, "mean-pattern")

# %% [markdown]
# Five answers give their source nearly all their weight.
# y3 and y6 give it most.
# But y0 gives its source only about half.
# Yet *every* answer is right, on every input.
# How can an answer be right without looking?
#
# One idea: y0 is predicted at the very position of its source x7.
# That token is in the stream already, so perhaps y0 need not look at all.
# We can test this.
#
# ## Do not trust a picture: change it
#
# A picture shows what happened.
# It does not show what *would* happen if the head looked elsewhere.
# For that we have to reach into the running model, and change something.
#
# TransformerLens lets us do this with a **hook**: a function that is handed a value in the middle of the run, and gives back what the model shall use instead.
# The places for hooks have names, the **hook points**:

# %%
print(len(model.hook_dict), "hook points in all; those that we shall use:")
for name, place in HOOKS.items():
    print(f"  {name:10} {place}")

# %% [markdown]
# **First experiment.**
# We make every answer look where the obvious story wants it: all weight on the source.
#
# **Before you run it:** how many of the eight answers stay right on every input?

# %%
my_right_outputs = ...  # your answer: a number from 0 to 8 (or leave it)

# %%
ideal = torch.zeros(8, 16)
for i in range(8):
    ideal[i, 8 - i] = 1  # y_i looks at x_{7-i}, which stands at position 8 - i


def look_at_the_source(pattern, hook):
    pattern[:, 0, 8:] = ideal  # [sequence, head, query, key]
    return pattern


hooks = [(HOOKS["pattern"], look_at_the_source)]
forced_logits = model.run_with_hooks(tokens, fwd_hooks=hooks)
forced = accuracy(forced_logits, sequences)
compare(my_right_outputs, (forced == 1).sum())

# %% [markdown]
# **Second experiment.**
# Attention may still write into the stream, but always the same: its mean over all inputs.
# Then it says nothing about the input.
# This is called **mean ablation**.
#
# **Before you run it:** which answers stay right?

# %%
my_survivors = ...  # your answer: one of "none", "y0", "all" (or leave it)

# %%
_, cache = model.run_with_cache(tokens, names_filter=HOOKS["attn_out"])
mean_written = cache["attn_out", 0].mean(0)  # [position, d_model]


def write_the_mean(value, hook):
    return mean_written.expand_as(value)


hooks = [(HOOKS["attn_out"], write_the_mean)]
ablated = accuracy(model.run_with_hooks(tokens, fwd_hooks=hooks), sequences)
stay = [name for name, share in zip(task.OUTPUT_NAMES, ablated) if share == 1]
compare(my_survivors, ", ".join(stay) or "none")

# %%
figure = plotting.bars(
    {"all weight on the source": forced, "attention writes its mean": ablated},
    y_title="accuracy, all inputs",
    reference={"chance": 0.25},
    colours=[plotting.NEUTRAL[0], plotting.SKY],
    title="Two changes to attention",
)
show(figure, "two-interventions")
claim("ideal-keeps-y1-to-y7", forced[1:].min())
claim("mean-attention-breaks-y0", ablated[0])

# %% [markdown]
# Two surprises, both about y0.
#
# The token at its own position is not enough: without what attention says about the input, y0 guesses like all others.
# So y0 needs attention.
# And when we make it look at its source, a quarter of its answers become wrong!
# It needs attention, and it must not look?
#
# ## For which input does it go wrong?

# %%
x7 = sequences[:, 8]
for token in range(4):
    says = forced_logits[x7 == token, 8].argmax(-1)  # y0 is predicted at position 8
    right = (token + 1) % 4
    print(f"x7 = {token}, right answer {right}: y0 says {says.unique().tolist()}")

# %% [markdown]
# Only when x7 is 3.
# So how does y0 look at x7, for each value that x7 can have?

# %%
by_value = torch.stack([patterns[x7 == t, 8, :9].mean(0) for t in range(4)])
figure = plotting.heatmap(
    by_value, x=COLUMNS[:9], y=[f"x7 = {t}" for t in range(4)], top=1, text=True,
    y_title="value of the source", unit="weight",
    title="Where y0 looks, by the value of x7",
)  # fmt: skip
show(figure, "row-of-y0-by-x7")
claim("y0-looks-away-from-3", by_value[3, 8])

# %% [markdown]
# At a 0 or a 2 it looks.
# With a 1 about a quarter of the weight stays on x7, and with a 3 nothing at all.
#
# Not looking can be a message, too.
# If the head looks away altogether only when x7 is 3, then "I see nothing" means 3.
#
# ## Which way does the message travel?
#
# To test this story, we use the best tool of the trade, **activation patching**.
#
# Take two inputs that differ in one token: ours, with x7 = 0, is the **clean** one; with x7 = 3 it is the **corrupted** one.
# Run both; then the clean one again, but take *one* value from the corrupted run and patch it in.
# If the answer changes, that value carried the message.
#
# For what comes out we need one number.
# The right answers are 1 (clean) and 0 (corrupted), so we take the **logit difference**: the logit of 1 minus the logit of 0.
# Above zero the model prefers the clean answer, below zero the corrupted one.

# %%
clean = task.full_sequences([3, 2, 2, 2, 1, 2, 0, 0])[:, :16]
corrupted = task.full_sequences([3, 2, 2, 2, 1, 2, 0, 3])[:, :16]
clean_logits, clean_cache = model.run_with_cache(clean)
corrupted_logits, corrupted_cache = model.run_with_cache(corrupted)


def judge(logits, position=8, clean_answer=1, corrupted_answer=0):
    """The logit difference at a position, and the answer there."""
    there = logits[0, position]
    difference = (there[clean_answer] - there[corrupted_answer]).item()
    return round(difference, 2), there.argmax().item()


print("clean    ", judge(clean_logits))
print("corrupted", judge(corrupted_logits))

# %% [markdown]
# The token x7 can reach the answer y0 by four **routes**: y0's own *query*, made from x7; the *key* and the *value* of x7, if y0 looks there; and *directly*, because x7 stands in the stream at this very position.


# %%
def patched(into, cache, names, position):
    """The logits of a run with values at a position from another run's cache."""

    def take(name):
        def patch(value, hook):
            value[:, position] = cache[name][:, position]
            return value

        return name, patch

    return model.run_with_hooks(into, fwd_hooks=[take(name) for name in names])


ROUTES = {part: f"blocks.0.attn.hook_{part[0]}" for part in ("query", "key", "value")}

# %% [markdown]
# For the direct route we run the corrupted input, and put the *clean* query, key and value back.
# Then only the direct route is corrupted.
#
# **Before you run it:** one of the four routes turns the answer into 0. Which?

# %%
my_route = ...  # your answer: "query", "key", "value" or "direct" (or leave it)

# %%
found = {"nothing": judge(clean_logits)}
for route, name in ROUTES.items():
    found[route] = judge(patched(clean, corrupted_cache, [name], 8))
held = patched(corrupted, clean_cache, ROUTES.values(), 8)
found["direct"] = judge(held)
rows = [[route, f"{diff:+.1f}", says] for route, (diff, says) in found.items()]
compare(my_route, next(route for route, (_, says) in found.items() if says == 0))
way = found["nothing"][0] - judge(corrupted_logits)[0]
claim("query-carries-y0", (found["nothing"][0] - found["query"][0]) / way)
header = ["corrupted route", "logit of 1 − logit of 0", "y0 says"]
plotting.table(rows, header, "x7 = 3 patched into x7 = 0")

# %% [markdown]
# The **query** carries it.
# With the query of a 3, y0 answers as if x7 were 3, although key, value and stream still hold the 0.
# The direct route changes nothing.
# So here the message lies in *how y0 looks*.
#
# (With the value of a 3, the difference is negative too. But y0 then says 2, and with the key it says 3: neither is one of the two answers. Always look at the answer as well as at the difference.)
#
# In a large model one guesses instead, from one backward pass: the change of a value, times the gradient of the difference (**attribution patching**):

# %%
kept = {}


def look(value, hook, route):
    value.retain_grad()
    kept[route] = value
    return value


hooks = [(name, partial(look, route=route)) for route, name in ROUTES.items()]
with torch.enable_grad():
    there = model.run_with_hooks(clean, fwd_hooks=hooks)[0, 8]
    (there[1] - there[0]).backward()
for route, value in kept.items():
    change = corrupted_cache[ROUTES[route]] - value
    print(f"{route:6}{(change * value.grad)[0, 8].sum():+6.1f}")

# %% [markdown]
# For the query even the sign is wrong.
# Of 934 exact models, whose routes can all be listed, it names a wrong one for y0 in about one of seven ([beyond/tools](beyond/tools.ipynb)).
#
# And an ordinary answer, such as y1?
# Its source x6 stands elsewhere, at position 7, so two routes are left.

# %%
corrupted_y1 = clean.clone()
corrupted_y1[0, 7] = 3  # x6 is 3 in place of 0; the answers so far stay
_, cache = model.run_with_cache(corrupted_y1)
rows = []
for route in ("key", "value"):
    diff, says = judge(patched(clean, cache, [ROUTES[route]], 7), position=9)
    rows.append([route, f"{diff:+.1f}", says])
header = ["corrupted route", "logit of 1 − logit of 0", "y1 says"]
plotting.table(rows, header, "x6 = 3 patched into x6 = 0")

# %% [markdown]
# Here it is the value: y1 looks at its source, and reads it.
# (This was one pair of inputs for each; a careful study takes many.)
#
# ## How does a query decide to look away?
#
# The weights come from the scores.
# At y0 the weight that x7 does not get goes mostly to BOS, so we compare these two keys:

# %%
attention = model.blocks[0].attn
reads = model.blocks[0].ln1(model.W_E[:, None] + model.W_pos[:16])  # [token, position]
query = reads[:4, 8] @ attention.W_Q[0] + attention.b_Q[0]  # for x7 = 0, 1, 2, 3
key_x7 = reads[:4, 8] @ attention.W_K[0] + attention.b_K[0]
key_bos = reads[task.BOS, 0] @ attention.W_K[0] + attention.b_K[0]
score_x7, score_bos = (query * key_x7).sum(-1) / 2, query @ key_bos / 2
rows = [[f"x7 = {t}", f"{score_x7[t]:.1f}", f"{score_bos[t]:.1f}"] for t in range(4)]
plotting.table(rows, ["", "score of x7", "score of BOS"], "What y0 finds interesting")

# %% [markdown]
# With a 0 or a 2, x7 wins; with a 3, BOS wins by far.
# Tables like this one, of queries against keys, are called the **QK circuit**.
#
# The picture showed *that* y0 is odd; what that means, only experiments could say.
#
# ## Explore: weight is not message
#
# A key can get weight and hand over little.
# The right panel multiplies each weight by the length of what that key writes ([Kobayashi et al. 2020](https://arxiv.org/abs/2004.10102)).
# Change x7 first: which row moves?

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
# ### Exercise: an experiment, patch y0 the other way
#
# *★★☆ medium, 10 minutes.*
# Now let x7 = 3 be the clean input, and x7 = 0 the corrupted one.
# Does the *key* alone make y0 change its mind?
# Predict first.
# Then patch the key of x7 = 0 into the run with x7 = 3, and give the answer y0.

# %%
my_answer = ...  # the token that y0 says, 0 to 3

lesson_04.check("04-patch-the-key", my_answer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# logits = patched(corrupted, clean_cache, [ROUTES["key"]], 8)
# my_answer = logits[0, 8].argmax()
# ```
#
# It still says 0: with the query of a 3, this key does not win against BOS either.
# </details>

# %% [markdown]
# ## What you have
#
# - You have drawn where each answer looks, for our input and for all inputs.
# - You have changed where it looks, and counted.
# - You have patched query, key, value and the direct route, one at a time.
# - You have met y0, which says "3" by looking away.
#
# **Answer:** seven answers look at their source, and looking there is enough. y0 also speaks by *not* looking. A picture is not an explanation.
#
# **Open:** attention brings the source. But who adds 1?
# The MLP, says the obvious story. [05_mlp](05_mlp.ipynb) goes and asks.
