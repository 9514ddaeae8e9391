"""The page: sections of sentences, figures and tables, and their one offline HTML file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jinja2
import plotly.graph_objects as go
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

import symgnn
from symgnn.report.style import shared_layout

ONLY_CHOICE = ""


@dataclass(frozen=True)
class Figure:
    """One numbered figure: panels side by side, or several such rows of panels to choose from.

    Attributes:
        name: unique on the page, for anchors.
        caption: what it shows, in sentences.
        choices: label of a choice -> its panels; a single choice needs no label.
        choice_title: what is chosen, shown beside the list of choices.
        legend: (label, colour) of what the panels show, drawn once above them.
    """

    name: str
    caption: str
    choices: Mapping[str, Sequence[go.Figure]]
    choice_title: str = ""
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Table:
    """One numbered table; cells are text. Columns whose cells are numbers are aligned right."""

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)  # columns that hold words: aligned left


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: unique on the page, for anchors.
        title: heading.
        blocks: paragraphs (text), figures and tables in reading order.
        findings: sentences for the summary at the top of the page.
        facts: (value, label) pairs for the row of figures at the top of the page.
    """

    name: str
    title: str
    blocks: Sequence[str | Figure | Table]
    findings: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = field(default=())


def figure(
    name: str, caption: str, *panels: go.Figure, legend: Sequence[tuple[str, str]] = ()
) -> Figure:
    """A figure of panels side by side."""
    return Figure(name, caption, {ONLY_CHOICE: panels}, legend=legend)


def render(title: str, sections: Sequence[Section], left_out: Sequence[str] = ()) -> str:
    """The page as HTML text, with plotly.js inside and nothing to fetch.

    Args:
        title: heading of the page.
        sections: what the page holds, in order.
        left_out: sentences on what is not in the page and why.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symgnn.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["figure_json"] = _figure_json
    environment.tests["figure"] = lambda block: isinstance(block, Figure)
    environment.tests["table"] = lambda block: isinstance(block, Table)
    return environment.get_template("page.html.j2").render(
        title=title,
        sections=sections,
        left_out=left_out,
        version=symgnn.__version__,
        plotly_js=get_plotlyjs(),
        shared_layout=json.dumps(shared_layout()),
    )


def _figure_json(drawn: Figure) -> str:
    """Panels of each choice as JSON that can stand inside a script element."""
    choices = [
        {"label": label, "panels": [_panel(panel) for panel in panels]}
        for label, panels in drawn.choices.items()
    ]
    return to_json_plotly(choices).replace("</", "<\\/")


def _panel(panel: go.Figure) -> dict:
    """What plotly.js needs of a panel; its default template would be a copy in every panel."""
    drawn = panel.to_plotly_json()
    drawn["layout"].pop("template", None)
    return drawn
