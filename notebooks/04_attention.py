# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/04_attention.ipynb)

# %% [markdown]
# # 4 · Where the model looks
#
# The attention pattern is the first thing everybody draws, and the first thing that misleads.
# Here the picture comes first, then what it says in numbers, then experiments that decide how much of it is true.
#
# **You will**
# - run the model with a cache and draw where each output looks;
# - find which rows are on the reverse diagonal, and which are not;
# - replace the pattern by the ideal one, by its own mean, and silence attention, and count what is still right;
# - see one output say something by looking *away*, and find the reason in the scores;
# - ask the same of the exact ones among 32 seeds, and among 32 others with another start.
#
# **Time:** about 40 minutes.
# **You should know:** query, key, value and pattern (`02_transformer`).
# **Before this:** `03_training`.
# **Next:** `05_mlp`.

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
import sys

import torch
from circuitsvis.attention import attention_heads
from tqdm import tqdm

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.evaluation import by_position, n_right
from helpers.model import load_trained, load_zoo
from helpers.reader import exercises as X
from helpers.reader import explorers as E
from helpers.reader.claims import claim

torch.set_grad_enabled(False)
model = load_trained()
sequences = T.full_sequences()
tokens = sequences[:, :16]  # what the model reads: nothing comes after y7
claim("exact-04", n_right(model)[0])

# %% [markdown]
# ## The picture
#
# `run_with_cache` keeps the pattern.
# Its full shape is `[batch, head, query, key]`; we cut out what matters: the queries at positions 8 to 15, where $y_0 … y_7$ are predicted, and the keys at positions 1 to 8, where $x_0 … x_7$ stand.

# %%
_, holdout = T.split(sequences)
sample = holdout[:4]
logits, cache = model.run_with_cache(sample[:, :16])
pattern = cache["pattern", 0][:, :, 8:, 1:9]
print("whole pattern", tuple(cache["pattern", 0].shape))
print("cut out      ", tuple(pattern.shape))

# %%
first = "".join(str(t) for t in sample[0, 1:9].tolist())
title = f"Where each output looks (input {first})"
show(
    P.heatmap(pattern[0, 0], top=1, unit="weight", title=title), "for-one-sequence-most-rows-have")

# %% [markdown]
# The same in **CircuitsVis**, the viewer that many papers use.
# It shows all 16 positions; point at a token to see where it looks.
# Rows are named after the token that is *read* there.

# %%
shown = ["", *sample[0, 1:16].tolist()]
names = [f"{name}={token}" for name, token in zip(T.POSITION_NAMES, shown)]
names[0] = "[BOS]"
whole = cache["pattern", 0][0]
view = attention_heads(whole, names, attention_head_names=["head 0"])
P.circuitsvis(view, "whole-pattern")

# %% [markdown]
# And in numbers, each row after the output it predicts:

# %%
rows = []
for name, weights in zip(T.OUTPUT_NAMES, pattern[0, 0].tolist()):
    rows.append([name, *(f"{weight:.3f}" for weight in weights)])
P.table(rows, ["", *T.INPUT_NAMES])

# %% [markdown]
# ## One picture is one sequence
#
# What holds for all of them?
# The mean over all 65,536 sequences, and the spread (standard deviation) around it:

# %%
PATTERN = "blocks.0.attn.hook_pattern"  # its full name, as hooks want it
_, cache = model.run_with_cache(tokens, names_filter=PATTERN)
everywhere = cache[PATTERN][:, 0, 8:]  # [sequence, output, key]
mean, spread = everywhere.mean(0), everywhere.std(0)  # [8, 16] each
title = "Mean pattern, all sequences"
show(
    P.heatmap(mean[:, 1:9], top=1, unit="weight", text=True, title=title), "mean-pattern-all-sequences")

# %%
title = "Spread of the pattern"
show(
    P.heatmap(spread[:, 1:9], top=0.5, unit="std", text=True, title=title), "spread-of-the-pattern")

# %%
source_weight = torch.stack([mean[i, 8 - i] for i in range(8)])
title = "Which rows are on the reverse diagonal?"
show(
    P.bars(source_weight, y_title="mean weight on the source", title=title), "which-rows-are-on-the-reverse")

