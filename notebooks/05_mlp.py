# %% [markdown] tags=["badge"]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/YOUR_ACCOUNT/from-zero-to-interpretability/blob/main/notebooks/05_mlp.ipynb)

# %% [markdown]
# # 5 · What the MLP does
#
# The clean story says: attention fetches the source, the MLP adds 1.
# If that is so, and if the old token stands there in the form that the unembedding reads, then the residual stream says the *old* token just before the MLP and the new one just after it.
# The stream can be read at both places.
#
# **You will**
# - read the stream before and after the MLP, in the right way and in a common wrong way;
# - count over all sequences what each reading gets right;
# - find what attention writes, and keep only one number of it;
# - draw the work of the MLP whole, replace it by a constant, and see what each of its neurons does;
# - split the logits into what each part wrote, and ask the other seeds.
#
# **Time:** about 40 minutes.
# **You should know:** residual stream, layer norm and logits (`02_transformer`).
# **Before this:** `04_attention`.
# **Next:** `06_ablation`.

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
import numpy as np
import torch

from helpers import interventions as I
from helpers import plotting as P
from helpers import task as T
from helpers.evaluation import by_position, hits, n_right
from helpers.model import Zoo, load_trained, load_zoo
from helpers.reader import exercises as X
from helpers.reader import explorers as E
from helpers.reader.claims import claim

torch.set_grad_enabled(False)
model = load_trained()
sequences = T.full_sequences()
claim("exact-05", n_right(model)[0])

# %% [markdown]
# ## Reading the stream early
#
# The **logit lens** (nostalgebraist 2020) asks: if the model had to answer now, what would it say?
# It takes the stream at some point and applies what normally comes at the end: the last layer norm, then $W_U$.

# %%
def logit_lens(stream):
    """Logits from a stream [..., d_model], read out as the model reads its last one."""
    return model.ln_final(stream) @ model.W_U


attn_name, mlp_name = "blocks.0.hook_attn_out", "blocks.0.hook_mlp_out"
wanted = [attn_name, mlp_name, "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post",
          "blocks.0.mlp.hook_post"]
logits, cache = model.run_with_cache(sequences[:, :16], names_filter=wanted)
before, after = cache["resid_mid", 0][:, 8:], cache["resid_post", 0][:, 8:]
print("before the MLP", tuple(before.shape), " after", tuple(after.shape))

# %% [markdown]
# One sequence, output by output: the source token, the right answer, and both readings.

# %%
example = 12345
rows = []
for i, name in enumerate(T.OUTPUT_NAMES):
    row = [name, sequences[example, 8 - i].item(), sequences[example, 9 + i].item()]
    for stream in (before, after):
        p = logit_lens(stream[example, i]).softmax(-1)
        row += [" ".join(f"{v:.0%}" for v in p[:4].tolist()), p.argmax().item()]
    rows.append(row)
four = "p(0) p(1) p(2) p(3)"
readings = [f"before: {four}", "says", f"after: {four}", "says"]
P.table(rows, ["output", "source", "right", *readings])

# %% [markdown]
# **Before you count:** over all sequences, how often does the reading before the MLP give the *source* token, as the clean story says?
# And how often the right answer?

# %%
predicted = {"source token": 1.0, "right answer": 0.0}  # the clean story

# %%
answers, sources = sequences[:, 9:], sequences[:, 1:9].flip(1)
says_before, says_after = logit_lens(before).argmax(-1), logit_lens(after).argmax(-1)
measured = {
    "source token": (says_before == sources).double().mean(0),
    "right answer": (says_before == answers).double().mean(0),
}
title = "The stream before the MLP, read with the logit lens"
figure = P.bars(measured, y_title="share of all sequences", title=title,
                reference={"chance": 0.25})
show(
    figure, "the-stream-before-the-mlp-read")

# %%
for what, share in measured.items():
    print(f"{what}: predicted {predicted[what]:.0%}, measured {share.mean():.2%}")
claim("before-mlp-not-the-source", measured["source token"].mean())
claim("before-mlp-often-right", measured["right answer"].mean())
claim("after-mlp-always-right", (says_after == answers).double().mean())

