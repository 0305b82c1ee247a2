"""Write what is generated from the option schema: options/schema.json for editors and docs/options.md for people.

    python scripts/write_reference.py

A test fails where they are out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sr_kd.files import write_text
from sr_kd.recipes.json_schema import option_file_schema

ROOT = Path(__file__).resolve().parent.parent
INTRODUCTION = """# Option reference

Generated from the schema that option files are checked against. [Recipes](training.md) explains how the parts work
together. BasicSR's layout is accepted too, and not listed here.

Editors with a YAML language server complete and check an option file that names the schema in its first line:

    # yaml-language-server: $schema=schema.json

`sr-kd schema -o schema.json` writes the schema beside a file of your own; the packaged recipes have it already.
"""


def main() -> None:
    """Write both files."""
    for path, text in reference(option_file_schema()).items():
        write_text(path, text)
        print(f"wrote {path}")


def reference(schema: dict[str, Any]) -> dict[Path, str]:
    """Path -> content of every generated file."""
    return {
        ROOT / "options" / "schema.json": json.dumps(schema, indent=2) + "\n",
        ROOT / "docs" / "options.md": INTRODUCTION + "".join(f"\n{line}" for line in _page(schema)) + "\n",
    }


def _page(schema: dict[str, Any]) -> Iterator[str]:
    sections = schema["$defs"]
    for name in _in_order(sections):
        section = sections[name]
        yield f"## {name}"
        yield ""
        yield section["description"]
        yield ""
        yield from _table(section["properties"], set(section.get("required", ())))
        for choice in section.get("allOf", ()):
            own = {key: option for key, option in choice["then"]["properties"].items() if option is not True}
            yield ""
            yield f"### `type: {choice['if']['properties']['type']['const']}`"
            yield ""
            yield choice["then"]["description"]
            if own:
                yield ""
                yield from _table(own, {key for key, option in own.items() if "default" not in option})
        yield ""


def _in_order(sections: dict[str, Any]) -> list[str]:
    """Whole option files first, each followed by the sections that it is the first to name; those with types last."""
    order: list[str] = []
    files = sorted((name for name in sections if name.endswith("Recipe")), key=lambda name: name[0] != "S")
    for file in files:
        found = [file]
        for name in found:
            text = json.dumps(sections[name]["properties"])
            found += [other for other in re.findall(r"#/\$defs/(\w+)", text) if other not in found]
        order += [name for name in found if name not in order]
    return sorted(order, key=lambda name: "allOf" in sections[name])


def _table(options: dict[str, Any], required: set[str]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, option in options.items():
        default = "" if key in required else _default(option)
        cells = [f"`{key}`", _type(option), default, option.get("description", "")]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(option: dict[str, Any]) -> str:
    default = option.get("default")
    if default in (None, {}, []) or "{" in json.dumps(default):
        return "-"
    return f"`{json.dumps(default)}`"


def _type(option: dict[str, Any]) -> str:
    """A value's kind in a few words."""
    if "$ref" in option:
        name = option["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in option:
        return " or ".join(_type(kind) for kind in option["anyOf"] if kind != {"type": "null"})
    if "const" in option or "enum" in option:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in option.get("enum", [option.get("const")]))
    if option.get("type") == "array":
        items = option["prefixItems"] if "prefixItems" in option else [option.get("items", {})]
        return f"list of {_type(items[0])}"
    if option.get("type") == "object":
        inner = option.get("additionalProperties")
        if "patternProperties" in option:
            kinds = [*option.get("properties", {}).values(), *option["patternProperties"].values()]
            return "mapping to " + " or ".join(map(_type, kinds))
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    words = {"integer": "whole number", "string": "text", "boolean": "`true`, `false`", "null": "nothing"}
    kind = words.get(str(option.get("type")), option.get("type", "anything"))
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {option[name]:g}" for name, sign in signs.items() if name in option]
    return " ".join([kind, ", ".join(limits)]).strip()


if __name__ == "__main__":
    main()
