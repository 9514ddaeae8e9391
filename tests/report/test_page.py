"""The page as a whole: offline, complete, the same for the same input, sections by input."""

from dataclasses import fields as dataclass_fields
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from symgnn.errors import InputError
from symgnn.report.assembly import Inputs, assemble
from symgnn.report.page import Figure, Section, Table, figure, render
from tests.report.conftest import run_report

SECTIONS = {
    "glasses": "glasses",
    "barriers": "events",
    "data": "graphs",
    "models": "runs",
    "explanations": "explanations",
}


def test_every_section_is_there_with_all_inputs(page):
    assert page.sections == [*SECTIONS, "record"]
    assert not any("Not in this page" in data for data in page.findings)


@pytest.mark.parametrize(("section", "kind"), SECTIONS.items())
def test_a_section_without_input_is_left_out_and_said_so(study, section, kind):
    inputs = replace(study.inputs, **{kind: []}, **({"tables": []} if kind == "runs" else {}))
    sections, left_out = assemble(inputs)
    assert [one.name for one in sections] == [n for n in (*SECTIONS, "record") if n != section]
    assert len(left_out) == 1
    assert left_out[0].startswith("Not in this page")


@pytest.mark.parametrize("kind", [*SECTIONS.values(), "tables", "benchmarks"])
def test_each_kind_of_input_is_enough_for_a_page(study, read_page, kind):
    page = read_page(Inputs(**{kind: getattr(study.inputs, kind)}))
    assert page.sections[-1] == "record"
    assert len(page.sections) == (1 if kind == "benchmarks" else 2)


def test_a_page_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least one file"):
        assemble(Inputs())


def test_nothing_is_fetched(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img", "object", "embed")
        for name in ("src", "data", "action", "srcset", "background"):
            assert name not in attributes
        assert attributes.get("href", "#").startswith("#")
    policy = next(a["content"] for _, a in page.tags if "content-security-policy" in str(a).lower())
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_styles_import_nothing(study):
    text = render("Title", *assemble(replace(study.inputs, runs=[], explanations=[])))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_plotly_is_inside_once_and_asked_not_to_upload(page):
    library = get_plotlyjs()
    assert sum(library[:2000] in script for script in page.scripts) == 1
    assert sum("showSendToCloud: false" in script for script in page.scripts) == 1


def test_each_figure_and_table_has_a_numbered_caption_and_a_name_of_its_own(page):
    names = [a["id"] for tag, a in page.tags if tag == "figure"]
    assert len(names) == len(set(names))
    numbers = {"figure": 0, "table": 0}
    for name in names:
        kind = name.split("-")[0]
        numbers[kind] += 1
        caption = page.captions[name]
        assert caption.rstrip().endswith(".")
        assert len(caption) > 30
    assert numbers == {"figure": len(page.figures), "table": len(page.tables)}


def test_all_axes_have_a_title(page):
    for name, choices in page.figures.items():
        for choice in choices:
            for panel in choice["panels"]:
                layout = panel["layout"].get("scene", panel["layout"])
                axes = [axis for axis in layout if axis.endswith("axis")]
                assert len(axes) == (3 if "scene" in panel["layout"] else 2)
                for axis in axes:
                    bars = panel["data"] and panel["data"][0].get("orientation") == "h"
                    if not (bars and axis == "yaxis"):  # the categories speak for themselves
                        assert layout[axis]["title"]["text"], (name, axis)


def test_panels_carry_no_copy_of_plotlys_template(page):
    for choices in page.figures.values():
        for choice in choices:
            assert all("template" not in panel["layout"] for panel in choice["panels"])


def test_text_of_the_inputs_cannot_become_markup():
    nasty = "</script><script>alert(1)</script>"
    plot = go.Figure(go.Scatter(x=[1], y=[2], name=nasty))
    blocks = [nasty, figure("f", nasty, plot), Table("t", nasty, [nasty], [[nasty]])]
    text = render(nasty, [Section("s", nasty, blocks, [nasty], [(nasty, nasty)])], [nasty])
    assert nasty not in text
    assert "<script>alert" not in text


def test_choices_get_a_list_and_a_single_panel_none():
    one = figure("one", "One.", go.Figure())
    two = Figure("two", "Two.", {"a": [go.Figure()], "b": [go.Figure()]}, "Which")
    text = render("T", [Section("s", "S", [one, two])])
    assert text.count("<select>") == 1
    assert text.count("<option") == 2


def test_the_same_inputs_give_the_same_bytes(study):
    inputs = replace(study.inputs, runs=[], glasses=study.inputs.glasses[:2])
    assert render("T", *assemble(inputs)) == render("T", *assemble(inputs))


def test_the_command_writes_the_page_and_recognises_its_inputs(study, tmp_path, read_page):
    output = tmp_path / "report.html"
    inputs = study.inputs
    everything = [path for kind in dataclass_fields(Inputs) for path in getattr(inputs, kind.name)]
    run_report(*everything, "--title", "Title", "-o", output)
    assert output.read_text() == render("Title", *assemble(inputs))


def test_patterns_stand_for_the_files_they_match(study, tmp_path):
    output = tmp_path / "report.html"
    events = ("--events", study.folder / "barriers/*/events.h5")
    run_report(*events, "--benchmarks", tmp_path / "**/*.tsv", "--title", "Title", "-o", output)
    inputs = Inputs(events=sorted(study.inputs.events))
    assert output.read_text() == render("Title", *assemble(inputs))
    with pytest.raises(InputError, match="no such file"):
        run_report(tmp_path / "*.xyz", *events, "-o", output)
