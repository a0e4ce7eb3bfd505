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
# - see one output say something by looking *away*.
#
# **Time:** about 30 minutes. **You should know:** query, key, value and pattern (`02_transformer`).
# **Before this:** `03_training`. **Next:** `05_mlp`.

# %% tags=["setup"]
import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability", "series"]).returncode:
    raise SystemExit("The series could not be fetched from https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability: check the address and the network.")
import helpers.colab; helpers.colab.install_missing()

# %%
import torch
from circuitsvis.attention import attention_heads

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.claims import claim
from helpers.model import load_trained
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
ideal = by_position(I.set_pattern(model, I.ideal_pattern()), sequences)
print(f"predicted {predicted_ideal:.1%}, measured {ideal.mean():.2%}")

# %% [markdown]
# **2. Is the pattern the same for every input?** We freeze it at its mean. If each output always looks at the same places,
# nothing should change.

# %%
predicted_frozen = 1.0
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

# ZOO-04

# %% [markdown]
# ## What you have
#
# - You have drawn the pattern, for one sequence and for all.
# - You have found the rows that are on the reverse diagonal and those that are not.
# - You have replaced the pattern: the ideal reversal is enough for y1 to y7 of this model, and not for y0.
# - You have seen an output say something by looking away.
#
# **Open:** attention brings the source. Who adds 1? **Next:** `05_mlp`.
