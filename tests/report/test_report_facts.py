"""What files are, against published figures, and the cards made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sr_kd.errors import UsageError
from sr_kd.networks.build import build_network
from sr_kd.networks.files import save_network
from sr_kd.report.card import model_card
from sr_kd.report.facts import file_facts
from sr_kd.training.checkpoint import StateFolder
from sr_kd.zoo.manifest import shipped_models


def test_carn_m_takes_what_its_paper_says(shared: Path) -> None:
    """Table 2 of Ahn et al., "Fast, accurate, and lightweight super-resolution with CARN" (ECCV 2018)."""
    facts = file_facts(shared / "weights" / "CARN-M" / "carn_m.npz")
    assert facts.kind == "network" and facts.made_by == "CARN-pytorch" and facts.color == "rgb"
    found = {scale: round(effort.multiply_adds / 1e9, 1) for scale, effort in facts.efforts.items()}
    assert found == {2: 91.2, 3: 46.1, 4: 32.5}
    assert round(facts.parameters / 1000) in range(410, 416), "412 K there"


def test_fsrcnns_activations_are_those_of_its_layers() -> None:
    (effort,) = file_facts("fsrcnn_x2").efforts.values()
    pixels = 640 * 360
    assert effort.activations == pixels * (56 + 12 + 4 * 12 + 56) + 1280 * 720
    assert effort.memory == 4 * (12_644 + 2 * 56 * pixels)


def test_a_network_of_a_run_tells_its_run(tmp_path: Path) -> None:
    path = tmp_path / "net_g_latest.pth"
    save_network(path, build_network("FSRCNN", scale=3), metadata={"recipe": "r", "phase": "p", "seed": 1})
    facts = file_facts(path)
    assert facts.metadata == {"recipe": "r", "phase": "p", "seed": 1}
    assert facts.scales == (3,) and facts.size == path.stat().st_size
    json.dumps(facts.document())


def test_a_training_state_is_one(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "name" / "training_states" / "student")
    path = folder.save(7, {"iteration": 7, "stage": 0, "step": {"student.a": torch.zeros(3, 4)}})
    facts = file_facts(path)
    assert (facts.kind, facts.parameters) == ("training state", 12)
    assert facts.metadata == {"run": "name", "phase": "student", "iteration": 7, "stage": 0}


@pytest.mark.parametrize("name", list(shipped_models()))
def test_the_shipped_cards_are_those_of_the_files(name: str) -> None:
    card = shipped_models()[name].file.with_suffix(".md").read_text(encoding="utf-8")
    assert card == model_card(file_facts(name))
    scores = shipped_models()[name].details["scores"]
    assert all(f"| {one['name']} | {one['psnr']:.2f} | {one['ssim']:.4f} |" in card for one in scores)


def test_a_teacher_has_no_card(tmp_path: Path) -> None:
    parts = {"encoder": {"type": "Hourglass", "scale": 2}, "decoder": {"type": "FSRCNN", "scale": 2}}
    path = tmp_path / "teacher.pth"
    save_network(path, build_network("PrivilegedTeacher", **parts))
    with pytest.raises(UsageError, match="is a privileged teacher; model cards are for"):
        model_card(file_facts(path))


def test_what_a_file_says_is_text_on_the_terminal_and_in_the_card(run_cli, tmp_path: Path) -> None:
    said = "\x1b[2J\n<script>1</script> ![x](http://127.0.0.1/x.png) `a` | b"
    path, card = tmp_path / "net.safetensors", tmp_path / "README.md"
    metadata = {"recipe": said, "iteration": said, "protocol": said, "scores": {said: {said: 1.0, "psnr": said}}}
    save_network(path, build_network("FSRCNN", scale=2), metadata=metadata)
    result = run_cli("info", path, "--card", card)
    assert result.returncode == 0, result.stderr
    for text in (result.stdout, card.read_text(encoding="utf-8")):
        assert "\x1b" not in text and all(line.isprintable() for line in text.splitlines())
    text = card.read_text(encoding="utf-8")
    assert r"- Recipe: \x1b\[2J\n&lt;script>1&lt;/script> !\[x\](http://127.0.0.1/x.png) \`a\` \| b" in text
    assert "<script" not in text.lower()


def test_the_command_prints_json_and_writes_a_card(run_cli, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    done = run_cli("info", "fsrcnn_x2", "--json", "--card", card)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["sha256"] == shipped_models()["fsrcnn_x2"].sha256
    assert found["efforts"]["2"]["multiply_adds"] == 2_871_705_600
    assert card.read_text().startswith("---\nlibrary_name: sr_kd\n")


def test_what_is_no_file_is_refused(run_cli) -> None:
    done = run_cli("info", "nothing")
    assert done.returncode == 2 and "no file nothing, and no shipped model" in done.stderr
