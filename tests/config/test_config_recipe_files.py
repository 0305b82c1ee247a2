"""Packaged option files: found by name, listed and copied."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sr_kd.config.recipe_files import copy_recipes, find_option_file, packaged_recipes, recipe_folder, select_recipes
from sr_kd.errors import UsageError
from sr_kd.recipes.load import load_recipe


def test_every_tracked_option_file_has_a_name(repository: Path) -> None:
    files = subprocess.check_output(["git", "ls-files", "options/*.yml"], cwd=repository, text=True).splitlines()
    recipes = packaged_recipes()
    assert recipe_folder() == repository / "options"
    assert sorted(recipes.values()) == sorted(repository / file for file in files)
    assert {"quickstart", "pisr/fsrcnn_x2_cpu", "test/bicubic_x2"} <= set(recipes)


@pytest.mark.parametrize("name", ["pisr/fsrcnn_x2", "train/pisr/fsrcnn_x2.yml", "options/train/pisr/fsrcnn_x2.yml"])
def test_a_name_finds_its_file_in_any_folder(name: str, repository: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_option_file(name) == repository / "options/train/pisr/fsrcnn_x2.yml"


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pisr").mkdir()
    assert find_option_file("pisr/fsrcnn_x2") == recipe_folder() / "train/pisr/fsrcnn_x2.yml"
    Path("pisr/fsrcnn_x2").write_text("name: mine\n")
    assert find_option_file("pisr/fsrcnn_x2") == Path("pisr/fsrcnn_x2")


def test_patterns_choose_and_unknown_names_get_a_hint() -> None:
    assert set(select_recipes(["test/bicubic_*"])) == {f"test/bicubic_x{scale}" for scale in (2, 3, 4)}
    assert select_recipes([]) == packaged_recipes()
    with pytest.raises(UsageError, match=r"'quikstart' \(did you mean 'quickstart'\?\)"):
        select_recipes(["quikstart"])


def test_copies_never_replace_what_was_edited(tmp_path: Path) -> None:
    files = list(select_recipes(["zoo/fsrcnn_x2_div2k"]).values())
    (copy,) = copy_recipes(files, tmp_path)
    assert copy.read_bytes() == files[0].read_bytes()
    assert (tmp_path / "train/pisr/DIV2K_0801-0810.txt").is_file()
    assert (tmp_path / "schema.json").is_file()
    copy_recipes(files, tmp_path)  # the same once more changes nothing
    copy.write_text("edited")
    with pytest.raises(UsageError, match=r"already there and different: .*fsrcnn_x2_div2k\.yml"):
        copy_recipes(files, tmp_path)
    assert copy.read_text() == "edited"
    copy_recipes(files, tmp_path, overwrite=True)
    assert copy.read_bytes() == files[0].read_bytes()


def test_the_command_lists_and_copies(run_cli, tmp_path: Path) -> None:
    listed = run_cli("recipes", "pisr/fsrcnn_x*")
    assert listed.returncode == 0, listed.stderr
    assert "pisr/fsrcnn_x2_cpu" in listed.stdout
    assert "CPU preset" in listed.stdout
    copied = run_cli("recipes", "quickstart", "-o", "mine", cwd=tmp_path)
    assert (copied.returncode, copied.stdout) == (0, "wrote mine/train/quickstart.yml\n")
    checked = run_cli("check", "-opt", "mine/train/quickstart.yml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert run_cli("recipes", "--overwrite").returncode == 2


def test_a_list_of_images_is_found_beside_its_option_file(repository: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("pisr/fsrcnn_x2")
    (listed,) = (options.meta_info_file for options in recipe.validation_sets if options.meta_info_file)
    assert Path(listed) == repository / "options/train/pisr/DIV2K_0801-0810.txt"
