# %% [markdown]
# # 6 · Are we right?
#
# We have a picture of how the model works, and we like it.
# So it is time to be mean to it: we take parts of the model away, and say *before* each cut what will break.
#
# **Question:** Is the picture enough?
#
# **You will**
# - zero weights, and put them back;
# - predict from four lines which answers a cut destroys;
# - learn what zero, mean and resample ablation ask;
# - keep only the picture of what the parts write, and count;
# - find out whether the puzzle needs an MLP, and how typical our model is.
#
# **Time:** about 60 minutes, and 20 more for the exercises.
# **You should know:** the four lines ([05_mlp](05_mlp.ipynb)).
# **Before this:** [05_mlp](05_mlp.ipynb).
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
import numpy as np
import torch

from helpers import interventions, plotting, task
from helpers.evaluation import accuracy, by_position, n_right
from helpers.model import HOOKS, load_trained, load_zoo
from helpers.page import claim, compare, drawing, k_of_n, show
from lessons import lesson_06
from lessons import line as four_lines

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as ours

# %%
model, sequences = load_trained(), task.full_sequences()
tokens, answers = sequences[:, :16], sequences[:, 9:]
lines = four_lines.find_lines(model)
assert n_right(model) == len(sequences)  # exact, as 03 has found

# %% [markdown]
# ## The bluntest cut
#
# To take a part away is called **ablation**.
# The bluntest way is to overwrite weights with zeros.
# $W_{out}$ is the matrix through which the MLP writes into the stream, $W_O$ the one through which attention does.
# We zero the one, count, put it back, and do the same with the other.


# %%
def accuracy_without(weight):
    """Accuracy at each output while `weight` is zero; then it is put back."""
    backup = weight.clone()
    weight.zero_()
    shares = by_position(model)[0]
    weight.copy_(backup)
    return shares


block = model.blocks[0]
no_W_out = accuracy_without(block.mlp.W_out)
no_W_O = accuracy_without(block.attn.W_O)
assert n_right(model) == len(sequences), "a matrix was not put back"

# %%
figure = plotting.bars(
    {"without W_out (MLP)": no_W_out, "without W_O (attention)": no_W_O},
    y_title="accuracy, all inputs", title="Zeroed in place", reference={"guess": 0.25},
    colours=[plotting.PART_COLOURS["mlp"], plotting.PART_COLOURS["attention"]],
)  # fmt: skip
show(figure, "zeroed-in-place")
claim("zeroed-W_O", no_W_O.mean())
claim("zeroed-W_out", no_W_out.mean())

# %% [markdown]
# Without $W_O$ attention says nothing about the input, and every answer is a guess.
# With $W_{out}$ at zero the MLP still writes its bias, a constant, and more than three quarters are still right.
#
# ## Predict it from the lines
#
# Now we take that away, too: the MLP writes nothing at all.
# Here are the lines of each output, then, and the place of our input 32221200 (▼).

# %%
figure = four_lines.all_outputs(lines, task.EXAMPLE, mlp=0, verdicts=False)
show(figure, "eight-without-the-mlp")

# %% [markdown]
# At y2 and y7 the lines of 0 and 1 are nowhere the highest: no place there can say them.
# Elsewhere their pieces are narrow, and dots fall beside them.
#
# **Predict:** under each ▼, is the highest line that of the right answer?
# How many of the eight answers to our input stay right?

# %%
my_survivors = ...  # your answer: a number from 0 to 8 (or leave it)


# %%
def to_zero(value, hook):
    """A hook: (value, hook point) -> the new value."""
    return torch.zeros_like(value)


ours = task.full_sequences(task.read_tokens(task.EXAMPLE))
no_mlp = [(HOOKS["mlp_out"], to_zero)]
says = model.run_with_hooks(ours[:, :16], fwd_hooks=no_mlp)[0, 8:].argmax(-1)
print("right answers:  ", *ours[0, 9:].tolist())
print("without the MLP:", *[task.TOKEN_NAMES[token] for token in says])
compare(my_survivors, (says == ours[0, 9:]).sum())

