# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/04_attention.ipynb)

# %% [markdown]
# # 4 · Where the model looks
#
# The attention pattern is the first thing everybody draws, and the first thing that misleads. Here the picture comes
# first, then what it says in numbers, then experiments that decide how much of it is true.
#
# **You will**
# - run the model with a cache and draw where each output looks;
# - find which rows are on the reverse diagonal, and which are not;
# - replace the pattern by the ideal one, and by its own mean, and count what is still right;
# - see one output say something by looking *away*;
# - ask the same of 32 seeds, and of 32 others with another start.
#
# **Time:** about 40 minutes. **You should know:** query, key, value and pattern (`02_transformer`).
# **Before this:** `03_training`. **Next:** `05_mlp`.

# %% tags=["setup"]
import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability", "series"]).returncode:
    raise SystemExit("The series could not be fetched from https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability: check the address and the network.")
importlib.invalidate_caches(); import helpers.colab; helpers.colab.install_missing()

# %%
import torch
from circuitsvis.attention import attention_heads

from helpers import exercises as X
from helpers import explorers as E
from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.claims import claim
from helpers.model import load_trained, load_zoo
from helpers.training import by_position, n_right

torch.set_grad_enabled(False)
model = load_trained()
sequences = T.full_sequences()
_, holdout = T.split(sequences)
claim("exact-04", n_right(model, sequences))

# %% [markdown]
# ## The picture
#
# `run_with_cache` keeps the pattern. Its full shape is `[batch, head, query, key]`; we cut out what matters: the
# queries at positions 8 to 15, where $y_0 … y_7$ are predicted, and the keys at positions 1 to 8, where
# $x_0 … x_7$ stand.

# %%
sample = holdout[:4]
logits, cache = model.run_with_cache(sample[:, :16])
pattern = cache["pattern", 0][:, :, 8:, 1:9]
print("whole pattern", tuple(cache["pattern", 0].shape), " cut out", tuple(pattern.shape))

# %%
first = "".join(str(t) for t in sample[0, 1:9].tolist())
P.show(
    P.heatmap(pattern[0, 0], top=1, unit="weight", title=f"Where each output looks (input {first})"),
    says="For one sequence: most rows have one dark cell, on the diagonal from y0–x7 at the top right to "
    "y7–x0 at the bottom left. Not every row does.",
)  # fmt: skip

# %% [markdown]
# The same in **CircuitsVis**, the viewer that many papers use. It shows all 16 positions; point at a token to see
# where it looks. Rows are named after the token that is *read* there.

# %%
names = [f"{n}={t}" for n, t in zip(T.POSITION_NAMES, ["", *sample[0, 1:16].tolist()])]
names[0] = "[BOS]"
P.circuitsvis(attention_heads(cache["pattern", 0][0], names, attention_head_names=["head 0"]), "whole-pattern")

# %% [markdown]
# And in numbers, each row after the output it predicts:

# %%
rows = [[name, *(f"{w:.3f}" for w in row)] for name, row in zip(T.OUTPUT_NAMES, pattern[0, 0].tolist())]
P.table(rows, ["", *T.INPUT_NAMES])

# %% [markdown]
# ## One picture is one sequence
#
# What holds for all of them? The mean over all 65,536 sequences, and the spread (standard deviation) around it:

# %%
everywhere = torch.cat([I.record(model, "pattern", part) for part in sequences.split(8192)])
mean, spread = everywhere.mean(0), everywhere.std(0)  # [8, 16] each
P.show(
    P.heatmap(mean[:, 1:9], top=1, unit="weight", text=True, title="Mean pattern, all sequences"),
    says="On average y1, y2, y4, y5 and y7 look at their source and nowhere else; y3 and y6 give it about four fifths. "
    "The row of y0 has only half of its weight on x7; most of the rest is on BOS, which is not among these keys.",
)  # fmt: skip

# %%
P.show(
    P.heatmap(spread[:, 1:9], top=0.5, unit="std", text=True, title="Spread of the pattern"),
    says="The weight from y0 to x7 varies most between sequences, then y6 to x1 and y3 to x4. The other rows hardly vary.",
)  # fmt: skip

