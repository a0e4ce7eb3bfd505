"""tools/drawings.py: the drawing that is stored is the one that the model gives."""

from helpers.model import load_trained
from lessons.line import find_lines
from tools import drawings


def test_the_stored_drawing_is_what_the_model_gives():
    assert drawings.FILE.read_text(encoding="utf-8") == drawings.draw(find_lines(load_trained()))
