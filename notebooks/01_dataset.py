# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/01_dataset.ipynb)

# %% [markdown]
# # 1 · The task and its dataset
#
# Most of the time a neural network is treated as a **black box**: we put something in, look at what comes out, and count how often it is right.
# **Mechanistic interpretability** opens the box.
# It asks which small parts of the network compute what, and how they are joined into **circuits** that together do the task.
# That networks learn such circuits is a hypothesis, and this series tests it on the smallest network that is worth the trouble.
#
# A language model is hard to understand because nobody knows the rules of its task.
# So we start with a task whose rules fit into one line, and whose inputs can all be listed.
# Task and model come from an article that is called *From Zero to (Mechanistic) Interpretability* too; it tells a clean story about them.
# We follow it, and test each step.
#
# **You will**
# - see what it means to predict the next token, on a sequence of our own;
# - see what a linear model can do and what it cannot, and write down a prediction for the end;
# - build all 65,536 sequences and split them so that the split means something;
# - measure the two scores that a model has to beat.
#
# **Time:** about 20 minutes.
# **You should know:** Python, and what a PyTorch tensor is.
# **Before this:** nothing.
# **Next:** `02_transformer`.

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
from collections import Counter

import torch
import torch.nn.functional as F

from helpers import plotting as P
from helpers import task as T
from helpers.reader import exercises as X
from helpers.reader import explorers as E
from helpers.reader.claims import claim

# %% [markdown]
# ## The task in one line
#
# Take eight digits between 0 and 3.
# Write them backwards, and add 1 to each, where 3 + 1 is 0 again.
# That last rule is called *addition modulo 4*, written **mod 4**.
# By hand:

# %%
x = [0, 1, 2, 3, 2, 0, 3, 1]
backwards = x[::-1]
y = [(digit + 1) % 4 for digit in backwards]
print("x         ", x)
print("backwards ", backwards)
print("plus 1    ", y)

# %% [markdown]
# The same in a formula: $y_i = (x_{7-i} + 1) \bmod 4$.
# We call $x_{7-i}$ the **source** of $y_i$.
# The function `targets` in `helpers/task.py` does this for many sequences at once:

# %%
print(T.targets(x).tolist())
claim("worked-example", T.targets(x).tolist() == y)

# %% [markdown]
# ## Predicting the next token
#
# A **token** is one entry of a sequence: for a language model a piece of a word, for us a digit.
# The list of all tokens is the **vocabulary**.
# Ours has five: 0, 1, 2, 3, and a token that only marks the beginning, **BOS** (*beginning of sequence*, number 4).
# One whole sequence is BOS, the eight inputs $x_0 … x_7$ and the eight outputs $y_0 … y_7$:

# %%
sequence = [T.BOS] + x + y
print(sequence)

# %% [markdown]
# An **autoregressive** model reads such a sequence from left to right.
# At each place it gives one probability to each token that could come next.
# It sees what stands to the left, its **context**, and nothing else.
# To write a text, it picks a token, adds it to the context, and goes on.
# A large language model does the same with a context of thousands of tokens and a vocabulary of tens of thousands; we have seventeen places and five tokens.
# Here are the last predictions that our sequence asks for:

# %%
for end in range(9, 17):
    context = "".join(str(token) for token in sequence[1:end])
    print(f"BOS {context:<16} → {sequence[end]}   ({T.OUTPUT_NAMES[end - 9]})")

# %% [markdown]
# **A question before the next cell:** at which of the 16 places can the next token be known at all?
# We count: over all sequences, how often is the best possible guess right, given the context?

# %%
rows = [tuple(row) for row in T.full_sequences().tolist()]  # built further down


def best_possible(position):
    """Share of sequences whose next token the best guess gets right."""
    most_frequent = {}
    counts = Counter(row[: position + 2] for row in rows)  # context and token
    for beginning, count in counts.items():
        context = beginning[:-1]
        most_frequent[context] = max(count, most_frequent.get(context, 0))
    return sum(most_frequent.values()) / len(rows)


print("the first place, after BOS:", best_possible(0))

# %%
best = [best_possible(position) for position in range(16)]
axes = dict(x=T.INPUT_NAMES + T.OUTPUT_NAMES, x_title="the token to predict")
title = "What can be known from the context"
show(
    P.bars(best, **axes, y_title="best possible accuracy", title=title), "what-can-be-known-from-the")

# %%
claim("only-outputs-can-be-known", best == [0.25] * 8 + [1.0] * 8)

# %% [markdown]
# This is why the model will be trained on the last eight tokens only.
# The inputs are random: there is nothing to learn from them except that BOS never comes again.

# %% [markdown]
# ## What is hard about it?
#
# A **linear** model multiplies its input by a matrix and adds a constant.
# It cannot learn everything.
# The smallest famous example is **XOR**: the answer is 1 when exactly one of two bits is 1.
# Here is the best linear fit (least squares):