# %%
source_weight = torch.stack([mean[i, 8 - i] for i in range(8)])
P.show(
    P.bars(source_weight, y_title="mean weight on the source", title="Which rows are on the reverse diagonal?"),
    says="The mean weight on the source is nearly one for y1, y2, y4, y5 and y7, about four fifths for y3 and y6, and "
    "about a half for y0.",
)  # fmt: skip

# %%
claim("clean-rows", source_weight[[1, 2, 4, 5, 7]].min())
claim("y0-row-is-not-clean", source_weight[0])

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# Five rows tell the clean story: each output looks at its source. Two tell it most of the time. The first does not. And
# yet the answer is right every time. Why could $y_0$ be an exception? Its source is $x_7$, and $y_0$ is predicted
# *at the position of $x_7$*: the token is already there, in the residual stream. $y_0$ need not look anywhere.
# </details>
#
# ## Three questions to the picture
#
# A picture of attention shows where the head looks. It does not show what would happen if it looked elsewhere. So we
# change the pattern while the model runs, an **intervention**, and count on all sequences. `I.set_pattern` does it with a
# hook, and raises an error if the change did not reach the output.
#
# **1. Is the clean story enough?** We force the ideal reversal: weight 1 on the source, 0 elsewhere. If the picture is the
# explanation, nothing should change. Our prediction:

# %%
predicted_ideal = 1.0

# %%
ideal = by_position(I.set_pattern(model, I.ideal_pattern()), sequences)
print(f"predicted {predicted_ideal:.1%}, measured {ideal.mean():.2%}")

# %% [markdown]
# **2. Is the pattern the same for every input?** We freeze it at its mean. If each output always looks at the same places,
# nothing should change.

# %%
predicted_frozen = 1.0

# %%
frozen = by_position(I.set_pattern(model, mean), sequences)
print(f"predicted {predicted_frozen:.1%}, measured {frozen.mean():.2%}")

# %%
P.show(
    P.bars({"ideal reversal": ideal, "frozen at its mean": frozen}, y_title="accuracy, all sequences",
           title="The pattern replaced", reference={"chance": 0.25}),
    says="With the ideal reversal y1 to y7 stay right on every sequence and y0 falls to three quarters. Frozen at its mean, "
    "y0 falls to under six tenths and y6 to about 95 percent; the others stay right.",
)  # fmt: skip

# %%
claim("ideal-keeps-y1-to-y7", ideal[1:].min())
claim("ideal-breaks-y0", ideal[0])
claim("frozen-breaks-y0-and-y6", frozen[[0, 6]].max())
claim("frozen-keeps-the-others", frozen[[1, 2, 3, 4, 5, 7]].min())

# %% [markdown]
# Both predictions fail, and at few places. For seven outputs looking at the source is enough. For $y_0$ it is not! And
# $y_0$ and $y_6$ need a pattern that *changes* with the input: a fixed one, even the average of the real ones, loses them.
#
# **3. Where is attention needed?** We replace what attention *writes* by its mean, position by position: it then says the same
# for every sequence. An output that has its source at its own place should stay right, the other seven should guess. So:

# %%
can_see_its_source = 1  # y0
predicted_silent = (can_see_its_source + 7 / 4) / 8

# %%
silent = by_position(I.ablate(model, "attention", how="mean"), sequences)
print(f"predicted {predicted_silent:.3%}, measured {silent.mean():.3%}")

# %%
P.show(
    P.bars(silent, y_title="accuracy, all sequences", title="Attention says the same for every sequence",
           reference={"chance": 0.25}),
    says="All eight outputs fall to one in four, y0 among them.",
)  # fmt: skip

# %%
claim("silent-attention-is-chance", abs(silent - 0.25).max())

# %% [markdown]
# Wrong again, and for the same row: $y_0$ *could* use the token at its own place, but in this model it does not; it needs
# attention as much as the others. (Other seeds differ. Every seed is asked below.)
#
# ## Saying something by looking away
#
# So what does the row of $y_0$ do? We sort the sequences by the one token that matters, $x_7$:

