# %% [markdown]
# # 1 · The task and its dataset
#
# A neural network is mostly a **black box**: we count how often its answers are right.
# **Mechanistic interpretability** opens the box and asks which parts compute what, and how they form **circuits**: parts that together do one thing.
# That networks learn circuits is a hypothesis; we test it on a task whose rule fits into one line.
# The series follows an article, [*From Zero to (Mechanistic) Interpretability*](https://kutay25.github.io/jekyll/update/2025/03/18/toy-transformer.html), and tests each step.
#
# **Question:** What must a model know to solve this task, and can we check it on every input?
#
# **You will**
# - list all inputs, and see which tokens can be known;
# - see what a linear model cannot do, and write down a prediction;
# - split the sequences so that the split means something.
#
# **Time:** about 30 minutes, and 10 more for the exercises.
# **You should know:** Python, and what a PyTorch tensor is.
#
# Run the cells from the top: click the first, then Shift+Enter, or Run > Run All Cells.

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

from helpers import plotting, task
from helpers.page import claim, compare, show
from lessons import lesson_01

torch.set_num_threads(1)  # quicker for tensors as small as these

# %% [markdown]
# ## What is the task?
#
# Write eight digits between 0 and 3 backwards, and add 1 to each **mod 4**: 3 + 1 is 0 again.
# We follow one input through all six notebooks, **our input**: 32221200.

# %%
x = [3, 2, 2, 2, 1, 2, 0, 0]  # our input
backwards = x[::-1]
y = [(digit + 1) % 4 for digit in backwards]
print("x         ", x)
print("backwards ", backwards)
print("plus 1    ", y)

# %% [markdown]
# As a formula: $y_i = (x_{7-i} + 1) \bmod 4$.
# The right outputs $y_0 … y_7$ are the **target** of the input; $x_{7-i}$, which decides $y_i$, is the **source** of $y_i$.
# [helpers/task.py](../helpers/task.py) has the same input and rule:

# %%
assert task.read_tokens(task.EXAMPLE) == x
assert task.targets(x).tolist() == y

# %% [markdown]
# ## What does a model see of it?
#
# A **token** is one entry of a sequence: a piece of a word for a language model, a digit for ours.
# Our **vocabulary**, the list of all tokens, has five: 0, 1, 2, 3, and **BOS** (*beginning of sequence*), number 4.
# A sequence is BOS, eight digits of input and eight of output:

# %%
sequence = [task.BOS] + x + y
print(sequence)

# %% [markdown]
# An **autoregressive** model sees at each position the tokens so far, its **context**, and gives each possible next token a probability.
# To write, it picks one, adds it to the context, and goes on.
# Large language models do the same with far more positions and tokens; we have 17 and 5.
# Our input asks for eight predictions:

# %%
for end in range(9, 17):
    context = "".join(str(token) for token in sequence[1:end])
    print(f"BOS {context:<16} → {sequence[end]}   ({task.OUTPUT_NAMES[end - 9]})")

# %% [markdown]
# ## Can we list every sequence?
#
# There are only $4^8$ inputs, so a model can be tested on all of them.
# A model that is right on all 65,536 is **exact**.

# %%
from itertools import product

inputs = torch.tensor(list(product(range(4), repeat=8)))
outputs = (inputs.flip(1) + 1) % 4
bos = torch.full((len(inputs), 1), task.BOS)
sequences = torch.cat([bos, inputs, outputs], dim=1)
print(tuple(sequences.shape))
print("first", sequences[0].tolist())
print("last ", sequences[-1].tolist())

# %% [markdown]
# A `claim` compares what was measured with a bound in [claims.toml](../helpers/claims.toml); it prints one line, or stops with an error.

# %%
rows = [tuple(row) for row in sequences.tolist()]
claim("all-sequences", len(set(rows)))
assert torch.equal(sequences, task.full_sequences())  # later notebooks use this one

# %% [markdown]
# ## Which tokens can be known at all?
#
# We count in how many ways a sequence can begin.
# If one more token makes four times as many, the best guess at it is right one time in four; if it makes no more, the token was certain.

# %%
beginnings = []
for length in range(1, 18):
    different = {row[:length] for row in rows}  # a set: each beginning once
    beginnings.append(len(different))
best = [beginnings[n] / beginnings[n + 1] for n in range(16)]

# %%
figure = plotting.bars(
    best,
    title="How often the best possible guess is right",
    x=task.INPUT_NAMES + task.OUTPUT_NAMES,
    x_title="the token to predict",
    y_title="accuracy",
)
show(figure, "what-can-be-known")

# %%
claim("only-outputs-can-be-known", best == [0.25] * 8 + [1.0] * 8)

# %% [markdown]
# The inputs are random, so the model will be trained on the last eight tokens only.
# (`plotting.as_table(figure)` lists the numbers of the figure above.)
#
# ## What is hard about the task?
#
# A **linear** model multiplies its input by a matrix and adds a constant.
# It cannot learn **XOR**, which is 1 when exactly one of two bits is 1:

# %%
bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).double()
xor = torch.tensor([0, 1, 1, 0]).double()
with_constant = torch.cat([bits, torch.ones(4, 1)], dim=1)
fit = torch.linalg.lstsq(with_constant, xor[:, None]).solution
linear_guess = (with_constant @ fit)[:, 0]
claim("xor-linear-fit-is-flat", (linear_guess - 0.5).abs().max())

