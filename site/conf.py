"""How sphinx makes the site; `build.py` calls it."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

html_title = "From Zero to Interpretability"
language, root_doc, exclude_patterns = "en", "index", ["research"]
extensions = ["myst_nb"]
myst_enable_extensions, myst_heading_anchors = ["dollarmath", "colon_fence"], 3
nb_execution_mode = "off"
nb_code_prompt_show, nb_code_prompt_hide = "Show the set-up cell", "Hide the set-up cell"

html_theme, html_context = "sphinx_book_theme", {"default_mode": "auto"}  # as the reader's system
html_theme_options = {"home_page_in_toc": True, "search_bar_text": "Search the series"}
html_theme_options |= {"use_download_button": False, "navbar_persistent": []}
html_theme_options |= {"footer_content_items": [], "back_to_top_button": False}
html_sidebars = {"**": ["search-button-field.html", "sbt-sidebar-nav.html", "extras.html"]}
html_static_path, templates_path, html_favicon = ["static"], ["templates"], "static/icon.svg"
html_css_files, html_js_files = ["page.css"], [("page.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_copy_source, html_show_copyright = False, False


def formula(self, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which a browser sets without a script."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
