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
from helpers import colab

added = colab.install_missing()

# %%
import torch

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import HOOKS, load_trained
from helpers.page import claim, compare, drawing, k_of_n, show
from lessons import lesson_05
from lessons.line import find_line, line_figure, line_slider, path_figure
from research import figures

torch.set_num_threads(1)  # for tensors as small as these, more threads are no faster

# %%
torch.set_grad_enabled(False)
model, sequences = load_trained(), task.full_sequences()
tokens = sequences[:, :16]  # what the model reads
sources, answers = sequences[:, 1:9].flip(1), sequences[:, 9:]
wanted = [HOOKS[name] for name in ("attn_out", "post", "mlp_out", "resid_post")]
wanted.append("blocks.0.hook_resid_mid")  # before the MLP; only to be read
logits, cache = model.run_with_cache(tokens, names_filter=wanted)
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


row = int(task.number(torch.tensor(task.read_tokens(task.EXAMPLE))))
table = []
for i, name in enumerate(task.OUTPUT_NAMES):
    p = [logit_lens(stream[row, i]).softmax(-1) for stream in (before, after)]
    said = [f"{task.TOKEN_NAMES[q.argmax()]} (p = {q.max():.0%})" for q in p]
    table.append([name, sources[row, i].item(), answers[row, i].item(), *said])
header = ["output", "source", "right answer", "before the MLP", "after the MLP"]
plotting.table(table, header, f"The logit lens on input {task.EXAMPLE}")

# %% [markdown]
# Now all inputs.
# **Before you count:** for which share of all tokens does the stream before the MLP say the *source* token?

# %%
my_share = ...  # your answer: a number from 0 to 1 (or leave it)

# %%
says_before = logit_lens(before).argmax(-1)
read = {
    "before: the source": (says_before == sources).double().mean(0),
    "before: the right answer": accuracy(logit_lens(before), sequences),
    "after: the right answer": accuracy(logit_lens(after), sequences),
}
title = "What the logit lens reads"
figure = plotting.bars(read, y_title="share of all inputs", title=title)
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
attention = model.blocks[0].attn
stream = model.W_E[:4, None] + model.W_pos[1:9]  # [token, position, d_model]
value = model.blocks[0].ln1(stream).mean(1) @ attention.W_V[0]
written = value @ attention.W_O[0]  # [token looked at, d_model]
ov = (written * model.ln_final.weight) @ model.W_U[:, :4]  # [token looked at, logit]
ov = ov - ov.mean(0)  # less what all rows share
ov = ov - ov.mean(1, keepdim=True)  # less what all columns share

# %%
figure = plotting.heatmap(
    ov, title="The OV circuit, token to token",
    x=task.TOKEN_NAMES[:4], x_title="logit of the next token",
    y=task.TOKEN_NAMES[:4], y_title="token looked at",
    unit="logit ×<br>divisor",  # the last layer norm has not divided yet
    signed=True, text=True,
)
show(figure, "ov-circuit")
claim("ov-is-not-plus-one", (ov.argmax(1) == torch.tensor([1, 2, 3, 0])).sum())

# %% [markdown]
# So centred, the table names token + 1 for two tokens of four.
# But what we subtracted for all sources alike, or a bias, could mend that.
# There are 24 ways to pair four sources with four answers, and a bias adds the same to each of their sums, because each way uses every answer once.
# Which way has the largest sum?

# %%
from itertools import permutations

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


hooks = [(HOOKS["attn_out"], on_the_line)]
kept = accuracy(model.run_with_hooks(tokens, fwd_hooks=hooks), sequences)
claim("one-direction-is-enough", kept.min())

# %% [markdown]
# Every answer stays right, on every input.
# So attention writes a **place** on a line, and nothing else that it writes need vary.
# `find_line` finds the same line, turned so that source 2 lies right of source 1.
# Where does each source lie?

# %%
line = find_line(model)
assert abs(line.direction @ direction) > 1 - 1e-9, "find_line found another direction"
places = torch.zeros(4, 8)  # [source, output]
for source in range(4):
    for output in range(8):
        places[source, output] = line.of_source(output, source).mean()

# %%
figure = plotting.bars(
    {f"source {token}": places[token] for token in range(4)},
    title="Where attention writes each source",
    y_title="place on the line",
    colours=plotting.TOKEN_COLOURS,
)
show(figure, "places")
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
figure, _ = line_figure(line, output=1, mlp=(0, 1))
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
without = model.run_with_hooks(tokens, fwd_hooks=[(HOOKS["mlp_out"], to_zero)])
agrees = (line.predicts(mlp=0) == without[:, 8:].argmax(-1)).double()
claim("picture-is-right", picture.mean())
claim("picture-without-mlp", agrees.mean())
strip = line.stretches(2, low=-11, high=11, mlp=0)
there = [task.TOKEN_NAMES[token] for *_, token in strip]
print("stretches of y2 without the MLP:", there)

# %% [markdown]
# With the push, the picture is always right.
# Without the push, it gives nearly all answers of the model without its MLP, the *wrong* ones included.
# At $y_2$ the stretches of 0 and 1 then do not exist.
# Here is our input in the picture.

# %%
figure, _ = path_figure(line, task.EXAMPLE)
show(figure, "our-input")

# %% [markdown]
# ## Does the MLP need to know the token?
#
# The picture used the mean push of each output, like a bias.
# We test that in the model itself, and split the mean push: the part *along* the line would shift all places together; the part *off* the line can only move borders.