# %% [markdown]
# Five survive.
# y0 and y7 say what the lines said, the answer to another digit.
# At y1 the lines saw no mistake: there our source lies where all lines cross, and the fifth one, that of BOS, is close.
# In the model it wins.
#
# On all inputs:

# %%
says = model.run_with_hooks(tokens, fwd_hooks=no_mlp)[:, 8:].argmax(-1)
same = says == lines.predicts(mlp=0)
of_wrong = same[says != answers].double().mean()
print(f"of the wrong answers alone the lines foretell {of_wrong:.1%}")
claim("lines-foretell-the-answers", same.double().mean())

# %% [markdown]
# The lines predict nearly every answer of the broken model, right or wrong.
#
# Let us try more cuts.
# For each, we ask the lines first, and then the model.

# %%
half_mean = interventions.mean_of(model, "mlp_out") / 2
cuts = {  # what is done: (what the lines say, what is done to the model)
    "MLP zero": (lines.predicts(mlp=0), {"mlp_out": torch.zeros(1)}),
    "MLP: half its mean": (lines.predicts(mlp=0.5), {"mlp_out": half_mean}),
    "MLP: its mean": (lines.predicts(), {"mlp_out": 2 * half_mean}),
    "MLP: half": (lines.predicts(mlp=0.5), {"mlp_out": lambda value, _: value / 2}),
}
predicted, counted = [], []
for lines_say, edits in cuts.values():
    predicted.append((lines_say == answers).double().mean().item())
    counted.append(by_position(interventions.intervene(model, edits)).mean().item())

# %%
figure = plotting.bars(
    {"by the lines": predicted, "by the model": counted},
    x=[name.replace(": ", ":<br>") for name in cuts],
    x_title="what was done",
    y_title="accuracy, all inputs",
    title="Predicted, then counted",
)
show(figure, "predicted-then-counted")
misses = [abs(a - b) for a, b in zip(predicted, counted)]
claim("lines-foretell-accuracy", max(misses[:3]))
claim("lines-miss-half", misses[3])

# %% [markdown]
# Three of four are predicted well.
# (The lines get their dots from the running model, so this is one reduced model against the whole one, not a prophecy from the weights.)
#
# The fourth is a miss, and we learn from it.
# *Half of what the MLP writes* is not *half of its mean*.
# So what the MLP writes does depend on the input, and at half strength that decides.
# At full strength, is it needed?
#
# ## Zero, mean, resample: three questions
#
# There are three ways to silence a part, and they ask different things.
#
# - **Zero**: it writes nothing. Is its output needed?
# - **Mean**: it writes its mean over all inputs. Must its output *vary* with the input?
# - **Resample**: it writes what it would write for *another* input. Does it matter that the message belongs to this one? ([Chan et al. 2022](https://www.alignmentforum.org/posts/JvZhhzycHu2Yd57RN/causal-scrubbing-a-method-for-rigorously-testing))
#
# **Predict:** zeroing the MLP costs this model a third of its answers, its mean hardly any.
# What share stays right when the MLP is resampled?

# %%
my_resampled = ...  # your answer: a share from 0 to 1 (or leave it)

# %%
shuffled = np.random.default_rng(0).permutation(len(sequences))


def to_mean(value, hook):
    return value.mean(0, keepdim=True).expand_as(value)


def to_another(value, hook):
    return value[shuffled]


# %%
kept = {"attention": [], "mlp": []}
for part, place in (("attention", HOOKS["attn_out"]), ("mlp", HOOKS["mlp_out"])):
    for hook in (to_zero, to_mean, to_another):
        logits = model.run_with_hooks(tokens, fwd_hooks=[(place, hook)])
        kept[part].append(accuracy(logits, sequences).mean())
figure = plotting.bars(
    kept, x=["zero", "mean", "resample"], x_title="what replaces the output",
    y_title="accuracy, all inputs", title="Three ablations",
    colours=plotting.PART_COLOURS,
)  # fmt: skip
show(figure, "three-ablations")
compare(my_resampled, kept["mlp"][2])