# %%
claim("clean-rows", source_weight[[1, 2, 4, 5, 7]].min())
claim("y0-row-is-not-clean", source_weight[0])

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# The **clean story** says: attention does the reversal, so each output looks at its source.
# Five rows tell it.
# Two tell it most of the time.
# The first does not.
# And yet the answer is right every time.
# Why could $y_0$ be an exception?
# Its source is $x_7$, and $y_0$ is predicted *at the position of $x_7$*: the token is already there, in the residual stream.
# $y_0$ need not look anywhere.
# </details>
#
# ## Three questions to the picture
#
# A picture of attention shows where the head looks.
# It does not show what would happen if it looked elsewhere.
# So we change the pattern while the model runs, an **intervention**, and count on all sequences.
# TransformerLens does it with a **hook**: a function that gets a value while the model runs, and gives back what the model shall use instead.
#
# **1. Is the clean story enough?**
# We force the ideal reversal: weight 1 on the source, 0 elsewhere.
# If the picture is the explanation, nothing should change.
# Our prediction:

# %%
predicted_ideal = 1.0

# %%
ideal_pattern = I.ideal_pattern()  # [8, 16]; you write it yourself in an exercise below


def look_at_the_source(value, hook):
    """value [batch, head, query, key] -> the ideal reversal at the outputs' queries."""
    value = value.clone()
    value[:, 0, 8:] = ideal_pattern
    return value


reversal = [(PATTERN, look_at_the_source)]
forced = model.run_with_hooks(tokens, fwd_hooks=reversal)

# %%
def accuracy(logits):
    """Share of sequences with the right token, at y0..y7: [8]."""
    return (logits[:, 8:].argmax(-1) == sequences[:, 9:]).double().mean(0)


ideal = accuracy(forced)
print(f"predicted {predicted_ideal:.1%}, measured {ideal.mean():.2%}")

# %% [markdown]
# `I.set_pattern` does the same, for one model or for many at once, and raises an error if the change did not reach the output.
# We shall need it for 32 models, so we make sure once that both agree:

# %%
assert torch.equal(ideal, by_position(I.set_pattern(model, ideal_pattern))[0])

# %% [markdown]
# **2. Is the pattern the same for every input?**
# We freeze it at its mean.
# If each output always looks at the same places, nothing should change.

# %%
predicted_frozen = 1.0

# %%
def look_as_on_average(value, hook):
    value = value.clone()
    value[:, 0, 8:] = mean
    return value


frozen = [(PATTERN, look_as_on_average)]
frozen = accuracy(model.run_with_hooks(tokens, fwd_hooks=frozen))
print(f"predicted {predicted_frozen:.1%}, measured {frozen.mean():.2%}")

# %%
both = {"ideal reversal": ideal, "frozen at its mean": frozen}
chance = {"chance": 0.25}
y_title = "accuracy, all sequences"
show(
    P.bars(both, y_title=y_title, title="The pattern replaced", reference=chance), "the-pattern-replaced")

# %%
claim("ideal-keeps-y1-to-y7", ideal[1:].min())
claim("ideal-breaks-y0", ideal[0])
claim("frozen-breaks-y0-and-y6", frozen[[0, 6]].max())
claim("frozen-keeps-the-others", frozen[[1, 2, 3, 4, 5, 7]].min())

# %% [markdown]
# Both predictions fail, but only at a few outputs.
# For seven outputs looking at the source is enough.
# For $y_0$ it is not!
# And the average of the real patterns is no pattern that the model ever uses: with it some of the $y_6$ are lost, which the ideal pattern keeps.
# $y_0$ loses with both.
#
# **3. Where does the model rely on attention?**
# We replace what attention *writes* by its mean, position by position: it then says the same for every sequence.
# An output that has its source at its own place should stay right, the other seven should guess.
# So:

# %%
can_see_its_source = 1  # y0
predicted_silent = (can_see_its_source + 7 / 4) / 8

# %%
ATTN_OUT = "blocks.0.hook_attn_out"
_, cache = model.run_with_cache(tokens, names_filter=ATTN_OUT)
usual = cache[ATTN_OUT].mean(0)  # [position, d_model]


def say_the_same(value, hook):
    return usual.expand_as(value)


silent = accuracy(model.run_with_hooks(tokens, fwd_hooks=[(ATTN_OUT, say_the_same)]))
print(f"predicted {predicted_silent:.3%}, measured {silent.mean():.3%}")

