"""The JSON schema of option files: it accepts what the loader accepts, and what is generated from it is up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sr_kd.config.recipe_files import packaged_recipes

REPOSITORY = Path(__file__).resolve().parents[2]


class Yaml12(yaml.SafeLoader):
    """As editors read YAML: ``1e-4`` is a number."""


Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


# In a process of its own: other tests register parts in this one.
CODE = """
import json
from sr_kd.losses.build import LOSSES
from sr_kd.networks.build import NETWORKS
from sr_kd.recipes.json_schema import option_file_schema
names = {"LossOptions": LOSSES.names(), "NetworkOptions": NETWORKS.names()}
print(json.dumps([option_file_schema(), names]))
"""


@cache
def schema_and_names() -> tuple[dict[str, Any], dict[str, list[str]]]:
    printed = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, cwd=REPOSITORY)
    schema, names = json.loads(printed.stdout)
    return schema, names


def schema() -> dict[str, Any]:
    return schema_and_names()[0]


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema())
    return [error.message for error in validator.iter_errors(yaml.load(text, Yaml12))]


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_packaged_recipe_is_valid_and_names_the_schema(name: str) -> None:
    file = packaged_recipes()[name]
    text = file.read_text(encoding="utf-8")
    assert errors(text) == []
    prefix = "# yaml-language-server: $schema="
    first = text.partition("\n")[0]
    assert first.startswith(prefix)
    assert json.loads((file.parent / first.removeprefix(prefix)).read_text()) == schema()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scale: 2", "scale: two", "'two' is not of type 'integer'"),
        ("total_iter: 2000", "total_itr: 2000", "'total_itr' was unexpected"),
        ("likelihood: laplace", "likelihood: laplac", "'laplac' is not one of ['laplace', 'gaussian']"),
        ("weight: 1e-1", "weigth: 1e-1", "'weigth' was unexpected"),
        ("type: one_cycle", "type: one_cicle", "'one_cicle' is not one of"),
        ("gt_size: 48", "gt_size: 0", "0 is less than or equal to the minimum of 0"),
    ],
)
def test_a_mistake_is_found(old: str, new: str, message: str) -> None:
    text = packaged_recipes()["quickstart"].read_text(encoding="utf-8")
    assert old in text
    assert any(message in error for error in errors(text.replace(old, new, 1)))


def test_a_plug_in_of_any_name_is_allowed() -> None:
    text = packaged_recipes()["quickstart"].read_text(encoding="utf-8")
    assert errors(text.replace("{type: L1}", "{type: MyLoss, anything: 3}")) == []


def test_every_loss_and_network_has_its_options() -> None:
    for section, names in schema_and_names()[1].items():
        choices = schema()["$defs"][section]["allOf"]
        assert [choice["if"]["properties"]["type"]["const"] for choice in choices] == names
    at = next(choice["then"] for choice in schema()["$defs"]["LossOptions"]["allOf"] if "AT" in str(choice["if"]))
    assert at["properties"]["form"]["enum"] == ["code", "paper"]
    assert {key: at["properties"]["p"][key] for key in ("minimum", "default")} == {"minimum": 1, "default": 2.0}


def test_every_option_says_what_it_means() -> None:
    sections = schema()["$defs"]
    silent = [f"{name}.{key}" for name, section in sections.items() for key in _without_meaning(section["properties"])]
    for section in sections.values():
        for choice in section.get("allOf", ()):
            name = choice["if"]["properties"]["type"]["const"]
            silent += [f"{name}.{key}" for key in _without_meaning(choice["then"]["properties"])]
    assert not silent


def _without_meaning(options: dict[str, Any]) -> list[str]:
    return [key for key, option in options.items() if option is not True and not option.get("description")]


def test_what_is_generated_is_up_to_date(repository: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(repository / 'scripts')!r}); import write_reference as w\n"
        "for path, text in w.reference(w.option_file_schema()).items():\n"
        "    assert path.read_text(encoding='utf-8') == text, f'{path}: run scripts/write_reference.py'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)


def test_the_command_writes_what_it_prints(run_cli, tmp_path: Path) -> None:
    printed = run_cli("schema")
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == schema()
    assert run_cli("schema", "-o", "schema.json", cwd=tmp_path).stdout == "wrote schema.json\n"
    assert (tmp_path / "schema.json").read_text() == printed.stdout
