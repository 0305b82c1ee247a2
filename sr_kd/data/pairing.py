"""Which LR image belongs to which HR image: by name, never by position."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from ..errors import UsageError, nearest
from .stored import StoredImage

_SHOWN = 3


def by_name(images: Sequence[StoredImage]) -> dict[str, StoredImage]:
    """The images by name. Raises UsageError when two of one folder have the same name."""
    twice = [name for name, count in Counter(image.name for image in images).items() if count > 1]
    if twice:
        places = ", ".join(str(image) for image in images if image.name == twice[0])
        raise UsageError(f"{len(twice)} name(s) stand for several images of one set, such as '{twice[0]}': {places}")
    return {image.name: image for image in images}


def match(
    hr: Sequence[StoredImage],
    lr: Sequence[StoredImage],
    *,
    scale: int,
    template: str,
    subset: bool,
) -> list[StoredImage]:
    """The LR image of every HR image.

    Args:
        hr: the HR images of one folder.
        lr: the LR images of its partner.
        scale: for the usual names ``NAME`` and ``NAMEx2``, tried where the template is ``{}``.
        template: the LR name made of the HR name, as in BasicSR: ``{}x2``.
        subset: whether `hr` was chosen from a longer list, so that LR images may be left over.

    Raises:
        UsageError: a template without ``{}``, or images of one side without a partner: how many, which,
            and the nearest name.
    """
    partners = by_name(lr)
    names = list(by_name(hr))
    templates = [template] if template != "{}" else ["{}", f"{{}}x{scale}"]
    candidates = [_renamed(names, each) for each in templates]
    candidates += [
        {name: f"{name.removesuffix(hr)}{lr}" for name in names} for hr, lr in (("_HR", "_LR"), ("_GT", "_LQ"))
    ]
    candidates.append({name: f"lr_{name.removeprefix('hr_')}" for name in names})
    rename = max(candidates, key=lambda each: sum(new in partners for new in each.values()))
    _require_partners(hr, lr, rename, partners)
    surplus = sorted(partners.keys() - rename.values())
    if surplus and not subset:
        raise UsageError(
            f"{len(surplus)} of {len(lr)} LR images have no HR image: "
            + "; ".join(f"{partners[name]}{nearest(name, rename.values())}" for name in surplus[:_SHOWN])
        )
    return [partners[rename[name]] for name in names]


def _require_partners(
    hr: Sequence[StoredImage],
    lr: Sequence[StoredImage],
    rename: Mapping[str, str],
    partners: Mapping[str, StoredImage],
) -> None:
    missing = [image for image in hr if rename[image.name] not in partners]
    if missing:
        shown = [f"{i} (expected '{rename[i.name]}'{nearest(rename[i.name], partners)})" for i in missing[:_SHOWN]]
        raise UsageError(
            f"{len(missing)} of {len(hr)} HR images have no LR image in {os.path.dirname(str(lr[0]))}: "  # noqa: PTH120
            f"{'; '.join(shown)}; set filename_tmpl if LR names differ from HR names"
        )


def _renamed(names: Sequence[str], template: str) -> dict[str, str]:
    try:
        renamed = {name: template.format(name) for name in names}
    except (IndexError, KeyError, ValueError):
        renamed = {}
    if any(name not in new for name, new in renamed.items()) or not renamed:
        raise UsageError(f"filename_tmpl must hold {{}} once, for the HR name, such as '{{}}x2'; found '{template}'")
    return renamed