# %%
title = "Attention says the same for every sequence"
show(
    P.bars(silent, y_title=y_title, title=title, reference=chance), "attention-says-the-same-for-every")

# %%
claim("silent-attention-is-chance", abs(silent - 0.25).max())

# %% [markdown]
# Wrong again, and for the same row: $y_0$ *could* use the token at its own place, but in this model it does not; it relies on attention as much as the others.
# (Other seeds differ. Every exact seed is asked below.)
#
# ## Saying something by looking away
#
# When does an output look at its source, and when not?
# We sort the sequences by the one token that matters for each output, its source:

# %%
by_source = torch.zeros(8, 4)
for i in range(8):
    weight, source = everywhere[:, i, 8 - i], sequences[:, 8 - i]
    for token in range(4):
        by_source[i, token] = weight[source == token].mean()
title = "Mean weight on the source, by its value"
axes = dict(x=["0", "1", "2", "3"], x_title="value of the source", unit="weight")
show(
    P.heatmap(by_source, **axes, top=1, text=True, title=title), "mean-weight-on-the-source-by")

# %%
less = [by_source[i, [0, 2, 3]].min() - by_source[i, 1] for i in (3, 6)]
claim("source-1-is-looked-at-less", min(less))

# %% [markdown]
# The head looks away for certain *values*.
# Where does $y_0$ look instead?

# %%
x7 = sequences[:, 8]
by_token = torch.stack([everywhere[x7 == token, 0].mean(0) for token in range(4)])
keys, values = ["BOS", *T.INPUT_NAMES], [f"x7 = {t}" for t in range(4)]
axes = dict(x=keys, y=values, y_title="value of the source")
title = "The row of y0, by the value of x7"
show(
    P.heatmap(by_token[:, :9], **axes, top=1, text=True, unit="weight", title=title), "the-row-of-y0-by-the")

# %%
claim("y0-looks-by-value", by_token[2, 8] - by_token[3, 8])

# %% [markdown]
# The same query position looks at its source or away from it, *depending on the source's value*.
# Not finding a token is information too, when it happens for some values only: **coding by absence**.
# One sequence, one token exchanged:

# %%
pair = T.full_sequences([[0, 1, 2, 3, 2, 0, 3, 2], [0, 1, 2, 3, 2, 0, 3, 3]])
_, cache = model.run_with_cache(pair[:, :16])
rows = cache["pattern", 0][:, 0, 8, :9]  # the query that predicts y0
both = {"x7 = 2": rows[0], "x7 = 3": rows[1]}
axes = dict(x=keys, x_title="key", y_title="weight from y0")
show(
    P.bars(both, **axes, title="One token exchanged", colours=P.TOKEN_COLOURS[2:4]), "one-token-exchanged")

# %%
claim("swap-moves-y0", rows[0, 8] - rows[1, 8])

# %% [markdown]
# If absence is the message for some values of $x_7$, then forcing $y_0$ to look, as the ideal pattern does, should spoil exactly those.
# **Which?**
# The figure shows two candidates, 1 and 3:

# %%
predicted_wrong = [1, 3]
y0_is_right = forced[:, 8].argmax(-1) == sequences[:, 9]
wrong = [1 - y0_is_right[x7 == token].double().mean().item() for token in range(4)]
print("predicted wrong for:", predicted_wrong)
for token, share in enumerate(wrong):
    print(f"x7 = {token}: y0 wrong on {share:.1%}")
claim("forced-y0-fails-by-value", wrong == [0, 0, 0, 1])

# %% [markdown]
# Only 3 is said by looking away.
# For 1 the model looks at $x_7$ a little, and that little seems to be enough, so looking more does no harm.
# (The lengths printed below show why: with token 1, $x_7$ writes many times more than BOS.)
#
# The article that this series follows prints one such matrix, of its own model and for one sequence, and reads it as the reversal.
# Two of its rows do not fit: $y_2$ divides its weight between two inputs, and $y_4$ looks at almost none.
# Absence that means something would explain such rows.
# We cannot test a model that we do not have; in ours it is so.
#
# ## Two closer looks
#
# **Weight is not message.**
# A position can get much weight and hand over almost nothing.
# The **value-weighted** pattern multiplies each weight by the length of what that key's value would write through $W_O$ (Kobayashi et al. 2020).
# Does the picture change?
#
# With one layer, what a key offers depends on its token and its position only.
# So a small table holds it all:

