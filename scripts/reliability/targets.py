"""What is fuzzed: each target makes a case from a random generator and hands it to the package as a user would."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image
import tifffile
import torch
import yaml
from guard import CANARY
from mutate import SCALARS, damage_bytes, damage_text

from sr_kd.errors import SrKdError

Case = Callable[[Random], str]  # does one case in the current folder; "done", or raises SrKdError where it is refused
LARGEST = 2**20  # pixels: a damaged header may say any size, and a large image taking its time is no hang
SET = "scikit-image:held_out"


class UnexpectedError(Exception):
    """The package said itself that it did not foresee this."""


def images() -> Case:
    """Image files of every format with damaged bytes, upscaled."""
    seeds = _image_files()
    upscale = _upscaling()

    def case(random: Random) -> str:
        name = random.choice(list(seeds))
        return upscale(
            random.choice((name, name, random.choice(list(seeds)))), damage_bytes(seeds[name], random), random
        )

    return case


def metadata() -> Case:
    """EXIF, XMP, ICC, IPTC and texts of any content, in images that are whole."""
    from PIL import ImageCms, PngImagePlugin

    upscale = _upscaling()
    picture = PIL.Image.fromarray(_photograph()[:20, :24])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = PIL.Image.Exif()
    exif.update({0x0112: 6, 0x010E: "text", 0x011A: 72.0, 0x9C9B: b"a\0b\0"})
    exif.get_ifd(0x8769).update({0xA002: 24, 0xA003: 20, 0x9003: "2020:01:01 00:00:00", 0xA001: 2})
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" tiff:ImageWidth="24"/>'
    xmp += b"</rdf:RDF></x:xmpmeta>"

    def case(random: Random) -> str:
        kind, texts = random.choice(("PNG", "JPEG", "WEBP", "TIFF", "AVIF")), PngImagePlugin.PngInfo()
        given: dict[str, Any] = {
            "exif": damage_bytes(exif.tobytes(), random),
            "icc_profile": damage_bytes(profile, random),
            "xmp": damage_bytes(xmp, random),
        }
        given = {key: value for key, value in given.items() if random.random() < 0.6}
        if kind == "PNG":
            texts.add_itxt("XML:com.adobe.xmp", damage_bytes(xmp, random).decode("latin-1").replace("\0", " "))
            texts.add_text("Comment", damage_bytes(b"a comment", random).decode("latin-1").replace("\0", " "))
            given["pnginfo"] = texts
        if kind == "JPEG" and random.random() < 0.3:
            given["comment"] = random.randbytes(random.randrange(200))
        if kind == "TIFF":
            given.pop("exif", None)
        buffer = io.BytesIO()
        try:
            picture.save(buffer, kind, **given)
        except Exception:
            return "not written by Pillow"
        return upscale(f"a.{kind.lower()}", buffer.getvalue(), random)

    return case


def options() -> Case:
    """Option files with damaged lines and bytes, checked."""
    from sr_kd.recipes.check import check_file

    texts = _option_files()

    def case(random: Random) -> str:
        text = damage_text(random.choice(texts), random)
        data = text.encode("utf-8", "surrogatepass")
        Path("options.yml").write_bytes(damage_bytes(data, random, 0.1) if random.random() < 0.3 else data)
        check_file("options.yml", data=random.random() < 0.5)
        return "done"

    return case


def overrides() -> Case:
    """Texts after --force_yml, on option files that are whole."""
    from sr_kd.recipes.check import check_file

    texts = _option_files()
    for number, text in enumerate(texts):
        Path(f"whole{number}.yml").write_text(text)
    paths = [sorted(":".join(path) for path in _paths(yaml.safe_load(text))) for text in texts]

    def case(random: Random) -> str:
        number, given = random.randrange(len(texts)), []
        for _ in range(random.randint(1, 3)):
            path = random.choice(paths[number])
            if random.random() < 0.2:
                path += ":" + random.choice(("0", "1", "-1", "", "x", random.choice(paths[number])))
            text = f"{path}={random.choice(SCALARS)}"
            given.append(damage_text(text, random).rstrip("\n") if random.random() < 0.3 else text)
        check_file(f"whole{number}.yml", given, data=False)
        return "done"

    return case


def weights() -> Case:
    """Weights files with damaged bytes and descriptions, or with pickles that run code; loaded, run and described."""
    from sr_kd.imaging.load import load_model
    from sr_kd.networks.build import build_network
    from sr_kd.networks.files import save_network
    from sr_kd.report.facts import file_facts

    made: dict[str, bytes] = {}
    descriptions = []
    for kind, arguments in (("FSRCNN", {"scale": 2}), ("IDN", {"scale": 2}), ("VDSR", {"scale": 2, "layers": 5})):
        for suffix in (".pth", ".safetensors"):
            save_network(f"whole{suffix}", build_network(kind, **arguments))
            made[f"{kind}{suffix}"] = Path(f"whole{suffix}").read_bytes()
        content = torch.load("whole.pth", weights_only=True)
        descriptions.append(content)
        arrays = {key: value.numpy() for key, value in content["params"].items()}
        np.savez("whole.npz", **arrays)
        made[f"{kind}.npz"] = Path("whole.npz").read_bytes()
        for name, archive in (("bare", True), ("old", False)):
            torch.save(content["params"], "whole.pth", _use_new_zipfile_serialization=archive)
            made[f"{kind}_{name}.pth"] = Path("whole.pth").read_bytes()

    def described(random: Random) -> bytes:
        content = dict(random.choice(descriptions))
        content["sr_kd"] = damage_text(json.dumps(json.loads(content["sr_kd"]), indent=1), random)
        if random.random() < 0.5:
            found = json.loads(random.choice(descriptions)["sr_kd"])
            found["arguments"][random.choice((*found["arguments"], "type", "init", "taps"))] = random.choice(
                (0, -1, 2**31, 10**30, 1.5, None, True, "x", [], {}, [1] * 50, {"type": "VDSR"}, "../x", 64, 7)
            )
            content["sr_kd"] = json.dumps(found)
        if random.random() < 0.3:
            content["params"] = dict(content["params"])
            key = random.choice(list(content["params"]))
            content["params"][key] = random.choice(
                (
                    torch.zeros(()),
                    torch.zeros(0),
                    torch.zeros(1, 10**6).expand(10**4, 10**6),
                    torch.zeros(2, 2).to_sparse(),
                    torch.zeros(3, device="meta"),
                    torch.tensor([True]),
                    torch.zeros(3, dtype=torch.complex64),
                )
            )
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    def case(random: Random) -> str:
        choice = random.random()
        if choice < 0.6:
            name = random.choice(list(made))
            data = damage_bytes(made[name], random, 0.3)
            if name.endswith(".pth") and random.random() < 0.3:
                data = _inside(made[name], random, lambda entry: damage_bytes(entry, random))
        elif choice < 0.85:
            name, data = "a.pth", described(random)
        else:
            name, data = "a.pth", _running_pickle(random)
            if random.random() < 0.5 and data:
                data = _inside(made["FSRCNN.pth"], random, lambda _: _running_pickle(random))
        suffix = random.choice((Path(name).suffix,) * 8 + (".pth", ".npz", ".safetensors", ".onnx", ".ckpt", ".zip"))
        path = Path(f"net{suffix}")
        path.write_bytes(data)
        if random.random() < 0.2:
            file_facts(path, 2)
            return "done"
        upscaler = load_model(path, scale=2, device="cpu")
        upscaler.upscale(np.zeros((5, 6, 3), np.uint8))
        return "done"

    return case


def lmdbs() -> Case:
    """LMDBs with damaged pages and lists, read; and written on, as an interrupted `prepare` would."""
    from sr_kd.data.lmdb import LmdbWriter, lmdb_images
    from sr_kd.data.prepare import encode_png
    from sr_kd.images import Header

    pixels = _photograph()
    whole = []
    for count, side in ((3, 90), (150, 6), (1, 8)):
        folder = Path(f"whole{count}.lmdb")
        with LmdbWriter(folder) as writer:
            for number in range(count):
                writer.put(f"a{number}", encode_png(pixels[:side, :side]))
        with LmdbWriter(folder) as writer:
            writer.put("more", encode_png(pixels[:side, :side]))
            writer.finish((f"a{number}", Header(side, side, 3)) for number in range(count))
        whole.append({name: (folder / name).read_bytes() for name in ("data.mdb", "meta_info.txt")})

    def case(random: Random) -> str:
        folder, files = Path("set.lmdb"), random.choice(whole)
        folder.mkdir(exist_ok=True)
        data = bytearray(files["data.mdb"])
        for _ in range(random.randint(0, 4)):
            page = random.randrange(len(data) // 4096) * 4096
            place = page + random.choice((random.randrange(200), random.randrange(4096)))
            value = random.choice((random.randbytes(1), b"\xff", b"\0", random.randbytes(8)))
            data[place : place + len(value)] = value
        if random.random() < 0.05:
            del data[random.randrange(len(data)) :]
        (folder / "data.mdb").write_bytes(data)
        listing = files["meta_info.txt"].decode()
        if random.random() < 0.3:
            names = ("../../../x.png (8,8,3) 1", "/x.png (8,8,3) 1", "a0.png (99999,99999,3) 1", "\0.png (1,1,1) 1")
            listing = damage_text(listing + random.choice(names) + "\n", random)
        (folder / "meta_info.txt").write_text(listing)
        if random.random() < 0.3:
            with LmdbWriter(folder) as writer:
                writer.names()
                for number in range(random.choice((1, 40))):
                    writer.put(f"new{number}", encode_png(pixels[:40, :40]))
        for image in lmdb_images("set.lmdb")[:20]:
            image.read()
        return "done"

    return case


def states() -> Case:
    """Training states with damaged bodies under a right checksum, read as a resumed run and `sr-kd info` do."""
    from sr_kd.report.facts import file_facts
    from sr_kd.training.checkpoint import StateFolder

    torch.manual_seed(0)
    tensors = {f"layer.{number}": torch.randn(4, 4) for number in range(6)}
    state = {
        "stage": 0,
        "iteration": 4,
        "step": tensors,
        "ema": None,
        "best": {},
        "skipped": 0,
        "lengths": [8],
        "optimization": {"state": {0: {"step": 4, "exp_avg": torch.zeros(4)}}, "groups": [{"lr": 1e-3}]},
        "record": {"a": 1},
    }
    folder = StateFolder(Path("states"))
    body = folder.save(4, state).read_bytes()[:-32]

    def case(random: Random) -> str:
        choice, changed = random.random(), dict(state)
        data = damage_bytes(body, random, 0.3)
        if choice < 0.3:
            data = _inside(body, random, lambda entry: damage_bytes(entry, random))
        elif choice < 0.5:
            changed[random.choice(list(changed))] = random.choice(
                (None, -1, 10**30, "x", [], {}, torch.tensor(float("nan")), {"a": torch.tensor([float("inf")])})
            )
            buffer = io.BytesIO()
            torch.save(changed, buffer)
            data = buffer.getvalue()
        elif choice < 0.6:
            data = _running_pickle(random)
        if random.random() < 0.9:
            data += hashlib.sha256(data).digest()
        (folder.folder / "4.state").write_bytes(data)
        found = folder.load_latest()
        file_facts(folder.folder / "4.state")
        return "done" if found else "refused"

    return case


TARGETS: dict[str, Callable[[], Case]] = {
    "images": images,
    "metadata": metadata,
    "options": options,
    "overrides": overrides,
    "weights": weights,
    "lmdbs": lmdbs,
    "states": states,
}


class _Runs:
    """Runs code when it is unpickled."""

    def __init__(self, call: Any, arguments: tuple[Any, ...]) -> None:
        self._reduced = (call, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._reduced


def _running_pickle(random: Random) -> bytes:
    code = f"import builtins; builtins.{CANARY} = True"
    ways = (
        (exec, (code,)),
        (eval, (f"__import__('builtins').__setattr__('{CANARY}', True)",)),
        (os.system, ("true",)),
        (setattr, (_Runs(__import__, ("builtins",)), CANARY, True)),
        (open, ("../outside", "w")),
    )
    made = _Runs(*random.choice(ways))
    content = random.choice((made, {"params": made}, {"params": {"a": torch.zeros(1)}, "sr_kd": made}))
    if random.random() < 0.5:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()
    return pickle.dumps(content, protocol=random.randrange(6))


def _inside(data: bytes, random: Random, change: Callable[[bytes], bytes]) -> bytes:
    """A zip archive with one entry changed, and all its checksums right."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
            names = source.namelist()
            chosen = random.choice(names + [name for name in names if name.endswith("data.pkl")] * 3)
            for name in names:
                content = source.read(name)
                target.writestr(name, change(content) if name == chosen else content)
    except zipfile.BadZipFile:
        return change(data)
    return buffer.getvalue()


