"""The guide's own loss, copied out of it into a user's file, works from an option file on."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
import yaml
from loss_inputs import loss_inputs_of, maps

from sr_kd.losses import LOSSES, NetworkOutput
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.signature import accepted


def test_the_guides_loss_is_found_checked_and_trained(repository, tmp_path):
    guide = (repository / "docs" / "losses.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    fragment = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)[-1])
    (tmp_path / "my_loss.py").write_text(code)
    options = yaml.safe_load((repository / "options" / "train" / "kd" / "at_fsrcnn_x2.yml").read_text())
    options["plugins"] = fragment["plugins"]
    options["phases"]["student"]["losses"] = fragment["phases"]["student"]["losses"]
    file = tmp_path / "recipe.yml"
    file.write_text(yaml.safe_dump(options))

    recipe = load_recipe(file)
    checked = check_recipe(recipe)
    loss = checked.losses["student"].student[1].loss
    student, teacher = maps(2, 56, 6, 10, dtype=torch.float32), maps(2, 56, 6, 10, seed=1, dtype=torch.float32)
    inputs = replace(
        loss_inputs_of(student, teacher),
        trained=NetworkOutput(None, {"expanding": student}),
        teacher=NetworkOutput(None, {"expanding": teacher}),
    )
    value = loss(inputs)["sorted_means"]
    value.backward()
    assert value > 0 and all(parameter.grad is not None for parameter in loss.parameters())


def test_the_guide_has_every_loss_and_every_option(repository):
    guide = (repository / "docs" / "losses.md").read_text()
    for name in LOSSES.names():
        if LOSSES.get(name).__module__.startswith("sr_kd.losses"):
            (row, *_) = re.findall(rf"^\| `{name}` \|.*$", guide, re.MULTILINE)
            absent = [option for option in accepted(LOSSES.get(name)) if option != "pairs" and f"`{option}`" not in row]
            assert not absent, name