# %%
attention, ln1 = model.blocks[0].attn, model.blocks[0].ln1
read = ln1(model.W_E[:, None] + model.W_pos[:16])  # what attention reads at each
value = read @ attention.W_V[0] + attention.b_V[0]
size = (value @ attention.W_O[0]).norm(dim=-1)  # [token, position]
print("BOS would write a length of", P.numbers(size[T.BOS, 0], 1))
print("x7 would, for its four tokens:", P.numbers(size[:4, 8], 1))

# %%
of_each_key = size[tokens, torch.arange(16)]  # [sequence, key]
weighted = (everywhere * of_each_key[:, None]).mean(0)  # [8, 16]
title = "Value-weighted pattern, mean over all sequences"
show(
    P.heatmap(weighted[:, :9], x=keys, text=True, unit="length", title=title), "value-weighted-pattern-mean-over-all")

# %%
claim("bos-writes-little", size[T.BOS, 0] / size[:4, 1:9].mean())

# %% [markdown]
# **Why does the row of $y_0$ look away?**
# Query and key depend on token and position only, as well.
# So the scores are a *table* too: for each token at $x_7$, the score that its query gives to each key.
# The score of $x_7$ to itself is exact; those of the other inputs are averaged over the token that stands there.

# %%
query = read @ attention.W_Q[0] + attention.b_Q[0]  # [token, position, d_head]
key = read @ attention.W_K[0] + attention.b_K[0]
at_x7 = query[:4, 8]  # what the query at x7 is, for each of its four tokens
bos = at_x7 @ key[T.BOS, 0] / 2  # [4]; the square root of d_head is 2
others = torch.stack([at_x7 @ key[:4, k].mean(0) / 2 for k in range(1, 8)], 1)
itself = (at_x7 * key[:4, 8]).sum(-1) / 2
rows = torch.cat([bos[:, None], others, itself[:, None]], 1)  # [token of x7, key]

# %% [markdown]
# A softmax looks at differences only, so each row is shown against its own mean:

# %%
title = "Scores of the query that predicts y0, minus the mean of the row"
axes = dict(x=keys, y=values, y_title="token at the query", unit="score")
centred = rows - rows.mean(1, keepdim=True)
show(
    P.heatmap(centred, **axes, signed=True, text=True, title=title), "scores-of-the-query-that-predicts")

# %%
gap = itself - bos
print("score of x7 minus score of BOS, for x7 = 0, 1, 2, 3:", P.numbers(gap, 1))
claim("qk-explains-y0", min(gap[0], gap[2]) - max(gap[1], gap[3]))

# %% [markdown]
# This is the mechanism of the absence.
# The query is made at $x_7$, so it knows the token; for 3 it gives that very token a score so low that the softmax leaves nothing.
# For 1 a little is left, and $x_7$ writes many times more than BOS does.

# %% [markdown]
# ## And the other seeds?
#
# One model is an anecdote.
# The same recipe was run with 32 seeds, and the models that failed were kept.
# How many are exact was counted in `03_training`; since then it is in their record, which a test holds to the truth.

# %%
zoo = load_zoo("article")
exact = zoo.where(zoo.exact)
print(f"exact: {len(exact)} of {len(zoo)} seeds")
claim("zoo-exact", len(exact))

# %% [markdown]
# The mean patterns of all 32, sorted by how clean they are (mean weight on the source; the number behind each seed):

# %% tags=["nbval-ignore-output"]
def with_bar(what):
    """Go through `what`, and show how far we are."""
    return tqdm(what, file=sys.stdout, ncols=90)


def mean_patterns(models):
    """The mean pattern of each model over every input: [models, 8, 16]."""
    return torch.cat([I.mean_of(one, "pattern")[:, 0] for one in with_bar(models)])


all_patterns = mean_patterns(zoo)

# %%
on_source = torch.stack([all_patterns[:, i, 8 - i] for i in range(8)], 1)  # [32, 8]
order = on_source.mean(1).argsort(descending=True).tolist()
names = []
for i in order:
    failed = "" if zoo.exact[i] else " failed"
    names.append(f"{zoo.seeds[i]}: {on_source[i].mean():.2f}{failed}")

