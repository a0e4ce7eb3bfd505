# %% [markdown]
# # 1 · A puzzle that fits into a list
#
# A neural network is a box of numbers.
# We put something in, something comes out, and most of the time it is right.
# *Why* it is right, nobody can say: no person wrote the numbers, training found them.
#
# **Mechanistic interpretability** opens the box and asks which parts compute what.
# A few parts that do one job together are called a **circuit**.
#
# In this series we take the smallest box that is still a real transformer, the kind of network behind today's chatbots.
# It has 360 numbers.
# We train it, open it, and do not stop before we know how it works.
#
# **Question:** Can we know *everything* about a task?
#
# **You will**
# - meet the puzzle of this series, and one input that we follow to the end;
# - list every input there is;
# - see what a straight line cannot do;
# - bet on a story that sounds right.
#
# **Time:** about 35 minutes, and 10 more for the exercises.
# **You should know:** Python, and what a PyTorch tensor is.
#
# Run the cells from the top: click the first, then press Shift+Enter, again and again.

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
from itertools import product

import torch

from helpers import plotting, task
from helpers.page import claim, compare, show
from lessons import lesson_01

torch.set_num_threads(1)  # quicker for tensors as small as ours

# %% [markdown]
# ## The puzzle
#
# Take eight digits, each of them 0, 1, 2 or 3.
# Write them backwards.
# Then add 1 to each, and where that makes 4, write 0.
#
# Here is one input.
# We follow it through all six notebooks and call it **our input**.

# %%
x = [3, 2, 2, 2, 1, 2, 0, 0]  # our input
backwards = x[::-1]
y = [(digit + 1) % 4 for digit in backwards]
print("input    ", x)
print("backwards", backwards)
print("plus 1   ", y)
for i in range(8):
    print(f"y{i} = {y[i]}, because x{7 - i} is {x[7 - i]}")

# %% [markdown]
# After 3 comes 0 again, as on a clock with four hours.
# This is called adding **mod 4**.
# As a formula: $y_i = (x_{7-i} + 1) \bmod 4$.
#
# The eight right answers are the **target** of the input.
# Each answer is decided by one single digit, which we call its **source**.
#
# ## What does a model see of it?
#
# A transformer reads **tokens**: pieces of words for a chatbot, digits for ours.
# The list of all tokens is its **vocabulary**.
# Ours has five: the four digits, and **BOS** (*beginning of sequence*), which we write as 4.
#
# The model reads everything in one long row, first the question and then the answer:

# %%
sequence = [task.BOS] + x + y
print(sequence)

# %% [markdown]
# And it does one thing only: it looks at the tokens so far, the **context**, and predicts the next one.
# The predicted token joins the row, and the game goes on.
# Such a model is called **autoregressive**.
# A chatbot works in exactly this way, with a hundred thousand tokens in place of five.
#
# Our puzzle asks for eight predictions:

# %%
for end in range(9, 17):
    context = "".join(str(token) for token in sequence[1:end])
    print(f"BOS {context:<16} → {sequence[end]}   ({task.OUTPUT_NAMES[end - 9]})")

# %% [markdown]
# ## Every input there is
#
# Eight digits with four choices each make $4^8$ inputs.
# That is not many.
# We write them all down, each with its answer:

# %%
inputs = torch.tensor(list(product(range(4), repeat=8)))
outputs = (inputs.flip(1) + 1) % 4
bos = torch.full((len(inputs), 1), task.BOS)
sequences = torch.cat([bos, inputs, outputs], dim=1)
print("shape", tuple(sequences.shape))
print("first", sequences[0].tolist())
print("last ", sequences[-1].tolist())
rows = [tuple(row) for row in sequences.tolist()]
claim("all-sequences", len(set(rows)))
assert torch.equal(sequences, task.full_sequences())  # the later notebooks use this one