# %% [markdown]
# The output of the MLP is needed (zero), and hardly has to vary (mean).
# What it writes for another input is sometimes wrong (resample).
# Attention is different: whichever way it is silenced, the answers are gone.
#
# None of them asks whether *some* constant would do.
# In 934 exact models that is decided ([beyond/mechanisms](beyond/mechanisms.ipynb)): zero and resample get it wrong at half of the outputs, the mean at a third ([beyond/tools](beyond/tools.ipynb)).
#
# ## The complete circuit
#
# Now the bet of this series.
#
# We believe that the model works like this:

# %%
drawing("circuit")

# %% [markdown]
# 1. **Input.** Each token becomes a vector, and its position adds another.
# 2. **Attention** looks at the source (and y0 looks away from a 3), and writes *one number*, the place.
# 3. **The MLP** lifts the four lines. The same for every input: *one constant vector* for each output.
# 4. **The unembedding** says whose line is the highest at that place.
#
# If this is enough, then everything else that the two parts *write* can go.
# So we build a **reduced model**: attention may write its mean and one number, the MLP may write its mean.
# Nothing else is left of what either writes.
#
# **Place your bet:** how many of the 65,536 inputs does it still answer wholly right?

# %%
my_bet = ...  # a number from 0 to 65536 (or leave it)

# %%
one_number, _ = interventions.one_direction(model)
one_constant = interventions.mean_of(model, "mlp_out")
reduced = {
    "attention: one number": {"attn_out": one_number},
    "MLP: one constant": {"mlp_out": one_constant},
    "both": {"attn_out": one_number, "mlp_out": one_constant},
}
left = {}
for name, edits in reduced.items():
    left[name] = n_right(interventions.intervene(model, edits)).item()

# %%
figure = plotting.bars(
    list(left.values()),
    x=list(left),
    x_title="all that is left",
    y_title="inputs wholly right",
    reference={"all there are": len(sequences)},
    title="What the reduced model still knows",
)
show(figure, "the-complete-circuit")
print(*(f"{name}: {n:,}" for name, n in left.items()), sep=" · ")
compare(my_bet, left["both"])
claim("circuit-is-enough", left["both"])

# %% [markdown]
# **All of them.**
#
# One number from attention, one constant from the MLP, and not a single answer is lost.
# (With the constant alone about a thousand inputs go wrong. Take away what attention writes beside its one number, and they are right again.
# And the bias of the last layer norm is needed: the bare lines lose 1,536 inputs, all at y6.)
#
# <details><summary>Does that mean that the MLP writes a constant?</summary>
#
# No.
# It means that a constant *can replace* it.
# What the MLP really writes varies with the input, as the miss above has shown.
# </details>
#
# ## Can one know it without counting?
#
# Counting works because our list is short.
# For a model with a longer input nobody can count.
# But one can **prove**: fix the few tokens that matter to an answer (that is one *case*), and bound what all others together could do.
# If even the worst is right, everything is.
# (Rounding is in it: in whatever order one adds, what floats lose changes no answer.)

# %%
from research.proof import UNITS, prove

proofs = [prove(model, unit) for unit in UNITS.values()]  # floats of 64 and 32 bits
print(f"{proofs[0].cases} cases in place of {len(sequences):,} inputs")
claim("proof-seed-0", all(proof.proved for proof in proofs))

# %% [markdown]
# [beyond/proof](beyond/proof.ipynb) explains how, and proves the picture (another constant at y0): whatever else the parts write can be turned down.
#
# ## Does the puzzle need an MLP?
#
# Our model breaks when its MLP is zeroed.
# So the MLP is needed?
#
# By *this model*, yes: it grew up with one.
# But what does the *puzzle* need?
# No ablation can answer that.
# We must train a model without the part.
#
# That was your bet in [01_dataset](01_dataset.ipynb).
# **Bet again**, knowing what you know: of 32 seeds without an MLP, how many become exact?