# %%
by_token = torch.stack([everywhere[sequences[:, 8] == token, 0].mean(0) for token in range(4)])
P.show(
    P.heatmap(by_token[:, :9], x=["BOS", *T.INPUT_NAMES], y=[f"x7 = {t}" for t in range(4)], top=1, text=True,
              y_title="value of the source", unit="weight", title="The row of y0, by the value of x7"),
    says="When x7 is 0 or 2, y0 looks at x7. When x7 is 3, it looks at BOS and not at x7 at all. When x7 is 1, mostly at BOS.",
)  # fmt: skip

# %%
claim("y0-looks-by-value", by_token[2, 8] - by_token[3, 8])

# %% [markdown]
# The same query position looks at its source or away from it, *depending on the source's value*. This is possible since the
# query of $y_0$ is made at the position of $x_7$ and knows that token. Not finding the token is then information too: **coding
# by absence**. One sequence, one token exchanged:

# %%
pair = T.full_sequences([[0, 1, 2, 3, 2, 0, 3, 2], [0, 1, 2, 3, 2, 0, 3, 3]])
rows = I.record(model, "pattern", pair)[:, 0, :9]
P.show(
    P.bars({"x7 = 2": rows[0], "x7 = 3": rows[1]}, x=["BOS", *T.INPUT_NAMES], x_title="key",
           y_title="weight from y0", title="One token exchanged"),
    says="With x7 = 2 nearly all weight of y0 is on x7. With x7 = 3 none of it is, and most is on BOS.",
)  # fmt: skip

# %%
claim("swap-moves-y0", rows[0, 8] - rows[1, 8])

# %% [markdown]
# Forced to look at $x_7$ by the ideal pattern, the head says something it never says in that case, and $y_0$ is wrong for
# exactly the values that it used to announce by looking away:

# %%
forced = I.set_pattern(model, I.ideal_pattern())
wrong = [1 - by_position(forced, sequences[sequences[:, 8] == t])[0].item() for t in range(4)]
for token, share in enumerate(wrong):
    print(f"x7 = {token}: y0 wrong on {share:.1%}")
claim("forced-y0-fails-by-value", max(wrong) - min(wrong))

# %% [markdown]
# ## Two closer looks
#
# **Weight is not message.** A position can get much weight and hand over almost nothing. The **value-weighted** pattern multiplies each
# weight by the length of what that key's value would write through $W_O$ (Kobayashi et al. 2020). Does the picture change?

# %%
_, cache = model.run_with_cache(sequences[::257, :16])
written = cache["v", 0][:, :, 0] @ model.blocks[0].attn.W_O[0]  # [batch, key, d_model]
size = written.norm(dim=-1)
weighted = (cache["pattern", 0][:, 0, 8:] * size[:, None]).mean(0)
P.show(
    P.heatmap(weighted[:, :9], x=["BOS", *T.INPUT_NAMES], text=True, unit="length",
              title="Value-weighted pattern, mean over 256 sequences"),
    says="The diagonal stays. What BOS gets is nearly gone, for BOS has little to say; the largest entry is what y0 takes from x7.",
)  # fmt: skip

# %%
print("length of what each key would write, mean:", P.numbers(size.mean(0), 1)[:9])
claim("bos-writes-little", size[:, 0].mean() / size[:, 1:9].mean())

# %% [markdown]
# **Why does the row of $y_0$ look away?** With one layer, query and key depend on token and position only. So the scores are a *table*, and
# the table holds the reason. Here are the scores that the query at $x_7$ gives to each key, for each of its four tokens, averaged over the
# token that may stand at the key (the score of $x_7$ to itself is exact):

# %%
stream = model.W_E[:4, None] + model.W_pos[1:9]  # [token, position x0..x7, d_model]
bos = (model.W_E[T.BOS] + model.W_pos[0])[None, None]
attention, ln1 = model.blocks[0].attn, model.blocks[0].ln1
query = ln1(stream[:, -1]) @ attention.W_Q[0] + attention.b_Q[0]  # [token of x7, d_head]
key = lambda s: ln1(s) @ attention.W_K[0] + attention.b_K[0]
scores = torch.einsum("qd,tpd->qtp", query, key(stream)) / 2  # sqrt(d_head) = 2
to_bos = torch.einsum("qd,tpd->q", query, key(bos)) / 2
rows = torch.cat([to_bos[:, None], scores[:, :, :7].mean(1), scores.diagonal(dim1=0, dim2=1)[-1][:, None]], 1)