def _photograph() -> np.ndarray:
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[100:220, 180:300])


def _image_files() -> dict[str, bytes]:
    rgb = _photograph()[:24, :30]
    found: dict[str, bytes] = {}
    picture = PIL.Image.fromarray(rgb)
    alpha = picture.convert("RGBA")
    kinds: list[tuple[str, PIL.Image.Image, dict[str, Any]]] = [
        ("rgb.png", picture, {}),
        ("gray.png", picture.convert("L"), {}),
        ("palette.png", picture.quantize(9), {}),
        ("one.png", picture.convert("1"), {}),
        ("alpha.png", alpha, {"dpi": (72, 72)}),
        ("rgb.jpg", picture, {"quality": 80}),
        ("progressive.jpg", picture, {"progressive": True}),
        ("cmyk.jpg", picture.convert("CMYK"), {}),
        ("gray.jpg", picture.convert("L"), {}),
        ("rgb.webp", picture, {}),
        ("lossless.webp", alpha, {"lossless": True}),
        ("rgb.bmp", picture, {}),
        ("palette.bmp", picture.quantize(9), {}),
        ("rgb.gif", picture, {}),
        ("rgb.avif", picture, {}),
        ("rgb.tif", picture, {}),
        ("lzw.tif", alpha, {"compression": "tiff_lzw"}),
        ("jpeg.tif", picture, {"compression": "jpeg"}),
        ("fax.tif", picture.convert("1"), {"compression": "group4"}),
        ("cmyk.tif", picture.convert("CMYK"), {}),
        ("rgb.ppm", picture, {}),
    ]
    for name, image, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, PIL.Image.registered_extensions()[Path(name).suffix], **options)
        found[name] = buffer.getvalue()
    deep = rgb.astype(np.uint16) * 257
    for name, pixels, given in (
        ("deep.tif", deep, {"photometric": "rgb"}),
        ("tiled.tif", deep, {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}),
        ("planar.tif", rgb.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        ("big.tif", rgb, {"photometric": "rgb", "bigtiff": True}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.ascontiguousarray(pixels), **given)
        found[name] = buffer.getvalue()
    PIL.Image.fromarray(deep[..., 0]).save("deep.png")
    found["deep.png"] = Path("deep.png").read_bytes()
    return found


def _paths(value: Any) -> list[tuple[str, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(str(key), *rest) for key, inner in items for rest in ((), *_paths(inner))]


def _upscaling() -> Callable[[str, bytes, Random], str]:
    from sr_kd.imaging.folder import upscale_files
    from sr_kd.imaging.jobs import Job
    from sr_kd.imaging.load import load_model

    PIL.Image.MAX_IMAGE_PIXELS = LARGEST // 2
    upscalers = [load_model("bicubic", device="cpu"), load_model("fsrcnn_x2", device="cpu")]

    def upscale(name: str, data: bytes, random: Random) -> str:
        source = Path(f"source{Path(name).suffix}")
        source.write_bytes(data)
        target = Path("out") / f"result{random.choice(('.png', '.png', '.jpg', '.webp', '.tif', '.bmp', '.avif'))}"
        (outcome,) = upscale_files(random.choice(upscalers), [Job(source, target)], quiet=True)
        shutil.rmtree("out", ignore_errors=True)
        if outcome.error and outcome.error.startswith("unexpected"):
            raise UnexpectedError(outcome.error)
        if outcome.error:
            raise SrKdError(outcome.error)
        return outcome.status

    return upscale


def _option_files() -> list[str]:
    from sr_kd.config.recipe_files import find_option_file, packaged_recipes

    found = [find_option_file(name).read_text() for name in packaged_recipes()]
    tiny = f"""name: tiny
scale: 2
datasets:
  train: {{dataroot_gt: "{SET}", gt_size: 32, batch_size_per_gpu: 4}}
  val: {{name: val, dataroot_gt: "{SET}"}}
networks:
  teacher: {{type: PrivilegedTeacher, encoder: {{type: Hourglass}}, decoder: {{type: FSRCNN}}}}
  student: {{type: FSRCNN, init: bicubic}}
phases:
  teacher: {{trains: teacher, total_iter: 4, losses: [{{type: L1}}, {{type: Imitation, weight: 1e-2}}]}}
  student: {{needs: [teacher], trains: student, total_iter: 4, losses: [{{type: VID, taps: [expanding]}}]}}
"""
    dialect = f"""name: dialect
model_type: SRModel
scale: 2
datasets: {{train: {{name: T, type: PairedImageDataset, dataroot_gt: "{SET}", gt_size: 32}}}}
network_g: {{type: FSRCNN}}
train: {{optim_g: {{type: Adam, lr: 1e-3}}, total_iter: 4, pixel_opt: {{type: L1Loss}}}}
"""
    return [*found, *[tiny, dialect] * max(1, len(found) // 2)]
