# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/03_training.ipynb)

# %% [markdown]
# # 3 · Training
#
# Three hundred and sixty random numbers know nothing. A few hundred small corrections later they solve the task on every
# input there is. This notebook does that before your eyes, in a few seconds.
#
# **You will**
# - write the training loop in full and watch it run;
# - see what is learnt first: which positions, which answers;
# - check the result on the hold-out and on all 65,536 sequences;
# - see a seed that fails, and what failure looks like.
#
# **Time:** about 20 minutes. **You should know:** what a gradient is, and roughly what an optimiser does.
# **Before this:** `02_transformer`. **Next:** `04_attention`.

# %% tags=["setup"]
import importlib.util, subprocess, sys  # does nothing where the series is at hand, as in JupyterLab
sys.path[:0] = ["..", "series"]
if importlib.util.find_spec("helpers") is None and subprocess.run(["git", "clone", "-q", "--depth=1", "https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability", "series"]).returncode:
    raise SystemExit("The series could not be fetched from https://github.com/YOUR_ACCOUNT/from-zero-to-interpretability: check the address and the network.")
importlib.invalidate_caches(); import helpers.colab; helpers.colab.install_missing()

# %%
import math

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from helpers import exercises as X
from helpers import explorers as E
from helpers import plotting as P
from helpers import task as T
from helpers.claims import claim
from helpers.model import CONFIG, WEIGHTS, build, load_trained, read_weights, save
from helpers.training import RECIPE, batches, by_position, n_right, to_grid, train

SEED = 0  # fixed before the first run; try others
SAVE = False  # True: the model trained here becomes the one that 04, 05 and 06 load
sequences = T.full_sequences()
train_set, holdout = T.split(sequences)

# %% [markdown]
# ## What is made smaller
#
# The **loss** is the mean of $-\log p$, where $p$ is the probability that the model gave to the right token: the
# *cross-entropy*. It is taken over the last eight tokens only, for the others cannot be known. A model that
# answers one quarter to each digit has a loss of $\ln 4$. And a model that has just been made?

# %%
model = build("article", seed=SEED)
logits = model(sequences[:1000, :16])[:, 8:].detach()
fresh = F.cross_entropy(logits.flatten(0, 1), sequences[:1000, 9:].flatten()).item()
print(f"fresh model {fresh:.4f}   ln 4 = {math.log(4):.4f}   ln 5 = {math.log(5):.4f}")
claim("fresh-loss", abs(fresh - math.log(5)))

# %% [markdown]
# It starts a little above, at $\ln 5$: it does not know yet that BOS never comes. The recipe:

# %%
print(RECIPE)
print("steps at most:", RECIPE.max_steps)

# %% [markdown]
# - **AdamW**, the usual optimiser, with a rate that falls along a cosine;
# - gradients longer than `clip` are shortened to it, so that one bad batch cannot throw the model away;
# - gradients are rounded to millionths (`to_grid`; why is folded below);
# - it stops when `patience` *training* batches in a row had no wrong token. The hold-out is not looked at until the end:
#   a set that decides when to stop is no hold-out any more.
#
# <details><summary>Why float64, numpy's random numbers, rounded gradients and the CPU?</summary>
#
# So that your run is our run. The initial weights and the order of the batches come from numpy's generator, which gives the
# same numbers everywhere. Double precision costs a model this small almost nothing. That alone is not enough: two processors sum in
# another order, the difference is in the 17th digit, and this training is *chaotic*: the difference grows about tenfold every dozen steps, and after
# two hundred steps the weights are different ones. Rounding the gradients to a grid of 2⁻²⁰ breaks the chain: both
# processors round to the same number, so the difference never enters the next step. A GPU would work (`build("article", device="cuda")`, and `batch.to("cuda")` in the
# loop), but it starts each of these tiny operations more slowly than a CPU finishes it, and it sums in another order.
# </details>
#
# ## The loop
#
# **Before you run it:** will the loss fall smoothly, or in steps? Which output will be learnt first?

# %%
optimizer = torch.optim.AdamW(
    model.parameters(), lr=RECIPE.lr, betas=RECIPE.betas, weight_decay=RECIPE.weight_decay
)
losses, accuracies, by_answer, perfect_in_a_row = [], [], [], 0

# %% tags=["nbval-ignore-output"]
for step, batch in enumerate(tqdm(batches(train_set, SEED), total=RECIPE.max_steps)):
    logits, wanted = model(batch[:, :16])[:, 8:], batch[:, 9:]
    loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip)
    for p in model.parameters():
        p.grad = to_grid(p.grad)
    optimizer.param_groups[0]["lr"] = RECIPE.lr_at(step)
    optimizer.step()

    right = (logits.argmax(-1) == wanted).double()
    losses.append(loss.item())
    accuracies.append(right.mean(0).tolist())
    by_answer.append([right[wanted == token].mean().item() for token in range(4)])
    perfect_in_a_row = perfect_in_a_row + 1 if right.min() == 1 else 0
    if perfect_in_a_row == RECIPE.patience:
        break