# %%
figure = plotting.bars(
    {"XOR": xor, "best linear fit": linear_guess},
    title="XOR and the best linear fit",
    x=["0 0", "0 1", "1 0", "1 1"],
    x_title="the two bits",
    y_title="value",
)
show(figure, "xor")

# %% [markdown]
# For a linear $f$ the sums $f(0,0) + f(1,1)$ and $f(0,1) + f(1,0)$ are equal; for XOR they are 0 and 2.
#
# Our task is **reversal** and **+1 mod 4**.
# Reversal is linear, because a matrix of zeros and ones does it.
# Is +1 mod 4?
# On digits as *numbers*:

# %%
digits = torch.arange(4).double()
plus_one = (digits + 1) % 4
design = torch.stack([digits, torch.ones(4).double()], dim=1)
fit = torch.linalg.lstsq(design, plus_one[:, None]).solution
line = (design @ fit)[:, 0]
print("wanted    ", plus_one.tolist())
print("linear fit", plotting.numbers(line, 2))
claim("plus-one-not-linear-on-numbers", (line - plus_one).abs().max())

# %% [markdown]
# No line fits, because 3 goes back to 0.
# But a transformer sees **one-hot** tokens, vectors of zeros with a single 1:

# %%
one_hot = torch.eye(4).double()
wanted = one_hot[[1, 2, 3, 0]]  # the row of token t is the one-hot vector of t + 1
matrix = torch.linalg.lstsq(one_hot, wanted).solution
figure = plotting.heatmap(
    matrix,
    title="+1 mod 4 on one-hot tokens",
    x=["0", "1", "2", "3"],
    x_title="output token",
    y=["0", "1", "2", "3"],
    y_title="input token",
)
show(figure, "plus-one-matrix")

# %% [markdown]
# This matrix makes no error, and that proves very little: *every* map from token to token is linear on one-hot tokens, because its matrix is the table of answers.
# A larger matrix would do the whole task.
# The article wanted a task neither trivial nor too hard to open; we ask not *whether* it can be solved, but *how* a transformer does it.
#
# A transformer has **attention**, which moves information between positions, and an **MLP** (*multi-layer perceptron*), which computes at each position alone and is not linear.
# The article reasons: for reversal alone attention would be enough, for +1 alone no attention is needed, and the task asks for both; so attention reverses, and the MLP adds 1.
# We call this **the clean story**.
#
# **Predict:** of 32 transformers trained *without* an MLP, how many become exact?
# `compare` prints a prediction beside what is measured; this one waits for [06_ablation](06_ablation.ipynb).

# %%
my_prediction = ...  # your answer: a number from 0 to 32 (or leave it)

# %%
compare(my_prediction, "in 06_ablation")

# %% [markdown]
# ## Which sequences do we hold out?
#
# The model trains on 60,000 sequences.
# The other 5,536, the **hold-out**, show whether it learnt the rule or only what it saw.
# The simplest code holds out the last rows, but the list is sorted: what is in its tail?

# %%
tail = sequences[60_000:]
print("first row of the tail:", tail[0].tolist())
for token in range(4):
    print(f"x0 = {token}: {(tail[:, 1] == token).sum().item():5d} sequences")
claim("slice-starts-with-3", (tail[:, 1] == 3).sum())

# %% [markdown]
# Every input there begins with 3, so every sequence ends with $y_7 = 0$: such a hold-out asks the same last question 5,536 times.
#
# The first row of the tail is our input.
# The article says that it shuffles before it cuts; its code does not.
# It prints the first sample of its hold-out:

# %%
printed = [4, 3, 2, 2, 2, 1, 2, 0, 0, 1, 1, 3, 2, 3, 3, 3, 0]  # in the article
claim("article-prints-row-60000", tail[0].tolist() == printed)

# %% [markdown]
# Digit for digit the same row: a shuffle would put it first once in 65,536 times.
# We do shuffle, in a fixed way:

# %%
train_set, holdout = task.split(sequences)
shares = {}
for name, data in {"last rows of the list": tail, "shuffled": holdout}.items():
    shares[name] = [(data[:, 1] == token).double().mean().item() for token in range(4)]

# %%
figure = plotting.bars(
    shares,
    title="The first token in two hold-outs",
    x=["0", "1", "2", "3"],
    x_title="first input x0",
    y_title="share of the hold-out",
    reference={"all sequences": 0.25},
)
show(figure, "two-hold-outs")

# %%
claim("shuffle-is-balanced", max(abs(share - 0.25) for share in shares["shuffled"]))
together = torch.cat([train_set, holdout]).unique(dim=0)
claim("split-is-a-partition", len(together))

# %% [markdown]
# ## Explore: how much does half of the rule get right?
#
# Two answers below know half of the rule.
# The *best constant* always gives the same eight tokens, those right most often in the train set.
# Below the figure, type *your* eight tokens or move the sliders.
# For which inputs is reversing not needed?

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
# On what share of the inputs (0 to 1) are *all eight* outputs right?

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
# - You have listed all inputs, and seen which tokens can be known.
# - You have seen what a linear model cannot do, and written down a prediction.
# - You have split the sequences after a shuffle, as the article's code did not.
#
# **Answer:** A model must know where each output's source stands and which token follows the source's token, and 65,536 inputs can all be checked.
#
# **Open:** Which machine can learn this?
# [02_transformer](02_transformer.ipynb) computes one by hand.