# %%
title = "Mean patterns of 32 seeds (rows y0 to y7, columns x0 to x7)"
show(
    P.gallery(all_patterns[order][:, :, 1:9], names, title=title), "mean-patterns-of-32-seeds-rows")

# %% [markdown]
# Now the three questions, to all of them.
# **Predict:** how many of these models stay right on every input under the ideal reversal?
# With their pattern frozen at its mean?
# And in how many does $y_0$ survive when attention is silent?
# The clean story says: all, all, all.

# %% tags=["nbval-ignore-output"]
asked = ["ideal reversal", "frozen pattern", "y0 survives"]
predicted_zoo = dict.fromkeys(asked, len(exact))


def ask(models, patterns):
    """Accuracy [models, 8] under three interventions; `patterns` [models, 8, 16]."""
    changed = {
        "ideal reversal": I.set_pattern(models, ideal_pattern),
        "frozen pattern": I.intervene(models, {"pattern": patterns[:, None]}),
        "silent attention": I.ablate(models, "attention", "mean"),
    }
    return {name: by_position(changed[name]) for name in with_bar(changed)}


patterns, clean = all_patterns[zoo.exact], on_source[zoo.exact]
answers = ask(exact, patterns)

# %%
means = {name: value.mean(1) for name, value in answers.items()}
reference = {"y0 right, others guess": predicted_silent, "chance": 0.25}
title = "Three interventions, one dot for each exact seed"
show(
    P.strips(means, y_title=y_title, title=title, reference=reference), "three-interventions-one-dot-for-each")

# %%
def stay_exact(name):
    """How many of the exact models are right on everything under this intervention."""
    return (answers[name].min(1).values == 1).sum().item()


keeps_y0 = (answers["silent attention"][:, 0] > 0.99).sum().item()
measured = dict(zip(predicted_zoo, [*map(stay_exact, means), keeps_y0]))
measured["y0 survives"] = keeps_y0
print("predicted:", predicted_zoo)
print("measured: ", measured)

# %%
looks_little, looks_much = (clean[:, 0] < 0.02).sum(), (clean[:, 0] > 0.85).sum()
print(f"weight from y0 to x7 below 0.02 in {looks_little}, above 0.85 in {looks_much}")
claim("zoo-ideal", measured["ideal reversal"])
claim("zoo-frozen", measured["frozen pattern"])
claim("zoo-silent-y0", measured["y0 survives"])

# %% [markdown]
# The answer "all" is wrong three times.
# Under half of the models **reverse cleanly**: the ideal reversal is enough for them.
# That is half of the clean story; who adds 1 comes in `05_mlp`.
# Fewer have a pattern that can be frozen.
# Where freezing costs something, the model attends *depending on the input*, as ours does at $y_0$.
#
# And the picture of $y_0$?
# **Before the table:** if the row of $y_0$ looks at $x_7$, does the model rely on attention for it?
# And if it does not look?

# %%
predicted_relies = "whoever looks, and nobody else"

# %%
looks = clean[:, 0] > 0.5
relies = answers["silent attention"][:, 0] < 0.99
rows = []
for name, mask in (("y0 relies on attention", relies), ("y0 does without", ~relies)):
    rows.append([name, (looks & mask).sum().item(), (~looks & mask).sum().item()])
print("predicted to rely on attention for y0:", predicted_relies)
P.table(rows, ["", "looks at x7 (over one half)", "does not"])

# %%
claim("zoo-no-idle-looker", (looks & ~relies).sum())

# %% [markdown]
# Among these models whoever looks at $x_7$ relies on it.
# But a row that does not look tells nothing: most of those models rely on attention for $y_0$ as well.
# For them looking away may be the message, or a small weight may be enough; we did not test which.

# %% [markdown]
# ## Does the start decide?
#
# These models started from small weights.
# Thirty-two more were started at the library's default, six to eight times as large, with the same recipe.
# **Predict:** will as many of them be exact, and will as large a share of the exact ones reverse cleanly?

# %% tags=["nbval-ignore-output"]
predicted_start = "as many exact, as large a share clean"
library = load_zoo("article_default_init")
default = library.where(library.exact)
default_patterns = mean_patterns(default)

