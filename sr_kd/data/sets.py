"""Opening a set of images: HR alone, LR being made from it; HR and LR; or LR alone, for a teacher to answer."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from ..errors import UsageError, nearest
from ..files import real_path
from .embedded import PREFIX, embedded_files
from .folders import find_folder, image_files, read_meta_info
from .image_set import ImageSet, Pair
from .label_record import check_labels
from .lmdb import lmdb_images
from .pairing import by_name, match
from .stored import ImageFile, MissingHR, StoredImage

__all__ = ["ImageSet", "Pair", "lr_images", "open_set", "set_name"]

# Names of HR and LR images that lie in one folder.
_PAIRS = (
    *(("{}_hr", ("{}_lr",)), ("hr_{}", ("lr_{}",)), ("{}_gt", ("{}_lq", "{}_lr"))),
    ("{}", ("{}x2", "{}x3", "{}x4", "{}x8")),
)
_ROLE = re.compile(r"hr|gt|gtmod\d+|gt_?images?|high|target|original|images?", re.IGNORECASE)


def open_set(
    dataroot_gt: str | Sequence[str] | None,
    *,
    scale: int,
    dataroot_lq: str | Sequence[str] | None = None,
    filename_tmpl: str = "{}",
    meta_info_file: str | None = None,
    lmdb: bool = False,
    name: str | None = None,
) -> ImageSet:
    """Open a set of images.

    Args:
        dataroot_gt: folders of HR images (where LR images lie beside them, as ``*_LR`` beside ``*_HR``, HR alone), or
            of a teacher's labels of the images in `dataroot_lq`; LMDB folders; "scikit-image:train" or
            "scikit-image:held_out". Several make one set. A folder such as ``Set5`` may hold the images in ``HR`` or
            ``GTmod12``. None: there is no HR; see `stored.MissingHR`.
        dataroot_lq: the folders of LR images, one for each of HR, or a parent such as ``LR_bicubic``
            that holds ``X2``; without them LR is made from HR.
        filename_tmpl: the LR name made of the HR name; ``{}`` also finds ``NAMEx2``.
        meta_info_file: BasicSR's list of the files to use.
        lmdb: the folders are LMDBs, whatever they are called (one that ends in ``.lmdb`` always is).
        name: default: the folder's name, ``Set5`` for ``Set5/HR``.

    Raises:
        UsageError: folders, names or sizes that do not fit; see the messages of the parts.
        SrKdError: an image that cannot be read.
    """
    hr_roots = [dataroot_gt] if isinstance(dataroot_gt, str) else list(dataroot_gt or [])
    lr_roots = [dataroot_lq] if isinstance(dataroot_lq, str) else list(dataroot_lq or [])
    if not hr_roots and (dataroot_gt is not None or not lr_roots):
        raise UsageError("dataroot_gt names no folder")
    if len(set(hr_roots)) < len(hr_roots):
        raise UsageError(f"dataroot_gt names a folder twice: {', '.join(hr_roots)}")
    if filename_tmpl != "{}" and not lr_roots:
        raise UsageError(f"filename_tmpl '{filename_tmpl}' names LR files, but there are none: LR is made from HR")
    if lr_roots and hr_roots and len(lr_roots) != len(hr_roots):
        raise UsageError(f"dataroot_gt names {len(hr_roots)} folder(s) and dataroot_lq {len(lr_roots)}: one for each")
    listed = None if meta_info_file is None else read_meta_info(meta_info_file)
    hr_parts = [_open_root(root, ["HR", "GT", "GTmod12", f"GTmod{scale}", "*_HR"], lmdb, "HR") for root in hr_roots]
    lr_parts = [lr_images(root, scale, lmdb) for root in lr_roots]
    for root, part, partner in zip_longest(hr_roots, hr_parts, lr_parts if hr_roots else []):
        check_labels(Path(root).expanduser(), part, partner, scale)
    if not hr_roots:
        hr_parts = [[MissingHR(image, scale) for image in part] for part in lr_parts]
    if listed is not None:
        hr_parts = _chosen(hr_parts, listed, str(meta_info_file))
    lr: list[StoredImage] = []
    for part, partner in zip(hr_parts, lr_parts, strict=False):
        lr += match(part, partner, scale=scale, template=filename_tmpl, subset=listed is not None)
    titles = [set_name(root) for root in hr_roots or lr_roots]
    hr = [image for part in hr_parts for image in part]
    images = ImageSet(name or "+".join(titles), scale, _unique_names(hr_parts, titles), hr, lr or None)
    _note_reductions(images)
    return images


def lr_images(dataroot: str, scale: int, lmdb: bool = False) -> list[StoredImage]:
    """The LR images of a folder, or of a parent that holds ``X2``. Raises UsageError where there are none."""
    inside = [f"{folder}{scale}" for folder in ("X", "x", "LR_bicubic/X", "LR/X", "LRbicx", "*_LR_bicubic/X")]
    return _open_root(dataroot, inside, lmdb, "LR")


def _note_reductions(images: ImageSet) -> None:
    """Say once per set what is left out of its files."""
    stored = list(zip(images.hr, images.headers, strict=True))
    for what, found in (
        ("16-bit images are reduced to 8 bit", [image for image, header in stored if header.bit_depth == 16]),
        ("transparency is ignored", [image for image, header in stored if header.alpha]),
    ):
        if found:
            logging.getLogger("sr_kd").warning("%s: %s (%d, such as %s)", images.name, what, len(found), found[0])


def set_name(dataroot: str) -> str:
    """The name of a set by its folder: the last part that names no role, so ``Set5/HR`` is Set5."""
    if dataroot.startswith(PREFIX):
        return dataroot
    *parents, name = real_path(Path(dataroot).expanduser()).parts
    name = name.removesuffix(".lmdb")
    while _ROLE.fullmatch(name) and len(parents) > 1:
        name = parents.pop()
    return name


def _open_root(dataroot: str, inside: list[str], lmdb: bool, role: Literal["HR", "LR"]) -> list[StoredImage]:
    if dataroot.startswith(PREFIX):
        return [ImageFile(path) for path in embedded_files(dataroot)]
    if lmdb or dataroot.endswith(".lmdb") or (Path(dataroot).expanduser() / "data.mdb").is_file():
        return list(lmdb_images(dataroot))
    return [ImageFile(path) for path in _of_role(image_files(find_folder(dataroot, inside)), role)]


def _of_role(files: list[Path], role: Literal["HR", "LR"]) -> list[Path]:
    """The HR or the LR images of a folder that holds both, known by their names; all of another folder."""
    # SelfExSR's hold the results of others, too: img_001_SRF_2_HR.png, img_001_SRF_2_LR.png, img_001_SRF_2_SRCNN.png
    if marked := [file for file in files if re.search(rf"_SRF_\d+_{role}$", file.stem)]:
        return marked
    names = {file.stem.lower() for file in files}
    for high, lows in _PAIRS:
        pattern = re.compile(high.format("(.*)"))
        pairs = {
            name: {low.format(found[1]) for low in lows} & names for name in names if (found := pattern.fullmatch(name))
        }
        hr = {name for name, partners in pairs.items() if partners}
        lr = {partner for partners in pairs.values() for partner in partners}
        if hr and hr | lr == names:
            return [file for file in files if file.stem.lower() in (hr - lr if role == "HR" else lr)]
    return files


def _chosen(parts: list[list[StoredImage]], listed: list[str], meta_info_file: str) -> list[list[StoredImage]]:
    """The images of every part that the meta-info file lists, in its order."""
    found = [by_name(part) for part in parts]
    names = [unicodedata.normalize("NFC", Path(file).stem) for file in listed]
    for number, name in enumerate(names, start=1):
        if not any(name in part for part in found):
            known = [known for part in found for known in part]
            raise UsageError(f"{meta_info_file}, image {number}: no '{name}' in the set{nearest(name, known)}")
    return [[part[name] for name in names if name in part] for part in found]


def _unique_names(parts: list[list[StoredImage]], titles: list[str]) -> list[str]:
    """The images' names; where folders share one, all are preceded by their folder's name."""
    names = [name for part in parts for name in by_name(part)]
    if len(set(names)) == len(names):
        return names
    prefixed = [f"{title}_{image.name}" for part, title in zip(parts, titles, strict=True) for image in part]
    if len(set(prefixed)) < len(prefixed):
        raise UsageError(f"the folders of one set must differ in name or content: {', '.join(titles)}")
    return prefixed
