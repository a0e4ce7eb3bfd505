# %% [markdown]
# # 5 · What attention writes, and what the MLP adds
#
# The clean story says: attention fetches the source, then the MLP adds 1.
# If so, the residual stream says the *old* token just before the MLP, and the new one just after.
#
# **Question:** What does attention write, and what does the MLP add?
#
# **You will**
# - read the stream before and after the MLP, on all inputs;
# - cut what attention writes down to one number, a place on a line;
# - draw the picture that explains the answers, and use it to predict;
# - count for how many other seeds the picture is enough.
#
# **Time:** about 30 minutes, and 15 more for the exercises.
# **You should know:** residual stream, layer norm and logits ([02_transformer](02_transformer.ipynb)).
# **Before this:** [04_attention](04_attention.ipynb).
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
from helpers.reader import colab

added = colab.install_missing()

# %%
import sys
from itertools import permutations

import torch
from tqdm import tqdm

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.evaluation import by_position, hits, n_right
from helpers.model import load_trained, load_zoo

# %%
from helpers.reader import exercises as X
from helpers.reader import explorers as E
from helpers.reader import line as L
from helpers.reader.claims import claim
from helpers.reader.page import compare, drawing, k_of_n, show
from helpers.survey import exact_models, needs_of, sorts_of

# %%
torch.set_grad_enabled(False)
model, sequences = load_trained(), T.full_sequences()
sources, answers = sequences[:, 1:9].flip(1), sequences[:, 9:]
attn_name, mlp_name = "blocks.0.hook_attn_out", "blocks.0.hook_mlp_out"
wanted = [attn_name, mlp_name, "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post",
          "blocks.0.mlp.hook_post"]
logits, cache = model.run_with_cache(sequences[:, :16], names_filter=wanted)
before, after = cache["resid_mid", 0][:, 8:], cache["resid_post", 0][:, 8:]
claim("exact-05", n_right(model)[0])

# %% [markdown]
# ## Does the stream say the old token before the MLP?
#
# The **logit lens** ([nostalgebraist 2020](https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens)) asks: if the model had to answer now, what would it say?
# It applies the last layer norm and $W_U$ to an early stream.
# (The article leaves the layer norm out; [beyond/more shows what that changes](beyond/more.ipynb).)
# Here is our input.

# %%
def logit_lens(stream):
    """Logits from a stream [..., d_model], read out as the model reads its last one."""
    return model.ln_final(stream) @ model.W_U


row = int(T.number(torch.tensor(T.read_tokens(T.EXAMPLE))))
table = []
for i, name in enumerate(T.OUTPUT_NAMES):
    p = [logit_lens(stream[row, i]).softmax(-1) for stream in (before, after)]
    said = [f"{T.TOKEN_NAMES[q.argmax()]} (p = {q.max():.0%})" for q in p]
    table.append([name, sources[row, i].item(), answers[row, i].item(), *said])
header = ["output", "source", "right answer", "before the MLP", "after the MLP"]
P.table(table, header, f"The logit lens on input {T.EXAMPLE}")

# %% [markdown]
# Now all inputs.
# **Before you count:** for which share of all tokens does the stream before the MLP say the *source* token?

# %%
my_share = ...  # your answer: a number from 0 to 1 (or leave it)

# %%
says_before, says_after = logit_lens(before).argmax(-1), logit_lens(after).argmax(-1)
read = {
    "before: the source": (says_before == sources).double().mean(0),
    "before: the right answer": (says_before == answers).double().mean(0),
    "after: the right answer": (says_after == answers).double().mean(0),
}
figure = P.bars(read, y_title="share of all inputs", title="What the logit lens reads")
show(figure, "lens")
compare(my_share, read["before: the source"].mean())
claim("before-mlp-not-the-source", read["before: the source"].mean())
claim("before-mlp-often-right", read["before: the right answer"].mean())

# %% [markdown]
# The lens does not support the clean story: it never finds the old token, and often finds the *new* one.
# What the article prints agrees: before its MLP none of four outputs says its source, and two say the right answer.
# (What the lens does not find may still be there in another code.)

# %% [markdown]
# ## Which logits does attention to one token raise?
#
# Suppose an output looks at one token only.
# Attention writes the value of this token times $W_O$, and $W_U$ turns that into logits.
# This table, from token to token, is the **OV circuit** ([Elhage et al. 2021](https://transformer-circuits.pub/2021/framework/index.html)).
# We subtract what all rows share, whatever the token looked at, and what all columns share, which raises all logits alike.