# %%
print(f"stopped after {len(losses)} steps, {len(losses) * RECIPE.batch:,} sequences seen")
P.show(
    P.lines(range(len(losses)), {"loss": losses}, x_title="step", y_title="loss (nats per token)",
            title="The loss while training", reference={"ln 4: guessing": math.log(4)}),
    says="The loss rests near ln 4 for a few dozen steps, then falls in several uneven slopes, and ends close to zero.",
)  # fmt: skip

# %% [markdown]
# ## What is learnt first?
#
# The same steps, seen output by output: the share of right tokens in each batch (smoothed over 15 steps). One might expect each output to
# find its source on its own, one after another.

# %%
smooth = torch.tensor(accuracies).unfold(0, 15, 1).mean(-1)  # [steps, 8]
P.show(
    P.lines(range(7, 7 + len(smooth)), dict(zip(T.OUTPUT_NAMES, smooth.T)), x_title="step", digits=3,
            y_title="accuracy in the batch", title="Accuracy of each output while training",
            reference={"chance": 0.25}),
    says="All eight outputs start at one quarter. Seven of them rise nearly together, with pauses near one half and three "
    "quarters, and reach one between steps 250 and 300. y0 goes its own way and comes last.",
)  # fmt: skip

# %%
known = (smooth > 0.9).int().argmax(0) + 7  # first step at which nine of ten are right
order = sorted(zip(known.tolist(), T.OUTPUT_NAMES))
print("above 90 %:", ",  ".join(f"{name} at {step}" for step, name in order))
claim("y0-learnt-last", order[-1][0] - order[-2][0])
claim("others-learnt-together", order[-2][0] - order[0][0])

# %% [markdown]
# Not one after another, then, but seven together. What are the pauses? The same steps once more, sorted by the *right answer* instead of the
# position:

# %%
smooth = torch.tensor(by_answer).unfold(0, 15, 1).mean(-1)  # [steps, 4]
P.show(
    P.lines(range(7, 7 + len(smooth)), {f"answer {t}": smooth[:, t] for t in range(4)}, x_title="step",
            digits=3, y_title="accuracy in the batch", title="Accuracy for each right answer",
            reference={"chance": 0.25}),
    says="Until about step 170 the four answers fluctuate between nothing and three quarters. Then 0 and 2 rise together to one, "
    "and some seventy steps later 1 and 3 do.",
)  # fmt: skip

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# Something is learnt in turn, but it is the *answers*, two by two, not the eight positions: the positions share all weights of attention and
# MLP, and once one of them can tell two answers apart, so can the others. Only $y_0$, whose query is made at its own source,
# is a special case. With another seed the order is another.
# </details>
#
# ## Is it right?
#
# Now the hold-out, for the first time, and then every sequence there is. A sequence counts only when all eight tokens
# are right.

# %%
on_holdout, everywhere = n_right(model, holdout), n_right(model, sequences)
print(f"hold-out  {on_holdout:6,} of {len(holdout):,}")
print(f"all       {everywhere:6,} of {len(sequences):,}")
claim("trained-exact-holdout", on_holdout)
claim("trained-exact", everywhere)

# %% [markdown]
# We call such a model **exact**. It read only a part of the sequences, and each of them seldom more than once, so it
# cannot have learnt them by heart: there is a rule in these 360 numbers. The next notebooks look for it.
#
# ## The same loop for many models
#
# `helpers/training.py` holds the same loop with one more axis in front, so that many seeds train at once. Does it find
# the same weights?

# %%
SAME_STEPS = 50
ours = build("article", seed=SEED)
optimizer = torch.optim.AdamW(ours.parameters(), lr=RECIPE.lr, betas=RECIPE.betas, weight_decay=0)
for step, batch in zip(range(SAME_STEPS), batches(train_set, SEED)):
    optimizer.zero_grad()
    out = ours(batch[:, :16])[:, 8:]
    F.cross_entropy(out.flatten(0, 1), batch[:, 9:].flatten()).backward()
    torch.nn.utils.clip_grad_norm_(ours.parameters(), RECIPE.clip)
    for p in ours.parameters():
        p.grad = to_grid(p.grad)
    optimizer.param_groups[0]["lr"] = RECIPE.lr_at(step)
    optimizer.step()

# %%
theirs, _ = train("article", [SEED, SEED + 1], max_steps=SAME_STEPS)
apart = max((value - theirs.weights[name][0]).abs().max().item()
            for name, value in read_weights(ours).items())  # fmt: skip
claim("loop-equals-helpers", apart)

# %% [markdown]
# ## A seed that fails
#
# Not every start ends well. We train seed 7, and stop at the last step of the recipe if nothing else does.

# %%
FAILED = 7  # the first seed that fails
stuck, history = train("article", [FAILED])
print("steps:", history["steps"].item(), " criterion met:", history["stopped"].item())
print(f"right on {n_right(stuck, sequences).item():,} of 65,536")

