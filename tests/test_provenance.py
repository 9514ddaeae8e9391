"""What makes a stage run again."""

import shutil
from pathlib import Path

import pytest

import symgnn
from symgnn.provenance import USES, stage_hash


@pytest.mark.parametrize("stage", USES)
def test_modules_that_use_results_make_no_stage_run_again(stage, tmp_path, monkeypatch):
    """And every other module of its folder does."""
    root = tmp_path / "symgnn"
    shutil.copytree(Path(symgnn.__file__).parent, root)
    monkeypatch.setattr(symgnn, "__file__", str(root / "__init__.py"))
    before = stage_hash(stage)
    for path in sorted((root / stage).glob("*.py")):
        text = path.read_text()
        path.write_text(text + "\nADDED = 1\n")
        assert (stage_hash(stage) == before) == (path.name in USES[stage])
        path.write_text(text)
    assert all((root / stage / name).is_file() for name in USES[stage])


def test_other_modules_can_be_left_out(tmp_path, monkeypatch):
    root = tmp_path / "symgnn"
    shutil.copytree(Path(symgnn.__file__).parent, root)
    monkeypatch.setattr(symgnn, "__file__", str(root / "__init__.py"))
    before = stage_hash("barriers", without=("labels.py",))
    for name, counts in (("labels.py", False), ("artn.py", True)):
        with (root / "barriers" / name).open("a") as stream:
            stream.write("\nADDED = 1\n")
        assert (stage_hash("barriers", without=("labels.py",)) != before) == counts