# %%
bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).double()
xor = torch.tensor([0, 1, 1, 0]).double()
with_constant = torch.cat([bits, torch.ones(4, 1)], dim=1)
fit = torch.linalg.lstsq(with_constant, xor[:, None]).solution
linear_guess = (with_constant @ fit)[:, 0]
both = {"XOR": xor, "best linear fit": linear_guess}
axes = dict(x=["0 0", "0 1", "1 0", "1 1"], x_title="the two bits", y_title="value")
show(
    P.bars(both, **axes, title="XOR and the best linear fit"), "xor-and-the-best-linear-fit")

# %%
claim("xor-linear-fit-is-flat", (linear_guess - 0.5).abs().max())

# %% [markdown]
# <details><summary>Why no line can do it</summary>
#
# A linear function $f$ satisfies $f(0,0) + f(1,1) = f(0,1) + f(1,0)$: both sides are the same sum.
# To separate XOR with a threshold $t$, the left values would both have to be below $t$ and the right ones both above.
# Then the left sum is below $2t$, the right sum above it, and they cannot be equal.
# </details>
#
# Our task has two halves.
# **Reversal** moves tokens to other places and leaves their values alone. **+1 mod 4** changes the value and leaves the place alone.
# Is one of them like XOR?
# Reversal is not: to permute eight places is a multiplication by a matrix of zeros and ones, which is linear.
# And +1 mod 4?
# First on the digits as *numbers*:

# %%
digits = torch.arange(4).double()
plus_one = (digits + 1) % 4
design = torch.stack([digits, torch.ones(4).double()], dim=1)
fit = torch.linalg.lstsq(design, plus_one[:, None]).solution
print("wanted    ", plus_one.tolist())
print("linear fit", P.numbers((design @ fit)[:, 0], 2))
claim("plus-one-not-linear-on-numbers", ((design @ fit)[:, 0] - plus_one).abs().max())

# %% [markdown]
# No line fits: the step from 3 back to 0 is in the way.
# But a transformer never sees the number 3.
# It sees **one-hot** tokens: a vector of zeros with a single 1 at the place of the token.
# The same fit again, from one-hot to one-hot:

# %%
one_hot = torch.eye(4).double()
wanted = one_hot[(torch.arange(4) + 1) % 4]
matrix = torch.linalg.lstsq(one_hot, wanted).solution
names = ["0", "1", "2", "3"]
axes = dict(x=names, y=names, x_title="output token", y_title="input token")
show(
    P.heatmap(matrix, **axes, title="+1 mod 4 as a matrix on one-hot tokens"), "1-mod-4-as-a-matrix")

# %%
claim("plus-one-is-a-permutation-matrix", (one_hot @ matrix - wanted).abs().max())

# %% [markdown]
# On one-hot tokens +1 mod 4 is a *permutation matrix*: it is linear, and it is exact.
#
# A transformer has an attention layer, which moves things between places, and an **MLP** (*multi-layer perceptron*), which is its non-linear part.
# So there is a story that suggests itself, and the article tells it.
# For reversal alone, attention would do.
# For +1 alone, no attention would be needed.
# Here both are asked for, so attention does the reversal and the MLP does the +1.
# We call this **the clean story**.
#
# **Write down what you think before you go on.**
# Could a transformer *without* an MLP learn this task?
# We set our own answer here and keep it until `06_ablation`, where 32 such models are trained.

# %%
the_task_needs_an_mlp = True  # the clean story. Yours?
print("prediction: the task needs an MLP:", the_task_needs_an_mlp)

# %% [markdown]
# ## All the sequences
#
# There are $4^8$ inputs.
# That is few enough to list them all, so nothing we say later has to be a sample.
# We count from zero, and write each number with eight digits in base 4:

# %%
counting = torch.arange(4**8)
inputs = counting[:, None] // 4 ** torch.arange(7, -1, -1) % 4
print(tuple(inputs.shape), "first:", inputs[0].tolist(), "last:", inputs[-1].tolist())

# %%
with_outputs = torch.hstack([inputs, (inputs + 1).fliplr() % 4])
sequences = F.pad(with_outputs, (1, 0), value=T.BOS)  # one more column, on the left
print(tuple(sequences.shape))
print(sequences[12345].tolist())

# %% [markdown]
# `T.full_sequences()` builds the same.
# The later notebooks use it:

# %%
same = torch.equal(sequences, T.full_sequences())
claim("all-sequences", same and len(sequences.unique(dim=0)))

# %% [markdown]
# ## A split that means something
#
# We train on 60,000 sequences and hold out 5,536: the **hold-out** shows whether the model has learnt the rule or only the sequences it saw.
# The simplest code takes the last 5,536 rows of the list.
# But the list is sorted like a dictionary.
# What is in its tail?

