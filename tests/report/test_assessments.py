"""The sentences on the explanations follow from the numbers, and the section is whole."""

import copy
import json

import pytest

from symgnn.errors import InputError
from symgnn.report.assessments import read_assessment, section, sentences
from symgnn.report.page import render

NAMES = ("random", "shortest first", "nearest first")


def estimate(value: float, width: float = 0.1) -> dict:
    """An estimate with an interval of some width on either side."""
    return {"value": value, "low": value - width, "high": value + width, "atoms": 20}


@pytest.fixture
def found() -> dict:
    """An assessment in which every test is passed."""
    curves = {"counts": [0, 10, 100]}
    for kind in ("deletion", "insertion"):
        rankings = ("integrated-gradients", *NAMES)
        curves[kind] = {name: [0.0, 0.1, 0.2] for name in rankings}
        curves[f"{kind} area"] = {name: estimate(0.3) for name in rankings}
        curves[f"{kind} gain"] = {name: estimate(0.3) for name in NAMES}
    cycles = {name: estimate(2.0) for name in ("important", "random", "same distance")}
    controls = ("random", "same distance", "same distance and length")
    cycles |= {f"less {name}": estimate(1.0) for name in controls}
    return {
        "format": "symgnn-assessment",
        "method": "integrated-gradients",
        "explained": 200,
        "judged": 20,
        "curves": curves,
        "stability": {name: estimate(0.9) for name in ("seeds", "seeds, top")}
        | {name: estimate(0.1) for name in ("null", "null, top")},
        "known answer": {
            "integrated-gradients": {"correlation": 0.97, "precision": 1.0, "random": 0.03},
            "gnnexplainer": {"correlation": 0.97, "precision": 0.5, "random": 0.03},
        },
        "cycles": cycles,
        "motion": {
            "importance": estimate(0.8),
            "nearness": estimate(0.7),
            "within shells": estimate(0.2),
            "moving": estimate(9.0),
        },
    }


def changed(found: dict, value: float, *path: str) -> str:
    """The sentences after one estimate is replaced."""
    other = copy.deepcopy(found)
    place = other
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = estimate(value)
    return " ".join(sentences(other))


def test_what_is_passed_is_said(found):
    said = " ".join(sentences(found))
    assert "deletion curves beat random, shortest first and nearest first edges" in said
    assert "differ from those of a model that knows nothing" in said
    assert "integrated-gradients passes (1.00) and gnnexplainer fails (0.50)" in said
    assert "the claim survives the control" in said
    assert "importance knows more than distance does" in said


def test_what_is_not_passed_is_said(found):
    said = changed(found, 0.0, "curves", "deletion gain", "shortest first")
    assert "deletion curves beat random and nearest first edges but not shortest first" in said
    assert "cannot be told from" in changed(found, 0.85, "stability", "null")
    said = changed(found, 0.0, "cycles", "less same distance and length")
    assert "but not than edges at the same distance and length: the claim does not survive" in said
    assert "claim on cycles is not supported" in changed(found, 0.0, "cycles", "less random")
    said = changed(found, 0.0, "motion", "within shells")
    assert "is not shown to know more than distance" in said
    said = changed(found, -0.2, "motion", "within shells")
    assert "points away from the atoms that move" in said


def test_section_renders_and_leaves_out_motion_without_events(found):
    del found["motion"]
    page = render("Test", [section([("glass-1", found)])])
    assert "Do the explanations stand up?" in page
    assert "curves-glass-1" in page
    assert "saddle searches" not in " ".join(sentences(found))


def test_only_assessments_are_read(found, tmp_path):
    path = tmp_path / "assessment.json"
    path.write_text(json.dumps(found))
    assert read_assessment(path) == found
    for text in ("{}", "[1", "[]"):
        path.write_text(text)
        with pytest.raises(InputError, match="not an assessment"):
            read_assessment(path)
    with pytest.raises(InputError, match="no such file"):
        read_assessment(tmp_path / "none.json")


def test_too_few_atoms_are_told_and_nothing_is_claimed(found):
    found["motion"]["within shells"]["atoms"] = 2
    assert "not said: explained atoms with searches" in sentences(found)[-1]
    found["judged"] = 1
    said = sentences(found)
    assert len(said) == 2
    assert "only 1 atom judged, and an interval needs 3" in said[0]