# %%
P.show(
    P.heatmap(rows - rows.mean(1, keepdim=True), x=["BOS", *T.INPUT_NAMES], y=[f"x7 = {t}" for t in range(4)], signed=True,
              text=True, y_title="token at the query", unit="score", title="Scores of the query that predicts y0"),
    says="With 0 or 2 at x7 the query scores x7 far above BOS. With 1 or 3 it scores x7 a little below BOS.",
)  # fmt: skip

# %%
gap = rows[:, 8] - rows[:, 0]
print("score of x7 minus score of BOS, for x7 = 0, 1, 2, 3:", P.numbers(gap, 1))
claim("qk-explains-y0", min(gap[0], gap[2]) - max(gap[1], gap[3]))

# %% [markdown]
# ## And the other seeds?
#
# One model is an anecdote. The same recipe was run with 32 seeds, and the models that failed were kept. How many are exact? We do not
# trust the note beside the file; we count again.

# %%
zoo = load_zoo("article")
exact = zoo.where(n_right(zoo, sequences) == T.N_SEQUENCES)
print(f"exact: {len(exact)} of {len(zoo)} seeds")
claim("zoo-exact", len(exact))
claim("zoo-record-is-true", torch.equal(zoo.exact, torch.tensor([s in exact.seeds for s in zoo.seeds])))

# %% [markdown]
# Their mean patterns, sorted by how clean they are (mean weight on the source; the number behind each seed):

# %%
patterns = I.mean_of(exact, "pattern")[:, 0]  # [models, 8, 16]
clean = torch.stack([patterns[:, i, 8 - i] for i in range(8)], 1)  # [models, output]
order = clean.mean(1).argsort(descending=True).tolist()
P.show(
    P.gallery(patterns[order][:, :, 1:9], [f"{exact.seeds[i]}: {clean[i].mean():.2f}" for i in order],
              title="Mean patterns of the exact seeds (rows y0 to y7, columns x0 to x7)"),
    says="Twenty-eight small patterns. All show a reverse diagonal; the cleanest show nothing else. What differs most is the first row.",
)  # fmt: skip

# %% [markdown]
# Now the three questions, to all of them. **Predict:** how many of these models stay right on every input under the ideal reversal? With
# their pattern frozen at its mean? And in how many does $y_0$ survive when attention is silent? The clean story says: all, all, all.

# %%
predicted_zoo = {"ideal reversal": len(exact), "frozen pattern": len(exact), "y0 survives": len(exact)}

# %%
def ask(models, patterns):
    """Accuracy at y0..y7 of each model [models, 8] under the three interventions, all sequences."""
    frozen = I.intervene(models, {"pattern": lambda v, _: patterns[:, None].expand_as(v)})
    return {
        "ideal reversal": by_position(I.set_pattern(models, I.ideal_pattern()), sequences),
        "frozen pattern": by_position(frozen, sequences),
        "silent attention": by_position(I.ablate(models, "attention", "mean"), sequences),
    }


answers = ask(exact, patterns)

# %%
P.show(
    P.strips({name: value.mean(1) for name, value in answers.items()}, y_title="accuracy, all sequences",
             title="Three interventions, one dot for each exact seed",
             reference={"y0 right, others guess": predicted_silent, "chance": 0.25}),
    says="Under the ideal reversal every seed keeps more than 85 percent, with a frozen pattern more than 80; the best keep all. "
    "With silent attention nearly all seeds are near one quarter, and three are at the upper dashed line.",
)  # fmt: skip

# %%
keeps_y0 = (answers["silent attention"][:, 0] > 0.99).sum().item()
stays_ideal, stays_frozen = ((answers[n].min(1).values == 1).sum().item() for n in ("ideal reversal", "frozen pattern"))
print(f"predicted: {predicted_zoo}")
print(f"of {len(exact)} exact seeds: {stays_ideal} stay exact under the ideal reversal, {stays_frozen} with a frozen pattern,")
print(f"y0 survives silent attention in {keeps_y0}; "
      f"weight from y0 to x7 below 0.02 in {(clean[:, 0] < 0.02).sum()}, above 0.85 in {(clean[:, 0] > 0.85).sum()}")
