"""The option file's layout, brought into the schema's: sections, sets, and keys that nothing reads."""

from __future__ import annotations

from typing import Any

from ..errors import nearest
from .basicsr_dialect import translate_metrics, translate_test, translate_training
from .draft import Draft
from .origin import KeyPath

TRAINING_KEYS = frozenset(
    {"name", "task", "scale", "seeds", "manual_seed", "plugins", "datasets", "networks", "phases", "arms"}
    | {"baseline", "val", "logger", "path"}
)
TEST_KEYS = frozenset({"name", "scale", "plugins", "datasets", "models", "baseline", "param_key", "val", "path"})

# BasicSR's keys that have no meaning here; each gives a notice.
OBSOLETE: dict[tuple[str, ...], frozenset[str]] = {
    (): frozenset({"model_type", "num_gpu", "find_unused_parameters", "dist_params"}),
    ("datasets", "*"): frozenset(
        {"use_shuffle", "use_flip", "prefetch_mode", "num_prefetch_queue", "pin_memory"}
        | {"persistent_workers", "dataset_enlarge_ratio", "color", "phase", "scale"}
    ),
    ("val",): frozenset({"pbar", "use_pbar", "suffix"}),
    ("path",): frozenset({"ignore_resume_networks"}),
    ("logger",): frozenset({"wandb"}),
}
# Our own keys of earlier versions: (pattern of the section, old key) -> new key; one notice each.
RENAMED: dict[tuple[tuple[str, ...], str], str] = {
    (("networks", "*"), "colour"): "color",
    (("networks", "*", "*"), "colour"): "color",
    (("phases", "*", "losses", "*"), "pull"): "gradient_ratio",
}
# Arms that were compared with by their name alone, before there was a key for it.
FORMER_BASELINES = ("baseline_total", "alone")
UNTOUCHED = "is read by nothing here and was ignored"

# BasicSR's keys that change what is trained but have no counterpart, and what to do instead.
DISCRIMINATOR = "a discriminator belongs to the loss 'Adversarial' of a phase (docs/losses.md)"
STATE = "a run goes on from its own last state, with --auto_resume"
VALUES = "networks see values in [0, 1]"
REFUSED: dict[tuple[str, ...], dict[str, str]] = {
    (): {"network_d": DISCRIMINATOR},
    ("path",): {"pretrain_network_d": DISCRIMINATOR, "resume_state": STATE},
    ("datasets", "*"): {"mean": VALUES, "std": VALUES},
    ("train",): {
        **dict.fromkeys(("gan_opt", "ldl_opt", "optim_d", "net_d_iters", "net_d_init_iters"), DISCRIMINATOR),
        "perceptual_opt": "the loss 'Perceptual' of a phase names a network of its own (docs/losses.md)",
    },
}
PAIRED = ("PairedImageDataset", "SingleImageDataset")


def is_test(data: dict[str, Any]) -> bool:
    """Whether an option file describes a test: models to measure, and nothing to train."""
    sets = data.get("datasets")
    trains = isinstance(sets, dict) and "train" in sets
    return not trains and not {"phases", "train", "networks"} & data.keys()


def training_draft(data: dict[str, Any]) -> Draft:
    """A training file as the schema's `SuperResolutionRecipe` wants it."""
    draft = Draft(data)
    _rename(draft)
    _sort_out(draft)
    if draft.has("train") or draft.has("network_g"):
        translate_training(draft)
    translate_metrics(draft)
    _name_baseline(draft)
    seed = draft.take("manual_seed")
    if seed is not None:
        draft.put(("seeds",), [seed], ("manual_seed",))
    _check_names(draft, TRAINING_KEYS)
    _place_sets(draft, "validation_sets")
    return draft


def test_draft(data: dict[str, Any]) -> Draft:
    """A test file as the schema's `TestRecipe` wants it."""
    draft = Draft(data)
    draft.take("manual_seed")
    draft.take("path", "strict_load_g")
    _sort_out(draft)
    if draft.has("network_g"):
        translate_test(draft)
    translate_metrics(draft)
    _check_names(draft, TEST_KEYS)
    for key in ("metrics", "save_img"):
        draft.move(("val", key), (key,))
    for key in draft.section("val"):
        known = ["metrics", "save_img"]
        draft.problems.append((("val", key), f"is unknown{nearest(key, known)}; allowed: {', '.join(known)}"))
    draft.take("val")
    _place_sets(draft, "sets")
    return draft


