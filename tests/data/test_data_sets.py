"""Opening sets: layouts, names, order, sizes, and the errors that come before any work."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from crops import mod_crop

from sr_kd.data.embedded import embedded_files
from sr_kd.data.folders import natural_key, read_meta_info
from sr_kd.data.resize import make_lr
from sr_kd.data.sets import open_set, set_name
from sr_kd.data.stored import ImageFile
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import Image, read_image, write_image

PHOTOGRAPHS = {path.stem: path for path in embedded_files("scikit-image:held_out")}


@pytest.fixture(scope="module")
def photographs() -> dict[str, np.ndarray]:
    """Three photographs, cut to sides that are no multiples of 2 or 3."""
    return {name: read_image(PHOTOGRAPHS[name]).pixels[:101, :121] for name in ("astronaut", "chelsea", "coffee")}


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path


def tree(root: Path, photographs: dict[str, np.ndarray], hr: str, lr: str, lr_name: str, scale: int = 2) -> Path:
    for name, pixels in photographs.items():
        save(root / hr / f"{name}.png", pixels)
        save(root / lr / f"{lr_name.format(name)}.png", make_lr(mod_crop(pixels, scale), scale))
    return root


def test_hr_alone_gets_the_lr_of_its_cropped_hr(tmp_path, photographs):
    save(tmp_path / "mine" / "chelsea.png", photographs["chelsea"])
    images = open_set([str(tmp_path / "mine")], scale=3)
    pair = images.read(0)
    assert (images.name, images.names, len(images)) == ("mine", ["chelsea"], 1)
    assert np.array_equal(pair.hr, photographs["chelsea"][:99, :120])
    assert np.array_equal(pair.lr, make_lr(pair.hr, 3))


@pytest.mark.parametrize(
    ("hr", "lr", "lr_name", "given_hr", "given_lr", "template"),
    [
        ("HR", "LR_bicubic/X2", "{}x2", "HR", "LR_bicubic/X2", "{}"),
        ("HR", "LR_bicubic/X2", "{}x2", "HR", "LR_bicubic", "{}"),
        ("HR", "LR_bicubic/X2", "{}x2", "", "", "{}"),
        ("GTmod12", "LRbicx2", "{}", "GTmod12", "LRbicx2", "{}"),
        ("GTmod12", "LRbicx2", "{}", "", "", "{}"),
        ("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X2", "{}x2", "DIV2K_train_HR", "DIV2K_train_LR_bicubic", "{}x2"),
        ("DIV2K_train_HR", "DIV2K_train_LR_bicubic/X2", "{}x2", "", "", "{}"),
        ("GTmod2", "LRbicx2", "{}", "", "", "{}"),
        ("sharp", "blurred", "lr_{}_half", "sharp", "blurred", "lr_{}_half"),
    ],
)
def test_pairs_are_found_in_the_usual_trees(tmp_path, photographs, hr, lr, lr_name, given_hr, given_lr, template):
    root = tree(tmp_path / "Set3", photographs, hr, lr, lr_name)
    images = open_set([str(root / given_hr)], scale=2, dataroot_lq=[str(root / given_lr)], filename_tmpl=template)
    assert images.names == ["astronaut", "chelsea", "coffee"]
    for index, pixels in enumerate(photographs.values()):
        pair = images.read(index)
        assert np.array_equal(pair.hr, pixels[:100, :120])
        assert np.array_equal(pair.lr, np.asarray(PIL.Image.open(images.lr[index].path)))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("benchmark/Set5/HR", "Set5"),
        ("Set14/GTmod12", "Set14"),
        ("DIV2K/DIV2K_train_HR", "DIV2K_train_HR"),
        ("DIV2K_train_HR_sub.lmdb", "DIV2K_train_HR_sub"),
        ("Urban100", "Urban100"),
        ("scikit-image:train", "scikit-image:train"),
    ],
)
def test_a_set_is_called_by_its_folder_not_by_its_role(folder, name):
    assert set_name(folder) == name


def test_order_is_natural_and_other_files_are_ignored(tmp_path, photographs):
    for name in ("img_10.PNG", "img_9.jpg", "Img_1.webp", ".hidden.png", "img_2.bmp", "img_3.tif"):
        save(tmp_path / "set" / name, photographs["coffee"])
    (tmp_path / "set" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "set" / "sub.png").mkdir()
    assert open_set([str(tmp_path / "set")], scale=2).names == ["Img_1", "img_2", "img_3", "img_9", "img_10"]
    assert sorted(["b", "10", "9a", "a", "9"], key=natural_key) == ["9", "9a", "10", "a", "b"]


def test_images_of_other_formats_are_counted(tmp_path, photographs, caplog):
    save(tmp_path / "a.png", photographs["coffee"])
    for name in ("b.heic", "c.jp2", "d.jp2", "e.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert open_set(str(tmp_path), scale=2).names == ["a"]
    assert f"{tmp_path}: not read: 1 .heic, 2 .jp2" in caplog.text


def test_several_folders_are_one_set_and_equal_names_are_kept_apart(tmp_path, photographs):
    for folder in ("first", "second"):
        save(tmp_path / folder / "1.png", photographs["coffee"])
    save(tmp_path / "second" / "2.png", photographs["chelsea"])
    images = open_set([str(tmp_path / "first"), str(tmp_path / "second")], scale=2)
    assert images.name == "first+second"
    assert images.names == ["first_1", "second_1", "second_2"]
    assert open_set(str(tmp_path / "first"), scale=2, name="own").name == "own"


@pytest.mark.parametrize(("hr", "lr"), [("{}_HR", "{}_LR"), ("hr_{}", "lr_{}"), ("{}_GT", "{}_LQ"), ("{}", "{}x2")])
def test_hr_and_lr_in_one_folder_are_told_apart(tmp_path, photographs, hr, lr):
    for name, pixels in photographs.items():
        save(tmp_path / f"{hr.format(name)}.png", mod_crop(pixels, 2))
        save(tmp_path / f"{lr.format(name)}.png", make_lr(mod_crop(pixels, 2), 2))
    assert open_set(str(tmp_path), scale=2).names == [hr.format(name) for name in photographs]
    both = open_set(str(tmp_path), scale=2, dataroot_lq=str(tmp_path))
    assert [image.name for image in both.lr] == [lr.format(name) for name in photographs]
    save(tmp_path / "alone.png", photographs["coffee"])
    assert len(open_set(str(tmp_path), scale=2)) == 7, "these are other names"


def test_folders_that_nothing_tells_apart_are_refused(tmp_path, photographs):
    for folder in ("one/HR", "two/one/HR"):
        save(tmp_path / folder / "1.png", photographs["coffee"])
    with pytest.raises(UsageError, match="the folders of one set must differ in name or content: one, one"):
        open_set([str(tmp_path / "one/HR"), str(tmp_path / "two/one/HR")], scale=2)


def test_meta_info_chooses_and_orders(tmp_path, photographs):
    root = tree(tmp_path / "DIV2K", photographs, "HR", "X2", "{}x2")
    listing = tmp_path / "meta_info.txt"
    listing.write_text("coffee.png (101,121,3)\n\nastronaut.png (101,121,3) 1\n")
    images = open_set([str(root / "HR")], scale=2, dataroot_lq=[str(root / "X2")], meta_info_file=str(listing))
    assert images.names == ["coffee", "astronaut"]
    assert [image.path.name for image in images.lr] == ["coffeex2.png", "astronautx2.png"]
    listing.write_text("cofee.png (101,121,3)\n")
    with pytest.raises(UsageError, match=r"no 'cofee'.*did you mean 'coffee'"):
        open_set([str(root / "HR")], scale=2, meta_info_file=str(listing))
    listing.write_text("001 100 (720,1280,3)\n")
    with pytest.raises(UsageError, match="line 1"):
        open_set([str(root / "HR")], scale=2, meta_info_file=str(listing))


def test_sixteen_bits_and_alpha_are_reduced_with_one_note_each(tmp_path, photographs, caplog):
    import cv2

    levels = np.arange(100 * 120, dtype=np.uint16).reshape(100, 120) * 5
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"deep_{name}.png"), levels)
        alpha = np.full((100, 120, 1), 200, np.uint8)
        save(tmp_path / f"clear_{name}.png", np.concatenate([photographs["coffee"][:100, :120], alpha], axis=2))
    with caplog.at_level(logging.WARNING, "sr_kd"):
        images = open_set(str(tmp_path), scale=2, name="odd")
        pairs = {name: images.read(index) for index, name in enumerate(images.names)}
    assert np.array_equal(pairs["deep_a"].hr[..., 0], np.round(levels / 65535 * 255).astype(np.uint8))
    assert np.array_equal(pairs["clear_a"].hr, photographs["coffee"][:100, :120])
    assert sorted(record.message.split(" (")[0] for record in caplog.records) == [
        "odd: 16-bit images are reduced to 8 bit",
        "odd: transparency is ignored",
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".webp", ".png"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_headers_tell_the_decoded_size(tmp_path, photographs, suffix, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    PIL.Image.fromarray(photographs["coffee"]).save(path, exif=exif)
    header, image = ImageFile(path).header(), read_image(path)
    assert (header.height, header.width) == (image.height, image.width)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "LA;16"])
def test_headers_tell_the_decoded_channels(tmp_path, photographs, mode):
    path = tmp_path / f"image{'.jpg' if mode == 'CMYK' else '.png'}"
    if mode == "LA;16":
        deep = photographs["coffee"].astype(np.uint16) * 257
        write_image(path, Image(deep[..., :1], deep[..., 1]))
    elif mode == "I;16":
        PIL.Image.fromarray(photographs["coffee"][..., 0].astype(np.uint16) * 257).save(path)
    else:
        PIL.Image.fromarray(photographs["coffee"]).convert(mode).save(path)
    header, image = ImageFile(path).header(), read_image(path)
    found = (header.channels, header.bit_depth, header.alpha)
    assert found == (image.channels, image.bit_depth, image.alpha is not None)


def test_a_gray_hr_with_a_color_lr_becomes_color(tmp_path, photographs):
    gray = photographs["coffee"][:100, :120, 0]
    save(tmp_path / "HR" / "a.png", gray)
    save(tmp_path / "LR" / "a.png", np.repeat(make_lr(gray[..., None], 2), 3, axis=2))
    images = open_set(str(tmp_path / "HR"), scale=2, dataroot_lq=str(tmp_path / "LR"))
    assert images.channels == 3
    assert images.read(0).hr.shape == (100, 120, 3)


class TestErrors:
    def test_a_wrong_folder_names_the_nearest_sibling(self, tmp_path):
        (tmp_path / "DIV2K" / "DIV2K_train_HR").mkdir(parents=True)
        with pytest.raises(UsageError, match=r"has no 'DIV2K_trian_HR' \(did you mean 'DIV2K_train_HR'"):
            open_set(str(tmp_path / "DIV2K" / "DIV2K_trian_HR"), scale=2)
        with pytest.raises(UsageError, match=r"has no 'DVI2K' \(did you mean 'DIV2K'"):
            open_set(str(tmp_path / "DVI2K" / "DIV2K_train_HR"), scale=2)

    def test_a_folder_without_images_names_those_below(self, tmp_path, photographs):
        with pytest.raises(UsageError, match=r"no image in .*\.png"):
            open_set(str(tmp_path), scale=2)
        for name in ("DIV2K_train_HR", "DIV2K_valid_HR"):
            save(tmp_path / name / "1.png", photographs["coffee"])
        with pytest.raises(UsageError, match="name one of its folders: DIV2K_train_HR, DIV2K_valid_HR"):
            open_set(str(tmp_path), scale=2)

    def test_a_folder_of_other_things_says_what_it_is(self, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "1.jp2").write_bytes(b"x")
        with pytest.raises(UsageError, match=r"no image in .*photos \(not read: 1 \.jp2\); files that count"):
            open_set(str(tmp_path / "photos"), scale=2)
        (tmp_path / "bases" / "HR.lmdb").mkdir(parents=True)
        (tmp_path / "bases" / "HR.lmdb" / "data.mdb").write_bytes(b"")
        with pytest.raises(UsageError, match=r"but LMDBs; name one of its folders: HR\.lmdb"):
            open_set(str(tmp_path / "bases"), scale=2)
        (tmp_path / "gone").symlink_to("nowhere")
        with pytest.raises(UsageError, match="gone is a link to nowhere, which is not there"):
            open_set(str(tmp_path / "gone"), scale=2)

    def test_a_file_in_place_of_a_folder(self):
        with pytest.raises(UsageError, match="is a file"):
            open_set(str(PHOTOGRAPHS["coffee"]), scale=2)

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
    def test_an_unreadable_file_is_named_when_the_set_is_opened(self, tmp_path, photographs, content):
        save(tmp_path / "good.png", photographs["coffee"])
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(SrKdError, match=r"bad\.png"):
            open_set(str(tmp_path), scale=2)

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
    def test_a_truncated_file_is_named_when_the_set_is_opened(self, tmp_path, photographs, suffix):
        path = save(tmp_path / f"short{suffix}", photographs["coffee"])
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SrKdError, match=rf"short\{suffix}"):
            open_set(str(tmp_path), scale=2)
        path.write_bytes(whole + bytes(5000))
        assert len(open_set(str(tmp_path), scale=2)) == 1, "what follows is no matter"

    def test_lr_without_hr_and_the_reverse(self, tmp_path, photographs):
        root = tree(tmp_path, photographs, "HR", "X2", "{}x2")
        (root / "X2" / "chelseax2.png").rename(root / "X2" / "chlseax2.png")
        with pytest.raises(UsageError, match=r"1 of 3 HR images.*chelsea\.png.*'chelseax2' \(did you mean 'chlseax2'"):
            open_set(str(root / "HR"), scale=2, dataroot_lq=str(root / "X2"))
        (root / "X2" / "chlseax2.png").rename(root / "X2" / "chelseax2.png")
        (root / "HR" / "coffee.png").unlink()
        with pytest.raises(UsageError, match=r"1 of 3 LR images have no HR image: .*coffeex2\.png"):
            open_set(str(root / "HR"), scale=2, dataroot_lq=str(root / "X2"))

    def test_lr_of_another_scale(self, tmp_path, photographs):
        root = tree(tmp_path, photographs, "HR", "X3", "{}", scale=3)
        with pytest.raises(UsageError, match=r"astronaut\.png \(40x33\) is not .*121x101.* expected 60x50"):
            open_set(str(root / "HR"), scale=2, dataroot_lq=str(root / "X3"))

    def test_two_images_of_one_name(self, tmp_path, photographs):
        save(tmp_path / "a.png", photographs["coffee"])
        save(tmp_path / "a.jpg", photographs["coffee"])
        with pytest.raises(UsageError, match=r"'a': .*a\.jpg, .*a\.png"):
            open_set(str(tmp_path), scale=2)

    def test_a_folder_named_twice_and_unequal_numbers_of_folders(self, tmp_path, photographs):
        save(tmp_path / "a.png", photographs["coffee"])
        root = str(tmp_path)
        with pytest.raises(UsageError, match="twice"):
            open_set([root, root], scale=2)
        with pytest.raises(UsageError, match=r"1 folder.*dataroot_lq 2"):
            open_set([root], scale=2, dataroot_lq=[root, root])

    @pytest.mark.parametrize("template", ["x2", "{}{}", "{name}", "{"])
    def test_a_template_without_a_place_for_the_name(self, tmp_path, photographs, template):
        root = tree(tmp_path, photographs, "HR", "X2", "{}x2")
        with pytest.raises(UsageError, match="filename_tmpl"):
            open_set(str(root / "HR"), scale=2, dataroot_lq=str(root / "X2"), filename_tmpl=template)

    def test_a_template_without_lr_files(self):
        with pytest.raises(UsageError, match=r"filename_tmpl '\{\}x2' names LR files, but there are none"):
            open_set("scikit-image:held_out", scale=2, filename_tmpl="{}x2")

    def test_an_unknown_embedded_set(self):
        with pytest.raises(UsageError, match=r"scikit-image:trian.*did you mean 'scikit-image:train'"):
            open_set("scikit-image:trian", scale=2)

    def test_an_image_too_small_for_the_scale(self, tmp_path, photographs):
        save(tmp_path / "tiny.png", photographs["coffee"][:1, :9])
        with pytest.raises(UsageError, match=r"tiny\.png.*too small for scale 2"):
            open_set(str(tmp_path), scale=2)


def test_the_embedded_sets_are_real_photographs_and_apart():
    train, held_out = open_set("scikit-image:train", scale=2), open_set("scikit-image:held_out", scale=2)
    assert held_out.names == ["astronaut", "chelsea", "coffee", "rocket"]
    assert len(train) >= 8
    assert not set(train.names) & set(held_out.names)
    assert min(train.lr_sizes.min(), held_out.lr_sizes.min()) >= 96  # every usual gt_size fits
    assert held_out.read(1).hr.shape == (300, 450, 3)


def test_benchmark_folders_open(shared_images):
    images = open_set([str(shared_images / "benchmark/Set14")], scale=3)
    assert (images.name, len(images), images.channels) == ("Set14", 14, 3)
    bridge = images.read(images.names.index("bridge"))
    assert bridge.hr.shape[2] == bridge.lr.shape[2] == 1


def test_links_to_nowhere_are_counted_and_named(tmp_path, photographs):
    save(tmp_path / "set" / "chelsea.png", photographs["chelsea"])
    for name in ("a", "b"):
        (tmp_path / "set" / f"{name}.png").symlink_to(tmp_path / "gone" / f"{name}.png")
    with pytest.raises(UsageError, match=r"2 of 3 image files .* are links to files that are not there.* a\.png -> "):
        open_set(str(tmp_path / "set"), scale=2)
    (tmp_path / "set" / "chelsea.png").unlink()
    with pytest.raises(UsageError, match="2 of 2 image files"):
        open_set(str(tmp_path / "set"), scale=2)


def test_accents_of_two_writings_are_one_name(tmp_path, photographs):
    composed, apart = "caf\u00e9", "cafe\u0301"
    save(tmp_path / "hr" / f"{composed}.png", photographs["coffee"])
    save(tmp_path / "lr" / f"{apart}x2.png", make_lr(mod_crop(photographs["coffee"], 2), 2))
    (tmp_path / "list.txt").write_text(f"{apart}.png\n", encoding="utf-8")
    lists = str(tmp_path / "list.txt")
    images = open_set(str(tmp_path / "hr"), dataroot_lq=str(tmp_path / "lr"), meta_info_file=lists, scale=2)
    assert images.names == [composed]
    assert images.lr is not None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_meta_info_file_of_windows(tmp_path, photographs, encoding):
    save(tmp_path / "hr" / "0001.png", photographs["coffee"])
    (tmp_path / "list.txt").write_text("0001.png (121,101,3)\n", encoding=encoding)
    options = {"scale": 2, "meta_info_file": str(tmp_path / "list.txt")}
    if encoding == "utf-8-sig":
        assert open_set(str(tmp_path / "hr"), **options).names == ["0001"]
        return
    with pytest.raises(UsageError, match="is not UTF-8 text: save it as UTF-8"):
        open_set(str(tmp_path / "hr"), **options)


def test_a_folder_of_selfexsr_gives_its_hr_and_its_lr_files(tmp_path, photographs):
    for name, pixels in photographs.items():
        hr = mod_crop(pixels, 2)
        save(tmp_path / "image_SRF_2" / f"{name}_SRF_2_HR.png", hr)
        save(tmp_path / "image_SRF_2" / f"{name}_SRF_2_LR.png", make_lr(hr, 2))
        save(tmp_path / "image_SRF_2" / f"{name}_SRF_2_bicubic.png", 255 - hr)
    folder = str(tmp_path / "image_SRF_2")
    alone, both = open_set(folder, scale=2), open_set(folder, scale=2, dataroot_lq=folder)
    assert alone.names == both.names == [f"{name}_SRF_2_HR" for name in photographs]
    for index, pixels in enumerate(photographs.values()):
        assert np.array_equal(alone.read_hr(index), mod_crop(pixels, 2))
        assert np.array_equal(both.read(index).lr, alone.read(index).lr)


def test_a_list_of_images_is_read_in_a_time_that_grows_with_its_length(tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_text("a b.png (48,48,3) 1\n\nc.png (48, 48)\nd.png 1\ne(1).png  \nf.png" + " " * 500_000 + "g.png\n")
    began = time.process_time()
    assert read_meta_info(str(listing)) == ["a b.png", "c.png", "d.png", "e(1).png", f"f.png{' ' * 500_000}g.png"]
    assert time.process_time() - began < 1