# %% tags=["nbval-ignore-output"]
default_answers = ask(default, default_patterns)
both = {"small start": answers, "library's start": default_answers}
to_x7 = {"small start": clean[:, 0], "library's start": default_patterns[:, 0, 8]}

# %%
print("predicted:", predicted_start)


def shares(of_answers):
    """One entry for each start: "k of n (share)" of the models for which it is true."""
    cells = []
    for start in both:
        true = of_answers(start)
        cells.append(f"{true.sum()} of {len(true)} ({true.double().mean():.0%})")
    return cells


def all_right(name):
    return shares(lambda start: both[start][name].min(1).values == 1)


# %%
def y0_survives(start):
    return both[start]["silent attention"][:, 0] > 0.99


lowest = [f"{a['ideal reversal'].mean(1).min():.0%}" for a in both.values()]
rows = [
    ["exact seeds", f"{len(exact)} of 32", f"{len(default)} of 32"],
    ["stay exact under the ideal reversal", *all_right("ideal reversal")],
    ["stay exact with a frozen pattern", *all_right("frozen pattern")],
    ["lowest accuracy under the ideal reversal", *lowest],
    ["y0 survives silent attention", *shares(y0_survives)],
    ["weight from y0 to x7 below 0.02", *shares(lambda start: to_x7[start] < 0.02)],
]
P.table(rows, ["", *both])

# %%
def ideal_share(start):
    return (both[start]["ideal reversal"].min(1).values == 1).double().mean()


claim("start-decides-exact", len(default))
shares_clean = [ideal_share(start) for start in both]
claim("start-ideal-gap", abs(shares_clean[0] - shares_clean[1]))

# %% [markdown]
# The start decides how often training succeeds.
# Whether it also decides *which* algorithm is found, these figures do not show: more of one kind stay exact under the ideal reversal, more of the other with a frozen pattern, and with so few models either may be chance.

# %% [markdown]
# ## Explore
#
# A weight says how much a head looks at a key.
# It does not say how much it *writes* because of that: the value may be long or short.
# So the right panel multiplies each weight by the norm (the length) of what that key writes into the stream, through $W_V$ and $W_O$ (Kobayashi et al. 2020).
# With a running kernel, change one token and watch both.
# Change $x_7$ first: which row moves?
# Does it write much when it looks at BOS?

# %%
P.show(*E.attention_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_attention(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell.
# The check shows it beside the target, and says what may have gone wrong.
# Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: the pattern of the clean story
#
# *★☆☆ easy, about 5 minutes.*
# Build the ideal pattern `[8, 16]`: row $i$ belongs to $y_i$, the columns are the positions 0 to 15, and each row has a single 1, at the source of $y_i$.
# Mind where BOS stands.

# %%
def my_ideal_pattern():
    """Weights [8, 16]."""
    return ...


X.check("04-ideal-pattern", my_ideal_pattern)

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
# The source is $x_{7-i}$, and BOS moves every input one place to the right: position 8 - i.
# </details>

# %% [markdown]
# ### Exercise: weight times norm
#
# *★★☆ medium, about 10 minutes.*
# Write the right panel from above: `pattern` is `[query, key]`, `values` `[key, d_head]`, `W_O` `[d_head, d_model]`.
# Each entry is the norm of what this key adds to the stream of this query.

# %%
def my_value_weighted(pattern, values, W_O):
    """Norms [query, key]."""
    return ...


X.check("04-value-weighted", my_value_weighted)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_value_weighted(pattern, values, W_O):
#     written = values @ W_O
#     return pattern * written.norm(dim=-1)
# ```
#
# A weight is never negative, so the norm of weight times vector is weight times norm.
# The norms belong to the keys, and the keys are the last axis of the pattern: torch lines them up by itself.
# </details>

# %% [markdown]
# ## What you have
#
# - You have drawn the pattern, for one sequence and for all.
# - You have found the rows that are on the reverse diagonal and those that are not.
# - You have replaced the pattern: the ideal reversal is enough for y1 to y7 of this model, and not for y0; its own mean loses some of y6 too; silent attention leaves chance.
# - You have seen an output say something by looking away, and the scores that make it so.
# - You have asked every exact model of two times 32 seeds, and can say "k of n".
#
# **Open:** attention brings the source.
# Who adds 1?
# **Next:** `05_mlp`.