# %%
sliced = sequences[60_000:]
print("first held-out sequence:", sliced[0].tolist())
for token in range(4):
    print(f"x0 = {token}: {(sliced[:, 1] == token).sum().item():5d} sequences")

# %% [markdown]
# Every one of them begins with 3, so every one of them ends with $y_7 = 0$.
# Such a hold-out asks the same last question 5,536 times.
# Shuffled first, with a fixed seed so that everybody gets the same order:

# %%
train_set, holdout = T.split(sequences)
holdouts = {"last rows of the list": sliced, "shuffled": holdout}
shares = {}
for name, data in holdouts.items():
    shares[name] = [(data[:, 1] == t).double().mean().item() for t in range(4)]
axes = dict(x=names, x_title="first input x0", y_title="share of the hold-out")
title, reference = "The first token in two hold-outs", {"all sequences": 0.25}
show(
    P.bars(shares, **axes, title=title, reference=reference), "in-the-last-rows-of-the")

# %%
claim("slice-starts-with-3", (sliced[:, 1] == 3).sum())
claim("shuffle-is-balanced", max(abs(share - 0.25) for share in shares["shuffled"]))

# %% [markdown]
# Nothing is lost and nothing is in both halves:

# %%
together = torch.cat([train_set, holdout]).unique(dim=0)
print(len(train_set), "+", len(holdout), "=", len(together), "different sequences")
claim("split-is-a-partition", len(together))

# %% [markdown]
# ## Two scores to beat
#
# **Chance** is one in four.
# A slightly cleverer model ignores its input and always says the same: for each output position, the token that is right most often.
# How good is this *best constant* on our two hold-outs?

# %%
def best_constant(data):
    """Accuracy at y0..y7 of the best answer that does not look at the input."""
    shares = [(data[:, 9:] == token).double().mean(0) for token in range(4)]
    return torch.stack(shares).max(0).values


constants = {name: best_constant(data) for name, data in holdouts.items()}
axes = dict(y_title="accuracy of the best constant", reference={"chance": 0.25})
show(
    P.bars(constants, **axes, title="Answering without looking"), "answering-without-looking")

# %%
for name, value in constants.items():
    print(f"{name:22} {value.mean().item():.1%}")
claim("best-constant-shuffled", constants["shuffled"].mean())
claim("best-constant-sliced", constants["last rows of the list"].mean())

# %% [markdown]
# A model that has learnt nothing can look a good deal better than chance on a hold-out that was cut carelessly.
# We keep this in mind for `06_ablation`, where parts of a model are switched off and we ask how much is left.

# %% [markdown]
# ## Explore
#
# The figure shows one input: its target, two answers that miss a part of the rule, and one that does not look at the input.
# With a running kernel the cell after it does the same for *your* eight tokens: type them, or pick them one by one.
# Can you find an input on which the constant is right everywhere?
# One on which reversing is not needed?

# %%
P.show(*E.task_figure())

# %% tags=["nbval-ignore-output"]
E.explore_task()

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell.
# The check shows it beside the target, and says what may have gone wrong.
# Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: the rule in code
#
# *★☆☆ easy, about 5 minutes.*
# Write the rule of the task for a list of eight digits.
# Give back a list.

# %%
def my_targets(x):
    """The eight right outputs for the eight digits x."""
    return ...


X.check("01-targets", my_targets)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_targets(x):
#     return [(digit + 1) % 4 for digit in reversed(x)]
# ```
#
# First the order, then the value.
# The two steps can be exchanged: neither looks at what the other changes.
# </details>

# %% [markdown]
# ### Exercise: a rule with a gap
#
# *★★☆ medium, about 5 minutes.*
# Somebody reverses correctly and adds 1, but forgets the mod: after 3 comes 4, which is never right.
# **Predict:** on what share of the 65,536 sequences are *all eight* tokens right?
# Give a number between 0 and 1.

# %%
my_share = ...

X.check("01-forgotten-mod", my_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_share = (3 / 4) ** 8
# ```
#
# A sequence survives when it holds no 3 at all.
# Each of the eight digits is one of 0, 1, 2 in three cases out of four, and the digits do not depend on each other.
# So a mistake in one token of four spoils nine sequences of ten.
# </details>

# %% [markdown]
# ## What you have
#
# - You have seen next-token prediction on our own sequence, and that only the outputs can be known.
# - You have seen what a linear model cannot do (XOR), and that +1 mod 4 on one-hot tokens is not such a case.
#   A prediction is written down: does the task need an MLP?
# - You have built all 65,536 sequences and a split that was really shuffled.
# - You have two scores to beat: chance and the best constant, both one in four.
#
# **Open:** which machine can learn this?
# **Next:** `02_transformer` takes one apart and computes it by hand.