# %% [markdown]
# The clean story fails here.
# Read in this way, the stream before the MLP does not hold the old token.
# It holds the *new* one in most cases.
# Whatever does the +1 in this model, most of it is done before the MLP.
#
# <details><summary>A shortcut that is often taken</summary>
#
# Some texts, among them the article that this series follows, multiply the stream with $W_U$ and leave the last layer norm out.
# The layer norm has a weight and a bias for each dimension, and takes the mean away, so this is the answer of another model:
# </details>

# %%
shortcut = (before @ model.W_U).argmax(-1)
differ = (shortcut != says_before).double().mean()
print(f"right before the MLP: lens {measured['right answer'].mean():.2%}, "
      f"shortcut {(shortcut == answers).double().mean():.2%}")
print(f"the two readings differ on {differ:.1%} of all tokens")
claim("shortcut-differs", differ)

# %% [markdown]
# ## What does attention write?
#
# The head writes $W_V W_O$ of what it reads.
# From token to token that is the **OV circuit** (Elhage et al. 2021): which logits does attending to a token raise?
# The layer norms at both ends must be handled.
# At the input we take the exact normalised vector of each token, averaged over the positions $x_0 … x_7$.
# At the output we leave out the last layer norm's division, which scales all logits alike, and keep its weight.
# A softmax does not see what all logits share, so each row is shown against the mean of its four digits; and what attending to *any* digit adds tells nothing about the digit, so each column is shown against the mean of the four digits.

# %%
stream = model.W_E[:4, None] + model.W_pos[1:9]  # [token, position, d_model]
bos = (model.W_E[T.BOS] + model.W_pos[0])[None]  # BOS stands at position 0 only
read = torch.cat([model.blocks[0].ln1(stream).mean(1), model.blocks[0].ln1(bos)])
attention = model.blocks[0].attn
written = (read @ attention.W_V[0] + attention.b_V[0]) @ attention.W_O[0]
centred = written - written.mean(-1, keepdim=True)
ov = (centred * model.ln_final.weight) @ model.W_U
ov = ov - ov[:, :4].mean(1, keepdim=True)
ov = ov - ov[:4].mean(0)  # against the average digit
figure = P.heatmap(ov, x=T.TOKEN_NAMES, y=T.TOKEN_NAMES, signed=True, text=True,
                   x_title="logit of the next token", y_title="token attended to",
                   title="The OV circuit, token to token", unit="logit ×<br>divisor")
show(
    figure, "the-rows-of-the-four-digits")

# %%
strongest = ov[:4, :4].argmax(1)
print("token attended to:  ", [0, 1, 2, 3])
print("raises most:        ", strongest.tolist(), "  plus 1 would be", [1, 2, 3, 0])
claim("ov-is-not-plus-one", (strongest == torch.tensor([1, 2, 3, 0])).sum())

# %% [markdown]
# The table is not the permutation matrix of `01_dataset`: taken alone it names the right answer for two tokens of four.
# But its rows are nearly multiples of one another.
# Is what attention *really* writes, output by output and over all sequences, also a push in one direction?
# And if so, is that one number enough?
# **Before you run it:** we keep of attention's output only its mean at each output, plus its part along one direction, the same for all outputs and sequences.
# Three of its four numbers then no longer depend on the input.
# How many tokens stay right?

# %%
predicted_line = 0.5
attn_out = cache["attn_out", 0][:, 8:]
usual = attn_out.mean(0)  # [8, d_model]
varying = attn_out - usual
varying = varying - varying.mean(-1, keepdim=True)  # layer norm takes the mean away
_, sizes, directions = torch.linalg.svd(varying.flatten(0, 1), full_matrices=False)
line, share = directions[0], sizes[0] ** 2 / (sizes**2).sum()
print(f"share of the squared size along the line: {share:.2%}")
claim("ov-is-one-direction", share)

# %% [markdown]
# A **hook** is a function that TransformerLens calls at a named place of the forward pass: it is given the value there, and what it returns goes on in its place.

# %%
def on_the_line(value, hook):
    value[:, 8:] = usual + ((value[:, 8:] - usual) @ line)[..., None] * line
    return value