# %%
def always(vectors):
    """A hook that writes `vectors` [8, d_model] on every input."""

    def say_the_same(value, hook):
        value[:, 8:] = vectors
        return value

    return say_the_same


def accuracy_with(vectors):
    """Share of right tokens [8] when the MLP writes `vectors` and nothing else."""
    hooks = [(HOOKS["mlp_out"], always(vectors))]
    return accuracy(model.run_with_hooks(tokens, fwd_hooks=hooks), sequences)

# %%
push = cache["mlp_out", 0][:, 8:].mean(0)
push = push - push.mean(-1, keepdim=True)
along = (push @ direction)[:, None] * direction
kept = {
    "no push": accuracy_with(0 * push),
    "along the line": accuracy_with(along),
    "off the line": accuracy_with(push - along),
    "whole mean": accuracy_with(push),
}

# %%
title = "The MLP replaced by a part of its mean push"
figure = plotting.bars(kept, y_title="accuracy, all inputs", title=title)
show(figure, "push-split")
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
fires = (cache["post", 0][:, 8:] > 0).double().mean(0)  # [output, neuron]
active = fires.max(0).values > 0
table = []
for n in active.nonzero().flatten().tolist():
    table.append([f"neuron {n}", *(f"{share:.0%}" for share in fires[:, n])])
claim("neurons-never-fire", (~active).sum())
header = ["fires on this share of inputs", *task.OUTPUT_NAMES]
plotting.table(table, header, "How often each neuron fires")

# %% [markdown]
# ## Explore
#
# Slide the strength of the MLP and watch the borders.
# With a kernel, also choose the output, the input (▼) and the strength of attention.
# At which strength does the stretch of 0 open at $y_2$?

# %%
figure, says = line_slider(line, output=1)
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_05.explore_line(model)

# %% [markdown]
# ## Does this picture explain other models?
#
# Of 32 seeds, 28 are exact. In how many is one direction of attention enough, alone or with a constant MLP?
# Do two, of the three that layer norm leaves, help the others?

# %%
from helpers.model import load_zoo

zoo = load_zoo("article")
exact = zoo.where(zoo.exact)
usual_of, directions_of, _ = interventions.directions_of(exact)
one = {"attn_out": interventions.keep_directions(usual_of, directions_of[:, :1])}
two = {"attn_out": interventions.keep_directions(usual_of, directions_of[:, :2])}
constant = {"mlp_out": interventions.mean_of(exact, "mlp_out")}

# %% tags=["nbval-ignore-output"]
import sys

from tqdm import tqdm

cuts = {
    "one direction": one,
    "two directions": two,
    "one direction,<br>constant MLP": one | constant,
}
seeds = {}
for name, edits in tqdm(cuts.items(), file=sys.stdout, ncols=88):
    seeds[name] = by_position(interventions.intervene(exact, edits))  # [28, 8]

# %%
dots = {name: shares.mean(1) for name, shares in seeds.items()}
title = "What is kept of attention and MLP, one dot a seed"
figure = figures.strips(dots, y_title="accuracy, all inputs", title=title)
show(figure, "other-seeds")
enough = {name: (shares == 1).all(1) for name, shares in seeds.items()}  # [28]
last = enough["one direction,<br>constant MLP"]
print("the last: seed", [seed for seed, is_one in zip(exact.seeds, last) if is_one])
claim("zoo-line-is-enough", enough["one direction"].sum())
claim("zoo-two-directions", enough["two directions"].sum())
claim("zoo-line-and-constant", last.sum())

# %% [markdown]
# And of 1,024 more seeds, also with the own token averaged out and the *best* constant found:

# %%
from research import survey

thousand = survey.exact_models()
columns = ["line", "plane", "line_mean", "line_best"]
many = {name: survey.right(thousand, name).all(1).sum() for name in columns}

# %%
column_of = {
    "one direction": "line",
    "two directions": "plane",
    "one direction,<br>constant MLP": "line_mean",
}
rows = []
for name, column in column_of.items():
    counts = k_of_n(enough[name].sum(), len(exact)), k_of_n(many[column], len(thousand))
    rows.append([name.replace("<br>", " "), *counts])
best = "one direction, own token out, best constant"
rows.append([best, "not searched", k_of_n(many["line_best"], len(thousand))])
header = ["enough in exact models", "of 32 seeds", "of 1,024 more"]
plotting.table(rows, header, "What is enough at all outputs")

# %% [markdown]
# A line is enough in fewer than half of the exact models, a plane in most.
# The line with the *mean* push is enough in hardly any but ours; with the best constant, and the own token out, in about one of five.
# (In ours the line removes the errors of $y_0$: what attention writes off it made them.)
#
# What do the others do?
# At y1 to y7 their attention needs a line, a plane, or more.
# And their MLP is a **bias** (some constant will do at each output), **bent** (none was found at any), or mixed.

# %%
needs, sorts = survey.needs_of(thousand), survey.sorts_of(thousand)
cells = [[(a & b).double().mean() for b in sorts.values()] for a in needs.values()]
figure = plotting.heatmap(
    cells, title="What exact models do",
    x=list(sorts), x_title="the MLP is", y=list(needs), y_title="attention needs",
    unit="share", text=True, top=0.5,
)
show(figure, "what-others-do")

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


lesson_05.check("05-stretches", my_answers)

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


lesson_05.check("05-ov", my_ov)

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
