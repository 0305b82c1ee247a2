"""What every section of an option file has in common: types of values, and refusing unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
AtLeastOne = Annotated[float, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Precision = Literal["fp32", "bf16", "fp16"]
ParamKey = Literal["params", "params_ema"]
Compile = Literal[False, True, "reduce-overhead", "max-autotune"]


def is_folder_name(name: str) -> bool:
    """Whether files can go into a folder of this name, here and on other systems, and nowhere else.

    >>> is_folder_name("fsrcnn_x2"), is_folder_name("runs/fsrcnn_x2")
    (True, False)
    """
    return bool(name.strip()) and name not in (".", "..") and not any(c in "/\\" or not c.isprintable() for c in name)


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise ValueError("a plain name, because folders are called after it, without '/'")
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]


def _path_text(path: str) -> str:
    if not path.strip():
        raise ValueError("a path (that of the current folder is '.')")
    return path


PathText = Annotated[str, AfterValidator(_path_text)]


class Section(BaseModel):
    """A mapping of the option file in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would read ``true`` as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation not in (
            bool,
            Literal[False],
            Compile,
        ):
            raise ValueError("a value other than true and false")
        return value


def used_by(types: tuple[str, ...], value: Any, info: ValidationInfo) -> Any:
    """Refuse an option that was written, and that a section of this type would not look at."""
    if info.data.get("type", types[0]) not in types:
        *others, last = types
        raise ValueError(f"left out: it is an option of {', '.join(others) + ' and ' if others else ''}{last}")
    return value