hooks = [(attn_name, on_the_line)]
only_the_line = model.run_with_hooks(sequences[:, :16], fwd_hooks=hooks)
kept = hits(only_the_line[:, 8:], sequences).double().mean(0)
print(f"predicted {predicted_line:.0%}, measured {kept.mean():.2%}, "
      f"smallest output {kept.min():.2%}")
claim("one-direction-is-enough", kept.min())

# %% [markdown]
# `I.one_direction` does the same for every model of a zoo, and finds the same for this one:

# %%
edit, same_share = I.one_direction(model)
same = by_position(I.intervene(model, {"attn_out": edit}))[0]
assert torch.equal(same, kept), "helpers and TransformerLens disagree"
claim("helpers-find-the-line", abs(same_share[0] - share))

# %% [markdown]
# One number from attention is enough for every output on every input.
# Where on the line is each token?

# %%
along = varying @ line  # [sequence, output]
places = torch.zeros(4, 8)
for token in range(4):
    stands = (sources == token).double()
    places[token] = (along * stands).sum(0) / stands.sum(0)
by_token = {f"token {t}": places[t] for t in range(4)}
title = "What attention writes, by source token (mean)"
axes = dict(y_title="place on the line", colours=P.TOKEN_COLOURS)
figure = P.bars(by_token, **axes, title=title)
show(
    figure, "what-attention-writes-by-source-token")

# %%
in_order = torch.tensor([1, 3, 0, 2])[:, None]
claim("places-in-one-order", (places.argsort(0) == in_order).all())

# %% [markdown]
# <details><summary>How can one number give four answers?</summary>
#
# Along a line each logit grows or falls evenly, so it is a straight line itself when it is drawn over the place.
# Of four straight lines now one is the highest, now another: the highest can change three times, and that makes four stretches, one for each answer.
# Which token is named on which stretch is up to $W_U$.
# So "+1" asks for no extra step: each source token only needs a place on the stretch of its *successor*.
# (The last layer norm divides all logits by the same number, which does not change which one is highest; its bias comes on top.)
# </details>
#
# ## The sphere before and after
#
# What the unembedding reads lies on a sphere in three dimensions (`02_transformer`), so nothing is lost when we draw it.
# Each point is the stream at one output of one sequence, coloured by the right answer; a hollow point is read wrongly.
# The arrows point to where the logit of a token is largest (the last bias left out).
# First before the MLP:

# %%
some = torch.from_numpy(np.random.default_rng(0).permutation(65_536)[:64])  # 512 points
arrows = {}
for t, u in enumerate((model.ln_final.weight[:, None] * model.W_U).T[:4]):
    u = u - u.mean()
    arrows[f"→ {t}"] = 2.8 * P.to_3d(u) / float(u.norm())

# %%
def sphere(stream, title, says):
    """Draw normalised streams, coloured by the right answer; hollow: read wrongly."""
    centred = stream[some] - stream[some].mean(-1, keepdim=True)
    points = P.to_3d(2 * centred / centred.norm(dim=-1, keepdim=True)).reshape(-1, 3)
    wanted = answers[some].flatten()
    hit = logit_lens(stream[some]).argmax(-1).flatten() == wanted
    groups, colours = {}, dict(zip(arrows, P.TOKEN_COLOURS))
    for t in range(4):
        for ok, end in ((True, ""), (False, ", wrong")):
            chosen = (wanted == t) & (hit == ok)
            if chosen.any():
                groups[f"answer {t}{end}"] = points[chosen]
                colours[f"answer {t}{end}"] = P.TOKEN_COLOURS[t]
    hollow = [name for name in groups if "wrong" in name]
    look = dict(colours=colours, arrows=arrows, hollow=hollow, radius=2, sizes=4)
    figure = P.scatter3d(groups, **look, title=title)
    P.show(figure, says=says)
    print(f"{(~hit).sum()} of {len(hit)} points are read wrongly")


sphere(
    before,
    "Before the MLP (turn it)",
    says="Before the MLP the points of the four answers lie in bands on the sphere. "
    "Hollow points are read wrongly: they all belong to the answers 0 and 1.",
)

# %%
sphere(
    after,
    "After the MLP (turn it)",
    says="After the MLP the bands have moved, and no hollow one is left: each point "
    "is read as its own answer.",
)

