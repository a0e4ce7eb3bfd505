# %% [markdown]
# # 5 · Who adds 1?
#
# The obvious story has two people in it: attention fetches the digit, and the MLP adds 1.
# If so, the stream holds the *old* digit just before the MLP, and the new one just after.
# We only have to look.
#
# **Question:** Who adds 1?
#
# **You will**
# - read the stream before and after the MLP, on all inputs;
# - cut all that attention says down to a single number;
# - draw four straight lines, and see the +1 in them;
# - find four heights yourself.
#
# **Time:** about 50 minutes, and 20 more for the exercises.
# **You should know:** residual stream, layer norm and logits ([02_transformer](02_transformer.ipynb)).
# **Before this:** [04_attention](04_attention.ipynb).
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
import torch

from helpers import plotting, task
from helpers.evaluation import accuracy
from helpers.model import HOOKS, load_trained
from helpers.page import claim, compare, drawing, show
from lessons import lesson_05
from lessons import line as four_lines

torch.set_grad_enabled(False)
torch.set_num_threads(1)  # quicker for tensors as small as ours

# %%
model, sequences = load_trained(), task.full_sequences()
tokens, answers = sequences[:, :16], sequences[:, 9:]
sources = sequences[:, 1:9].flip(1)  # [sequence, output]
parts = ("attn_out", "mlp_out", "resid_mid", "resid_post")
kept = [f"blocks.0.hook_{part}" for part in parts]
logits, cache = model.run_with_cache(tokens, names_filter=kept)  # all 52 take memory
before, after = (cache[name, 0][:, 8:] for name in ("resid_mid", "resid_post"))
assert (accuracy(logits, sequences) == 1).all()  # exact, as 03 has found

# %% [markdown]
# ## Does the stream hold the old digit before the MLP?
#
# Here is a famous trick, the **logit lens** ([nostalgebraist 2020](https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens)).
# Stop the model in the middle, and ask: *if you had to answer now, what would you say?*
# All it takes is to read an early stream as if it were the last: last layer norm, then unembedding.
#
# **Before you run it:** on all inputs, how often does the stream before the MLP say the *source*, the old digit?

# %%
my_share = ...  # your answer: a share from 0 to 1 (or leave it)


# %%
def logit_lens(stream):
    """The logits of a stream [..., d_model], read as the model reads its last one."""
    return model.ln_final(stream) @ model.W_U


row = int(task.number(torch.tensor(task.read_tokens(task.EXAMPLE))))
table = []
for i, name in enumerate(task.OUTPUT_NAMES):
    said = [logit_lens(stream[row, i]).argmax() for stream in (before, after)]
    said = [task.TOKEN_NAMES[token] for token in said]
    table.append([name, sources[row, i].item(), *said, answers[row, i].item()])
header = ["output", "source", "before the MLP", "after the MLP", "right answer"]
plotting.table(table, header, f"What the logit lens reads, input {task.EXAMPLE}")

# %% [markdown]
# That is one input, our own.
# On all of them:

# %%
says_before = logit_lens(before).argmax(-1)
says_after = logit_lens(after).argmax(-1)
read = {
    "before: the source": (says_before == sources).double().mean(0),
    "before: the right answer": (says_before == answers).double().mean(0),
    "after: the right answer": (says_after == answers).double().mean(0),
}
figure = plotting.bars(read, y_title="share of all inputs", title="What the lens reads")
show(figure, "lens")
compare(my_share, read["before: the source"].mean())
claim("before-mlp-not-the-source", read["before: the source"].mean())
claim("before-mlp-often-right", read["before: the right answer"].mean())

# %% [markdown]
# Never!
# Before the MLP, the stream does not say the old digit on a single input.
# And at two answers of three it says the *new* one already, before the MLP has done anything.
#
# So the obvious story is in trouble.
# But careful: something can be in the stream without being said.
# A **linear probe** asks in another way: can *some* straight cut through the stream tell the sources apart?