claim("zoo-ideal", stays_ideal)
claim("zoo-frozen", stays_frozen)
claim("zoo-silent-y0", keeps_y0)

# %% [markdown]
# A picture that does not even look at the source can belong to a model that uses attention for $y_0$. Do the two go together?

# %%
looks = clean[:, 0] > 0.5
uses = answers["silent attention"][:, 0] < 0.99
rows = [[name, (looks[mask]).sum().item(), (~looks[mask]).sum().item()]
        for name, mask in (("y0 needs attention", uses), ("y0 does without", ~uses))]  # fmt: skip
P.table(rows, ["", "looks at x7 (over one half)", "does not"])

# %%
claim("zoo-no-idle-looker", (looks & ~uses).sum())

# %% [markdown]
# ## Does the start decide?
#
# These models started from small weights. Thirty-two more were started at the library's default, eight times as large, with the same recipe.
# **Predict:** the same algorithm, or another?

# %%
default = load_zoo("article_default_init")
default = default.where(n_right(default, sequences) == T.N_SEQUENCES)
default_patterns = I.mean_of(default, "pattern")[:, 0]
default_answers = ask(default, default_patterns)
default_ideal, default_frozen = (
    (default_answers[n].min(1).values == 1).sum().item() for n in ("ideal reversal", "frozen pattern")
)

# %%
P.table(
    [["exact seeds, of 32", len(exact), len(default)],
     ["stay exact under the ideal reversal", stays_ideal, default_ideal],
     ["stay exact with a frozen pattern", stays_frozen, default_frozen],
     ["mean weight on the source", f"{clean.mean():.2f}",
      f"{torch.stack([default_patterns[:, i, 8 - i] for i in range(8)]).mean():.2f}"]],
    ["", "small start", "library's start"],
)  # fmt: skip

# %%
claim("start-decides-exact", len(default))
claim("start-ideal-gap", abs(stays_ideal / len(exact) - default_ideal / len(default)))

# %% [markdown]
# The start decides how often training succeeds. Whether it also decides *which* algorithm is found, these figures do not show: more of one kind stay exact
# under the ideal reversal, more of the other with a frozen pattern, and with so few models either may be chance.

# %% [markdown]
# ## Explore
#
# A weight says how much a head looks at a key. It does not say how much it *writes* because of that: the value may be long or short. So
# the right panel multiplies each weight by the norm (the length) of what that key writes into the stream, through $W_V$ and $W_O$ (Kobayashi et al. 2020). With a
# running kernel, change one token and watch both. Change $x_7$ first: which row moves? Does it write much when it looks at BOS?

# %%
P.show(*E.attention_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_attention(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell. The check shows it beside the target, and says what may have
# gone wrong. Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: the pattern of the clean story
#
# *★☆☆ easy, about 5 minutes.* Build the ideal pattern `[8, 16]`: row $i$ belongs to $y_i$, the columns are the positions 0 to 15, and each row has a single 1, at the
# source of $y_i$. Mind where BOS stands.

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
# *★★☆ medium, about 10 minutes.* Write the right panel from above: `pattern` is `[query, key]`, `values` `[key, d_head]`, `W_O` `[d_head, d_model]`. Each entry is the norm of what
# this key adds to the stream of this query.

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
# A weight is never negative, so the norm of weight times vector is weight times norm. The norms belong to the keys, and the keys are the
# last axis of the pattern: torch lines them up by itself.
# </details>

# %% [markdown]
# ## What you have
#
# - You have drawn the pattern, for one sequence and for all.
# - You have found the rows that are on the reverse diagonal and those that are not.
# - You have replaced the pattern: the ideal reversal is enough for y1 to y7 of this model, and not for y0.
# - You have seen an output say something by looking away.
# - You have asked 64 models, and can say "k of n".
#
# **Open:** attention brings the source. Who adds 1? **Next:** `05_mlp`.