# %% [markdown]
# ## What the MLP adds
#
# The MLP writes a vector.
# How much does it depend on the input?
# **Before you run this:** for each output we replace what the MLP writes by one and the same vector, its mean over all sequences.
# If the MLP computes the +1 from the token, accuracy must collapse.

# %%
predicted_constant = 0.25
mlp_out = cache["mlp_out", 0][:, 8:]
constants = {"a constant for each output": mlp_out.mean(0),  # [8, d_model]
             "one constant for all": mlp_out.mean((0, 1))}
kept = {}
for name, vector in constants.items():
    def say_the_same(value, hook):
        value[:, 8:] = vector
        return value
    hooks = [(mlp_name, say_the_same)]
    logits_now = model.run_with_hooks(sequences[:, :16], fwd_hooks=hooks)
    kept[name] = hits(logits_now[:, 8:], sequences).double().mean(0)

constant, single = kept.values()
same = by_position(I.ablate(model, "mlp", how="mean"))[0]
assert torch.equal(same, constant), "helpers and TransformerLens disagree"

# %%
figure = P.bars(kept, y_title="accuracy, all sequences", reference={"chance": 0.25},
                title="The MLP replaced by constants")
show(
    figure, "with-a-constant-for-each-output")

# %%
print(f"predicted {predicted_constant:.0%}", end=", ")
print(f"measured {constant.mean():.2%} and {single.mean():.2%}")
claim("constant-mlp-is-enough", constant[1:].min())
claim("constant-mlp-y0", constant[0])
claim("one-constant-is-not-enough", single.min())

# %% [markdown]
# **At seven outputs it stays right on every input.**
# What the MLP knows about the token is hardly needed, and only at $y_2$, $y_6$ and $y_7$ does it matter *where* it is.
# Its neurons do the work of a bias.
# It moves all the places on the line together; the tokens are told apart by attention.
# This was a surprise to us too.
# Is it this seed only?
# `06_ablation` asks the others.
#
# ## The neurons
#
# When does each fire (on which share of all sequences), output by output?

# %%
fires = (cache["post", 0][:, 8:] > 0).double().mean(0)  # [8, 16]
neurons = [str(n) for n in range(16)]
axes = dict(x=neurons, x_title="neuron", y_title="output", unit="share")
figure = P.heatmap(fires, **axes, top=1, title="How often each neuron fires")
show(
    figure, "thirteen-of-the-sixteen-neurons-never")

# %%
without = []
for neuron in range(16):
    def switch_off(value, tokens, neuron=neuron):
        return value.index_fill(-1, torch.tensor(neuron), 0)

    off = I.intervene(model, {"post": switch_off}, effect=False)
    without.append(by_position(off).mean().item())

axes = dict(x=neurons, x_title="neuron set to zero", y_title="accuracy, all sequences")
figure = P.bars(without, **axes, title="What happens without each neuron")
show(
    figure, "accuracy-falls-clearly-without-neuron-5")

# %%
active = [n for n in range(16) if fires[:, n].max() > 0]
out = model.W_out[0][active]
pushes = ((out - out.mean(-1, keepdim=True)) * model.ln_final.weight) @ model.W_U
axes = dict(x=T.TOKEN_NAMES[:4], y=[f"neuron {n}" for n in active])
axes |= dict(x_title="logit of the next token", y_title="", unit="logit ×<br>divisor")
title = "What each firing neuron writes"
figure = P.heatmap(pushes[:, :4], **axes, signed=True, text=True, title=title)
show(
    figure, "what-each-firing-neuron-writes")

# %%
silent_neurons = (fires.max(0).values == 0).sum().item()
print("neurons that never fire at an output:", silent_neurons)
claim("neurons-never-fire", silent_neurons)
claim("y6-mlp-is-constant", fires[6].max())
print("accuracy without each firing neuron:", {n: round(without[n], 4) for n in active})
claim("some-neuron-matters", min(without))

# %% [markdown]
# Sixteen neurons were there to be used, and at the outputs this model uses three.
# What they write is the push: for some answers, against others.
# It varies with the input at most outputs, but at $y_1$ to $y_7$ no answer depends on the variation.

