# %% [markdown]
# # NUMBER · TITLE
#
# What this notebook is about, in one or two sentences.
#
# **Question:** What do we want to know?
#
# **You will**
# - measure how often the model is right, output by output.
#
# **Time:** about 30 minutes.
# **You should know:** Python and PyTorch.
#
# Run the cells from the top.

# %% [markdown] tags=["badge"]
# The build writes the badge.

# %% tags=["setup"]
# The build writes the set-up cell.

# %%
import torch

from helpers import plotting
from helpers.evaluation import by_position
from helpers.model import load_trained
from helpers.page import compare, show

torch.set_num_threads(1)
model = load_trained()

# %% [markdown]
# ## A first look
#
# How often is y0 right, out of all inputs?
# Write down what you expect, before you look.

# %%
my_share = ...

# %%
shares = by_position(model)[0]
compare(my_share, shares[0])

# %%
figure = plotting.bars(shares, title="How often it is right", y_title="accuracy")
show(figure, says="Eight bars, one for each output, all of height 1.")

# %% [markdown]
# ## What you have
#
# - You have measured how often the model is right, output by output.
#
# **Answer:** what was found out, and on how many inputs and seeds.