# %%
course = history["accuracy"][:, 0].unfold(0, 15, 15).mean(-1)
P.show(
    P.lines(range(7, 7 + 15 * len(course), 15), dict(zip(T.OUTPUT_NAMES, course.T)), x_title="step",
            digits=3, y_title="accuracy in the batch", title=f"Seed {FAILED}: stuck",
            reference={"chance": 0.25}),
    says="Seven outputs are learnt and stay at one, but for a few short dips. y7 stays at one quarter to the end.",
)  # fmt: skip

# %%
P.show(
    P.bars(by_position(stuck, sequences)[0], y_title="accuracy on all sequences",
           title=f"Seed {FAILED} at the end, output by output", reference={"chance": 0.25}),
    says="y0 to y6 are right every time; y7 is right one time in four, which is guessing.",
)  # fmt: skip

# %%
claim("failing-seed-fails", n_right(stuck, sequences))
claim("failing-seed-guesses-one-output", abs(by_position(stuck, sequences)[0].min() - 0.25))

# %% [markdown]
# <details><summary>What did you see?</summary>
#
# One output never found its source and guesses. The other seven are perfect, and the loss has come to rest at one eighth of ln 4: moving the shared
# weights to help the eighth would disturb them. Another start helps; more steps do not. This is why the series says "on k of n
# seeds" wherever it says something about training.
# </details>
#
# ## Saved for later
#
# With `SAVE = True` at the top, the model trained here is written to `helpers/weights/`, with a note beside it: its
# configuration, seed, recipe, library versions and a checksum. Whoever runs this notebook unchanged gets the same
# weights as the ones that are stored:

# %%
if SAVE:
    info = {"kind": "article", "config": CONFIG, "seed": SEED, "recipe": vars(RECIPE), "steps": len(losses),
            "n_right": everywhere.item()}  # fmt: skip
    save(WEIGHTS / "article.safetensors", read_weights(model), info)
stored = read_weights(load_trained())
apart = max((value - stored[name]).abs().max().item() for name, value in read_weights(model).items())
claim("saved-is-this-one", apart)

# %% [markdown]
# ## Explore
#
# Train other models: choose the kind, the seed and the learning rate, press *Train*, and stop when you have seen enough. The figure is
# the run from above, and the explorer starts from it. Three things to try: seed 7, a rate ten times smaller, and `no_mlp`. (In Colab
# the *Stop* button cannot be heard while Python runs: interrupt the kernel instead.)

# %%
P.show(*E.training_figure("article", SEED, RECIPE.lr, losses, accuracies))

# %% tags=["nbval-ignore-output"]
E.explore_training(losses, accuracies)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell. The check shows it beside the target, and says what may have
# gone wrong. Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: half of the answer
#
# *★☆☆ easy, about 5 minutes.* A model is sure that the answer is 0 or 1, or that it is 2 or 3, and it is never wrong about that. Between the two it guesses. **Predict:** what is its loss,
# in nats per token? (Three digits are enough.)

# %%
my_loss_value = ...

X.check("03-half-known", my_loss_value)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_loss_value = -math.log(1 / 2)
# ```
#
# The right token always has the probability one half. The loss is the logarithm of two, half of that of a guess among four. Look
# for a slope of the loss curve that pauses near it.
# </details>

# %% [markdown]
# ### Exercise: the loss of the last eight tokens
#
# *★★☆ medium, about 10 minutes.* Write the loss of the training loop without `cross_entropy`: the mean of $-\log p$ of the right tokens, over $y_0 … y_7$ only. `logits` is
# `[batch, 16, 5]`, `tokens` is `[batch, 17]`. Careful with the places: at position 8 the model predicts the token at position 9.

# %%
def my_loss(logits, tokens):
    """One number: the mean loss in nats per output token."""
    return ...


X.check("03-loss", my_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(logits, tokens):
#     log_p = logits[:, 8:].log_softmax(-1)
#     of_the_right_token = log_p.gather(-1, tokens[:, 9:, None])
#     return -of_the_right_token.mean()
# ```
#
# `gather` picks from each row of logarithms the one of the right token. `cross_entropy` does both steps at once.
# </details>

# %% [markdown]
# ### Exercise: the falling rate
#
# *★★☆ medium, about 5 minutes.* The learning rate falls along half a turn of a cosine, from `top` at step 0 to zero at step `total`. Write it.

# %%
def my_rate(step, total, top):
    """The learning rate at this step."""
    return ...


X.check("03-rate", my_rate)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_rate(step, total, top):
#     return top * (1 + math.cos(math.pi * step / total)) / 2
# ```
#
# The cosine goes from 1 to -1 while its angle goes from 0 to pi. Adding 1 and halving makes that 1 to 0.
# </details>

# %% [markdown]
# ## What you have
#
# - You have written the loop and watched it run.
# - You have seen that the answers are learnt in turn, by seven outputs together, and y0 last.
# - You have a model that is right on all 65,536 sequences.
# - You have seen a seed that is stuck for good.
#
# **Open:** *how* does the model do it? **Next:** `04_attention` looks at where it looks.