# %%
stream = model.W_E[:4, None] + model.W_pos[1:9]  # [token, position, d_model]
attention = model.blocks[0].attn
value = model.blocks[0].ln1(stream).mean(1) @ attention.W_V[0]
ov = (value @ attention.W_O[0] * model.ln_final.weight) @ model.W_U[:, :4]
ov = ov - ov.mean(1, keepdim=True) - ov.mean(0) + ov.mean()
axes = dict(x=T.TOKEN_NAMES[:4], y=T.TOKEN_NAMES[:4], signed=True, text=True)
axes |= dict(x_title="logit of the next token", y_title="token looked at")
axes |= dict(unit="logit ×<br>divisor")  # the last layer norm has not divided yet
show(P.heatmap(ov, **axes, title="The OV circuit, token to token"), "ov-circuit")
claim("ov-is-not-plus-one", (ov.argmax(1) == torch.tensor([1, 2, 3, 0])).sum())

# %% [markdown]
# So centred, the table names token + 1 for two tokens of four.
# But what we subtracted for all sources alike, or a bias, could mend that.
# There are 24 ways to pair four sources with four answers, and a bias adds the same to each of their sums, because each way uses every answer once.
# Which way has the largest sum?

# %%
ways = list(permutations(range(4)))
sums = [sum(ov[source, way[source]] for source in range(4)).item() for way in ways]
best = ways[sums.index(max(sums))]
print("the answers to 0, 1, 2, 3:", best)
claim("ov-pairs-plus-one", best == (1, 2, 3, 0))

# %% [markdown]
# Token + 1, and then some bias makes every row name it ([beyond/seeds](beyond/seeds.ipynb) says why).
# Its rows are nearly multiples of one row.
# Does attention always write along one direction?

# %% [markdown]
# ## Is one number from attention enough?
#
# All that attention writes at the outputs, on all inputs, minus the mean of each output, is a cloud of points.
# The singular value decomposition finds the direction in which the cloud is longest.

# %%
attn_out = cache["attn_out", 0][:, 8:]
usual = attn_out.mean(0)  # [8, d_model]
varying = attn_out - usual
varying = varying - varying.mean(-1, keepdim=True)  # layer norm takes the mean away
cloud = varying.flatten(0, 1)
_, sizes, directions = torch.linalg.svd(cloud, full_matrices=False)
direction = directions[0]
claim("ov-is-one-direction", sizes[0] ** 2 / (sizes**2).sum())

# %% [markdown]
# Nearly all of the cloud's squared size lies along it.
# Is that *enough*?
# Our hook keeps the mean and one number: how far along the direction.

# %%
def on_the_line(value, hook):
    along = (value[:, 8:] - usual) @ direction
    value[:, 8:] = usual + along[..., None] * direction
    return value


hooks = [(attn_name, on_the_line)]
only_the_line = model.run_with_hooks(sequences[:, :16], fwd_hooks=hooks)
kept = hits(only_the_line[:, 8:], sequences).double().mean(0)
claim("one-direction-is-enough", kept.min())

# %% [markdown]
# Every answer stays right, on every input.
# So attention writes a **place** on a line, and nothing else that it writes need vary.
# `find_line` finds the same line, turned so that source 2 lies right of source 1.
# Where does each source lie?

# %%
line = L.find_line(model)
assert abs(line.direction @ direction) > 1 - 1e-9, "helpers found another direction"
places = torch.zeros(4, 8)
for token in range(4):
    for i in range(8):
        places[token, i] = line.of_source(i, token).mean()

axes = dict(y_title="place on the line", colours=P.TOKEN_COLOURS)
by_token = {f"source {token}": places[token] for token in range(4)}
show(P.bars(by_token, **axes, title="Where attention writes each source"), "places")
in_order = places.argsort(0) == torch.tensor([1, 3, 0, 2])[:, None]
claim("places-in-one-order", in_order.all())

# %% [markdown]
# At $y_0$ the places of 1 and 3 lie apart because $y_0$ looks away from 3 more than from 1 ([04_attention](04_attention.ipynb)).

# %% [markdown]
# ## How does a place become an answer?
#
# Along the line each logit rises or falls, and the highest one is the answer.
# A part of the line on which one logit is highest is a **stretch**; two stretches meet at a **border**.
# What the MLP adds to the stream is its **push**.
# The figure draws this for $y_1$, without the push and with its mean.
#
# **Before you look:** at $y_1$, *without* the MLP, on which token's stretch does source 3 lie?
# (The right answer is 0.)

# %%
my_stretch = ...  # your answer: 0, 1, 2 or 3 (or leave it)

