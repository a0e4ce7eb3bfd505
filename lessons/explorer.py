"""What the explorers of all lessons share: the widgets, and the shell around a figure.

In a lesson, `..._figure` makes (figure, the figure in words) from plain values; a notebook shows it
above the explorer, so that a saved page says the same without a kernel. `explore_...` puts widgets
around it. All work by keyboard alone: JupyterLab takes the keys of a drop-down (ipywidgets issue
3912), so there is none. For ipywidgets 7.7 and 8.
"""

import asyncio
import html
import re
import sys

import ipywidgets
from IPython.display import Javascript, clear_output, display
from plotly.subplots import make_subplots

from helpers import page, plotting, task

HEIGHT = 420  # of every figure in pixels, so that the page does not jump
# Colab neither shows what a thread draws nor hears a button while Python runs.
COLAB = "google.colab" in sys.modules
IN_LETTERS = {8: "eight", 16: "sixteen"}


def read_typed(tokens, length: int = task.LENGTH) -> list[int]:
    """Tokens as people type them, wherever the spaces stand, as in "3222 1200"; or a list of them.
    ValueError, in words for readers, for what is no `length` digits from 0 to 3."""
    if not isinstance(tokens, str):
        return task.read_tokens(tokens, length)
    typed = re.sub(r"[\s,]", "", tokens)
    wrong = [f"{name} is “{t}”" for name, t in zip(names("x", length), typed) if t not in "0123"]
    if not wrong and len(typed) == length:
        return [int(t) for t in typed]
    many = "so far" if len(typed) < length else "are too many"
    what = wrong[0] if wrong else f"{len(typed)} digits {many}"
    asked = f"{IN_LETTERS.get(length, length)} digits from 0 to 3"
    raise ValueError(f"{what}: type {asked}, as in {(task.EXAMPLE * length)[:length]}.")


def names(letter: str, n: int) -> list[str]:
    """x0, x1, ... or y0, y1, ..."""
    return [f"{letter}{i}" for i in range(n)]


def text_of(tokens) -> str:
    """Tokens as one word, such as 32221200."""
    return "".join(str(t) if t < task.BOS else " BOS " for t in tokens).strip()


def shares(values) -> str:
    """The accuracy of each output, in words."""
    return ", ".join(f"y{i} {value:.0%}" for i, value in enumerate(values))


def beside(title, names, *figures):
    """Two figures with one title, each with the axes it had, under its name."""
    both = make_subplots(1, 2, subplot_titles=names, horizontal_spacing=0.22)
    for column, one in enumerate(figures, 1):
        at = dict(row=1, col=column)
        both.add_traces(one.data, rows=1, cols=column)
        both.update_xaxes(one.layout.xaxis, **at).update_yaxes(one.layout.yaxis, **at)
        for line in one.layout.shapes:
            both.add_hline(y=line.y0, line=line.line, **at)
        bar = dict(x=0.195 if column == 1 else 0.805, len=0.39, title=dict(text=""))  # below it
        both.update_traces(colorbar=bar, selector=dict(type="heatmap"), **at)
    both.update_annotations(font_size=13)
    return plotting.sized(both.update_layout(title=title, showlegend=False), HEIGHT)


def control(widget, name, value, width="auto", **settings):
    """A widget with its whole name beside it, no wider than the page."""
    layout = dict(width=width, min_width="150px", max_width="100%", margin="2px 12px 2px 2px")
    style = dict(description_width="initial")
    return widget(description=name, value=value, style=style, layout=layout, **settings)


def slider(name, value, top, width="200px"):
    """A slider from 0 to `top`."""
    settings = dict(min=0, max=top, continuous_update=False)
    return control(ipywidgets.IntSlider, name, value, width, **settings)


def steps(name, value, options, width):
    """A slider that steps through `options`."""
    settings = dict(options=options, continuous_update=False)
    return control(ipywidgets.SelectionSlider, name, value, width, **settings)


def buttons(name, value, options):
    """A button for each of `options`, of which one is chosen."""
    made = control(ipywidgets.ToggleButtons, name, value, options=options)
    made.style.button_width = "auto"
    return made


def token_text():
    """Eight tokens to be typed; each key is read, so no Enter is needed."""
    return control(ipywidgets.Text, "eight tokens", task.EXAMPLE, "220px", continuous_update=True)