# %% [markdown]
# (A line with ✓ is a **claim**: the cell has compared a number with a bound, and would have stopped here if it did not hold.)
#
# This list is the reason for the puzzle.
# Nobody can list all English sentences, so nobody can know what a chatbot does with a new one.
# A model that is right on all 65,536 inputs we call **exact**, and we never have to say "probably".
#
# ## Which tokens can be predicted at all?
#
# Sixteen tokens follow after BOS.
# How often could the best possible model be right about each of them?
#
# We count the different beginnings of each length.
# If there are four times as many with one more token, that token can be any of the four digits.
# If there are no more, it is certain.

# %%
beginnings = []
for length in range(1, 18):
    different = {row[:length] for row in rows}  # a set: each beginning once
    beginnings.append(len(different))
print(beginnings)

# %%
best = [beginnings[n] / beginnings[n + 1] for n in range(16)]
figure = plotting.bars(
    best,
    x=task.INPUT_NAMES + task.OUTPUT_NAMES,
    x_title="the token to predict",
    y_title="accuracy",
    title="How often the best possible guess is right",
)
show(figure, "what-can-be-known")
assert best == [0.25] * 8 + [1.0] * 8

# %% [markdown]
# The eight digits of the question could be anything.
# From y0 on, everything is decided.
# So we shall train our model on the last eight tokens only: nobody can learn to foresee a random digit.
#
# (`plotting.as_table(figure)`, in a cell of its own, lists the numbers of the figure above.)
#
# ## Why this puzzle?
#
# It has two halves.
# *Reversing* moves digits to other places.
# *Adding 1* changes a digit where it stands.
#
# The second half looks harmless.
# But 3 goes back to 0: up, up, up, and down.
# Can a straight line follow that?

# %%
digits = torch.arange(4).double()
plus_one = (digits + 1) % 4
with_constant = torch.stack([digits, torch.ones(4).double()], dim=1)
fit = torch.linalg.lstsq(with_constant, plus_one[:, None]).solution
line = (with_constant @ fit)[:, 0]
claim("plus-one-not-linear-on-numbers", (line - plus_one).abs().max())
both = {"digit + 1 mod 4": plus_one, "best straight line": line}
title = "A straight line cannot follow"
figure = plotting.bars(both, x="0123", x_title="digit", y_title="value", title=title)
show(figure, "plus-one-line")

# %% [markdown]
# Models that only add, and multiply by fixed numbers, are called **linear**.
# There is a famous little task that they cannot do, **XOR**: two bits, and the answer is 1 when exactly one of them is 1.

# %%
bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).double()
xor = torch.tensor([0, 1, 1, 0]).double()
with_constant = torch.cat([bits, torch.ones(4, 1)], dim=1)
fit = torch.linalg.lstsq(with_constant, xor[:, None]).solution
linear_guess = (with_constant @ fit)[:, 0]
print("wanted         ", xor.tolist())
print("best linear fit", plotting.numbers(linear_guess, 2))
claim("xor-linear-fit-is-flat", (linear_guess - 0.5).abs().max())

# %% [markdown]
# The best linear model says one half to everything, as if it had not looked.
#
# <details><summary>Why nothing linear can do better</summary>
#
# For a linear $f$, the sums $f(0,0) + f(1,1)$ and $f(0,1) + f(1,0)$ are equal.
# For XOR they are 0 and 2.
# </details>
#
# So a network for our puzzle must have something in it that is not linear?
# Careful.
# A transformer does not see the digit 3 as a number on a line.
# It gives each token a vector of its own, and the simplest such vector is **one-hot**: zeros with a single 1.

# %%
one_hot = torch.eye(4).double()
wanted = one_hot[[1, 2, 3, 0]]  # the row of token t is the one-hot vector of t + 1
matrix = torch.linalg.lstsq(one_hot, wanted).solution
figure = plotting.heatmap(
    matrix, x=list("0123"), y=list("0123"), x_title="output token",
    y_title="input token", title="+1 mod 4 on one-hot tokens",
)  # fmt: skip
show(figure, "plus-one-matrix")