# %%
figure, _ = L.line_figure(line, output=1, mlp=(0, 1))
show(figure, "the-line")
compare(my_stretch, line.says(1, line.of_source(1, 3).median(), mlp=0))

# %% [markdown]
# **That is the "+1".**
# Attention writes each source token to a place on a line, and each place lies on the stretch of token + 1.
# The map from places to stretches *is* the addition.
# The MLP need not tell the places apart: against them it moves the borders, and source 3 comes to lie on the stretch of 0.
#
# The picture ignores which token stands at the output itself (its **own token**), and how the push varies.
# Still, it may predict every answer.

# %%
def to_zero(value, hook):
    return 0 * value


picture = (line.predicts(mlp=1) == answers).double()
without = model.run_with_hooks(sequences[:, :16], fwd_hooks=[(mlp_name, to_zero)])
agrees = (line.predicts(mlp=0) == without[:, 8:].argmax(-1)).double()
claim("picture-is-right", picture.mean())
claim("picture-without-mlp", agrees.mean())
strip = line.stretches(2, low=-11, high=11, mlp=0)
print("stretches of y2 without the MLP:", [T.TOKEN_NAMES[token] for *_, token in strip])

# %% [markdown]
# With the push, the picture is always right.
# Without the push, it gives nearly all answers of the model without its MLP, the *wrong* ones included.
# At $y_2$ the stretches of 0 and 1 then do not exist.
# Here is our input in the picture.

# %%
figure, _ = L.path_figure(line, T.EXAMPLE)
show(figure, "our-input")

# %% [markdown]
# ## Does the MLP need to know the token?
#
# The picture used the mean push of each output, like a bias.
# We test that in the model itself, and split the mean push: the part *along* the line would shift all places together; the part *off* the line can only move borders.

# %%
push = cache["mlp_out", 0][:, 8:].mean(0)
push = push - push.mean(-1, keepdim=True)
along = (push @ direction)[:, None] * direction
pushes = {"no push": 0 * push, "along the line": along, "off the line": push - along,
          "whole mean": push}
kept = {}
for name, vector in pushes.items():
    def say_the_same(value, hook, vector=vector):
        value[:, 8:] = vector
        return value
    out = model.run_with_hooks(sequences[:, :16], fwd_hooks=[(mlp_name, say_the_same)])
    kept[name] = hits(out[:, 8:], sequences).double().mean(0)

# %%
title = "The MLP replaced by a part of its mean push"
show(P.bars(kept, y_title="accuracy, all inputs", title=title), "push-split")
whole, on, off = [f"{v[1].norm():.2f}" for v in (push, along, push - along)]
print(f"length of the push at y1: {whole} · along {on} · off {off}")
claim("push-along", kept["along the line"].mean())
claim("push-off", kept["off the line"].mean())
claim("constant-mlp-is-enough", kept["whole mean"][1:].min())
claim("constant-mlp-y0", kept["whole mean"][0])

# %% [markdown]
# With a constant in place of the MLP, seven outputs stay right on every input, and $y_0$ nearly always.
# At $y_1$ the push is mostly off the line. That part alone is enough for six outputs; $y_2$ and $y_7$ need both.
# Which of the 16 neurons add to its bias $b_{out}$?

# %%
fires = (cache["post", 0][:, 8:] > 0).double().mean(0)  # [8, 16]
active = fires.max(0).values > 0
table = []
for n in active.nonzero().flatten().tolist():
    table.append([f"neuron {n}", *(f"{share:.0%}" for share in fires[:, n])])
claim("neurons-never-fire", (~active).sum())
header = ["fires on this share of inputs", *T.OUTPUT_NAMES]
P.table(table, header, "How often each neuron fires")

# %% [markdown]
# ## Explore
#
# Slide the strength of the MLP and watch the borders.
# With a kernel, also choose the output, the input (▼) and the strength of attention.
# At which strength does the stretch of 0 open at $y_2$?

# %%
P.show(*L.line_slider(line, output=1))

# %% tags=["nbval-ignore-output"]
E.explore_line(model)

# %% [markdown]
# ## Does this picture explain other models?
#
# Of 32 seeds, 28 are exact. In how many is one direction of attention enough, alone or with a constant MLP?
# Do two, of the three that layer norm leaves, help the others?

# %%
exact = load_zoo("article")
exact = exact.where(exact.exact)
usual_of, directions_of, _ = I.directions_of(exact)
one = {"attn_out": I.keep_directions(usual_of, directions_of[:, :1])}
two = {"attn_out": I.keep_directions(usual_of, directions_of[:, :2])}
constant = {"mlp_out": I.mean_of(exact, "mlp_out")}
cuts = {"one direction": one, "two directions": two,
        "one direction,<br>constant MLP": one | constant}