# While a button has the focus, JupyterLab takes letters for its commands: `m` makes Markdown of the
# cell. The first attribute keeps its hands off, where it stands on the control itself. And a slider
# of ipywidgets has neither a name nor, where it steps through words, a value that a screen reader
# could say: it gets those that stand beside it. Which button is chosen, a shade alone would say: it
# is marked as pressed, and has a line. The script runs before the explorer is on the page.
KEYS = """if (typeof element !== "undefined") setTimeout(() => {
    const all = what => element.closest(".widget-vbox")?.querySelectorAll(what) ?? []
    all("button, [tabindex]").forEach(e => e.setAttribute("data-lm-suppress-shortcuts", "true"))
    all(".widget-slider").forEach(row => {
        const words = what => row.querySelector(what).textContent
        const handle = row.querySelector("[role=slider]"), name = "aria-valuetext"
        const say = () => handle.getAttribute(name) === words(".widget-readout") ||
            handle.setAttribute(name, words(".widget-readout"))
        handle.setAttribute("aria-label", words(".widget-label"))
        new MutationObserver(say).observe(row,
            {subtree: true, childList: true, characterData: true, attributeFilter: [name]})
        say()
    })
    all(".widget-toggle-button").forEach(button => {
        const say = () => {
            const chosen = button.classList.contains("mod-active")
            button.setAttribute("aria-pressed", chosen)
            button.style.boxShadow = chosen ? "inset 0 -3px" : ""
        }
        new MutationObserver(say).observe(button, {attributeFilter: ["class"]})
        say()
    })
}, 500)"""


class Explorer(ipywidgets.VBox):
    """Controls, a place for messages, a figure and its words; `draw(**values)` makes the last two.

    `controls` maps the names that `draw` takes to widgets; `rows` says how they stand. A change is
    drawn a moment later, and only the latest one: what was asked for in between is dropped. Errors
    become messages; `error` holds the last one, with its traceback, until something is drawn.
    """

    def __init__(self, draw, controls: dict, rows=None):
        super().__init__()
        self.draw, self.controls, self.waiting, self.error = draw, controls, None, None
        # The room of figure and message is kept, so that nothing below them moves.
        self.figure = ipywidgets.Output(layout=dict(height=f"{HEIGHT + 20}px", max_width="900px"))
        self.alert = ipywidgets.HTML(layout=dict(min_height="34px"))
        self.caption = ipywidgets.HTML()
        for one in controls.values():
            one.observe(self.redraw if COLAB else self.ask, "value")
        wrapped = dict(flex_flow="row wrap")
        lines = [ipywidgets.HBox(row, layout=wrapped) for row in rows or [[*controls.values()]]]
        keys = ipywidgets.Output()
        keys.append_display_data(Javascript(KEYS))
        self.children = [*lines, self.alert, self.figure, self.caption, keys]
        self.redraw()

    def __repr__(self):  # what a page without a kernel shows
        # ipywidgets cuts it after 110 letters, and a phone breaks a line after 38.
        return (
            "Here is an explorer. To move it,\nrun the cells from the top (Shift+Enter).\n"
            "The figure above is its start."
        )

    def ask(self, _change=None) -> None:
        """Draw soon what the controls say by then; at once where there is no loop to wait in."""
        if self.waiting is not None:
            self.waiting.cancel()
        try:
            self.waiting = asyncio.get_running_loop().call_later(0.05, self.redraw)
        except RuntimeError:  # no kernel
            self.redraw()

    def redraw(self, _change=None) -> None:
        """Draw what the controls say now."""
        try:
            self.show(*self.draw(**{name: one.value for name, one in self.controls.items()}))
        except Exception as error:
            self.failed(error)

    def show(self, figure, says: str) -> None:
        """Put up a figure and its words, and take the message away; also from a thread."""
        data = page.bundle(figure, says, f"explorer-{id(self)}", picture=False)
        if COLAB:  # it shows what is printed into an Output, and draws by HTML
            with self.figure:
                clear_output(wait=True)
                display({"text/html": data["text/html"]}, raw=True)
        else:
            self.figure.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        self.caption.value = f"<p role='status'><em>{html.escape(says)}</em></p>"
        self.error, self.alert.value = None, ""

    def failed(self, error: Exception) -> None:
        """Keep `error` and say it: a ValueError is a value that does not exist, others are bugs."""
        self.error, bug = error, f"This should not happen: {type(error).__name__}: {error}."
        known = isinstance(error, ValueError)
        self.say(str(error) if known else f"{bug} The figure is the last one.")

    def say(self, message: str) -> None:
        """Put up a message, which a screen reader reads out."""
        # Its own ground, so that it reads the same on a light and on a dark page.
        style = "background:#fde7e7; color:#7a0000; padding:2px 8px; line-height:1.3"
        self.alert.value = f"<div role='alert' style='{style}'>{html.escape(message)}</div>"


def token_explorer(draw) -> Explorer:
    """Eight tokens to be typed, or set with sliders, which follow what is typed."""
    text = token_text()
    each = [slider(f"x{i}", int(t), task.DIGITS - 1, "23%") for i, t in enumerate(task.EXAMPLE)]
    following = []  # not empty while the sliders are moved by what was typed

    def follow(_change):
        try:
            tokens = read_typed(text.value)
        except ValueError:
            return  # the explorer says what is wrong
        following.append(True)
        for one, token in zip(each, tokens):
            one.value = token
        following.pop()

    def write(_change):
        if not following:
            text.value = text_of(one.value for one in each)

    text.observe(follow, "value")
    for one in each:
        one.observe(write, "value")
    return Explorer(draw, {"tokens": text}, [[text], each])
