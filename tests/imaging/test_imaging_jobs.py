import os
from pathlib import Path

import pytest

from sr_kd.errors import UsageError
from sr_kd.imaging.jobs import Naming, plan_jobs


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """A tree of (empty) images; planning never opens them."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.JPG", "sub/a.png", "sub/deep/ç 写真.webp", "notes.txt", ".hidden.png", ".cache/x.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("photos")


def names(jobs) -> dict[str, str]:
    return {job.source.as_posix(): job.target.as_posix() for job in jobs}


def test_a_folder_is_mirrored(photos):
    assert names(plan_jobs(["photos"], "out", Naming())) == {
        "photos/a.png": "out/a.png",
        "photos/b.JPG": "out/b.JPG",
        "photos/sub/a.png": "out/sub/a.png",
        "photos/sub/deep/ç 写真.webp": "out/sub/deep/ç 写真.webp",
    }


def test_names_of_results(photos):
    (photos / "c.gif").touch()
    assert Naming("x2").name(Path("p/photo.jpeg")) == "photo_x2.jpeg"
    assert Naming("", "webp").name(Path("photo.v2.png")) == "photo.v2.webp"
    assert Naming().name(Path("c.gif")) == "c.png"
    with pytest.raises(UsageError, match=r"'\.gif'"):
        Naming("", "gif")


@pytest.mark.parametrize("suffix", ["../x", "a/b", "a\\b", "a\0b"])
def test_a_suffix_leads_nowhere_else(suffix):
    with pytest.raises(UsageError, match="no path"):
        Naming(suffix)


def test_files_and_globs(photos):
    assert names(plan_jobs(["photos/a.png", "photos/sub/deep/*"], "out", Naming())) == {
        "photos/a.png": "out/a.png",
        "photos/sub/deep/ç 写真.webp": "out/ç 写真.webp",
    }
    assert names(plan_jobs(["photos/**/a.png"], "out", Naming())) == {
        "photos/a.png": "out/a.png",
        "photos/sub/a.png": "out/sub/a.png",
    }


def test_a_pipe_is_refused_instead_of_waited_for(photos):
    os.mkfifo(photos / "pipe.png")
    with pytest.raises(UsageError, match=r"pipe\.png cannot be upscaled: it is a pipe, socket or device"):
        plan_jobs(["photos/pipe.png"], "out", Naming())
    assert "photos/pipe.png" not in names(plan_jobs(["photos"], "out", Naming()))


def test_a_name_that_looks_like_a_pattern(photos):
    (photos / "a[1].png").touch()
    assert names(plan_jobs(["photos/a[1].png"], "out", Naming())) == {"photos/a[1].png": "out/a[1].png"}


def test_one_image_to_a_file(photos):
    assert names(plan_jobs(["photos/a.png"], "big.webp", Naming())) == {"photos/a.png": "big.webp"}
    (photos / "folder.png").mkdir()
    assert names(plan_jobs(["photos/b.JPG"], "photos/folder.png", Naming())) == {
        "photos/b.JPG": "photos/folder.png/b.JPG"
    }
    assert names(plan_jobs(["photos/a.png"], "results.v2", Naming())) == {"photos/a.png": "results.v2/a.png"}
    with pytest.raises(UsageError, match=r"4 images cannot all go into the file big\.png"):
        plan_jobs(["photos"], "big.png", Naming())
    with pytest.raises(UsageError, match="--suffix and --ext"):
        plan_jobs(["photos/a.png"], "big.png", Naming("x2"))
    with pytest.raises(UsageError, match=r"cannot write '\.gif'"):
        plan_jobs(["photos/a.png"], "big.gif", Naming())
    with pytest.raises(UsageError, match=r"cannot write '\.tga' files; use one of"):
        plan_jobs(["photos/a.png"], "big.tga", Naming())


@pytest.mark.parametrize("output", ["notes.txt", "notes.txt/out", "notes.txt/big.png"])
def test_a_file_in_the_place_of_the_output_folder(photos, output):
    Path("notes.txt").touch()
    with pytest.raises(UsageError, match=r"notes\.txt is a file, where a folder is needed"):
        plan_jobs(["photos/a.png"], output, Naming())


def test_a_list(photos):
    assert names(plan_jobs([], "out", Naming(), listed=["photos/b.JPG", "photos/sub", "gone.png"])) == {
        "photos/b.JPG": "out/b.JPG",
        "photos/sub/a.png": "out/a.png",
        "photos/sub/deep/ç 写真.webp": "out/deep/ç 写真.webp",
        "gone.png": "out/gone.png",
    }
    with pytest.raises(UsageError, match="no images in the list"):
        plan_jobs([], "out", Naming())


def test_two_results_of_one_name_are_refused(photos):
    with pytest.raises(
        UsageError, match=r"photos/a\.png and photos/sub/a\.png .* to out/a\.png: give their common folder"
    ):
        plan_jobs(["photos/a.png", "photos/sub/a.png"], "out", Naming())
    (photos / "a.jpg").touch()
    plan_jobs(["photos"], "out", Naming())
    with pytest.raises(UsageError, match=r"keep their formats apart with --ext auto, or upscale them separately, each"):
        plan_jobs(["photos"], "out", Naming(ext="png"))
    plan_jobs(["photos"], "out", Naming(ext="auto"))  # the advice works
    (photos / "a.gif").touch()  # which becomes PNG
    for ext in ("auto", "webp"):
        with pytest.raises(
            UsageError, match=r"photos/a\.gif and photos/a\.png .*: upscale them separately, each into another folder$"
        ):
            plan_jobs(["photos/a.gif", "photos/a.png"], "out", Naming(ext=ext))
    assert len(plan_jobs(["photos/a.gif"], "out1", Naming()) + plan_jobs(["photos/a.png"], "out2", Naming())) == 2


def test_a_image_named_twice_is_done_once(photos):
    assert len(plan_jobs(["photos", "photos/a.png", "./photos/a.png"], "out", Naming())) == 4
    (photos / "link.png").symlink_to("a.png")
    assert len(plan_jobs(["photos"], "out", Naming())) == 4


def test_links_that_lead_nowhere_are_left_for_the_run_to_report(photos):
    (photos / "gone.png").symlink_to("nothing.png")
    (photos / "self.png").symlink_to("self.png")
    (photos / "folder.png").symlink_to("sub", target_is_directory=True)
    (photos / "gone.txt").symlink_to("nothing.txt")
    found = names(plan_jobs(["photos"], "out", Naming()))
    assert len(found) == 6 and found["photos/gone.png"] == "out/gone.png" and found["photos/self.png"] == "out/self.png"
    with pytest.raises(UsageError, match=r"photos/gone\.png is a link to nothing\.png, which is not there"):
        plan_jobs(["photos/gone.png"], "out", Naming())


def test_inputs_are_never_overwritten(photos):
    with pytest.raises(UsageError, match=r"photos/a\.png would overwrite the input photos/a\.png"):
        plan_jobs(["photos"], "photos", Naming())
    (photos / "a_x2.png").touch()
    with pytest.raises(UsageError, match=r"a\.png would overwrite the input photos/a_x2\.png.*add --skip-existing"):
        plan_jobs(["photos"], "photos", Naming("x2"))
    Path("same").symlink_to("photos", target_is_directory=True)
    with pytest.raises(UsageError, match="overwrite"):
        plan_jobs(["photos"], "same", Naming())


def test_results_beside_the_images_are_no_inputs_of_the_next_run(photos):
    first = plan_jobs(["photos"], "photos", Naming("x2"), skip_existing=True)
    for job in first:
        job.target.touch()
    assert plan_jobs(["photos"], "photos", Naming("x2"), skip_existing=True) == first


def test_results_below_the_input_are_no_inputs(photos):
    first = plan_jobs(["photos"], "photos/out", Naming())
    for job in first:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        job.target.touch()
    assert plan_jobs(["photos"], "photos/out", Naming()) == first
    assert plan_jobs(["photos/**/*.png"], "photos/out", Naming()) == [
        job for job in first if job.source.suffix == ".png"
    ]


def test_nothing_found(photos):
    with pytest.raises(UsageError, match=r"no such file or folder: photos/aa\.png \(did you mean 'a\.png'\?\)"):
        plan_jobs(["photos/aa.png"], "out", Naming())
    with pytest.raises(UsageError, match="no images match"):
        plan_jobs(["photos/*.bmp"], "out", Naming())
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=r"no images in empty; known suffixes: \.avif"):
        plan_jobs(["empty"], "out", Naming())
