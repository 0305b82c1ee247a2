"""A fourth task in one folder: checked, trained and compared by the real command line, without a line elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

FOLDER = Path(__file__).parent / "brightness"


def test_a_task_in_one_folder_is_checked_trained_and_compared(run_cli, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "brightness", ignore=shutil.ignore_patterns("__pycache__"))
    options = ("-opt", "brightness/brightness.yml")

    checked = run_cli("check", *options, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "validate on 32 images" in checked.stdout

    trained = run_cli("train", *options, "--device", "cpu", "--quiet", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    for arm in ("alone", "distilled"):
        made = re.search(rf"^{arm}, seed 0: dusk error (\S+), (\S+)$", trained.stdout, re.MULTILINE)
        assert made, trained.stdout
        assert float(made[1]) < 0.05  # of a variance of 1/12
        assert (tmp_path / made[2]).is_file()
    table = (tmp_path / "results/brightness/table.md").read_text()
    assert "| model | dusk | dusk, minus alone |" in table
    assert "Squared error at the last iteration" in table
    results = json.loads((tmp_path / "results/brightness/results.json").read_text())
    assert results["arms"].keys() == {"alone", "distilled"}


def test_its_mistakes_are_named_like_those_of_any_other(run_cli, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "brightness", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "brightness/brightness.yml"
    text = file.read_text().replace("width: 8", "width: 7").replace("type: Brightness}, ", "")
    text = text.replace("{type: Response, weight: 0.5}", "{type: L1}\n      - {type: CrossEntropy}")
    file.write_text(text.replace("type: Meter, width: 2", "type: FSRCNN, scale: 2"))
    found = run_cli("check", "-opt", str(file), cwd=tmp_path)
    assert found.returncode == 2
    assert "key 'networks.teacher.width' is no power of two" in found.stderr
    assert "key 'networks.student.type' is 'FSRCNN': it is for 'task: super_resolution'" in found.stderr
    served = "losses for brightness: AT, Affinity, Brightness, FT, Feature, Hint, IEKD, NST, OriginalVID, Response"
    assert f"losses[2].type' is 'L1': it is for 'task: super_resolution'; {served}" in found.stderr
    assert f"losses[3].type' is 'CrossEntropy': it is for 'task: classification'; {served}" in found.stderr