# %%
def probe(stream, labels):
    """How often a linear classifier, fitted to them, gives the right label."""
    classifier = torch.nn.Linear(4, 4, dtype=torch.float64)
    adam = torch.optim.Adam(classifier.parameters(), lr=0.3)
    with torch.enable_grad():
        for _ in range(600):
            loss = torch.nn.functional.cross_entropy(classifier(stream), labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return (classifier(stream).argmax(-1) == labels).double().mean().item()


# %%
torch.manual_seed(0)
some = slice(None, None, 17)  # every 17th input is enough: all digits, everywhere
for name, labels in {"source": sources, "own token": tokens[:, 8:]}.items():
    found = [probe(before[some, i], labels[some, i]) for i in range(8)]
    print(f"the {name} can be told apart, y0 to y7:", found)
    assert min(found) == 1

# %% [markdown]
# Perfectly, and so can the token that stands there itself.
# So the source *is* there; the model just does not read it as the old digit.
# (A probe cannot say *who* adds 1: whoever knows the old digit knows the new one, too.)
#
# ## Who speaks for the right answer?
#
# The stream is a sum, so we can ask each part for its share.
# If the last layer norm divides by what it divides by here, each logit is a sum, too, with one term for each part.
# This is **direct logit attribution**.
# We take the right logit, compared with the mean of all four.

# %%
size = (after.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
written = {"embedding": model.W_E[tokens[:, 8:]]}
written["position"] = model.W_pos[8:16].expand_as(after)
written["attention"], written["mlp"] = cache["attn_out", 0], cache["mlp_out", 0]
speaks = {}
for name, part in written.items():
    part = part[:, -8:]  # at the outputs
    centred = (part - part.mean(-1, keepdim=True)) / size
    added = ((centred * model.ln_final.weight) @ model.W_U)[..., :4]
    right = added.gather(-1, answers[..., None])[..., 0]
    speaks[name] = (right - added.mean(-1)).mean(0)

# %%
figure = plotting.bars(
    speaks,
    y_title="logit",
    colours=plotting.PART_COLOURS,
    title="Who adds to the right logit, in the mean",
)
show(figure, "attribution")
shares = {name: value.mean().item() for name, value in speaks.items()}
claim("attention-adds-most", shares["attention"] / sum(shares.values()))

# %% [markdown]
# Attention!
# It does not hand over the old digit for somebody else to increase: it speaks for the *new* digit.
# How can it know?
#
# (Mind the mean: a part that always adds the same speaks for one answer and against another, and that cancels here. A short bar is not a small part.)
#
# ## How much does attention have to say?
#
# At each output attention writes four numbers.
# Let us look at all that it writes, on all inputs, less the mean of each output.
# That is a cloud of half a million points.
# Is it round, like a ball, or long, like a cigar?
# The **singular value decomposition** finds the direction in which it is longest.

# %%
attn_out = cache["attn_out", 0][:, 8:]
mean_written = attn_out.mean(0)  # [output, d_model]
cloud = attn_out - mean_written
cloud = cloud - cloud.mean(-1, keepdim=True)  # layer norm takes the mean away
_, sizes, directions = torch.linalg.svd(cloud.flatten(0, 1), full_matrices=False)
claim("attention-writes-on-a-line", sizes[0] ** 2 / (sizes**2).sum())

# %% [markdown]
# It is a needle.
# Nearly all that attention writes lies along *one* direction.
#
# Then perhaps the rest does not matter at all?
# We test it with a hook that keeps the mean and one number, how far along the direction, and throws everything else away.

# %%
lines = four_lines.find_lines(model)  # the same direction, with a fixed sign
direction = lines.direction
assert abs(direction @ directions[0]) > 1 - 1e-9


def keep_one_number(value, hook):
    place = (value[:, 8:] - mean_written) @ direction
    value[:, 8:] = mean_written + place[..., None] * direction
    return value


hooks = [(HOOKS["attn_out"], keep_one_number)]
kept = accuracy(model.run_with_hooks(tokens, fwd_hooks=hooks), sequences)
claim("one-number-is-enough", kept.min())

# %% [markdown]
# Every answer stays right, on every input.
# **Attention needs to say a single number.**
# We call it the *place* of the source.
# (In papers: the projection on the first principal direction of attention's output.)
#
# So where does each source lie?

# %%
places = (attn_out - mean_written) @ direction  # [sequence, output]
each = [[places[sources[:, i] == t, i].mean() for t in range(4)] for i in range(8)]
mean_place = torch.tensor(each, dtype=torch.float64)  # [output, source]
figure = plotting.bars(
    {f"source {t}": mean_place[:, t] for t in range(4)}, y_title="place",
    colours=plotting.TOKEN_COLOURS, title="Where attention writes each source",
)  # fmt: skip
show(figure, "places")
order = mean_place.argsort(-1)
print("from left to right, y0 to y7:", *order.tolist())
assert (order == torch.tensor([1, 3, 0, 2])).all()

# %% [markdown]
# At all eight outputs the order is the same: **1, 3, 0, 2**.
# A strange order.
# Why would anybody sort four digits like that?
#
# ## Four straight lines
#
# What happens to a place on its way to an answer?
# At each output, the stream is a fixed vector, plus the place times the direction.
# (Not quite: the token that stands at the position itself varies. We take its mean.)
# Before the last layer norm divides, each logit is a weighted sum of the stream.
# So each logit is *a fixed number plus the place times another fixed number*.
#
# That is a straight line.
# Four digits, four straight lines over the place, and **the highest line is the answer**.
# (Layer norm then divides all of them by the same number, which does not change who is highest.)
#
# Each line has a **height** (where it is at place 0) and a **slope** (how steeply it rises).
# Let us compute them from the weights, for y1, with nothing from the MLP yet:

# %%
reader = (model.W_U.T * model.ln_final.weight)[:4]  # of each digit: [4, d_model]
reader = reader - reader.mean(-1, keepdim=True)
own_token = (model.W_E[:4, None] + model.W_pos[8:16]).mean(0)  # [output, d_model]


def relative(values):
    """Less the mean of the four: only differences between lines matter."""
    return values - values.mean()


slope = relative(reader @ direction)
height = relative(reader @ (own_token + mean_written)[1])
rows = [[f"answer {t}", f"{height[t]:.0f}", f"{slope[t]:.1f}"] for t in range(4)]
plotting.table(rows, ["", "height", "slope"], "The four lines of y1, without the MLP")

# %% [markdown]
# Now you can compute what the model would say.
# At y1, source 3 lies at the place −3.2.
#
# **Before you look:** which line is the highest there? (The right answer would be 0.)

# %%
my_answer = ...  # 0, 1, 2 or 3 (or leave it)

# %%
at_source_3 = height + mean_place[1, 3] * slope
print("the four lines at source 3:", plotting.numbers(at_source_3, 0))
compare(my_answer, at_source_3.argmax())

# %% [markdown]
# Here is the picture.
# Where a line is the highest, it is thick: that is its *piece*.
# Each source is a dot, drawn *on the line of its successor*, the line that should win there.
# In the upper panel the MLP is silent, in the lower one it writes its mean.

# %%
figure = four_lines.figure(lines, output=1, mlp=(0, 1))
show(figure, "four-lines")

# %% [markdown]
# Look at the lower panel.
# The dot of 1 lies where the line of 2 is the highest.
# The dot of 3 lies where 0 is, the dot of 0 where 1 is, and the dot of 2 where 3 is.
#
# **That is the +1.**
#
# Nobody adds anything.
# There are two sorted lists:

# %%
print("sources, by their place from left to right:", *mean_place[1].argsort().tolist())
print("answers, by their slope from low to high:  ", *slope.argsort().tolist())
successors = (mean_place[1].argsort() + 1) % 4
claim("two-sorted-lists", torch.equal(successors, slope.argsort()))

# %% [markdown]
# Each digit stands opposite its successor.
# Attention sorts the sources 1, 3, 0, 2; the unembedding sorts the answers 2, 0, 1, 3.
# That is why the strange order: it does not matter *which* order it is, as long as the two lists agree.
# And they must: along the highest of several straight lines, the slope can only grow from left to right.
#
# ## What does the MLP do, then?
#
# Compare the two panels.
# The slopes are the same, as they must be: a fixed vector cannot change a slope.
# What changes are the heights.

# %%
mlp_mean = cache["mlp_out", 0][:, 8:].mean(0)  # [output, d_model]
with_mlp = relative(reader @ (own_token + mean_written + mlp_mean)[1])
rows = [[f"answer {t}", f"{height[t]:.0f}", f"{with_mlp[t]:.0f}"] for t in range(4)]
print("dots of source 0, 1, 2, 3:   ", plotting.numbers(mean_place[1], 1))
print("slopes of answer 0, 1, 2, 3: ", plotting.numbers(slope, 1))
header = ["height of", "without the MLP", "with its mean"]
plotting.table(rows, header, "What the MLP lifts")

# %% [markdown]
# The MLP lifts 0 and 1, and presses 2 down.
# The two pieces in the middle become wider, and the dot of 3 comes to lie on one of them.
# In the picture the MLP need not know which digit it is dealing with: it adds the same vector for every input.
#
# All eight outputs, with our input marked (▼):

# %%
figure = four_lines.all_outputs(lines, task.EXAMPLE)
show(figure, "eight-times-four-lines")

# %% [markdown]
# Eight times the same slopes and the same order of dots.
# The heights differ, and how far the dots lie apart.
#
# ## Is the picture true?
#
# A picture must be able to fail.
# At y1, does it give the right answer to every input?
#
# One thing is missing in it: the last layer norm also *adds* something after it has divided, its bias.
# That adds up to 5 to a logit, and where two lines are close it can decide.

# %%
for name, bias in {"the lines": False, "with the bias": True}.items():
    right = lines.predicts(mlp=1, bias=bias)[:, 1] == answers[:, 1]
    print(f"{name}: y1 is right on {right.sum():,} inputs")
claim("picture-is-right-at-y1", right.sum())

# %% [markdown]
# At y1 both are right, on every input.
# (From here on, every ✓ is judged with the bias. Where it decides, [06_ablation](06_ablation.ipynb) says.)
#
# ## Why do fitting heights always exist?
#
# The heights came out right in training.
# Was that luck?
# No: if the dots and the slopes are sorted alike, there are *always* heights that work.
#
# Two neighbouring lines cross once.
# Lift one of them, and the crossing moves.
# So you can put each crossing between two dots, and each dot gets a piece of its own.
#
# Or think of a bowl, and hold a ruler against it from below, at each dot.
# A ruler touches the bowl at its own dot and lies below it everywhere else, so at each dot its own ruler is the highest.
# (The bowl is made up for the slopes of y1; the model's own heights are others.)

# %%
figure = four_lines.bowl(lines, output=1)
show(figure, "bowl")

# %% [markdown]
# That is all it takes: **sort the sources as their successors are sorted, and lift the lines.**
# (The bias, the line of BOS, and dots that are small clouds disturb this a little. How often it holds in a thousand models, [beyond/seeds](beyond/seeds.ipynb) counts.)
#
# ## The plateaus, once more
#
# In [03_training](03_training.ipynb) the model paused on plateaus.
# Now we can see what it did there.
# We train again, stop at step 130, and ask what it gives to each answer:

# %%
from helpers.training import train

young, _ = train("article", [0], max_steps=130)
probabilities = young(sequences[::7])[0, :, 1:].softmax(-1)  # at y1 to y7
asked = answers[::7, 1:]
table = torch.stack([probabilities[asked == t].mean(0) for t in range(4)])
figure = plotting.heatmap(
    table[:, :4], x=list("0123"), y=list("0123"), text=True, top=1, unit="probability",
    x_title="probability given to", y_title="right answer",
    title="The model at step 130, y1 to y7",
)  # fmt: skip
show(figure, "at-step-130")

# %% [markdown]
# It knows "0 or 2", and it knows "1 or 3", and gives each of the two about one half.
# Why just these pairs?
# Look at the order of the answers, from left to right: 2, 0, 1, 3.
# The pairs are its left half and its right half.
# It looks as if the model learnt *left or right* first, and later where in the half.
#
# ## Explore
#
# Slide the strength of the MLP, and watch the lines rise and fall.
# At which strength does the dot of 3 get its piece, at y1?

# %%
figure = four_lines.slider(lines, output=1)
show(figure, "four-lines-slider")

# %% tags=["nbval-ignore-output"]
lesson_05.explore_lines(model)

# %% [markdown]
# ## Exercises
#
# Replace each `...` and run the cell.

# %% [markdown]
# ### Exercise: whose line is the highest?
#
# *★☆☆ easy, 5 minutes.*
# Four lines have the heights `starts` at place 0, and `slopes`, both `[4]`.
# Which line is the highest at each of the `places` `[n]`?


# %%
def my_answers(places, starts, slopes):
    """Tokens [n]."""
    return ...


lesson_05.check("05-regions", my_answers)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_answers(places, starts, slopes):
#     heights = starts + places[:, None] * slopes  # [n, token]
#     return heights.argmax(-1)
# ```
# </details>

# %% [markdown]
# ### Exercise: an experiment, find four heights
#
# *★★☆ medium, 15 minutes.*
# Be the MLP.
# The dots and the slopes of y1 stand above the table *What the MLP lifts*; choose the heights of the four lines, so that each source gets its successor.
# The check puts your heights into the model, in place of its MLP, and draws the lines.

# %%
my_heights = ...  # four numbers: the heights of answers 0, 1, 2 and 3

lesson_05.check("05-heights", my_heights)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Lift 0 and 1, the two in the middle, until their pieces are wide enough, and no more.
#
# ```python
# my_heights = [30, 25, -40, -40]
# ```
# </details>

# %% [markdown]
# ## What you have
#
# - You have read the stream before and after the MLP: it never says the old digit.
# - You have cut all that attention says down to a single number.
# - You have drawn four straight lines, and seen the +1 in them.
# - You have found four heights yourself.
#
# **Answer:** nobody adds 1. Attention writes the sources in the order 1, 3, 0, 2; the answers' lines are sorted 2, 0, 1, 3; each digit stands opposite its successor. The MLP lifts the lines until every dot lies under the right one.
#
# The picture to remember:

# %%
drawing("line")

# %% [markdown]
# **Open:** we have a picture, and we like it. That is dangerous.
# Is it *all* that the model does?
# In [06_ablation](06_ablation.ipynb) we throw everything else away, and bet on what is left.