def _sections(draft: Draft, pattern: tuple[str, ...]) -> list[KeyPath]:
    """The sections that a pattern like ``("datasets", "*")`` means."""
    found: list[KeyPath] = [()]
    for part in pattern:
        found = [(*path, key) for path in found for key in (draft.keys(*path) if part == "*" else [part])]
    return found


def _rename(draft: Draft) -> None:
    """Give our own old keys their present names, with one notice for each key."""
    seen = set()
    for (pattern, old), new in RENAMED.items():
        for section in _sections(draft, pattern):
            if not draft.has(*section, old):
                continue
            draft.move((*section, old), (*section, new))
            if old not in seen:
                draft.notices.append(((*section, old), f"is now called '{new}'"))
            seen.add(old)


def _name_baseline(draft: Draft) -> None:
    """The key `baseline` of a file from before there was one."""
    section = "arms" if draft.section("arms") else "phases"
    labeled = draft.data.get("task") in ("classification", "detection")
    for name in reversed(FORMER_BASELINES) if labeled else FORMER_BASELINES:
        if not draft.has("baseline") and name in draft.section(section):
            draft.put(("baseline",), name, (section, name))
            draft.notices.append(((section, name), f"is what the others are compared with; say 'baseline: {name}'"))


def _sort_out(draft: Draft) -> None:
    """Take out what nothing reads (one notice for each key) and refuse what cannot be honored."""
    seen = set()
    for pattern, keys in OBSOLETE.items():
        for section in _sections(draft, pattern):
            for key in [key for key in draft.section(*section) if key in keys]:
                said = draft.take(*section, key) is not None  # null asks for nothing
                if said and (pattern, key) not in seen:
                    draft.notices.append(((*section, key), UNTOUCHED))
                seen.add((pattern, key))
    for pattern, sentences in REFUSED.items():
        for section in _sections(draft, pattern):
            for key in [key for key in draft.section(*section) if key in sentences]:
                if draft.take(*section, key) is not None:
                    draft.problems.append(((*section, key), f"cannot be honored: {sentences[key]}; remove it"))
    for section in _sections(draft, ("datasets", "*")):
        kind = draft.take(*section, "type")
        if kind is not None and str(kind) not in PAIRED:
            sentence = f"is '{kind}': sets are HR images, with or without their LR ({PAIRED[0]}); remove it"
            draft.problems.append(((*section, "type"), sentence))


def _check_names(draft: Draft, allowed: frozenset[str]) -> None:
    for key in [key for key in draft.data if key not in allowed]:
        draft.take(key)
        sentence = f"is unknown{nearest(key, allowed)}; allowed: {', '.join(sorted(allowed))}"
        draft.problems.append(((key,), sentence))


def _place_sets(draft: Draft, target: str) -> None:
    """``datasets: {train, val, val_1, test_1}`` to the schema's `train` and list of sets."""
    sets = draft.section("datasets")
    if draft.has("datasets") and draft.data["datasets"] is not None and not sets:
        draft.problems.append((("datasets",), f"must be a mapping of sets; found {draft.data['datasets']!r}"))
    draft.data[target] = []
    draft.moved[target,] = ("datasets",)
    for name, options in sets.items():
        role = name.partition("_")[0]
        if name == "train" and target == "validation_sets":
            draft.data["train"] = options
            draft.moved["train",] = ("datasets", name)
        elif role in ("val", "test") and name != "train":
            draft.moved[target, len(draft.data[target])] = ("datasets", name)
            draft.data[target].append(options)
        else:
            roles = "val, val_1, test_1..." if target == "sets" else "train, val, val_1..."
            draft.problems.append((("datasets", name), f"is no kind of set; allowed: {roles}"))
    draft.take("datasets")
    if target == "validation_sets" and "train" not in draft.data:
        draft.moved["train",] = ("datasets", "train")