# %% [markdown]
# ## Who writes the right answer?
#
# The logits are linear in the stream once the last layer norm's divisor is known.
# So they split, exactly, into what the embedding, the position, attention and the MLP wrote: **direct logit attribution**.

# %%
parts = {
    "embedding": model.W_E[sequences[:, 8:16]],
    "position": model.W_pos[8:16].expand(len(sequences), 8, 4),
    "attention": cache["attn_out", 0][:, 8:],
    "mlp": mlp_out,
}
scale = (after.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()


def attribution(part):
    """What `part` [..., d_model] adds to the logits, the last divisor as it was."""
    centred = part - part.mean(-1, keepdim=True)
    return (centred / scale * model.ln_final.weight) @ model.W_U


added = {name: attribution(part) for name, part in parts.items()}
constant_part = model.ln_final.bias @ model.W_U
total = sum(added.values()) + constant_part
claim("attribution-sums", (total - logits[:, 8:]).abs().max())

# %% [markdown]
# What each part adds to the *right* logit, compared with the average of the four digits:

# %%
def for_the_right(values):
    """Right logit minus the mean of the digits', as the mean of all sequences: [8]."""
    of_the_answer = values.gather(-1, answers[..., None])[..., 0]
    return (of_the_answer - values[..., :4].mean(-1)).mean(0)


speaks = {name: for_the_right(value) for name, value in added.items()}
title = "Direct logit attribution to the right answer"
figure = P.bars(speaks, y_title="logit", title=title, colours=P.PART_COLOURS)
show(
    figure, "direct-logit-attribution-to-the-right")

# %%
shares = {name: value.mean().item() for name, value in speaks.items()}
for name, value in shares.items():
    print(f"{name:10} {value:+.2f}")
claim("attention-adds-most", shares["attention"] / sum(shares.values()))

# %% [markdown]
# Mind what this average hides.
# A vector that is the same for every input speaks for one answer and against another, and over all four answers that nearly cancels.
# So a short bar does not mean a small part: set to zero, the MLP takes a third of the tokens with it (that is what the reading before the MLP was).

# %% [markdown]
# ## Over 32 seeds
#
# Is this a fact about seed 0?
# For every exact seed: how often does the stream before the MLP give the right answer, how often the un-incremented source?
# And in how many is one direction of attention enough?
# **Predict** before you look, for the clean story and for "all are like seed 0":

# %%
predictions = {"clean story": "source 100 %, right 0 %",
               "all like seed 0": "source 0 %, right two thirds, one direction enough"}


def before_the_mlp(zoo):
    """Shares of (right, source token) read before each model's MLP: two [models]."""
    silent = {"mlp_out": torch.zeros(1).double()}  # so the lens reads resid_mid
    right = by_position(I.intervene(zoo, silent)).mean(1)
    # A model that names t + 1 where this one names t is right where this one names the
    # source.
    unembed = zoo.weights["unembed.weight"].clone()
    unembed[:, [1, 2, 3, 0]] = zoo.weights["unembed.weight"][:, [0, 1, 2, 3]]
    one_later = Zoo(zoo.kind, zoo.weights | {"unembed.weight": unembed}, zoo.seeds)
    return right, by_position(I.intervene(one_later, silent)).mean(1)


# %%
small, default = load_zoo("article"), load_zoo("article_default_init")
small, default = small.where(small.exact), default.where(default.exact)
right_small, source_small = before_the_mlp(small)

# %%
right_default, source_default = before_the_mlp(default)
read_before = {
    "right<br>small start": right_small,
    "source<br>small start": source_small,
    "right<br>library's start": right_default,
    "source<br>library's start": source_default,
}
axes = dict(y_title="share of all tokens", reference={"chance": 0.25})
title = "Read before the MLP, one dot for each exact seed"
figure = P.strips(read_before, **axes, title=title)
show(
    figure, "read-before-the-mlp-one-dot")

# %%
print(predictions)
for name, value in read_before.items():
    print(f"{name.replace('<br>', ', '):24} {value.min():.0%} to {value.max():.0%}, "
          f"median {value.median():.0%} ({len(value)} seeds)")
claim("zoo-source-before-mlp", torch.cat([source_small, source_default]).max())
claim("zoo-right-before-mlp", (right_small > 0.5).sum())
more = (right_small > source_small).sum() + (right_default > source_default).sum()
claim("zoo-more-right-than-source", more)

# %% [markdown]
# Neither prediction holds.
# In none of these exact seeds does the lens find the source for as much as half of the tokens, so none of them keeps the old token in a form that the unembedding reads.
# (One, from the library's start, comes near, with the source read nearly twice as often as by chance.)
# It could stand there in another code, which the lens cannot tell.
# For seed 0 the constant MLP decided it: what does not look at the token cannot add 1 to it.
# For the others `06_ablation` asks.
# And how much of the answer is there before the MLP differs from seed to seed.
# Now the line, for the small start:

# %%
edit, share_small = I.one_direction(small)  # as above, each model its own direction

# %%
kept_small = by_position(I.intervene(small, {"attn_out": edit}))
dots = {"share of what varies<br>along one direction": share_small,
        "accuracy with<br>that direction only": kept_small.mean(1)}
figure = P.strips(dots, y_title="share", reference={"chance": 0.25},
                  title="One direction of attention, one dot for each exact seed")
show(
    figure, "in-most-seeds-nearly-all-that")

# %%
line_is_enough = (kept_small.min(1).values == 1).sum()
print(f"of {len(small)} exact seeds: over 95 % along one direction in "
      f"{(share_small > 0.95).sum()}, that direction is enough in {line_is_enough}")
claim("zoo-line-is-enough", line_is_enough)

# %% [markdown]
# So "all are like seed 0" fails here too: nearly all write along one direction, and it is enough for about half of them.

# %% [markdown]
# ## Explore
#
# What a sequence looks like at one output can be told in three words: which **output** it is, its **source token**, and the **own token**, the one that stands at the place where the output is predicted ($x_7$ for $y_0$, else the output before).
# The figure shows one such case: the probabilities read before and after the MLP, in the mean over all sequences of that case.
# With a running kernel, slide along the cases.
# Where is the MLP needed?
# Does the own token ever matter?

# %%
P.show(*E.case_figure(model))

# %% tags=["nbval-ignore-output"]
E.explore_cases(model)

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell.
# The check shows it beside the target, and says what may have gone wrong.
# Nothing later depends on these cells.

# %% [markdown]
# ### Exercise: how many cases?
#
# *★☆☆ easy, about 5 minutes.*
# A case is an output, its source token and its own token.
# **Predict:** how many different cases occur in all 65,536 sequences?
# Mind $y_0$.

# %%
my_cases = ...

X.check("05-cases", my_cases)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# y0 = 4
# the_others = 7 * 4 * 4
# my_cases = y0 + the_others
# ```
#
# $y_0$ is predicted at the place of its source, so both tokens are the same one.
# Elsewhere all pairs occur.
# </details>

# %% [markdown]
# ### Exercise: the OV circuit
#
# *★★☆ medium, about 10 minutes.*
# Which logits does attending to a token raise?
# Leave the layer norms and biases out, and write the table `[token, logit]` from the rows `E` `[token, d_model]` that are read, and the matrices `W_V`, `W_O`, `W_U`.

# %%
def my_ov(E, W_V, W_O, W_U):
    """Logits [token attended to, next token]."""
    return ...


X.check("05-ov", my_ov)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_ov(E, W_V, W_O, W_U):
#     return E @ W_V @ W_O @ W_U
# ```
#
# Read from left to right: what is read, what is handed over, what is written, which logits that raises.
# </details>

# %% [markdown]
# ## What you have
#
# - You have read the stream before and after the MLP, with the logit lens and with the shortcut.
# - You have counted: before the MLP the source token is hardly ever there, the right answer often.
# - You have found that in this model attention writes along one direction, and that this one number is enough.
# - You have drawn the work of the MLP, seen that a constant for each output can stand in for it nearly without loss, and met the three neurons that fire.
# - You have split the logits exactly, and asked the other seeds: for about half of them one direction is enough too.
#
# **Open:** what does taking a part away really show?
# **Next:** `06_ablation`.