# %%
my_exact_without_mlp = ...  # your answer: a number from 0 to 32 (or leave it)

# %%
kinds = {
    "as ours": "article", "without MLP": "no_mlp",
    "without layer norm": "no_layernorm", "without both": "no_mlp_no_layernorm",
}  # fmt: skip
n_exact = {name: load_zoo(kind).exact.sum().item() for name, kind in kinds.items()}
figure = plotting.bars(
    list(n_exact.values()), x=list(kinds), x_title="trained",
    y_title="exact seeds, of 32", title="Which models learn the puzzle?",
)  # fmt: skip
show(figure, "which-models-learn-it")
compare(my_exact_without_mlp, n_exact["without MLP"])
claim("no-mlp-learns-it", n_exact["without MLP"])

# %% [markdown]
# The puzzle never needed the MLP.
# Heights can come from elsewhere, for instance from what the position adds.
# (How those models do it, we have not looked.)
#
# **Reliance is not necessity.**
# Ablation tells what a trained model relies on.
# What a task needs, only training without the part can tell.
#
# ## And the other seeds?
#
# All this was one model.
# We trained 1,024 more and measured each of them ([beyond/seeds](beyond/seeds.ipynb)).
# Do they work like ours?
#
# First the picture.
# It has 32 dots, four for each output.
# In our model all 32 lie under the line of their successor.
# And in the exact ones of the thousand?

# %%
from research import survey

thousand = survey.exact_models()
dots = survey.values(thousand, "dots").sum(1)
figure = plotting.bars(
    dots.bincount(minlength=33).tolist(), x=list(range(33)), y_title="exact models",
    x_title="dots of 32 that lie right", title="Four lines, in other exact models",
)  # fmt: skip
figure.update_xaxes(dtick=4)
show(figure, "dots-of-a-thousand")
claim("dots-in-the-middle", dots.median())

# %% [markdown]
# Ours is at the far right, where there is a second peak: about one exact model in twelve has all 32.
# In most others many dots miss.
# So this picture, one number and the MLP's mean, is not the story of every model.
# What is?

# %%
tests = ("ideal", "attn_mean", "line", "plane", "mlp_mean", "line_mean")
whole = {name: survey.right(thousand, name) for name in tests}  # [model, output]
questions = {
    "y1 to y7: all weight on the source is enough": whole["ideal"][:, 1:].all(1),
    "y0: all weight on the source is enough": whole["ideal"][:, 0],
    "y0 does not need what attention says": whole["attn_mean"][:, 0],
    "one number from attention is enough": whole["line"].all(1),
    "two numbers (of three) are enough": whole["plane"].all(1),
    "the MLP's mean is enough": whole["mlp_mean"].all(1),
    "one number, and the MLP's mean": whole["line_mean"].all(1),
}

# %%
right = [survey.values(thousand, f"{w}_zero").sum(1) for w in ("W_O", "W_out")]
questions["W_O zero costs more than W_out zero"] = right[0] < right[1]
rows = [[name, k_of_n(mask.sum(), len(mask))] for name, mask in questions.items()]
plotting.table(rows, ["question", "exact models"], "Exact models of 1,024 other seeds")

# %% [markdown]
# Looking at the source is enough for y1 to y7 in most models, and two numbers from attention in nearly all.
# One number is enough in fewer than half, and the MLP's mean in few.
#
# Seed 0 is one kind of several, and a simple one.
# Had we opened another one, we would have told another story, and believed it just as much.
# **One model to learn on, many to believe.**
#
# <details><summary>What would a second layer add?</summary>
#
# In one layer, attention can only fetch what stands in the input.
# With two, the second layer can look for what the first has *written*: heads work together, which is called **composition**.
# The famous example is the **induction head**: a first head notes at each token which token stood before it; a second head looks for "where was my token before?", and copies what came next.
# One layer cannot do that. It is where Elhage et al. ([2021](https://transformer-circuits.pub/2021/framework/index.html)) go next.
# </details>
#
# ## Explore
#
# Switch off attention, the MLP or one neuron, and see the accuracy (left) and the logits of one input (right).
# Which neurons matter?

