import hashlib
import json

import pytest
import skimage.data

from sr_kd.errors import SrKdError, UsageError
from sr_kd.imaging import load
from sr_kd.networks import build_network
from sr_kd.networks.files import save_network
from sr_kd.zoo.manifest import shipped_models


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A folder like the package's own, with a x2 and a x4 model; `load` sees it."""
    entries = []
    for name, scale, default in (("fsrcnn_x2", 2, True), ("small_x2", 2, False), ("fsrcnn_x4", 4, True)):
        save_network(tmp_path / f"{name}.safetensors", build_network("FSRCNN", scale=scale, init="bicubic"))
        digest = hashlib.sha256((tmp_path / f"{name}.safetensors").read_bytes()).hexdigest()
        entry = {"name": name, "file": f"{name}.safetensors", "scale": scale, "sha256": digest}
        entries.append({**entry, "default": default, "license": "Apache-2.0"})
    (tmp_path / "manifest.json").write_text(json.dumps({"models": entries[::-1]}))
    monkeypatch.setattr(load, "shipped_models", lambda: shipped_models(tmp_path))
    return tmp_path


def test_what_the_package_ships_is_whole():
    for model in shipped_models().values():
        assert model.verified_file().stat().st_size > 0


def test_entries(zoo):
    models = shipped_models(zoo)
    assert list(models) == ["fsrcnn_x4", "small_x2", "fsrcnn_x2"]
    model = models["fsrcnn_x2"]
    assert (model.scale, model.default, dict(model.details)) == (2, True, {"license": "Apache-2.0"})


def test_models_by_name_and_by_scale(zoo):
    image = skimage.data.astronaut()[:20, :20]
    assert load.load_model("fsrcnn_x4", device="cpu").upscale(image).shape == (80, 80, 3)
    chosen = {factor: load.load_for_factor(None, factor, device="cpu").name for factor in (None, 1.5, 2, 2.5, 3, 4)}
    assert chosen == dict.fromkeys((None, 1.5, 2), "fsrcnn_x2") | dict.fromkeys((2.5, 3, 4), "fsrcnn_x4")
    with pytest.raises(UsageError, match=r"no shipped model upscales x8 \(the largest: x4\)"):
        load.load_for_factor(None, 8)
    with pytest.raises(UsageError, match=r"'fsrcnn_x3' \(did you mean 'fsrcnn_x.'\?\); models: fsrcnn_x4, small_x2"):
        load.load_model("fsrcnn_x3")


def test_damaged_and_missing_weights(zoo):
    path = zoo / "fsrcnn_x2.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(SrKdError, match="fsrcnn_x2 is damaged"):
        load.load_model("fsrcnn_x2")
    path.unlink()
    with pytest.raises(SrKdError, match="fsrcnn_x2 is missing"):
        load.load_model("fsrcnn_x2")


def test_nothing_is_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "shipped_models", lambda: shipped_models(tmp_path))
    assert shipped_models(tmp_path) == {}
    with pytest.raises(UsageError, match="no model is shipped with this version: name one with -n"):
        load.load_for_factor(None, 2)


def test_the_scale_is_found_for_any_factor(tmp_path):
    save_network(tmp_path / "x3.pth", build_network("FSRCNN", scale=3, init="bicubic"))
    for factor in (None, 0.5, 2, 2.7, 3):
        assert load.load_for_factor(str(tmp_path / "x3.pth"), factor, device="cpu").scale == 3
    assert load.load_for_factor("bicubic", 7.5, device="cpu").scale == 8
    assert load.load_for_factor("bicubic", None, device="cpu").scale == 2
