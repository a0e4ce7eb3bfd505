"""lessons.line: the four lines say what the model does, and the pictures draw what they say."""

import pytest
import torch

from conftest import read
from helpers import model, task
from lessons import line
from tools import drawings


@pytest.fixture(scope="module")
def lines():
    return line.find_lines(model.load_trained())


@torch.no_grad()
def test_places_and_vectors_are_the_librarys(lines):
    sequences = task.full_sequences()
    _, cache = model.load_trained().run_with_cache(sequences[:, :16])
    written, mlp = (cache[name, 0][:, 8:] for name in ("attn_out", "mlp_out"))
    assert torch.allclose(lines.written, written.mean(0), atol=1e-9)
    assert torch.allclose(lines.push, mlp.mean(0), atol=1e-9)
    assert torch.allclose(lines.places, (written - lines.written) @ lines.direction, atol=1e-9)
    assert lines.place_of(task.EXAMPLE, 3) == lines.places[60_000, 3]
    with pytest.raises(ValueError, match="a zoo of 32 models"):
        line.find_lines(model.load_zoo("article"))


@torch.no_grad()
def test_the_lines_are_the_logits_before_the_last_layer_norm_divides(lines):
    bridge, places = model.load_trained(), torch.tensor([-9.0, 0.0, 4.0]).double()
    stream = lines.start(1, mlp=0.5) + places[:, None] * lines.direction
    logits = bridge.ln_final(stream) @ bridge.W_U
    assert torch.allclose(lines.logits(1, places, mlp=0.5), logits, atol=1e-9)
    size = (stream.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    undivided = (logits - bridge.ln_final.bias @ bridge.W_U) * size
    difference = lines.logits(1, places, mlp=0.5, bias=False) - undivided
    assert torch.allclose(difference, difference[:, :1].expand_as(difference), atol=1e-9)


def test_each_source_stands_opposite_its_successor(lines):
    assert lines.slopes[: task.DIGITS].argsort().tolist() == [2, 0, 1, 3]
    for output in range(8):
        dots = lines.dots(output)
        assert dots.argsort().tolist() == [1, 3, 0, 2]  # from left to right
        assert [token for *_, token in line.pieces(lines, output)] == [2, 0, 1, 3]
        assert all(line.is_right(lines, output, t, place) for t, place in enumerate(dots))


def test_the_picture_is_right_everywhere_and_without_the_mlp_answers_as_the_model_does(lines):
    sequences = task.full_sequences()
    assert torch.equal(lines.predicts(), sequences[:, 9:])
    silent = lines.zoo.edited({"mlp_out": torch.zeros(1)})
    real = torch.cat([silent(part)[0].argmax(-1) for part in sequences.split(8192)])
    assert 0.96 < (lines.predicts(mlp=0) == real).double().mean() < 0.98


def test_the_pictures_draw_the_dots_the_verdicts_and_the_input(lines):
    made = line.figure(lines, 1, mlp=(0, 1), tokens=task.EXAMPLE)
    marks = [list(t.text) for t in made.data if t.text and set(t.text) <= {"✓", "✗"}]
    assert marks == [["✓", "✓", "✓", "✗"], ["✓"] * 4]
    assert sum(t.marker.symbol == "triangle-down" for t in made.data) == 2
    names = [note.text for note in line.all_outputs(lines).layout.annotations]
    assert names[0] == "y0: source 0 → 1 ✓" and len(names) == 8
    plain = [note.text for note in line.all_outputs(lines, verdicts=False).layout.annotations]
    assert plain[7] == "y7: source 3"
    made = line.slider(lines)
    on = [step.args[1] for step in made.layout.sliders[0].steps]
    assert len(on) == 5 and all(sum(column) == 1 for column in zip(*on))


def test_the_stored_drawing_is_what_the_model_gives(lines):
    assert read(drawings.FILE) == drawings.draw(lines)


def test_the_rulers_touch_the_bowl_from_below(lines):
    bowl, *rulers = [t for t in line.bowl(lines).data if t.mode == "lines"]
    assert len(rulers) == 4
    for ruler in rulers:
        (x0, x1), (y0, y1) = ruler.x, ruler.y
        below = [y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0)) for x, y in zip(bowl.x, bowl.y)]
        assert -1 < min(below) < 1