# %%
figure, says = lesson_06.ablation_figure(model)
show(figure, says=says)

# %% tags=["nbval-ignore-output"]
lesson_06.explore_ablation(model)

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: whose answer?
#
# *★★☆ medium, 5 minutes.*
# What attention writes is replaced by what it writes for *another* input.
# On what share of y1 to y7 does the model now give the other input's answer?

# %%
my_share = ...

lesson_06.check("06-other-sequence", my_share)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_share = 1.0
# ```
#
# The place is the other input's, and the answer follows it.
# </details>

# %% [markdown]
# ### Exercise: an experiment, one position
#
# *★★☆ medium, 15 minutes.*
# With a hook of your own, let attention write its mean at *one* position only, the one that predicts y3.
# How many of the 65,536 inputs are still answered wholly right?
# Predict, then count.

# %%
my_count = ...  # a number of inputs

lesson_06.check("06-one-position", my_count)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mean_at_y3(value, hook):
#     value[:, 11] = value[:, 11].mean(0)
#     return value
#
# hooks = [(HOOKS["attn_out"], mean_at_y3)]
# logits = model.run_with_hooks(tokens, fwd_hooks=hooks)
# my_count = (logits[:, 8:].argmax(-1) == answers).all(-1).sum()
# ```
#
# A quarter: y3 is right by chance one time in four, and the other seven do not notice.
# </details>

# %% [markdown]
# <details><summary>Appendix: what the article says, and what was found</summary>
#
# This series grew from an [article](https://kutay25.github.io/jekyll/update/2025/03/18/toy-transformer.html) with the same puzzle and the same model.
# We have tried each of its steps.
#
# the article | here
# ---|---
# shuffles its sequences before it splits them | its code does not: the sample that it prints is row 60,000 of the sorted list, our input
# each output looks at its source | mostly; and looking is not yet an explanation (04)
# attention reverses, the MLP adds 1 | not in seed 0: two sorted lists (05)
# reads the stream with the unembedding alone | the last layer norm is part of the reading (`beyond/more` shows what it changes)
# zeroes W_out and W_O in one model, measured on the tail of the list | on all inputs, and in a thousand models
# calls the loss of attention the more severe one | it is, in nearly all models; the article's own two figures say the opposite
# +1 mod 4 needs the MLP | models without one learn it
# </details>
#
# ## The end, and your turn
#
# Our transformer does what a chatbot does: it predicts the next token.
# It has 360 numbers in place of billions, and so we could do what nobody can do there: look at all of it, and check every sentence on every input.
#
# What carries over to large models are habits:
#
# - say what you expect, before you look;
# - do not trust a picture: change the model;
# - know which question your ablation asks;
# - throw everything else away, and see what is left;
# - ask more than one seed.
#
# **Not shown:** that a larger model works like this one; what another recipe would find.
#
# ## What you have
#
# - You have zeroed weights, and put them back.
# - You have predicted from four lines which answers a cut destroys.
# - You have learnt what zero, mean and resample ablation ask.
# - You have kept only the picture of what the parts write, and lost nothing.
# - You have found that the puzzle needs no MLP, and that our model is one kind of several.
#
# **Answer:** it is *enough*, not all: one number from attention and one constant from the MLP give all 65,536 answers, though what they really write varies more. For *this* model.
#
# **Your turn:** take another seed. `load_zoo("article").bridge(1)` opens one in which the picture fails. Put it in place of `model` in 04, and start with its mean pattern: what does it do instead?
# [beyond/seeds](beyond/seeds.ipynb) has the tools, [beyond/proof](beyond/proof.ipynb) the proofs, and [beyond/more](beyond/more.ipynb) what did not fit.
# For larger models: Neel Nanda's [pages](https://www.neelnanda.io/mechanistic-interpretability), BlueDot's [AI Safety course](https://bluedot.org), for which the article was written, and [Nanda et al. 2023](https://arxiv.org/abs/2301.05217), a toy model taken apart whole.
