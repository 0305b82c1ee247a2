"""A user's own loss from his own file."""

from __future__ import annotations

import re
import uuid

import numpy as np
import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.imaging.load import load_model
from sr_kd.networks.files import save_network
from sr_kd.recipes.check import check_recipe
from sr_kd.recipes.load import load_recipe
from sr_kd.recipes.networks import build_network_from

PLUGIN = """\
from torch import nn
from sr_kd.losses.base import Loss
from sr_kd.losses.build import LOSSES


class Smooth(Loss):
    \"\"\"mean smooth |SR - HR|\"\"\"

    def __init__(self, pairs=(), beta: float = 1.0):
        super().__init__(pairs)
        self.beta = beta

    def forward(self, inputs):
        return {"smooth": nn.functional.smooth_l1_loss(inputs.trained.output, inputs.hr, beta=self.beta)}


def register():
    LOSSES.register("NAME", Smooth)
"""


@pytest.fixture
def with_plugin(pisr, tmp_path):
    """Writes a plug-in beside the PISR recipe, which uses the loss of that name."""

    def write(text: str, loss: str = "L1"):
        (tmp_path / "own.py").write_text(text, encoding="utf-8")
        return pisr(("scale: 2", "scale: 2\nplugins: [own.py]"), ("- {type: L1}", f"- {{type: {loss}}}"))

    return write


def test_a_loss_from_a_file_beside_the_option_file_is_used(with_plugin):
    name = f"Smooth{uuid.uuid4().hex}"
    path = with_plugin(PLUGIN.replace("NAME", name), f"{name}, beta: 0.5")
    check_recipe(load_recipe(path))
    check_recipe(load_recipe(path))  # a second reading in the same process registers nothing twice
    with pytest.raises(UsageError, match="has no option 'alpha'"):
        check_recipe(load_recipe(path, ["phases.teacher.losses.0.alpha=1"]))
    with pytest.raises(UsageError, match="does not say which 'terms' it returns"):
        check_recipe(load_recipe(path, ["phases.teacher.losses.0.weight={smooth: 1}"]))


def test_a_missing_plugin_names_its_nearest_neighbor(with_plugin):
    path = with_plugin("def register(): pass")
    with pytest.raises(UsageError, match=r"plug-in owm.py: there is no file .*owm.py \(did you mean 'own.py'\?\)"):
        load_recipe(path, ["plugins=[owm.py]"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import torch\n1 / 0\n", "plug-in own.py, line 2: ZeroDivisionError: division by zero"),
        ("def register(:\n", "plug-in own.py, line 1: SyntaxError"),
        ("x = 1\n", "plug-in own.py: it defines no function register()"),
        ("\ndef register():\n    raise KeyError('a')\n", "plug-in own.py, line 3: KeyError: 'a'"),
        ("import sys\nsys.exit(0)\n", "plug-in own.py, line 2: SystemExit: 0"),
        ("class E(Exception):\n    __str__ = None\n\n\nraise E\n", "plug-in own.py, line 5: E"),
        ("raise ValueError('a\\nb')\n", "plug-in own.py, line 1: ValueError: a b"),
        (PLUGIN.replace("NAME", "VID"), "loss 'VID' is registered already; choose another name"),
    ],
)
def test_a_failing_plugin_is_one_sentence(with_plugin, text, sentence):
    with pytest.raises(UsageError) as refused:
        load_recipe(with_plugin(text))
    assert sentence in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_an_edited_plugin_is_noticed(with_plugin, tmp_path):
    name = f"Smooth{uuid.uuid4().hex}"
    path = with_plugin(PLUGIN.replace("NAME", name), name)
    before = load_recipe(path).plugin_digests
    (tmp_path / "own.py").write_text(PLUGIN.replace("NAME", name) + "# edited\n", encoding="utf-8")
    after = load_recipe(path).plugin_digests
    assert before.keys() == after.keys() == {"own.py"}
    assert before != after


def test_the_guides_network_is_checked_trained_and_measured(repository, pisr, tmp_path):
    guide = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "my_network.py").write_text(code, encoding="utf-8")
    path = pisr(("scale: 2", "scale: 2\nplugins: [my_network.py]"), ("student: {type: FSRCNN", "student: {type: Tiny"))
    network = build_network_from(load_recipe(path).networks["student"], 2)
    lr = torch.rand(1, 1, 9, 7)
    result, found = network.features(lr, ["body"])
    assert result.shape == (1, 1, 18, 14) and found["body"].shape == (1, 16, 9, 7)
    assert torch.equal(network.tail("body", found["body"], lr), result)
    save_network(tmp_path / "tiny.pth", network)
    upscaler = load_model(tmp_path / "tiny.pth", tile=8)
    image = np.random.default_rng(0).integers(0, 256, (30, 26, 3), np.uint8)
    whole = load_model(tmp_path / "tiny.pth", tile=0).upscale(image)
    assert np.abs(upscaler.upscale(image).astype(int) - whole).max() <= 1