# %% [markdown]
# One matrix does it, without an error.
# A matrix is as linear as can be: this one is simply the table of the four answers.
#
# So is "+1 mod 4" hard or easy?
# It depends on how the digits are written.
#
# ## A story that sounds right
#
# A transformer has two kinds of parts.
# **Attention** moves information from one position to another.
# The **MLP** (*multi-layer perceptron*) works at each position alone, and it is not linear.
#
# The [article](https://kutay25.github.io/jekyll/update/2025/03/18/toy-transformer.html) that this series grew from chose the puzzle for that reason: it should be neither trivial nor too hard to open.
# For reversing alone, attention would be enough.
# For adding 1 alone, no attention is needed.
# The puzzle asks for both, so:
#
# > **Attention fetches the source digit, and the MLP adds 1.**
#
# We call this **the obvious story**.
# It sounds so right that nobody would think of testing it.
# We will.
#
# **Place your bet.**
# We shall train 32 transformers that have *no MLP at all*.
# How many of them will be exact?

# %%
my_prediction = ...  # your bet: a number from 0 to 32 (or leave it)

# %%
compare(my_prediction, "in 06_ablation")

# %% [markdown]
# ## A fair exam
#
# The model trains on 60,000 sequences.
# The other 5,536 are its exam, the **hold-out**: they show whether it learnt the rule or only what it saw.
#
# The quickest way is to cut off the last rows of our list, which is sorted.
# What would be in that exam?

# %%
tail = sequences[60_000:]
print("the first row of the tail:", tail[0].tolist())
for token in range(4):
    print(f"x0 = {token}: {(tail[:, 1] == token).sum():5d} sequences")

# %% [markdown]
# Every input there begins with 3, so every sequence ends with $y_7 = 0$.
# The exam would ask its last question 5,536 times, and the answer would always be 0.
#
# We shuffle before we cut, in a way that is fixed once and for all:

# %%
train_set, holdout = task.split(sequences)
shares = {}
for name, data in {"last rows of the list": tail, "shuffled": holdout}.items():
    shares[name] = [(data[:, 1] == token).double().mean() for token in range(4)]
figure = plotting.bars(
    shares, x="0123", x_title="first input x0", y_title="share of the hold-out",
    reference={"all sequences": 0.25}, title="The first token in two hold-outs",
)  # fmt: skip
show(figure, "two-hold-outs")
claim("shuffle-is-balanced", max(abs(share - 0.25) for share in shares["shuffled"]))
assert len(torch.cat([train_set, holdout]).unique(dim=0)) == 65_536

# %% [markdown]
# ## Explore: half of the rule
#
# Each of the answers below knows half of the rule, or less: the *best constant* always says the same.
# Type your own eight tokens, or move the sliders.
# For which inputs does it not matter whether you reverse?

# %%
figure, says = lesson_01.task_figure()
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_01.explore_task()

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: the rule in code
#
# *★☆☆ easy, 5 minutes.*
# Write the rule: from a list of eight digits to a list.


# %%
def my_targets(x):
    """The eight right outputs for the eight digits x."""
    return ...


lesson_01.check("01-targets", my_targets)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_targets(x):
#     return [(digit + 1) % 4 for digit in reversed(x)]
# ```
# </details>

# %% [markdown]
# ### Exercise: a rule with a gap
#
# *★★☆ medium, 5 minutes.*
# Somebody reverses and adds 1, but forgets the mod: after 3 comes 4, which is never right.
# On what share of the inputs (0 to 1) are *all eight* answers right?

# %%
my_share = ...

lesson_01.check("01-forgotten-mod", my_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_share = (3 / 4) ** 8
# ```
#
# An input survives when none of its eight digits is 3.
# </details>

# %% [markdown]
# ## What you have
#
# - You have met the puzzle, and our input 32221200.
# - You have listed every input there is.
# - You have seen what a straight line cannot do, and that a table can.
# - You have bet on the obvious story.
#
# **Answer:** yes. All 65,536 inputs fit into a list, and whatever we say about a model can be checked on every one of them.
#
# **Open:** what kind of machine shall learn this?
# In [02_transformer](02_transformer.ipynb) we take one apart and follow a single vector through it, number by number.