# %% tags=["nbval-ignore-output"]
seeds = {}
for name, cut in tqdm(cuts.items(), file=sys.stdout, ncols=88):
    seeds[name] = by_position(I.intervene(exact, cut))

# %%
dots = {name: accuracy.mean(1) for name, accuracy in seeds.items()}
title = "What is kept of attention and MLP, one dot a seed"
show(P.strips(dots, y_title="accuracy, all inputs", title=title), "other-seeds")
enough = [(accuracy.min(1).values == 1).sum() for accuracy in seeds.values()]
all_right = seeds["one direction,<br>constant MLP"].min(1).values == 1
print("the last: seed", [s for s, right in zip(exact.seeds, all_right) if right])
claim("zoo-line-is-enough", enough[0])
claim("zoo-two-directions", enough[1])
claim("zoo-line-and-constant", enough[2])

# %% [markdown]
# And of 1,024 more seeds, also with the own token averaged out and the *best* constant found:

# %%
thousand = exact_models()
rows = []
for name, k, column in zip(seeds, enough, ("line", "plane", "line_mean")):
    many = thousand.right(column).all(1).sum()
    row = [name.replace("<br>", " "), k_of_n(k, len(exact)), k_of_n(many, len(thousand))]
    rows.append(row)
best = thousand.right("line_best").all(1).sum()
name = "one direction, own token out, best constant"
rows.append([name, "not searched", k_of_n(best, len(thousand))])
header = ["enough in exact models", "of 32 seeds", "of 1,024 more"]
P.table(rows, header, "What is enough at all outputs")

# %% [markdown]
# A line is enough in fewer than half of the exact models, a plane in most.
# The line with the *mean* push is enough in hardly any but ours; with the best constant, and the own token out, in about one of five.
# (In ours the line removes the errors of $y_0$: what attention writes off it made them.)
#
# What do the others do?
# At y1 to y7 their attention needs a line, a plane, or more.
# And their MLP is a **bias** (some constant will do at each output), **bent** (none was found at any), or mixed.

# %%
needs, sorts = needs_of(thousand), sorts_of(thousand)
cells = [[(a & b).double().mean() for b in sorts.values()] for a in needs.values()]
axes = dict(x=list(sorts), y=list(needs), unit="share", text=True, top=0.5)
axes |= dict(x_title="the MLP is", y_title="attention needs")
show(P.heatmap(cells, title="What exact models do", **axes), "what-others-do")

# %% [markdown]
# Our picture is at the top left; [beyond/seeds](beyond/seeds.ipynb) draws others.

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: four straight lines
#
# *★☆☆ easy, 5 minutes.*
# Before the last layer norm divides, each logit is a straight line over the place: a height at place 0, and a slope.
# Which token's line is highest at each place?
# `places` is `[n]`, `starts` and `slopes` are `[token]`.

# %%
def my_answers(places, starts, slopes):
    """Tokens [n]."""
    return ...


X.check("05-stretches", my_answers)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_answers(places, starts, slopes):
#     heights = starts + places[:, None] * slopes  # [n, token]
#     return heights.argmax(-1)
# ```
#
# The highest of four straight lines can change three times, so a line has room for four stretches.
# </details>

# %% [markdown]
# ### Exercise: the OV circuit
#
# *★★☆ medium, 10 minutes.*
# Leave layer norms and biases out, and write the table `[token looked at, next token]` from the rows `E` `[token, d_model]` and the matrices `W_V`, `W_O`, `W_U`.

# %%
def my_ov(E, W_V, W_O, W_U):
    """Logits [token looked at, next token]."""
    return ...


X.check("05-ov", my_ov)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_ov(E, W_V, W_O, W_U):
#     return E @ W_V @ W_O @ W_U
# ```
# </details>

# %% [markdown]
# ## What you have
#
# - You have read the stream before and after the MLP, on all inputs.
# - You have cut what attention writes down to one number, a place on a line.
# - You have drawn the picture that explains the answers, and used it to predict.
# - You have counted for how many other seeds the picture is enough.
#
# **Answer:** In this model attention writes each source token to a place on a line, and each place lies on the stretch of token + 1; the MLP adds a push that moves the borders of the stretches.
#
# The picture to remember:

# %%
drawing("line")

# %% [markdown]
# **Open:** what breaks when a part is taken away, and does the task need that part? [06_ablation](06_ablation.ipynb) predicts it from the picture, then counts.
