"""Labeled images: digits, CIFAR's binary files, folders by class."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data, io
from sklearn import datasets

from sr_kd.errors import SrKdError, UsageError
from sr_kd.tasks.classification.images import open_labeled


def test_digits_are_split_without_overlap():
    train, test = (open_labeled("scikit-learn:digits", part) for part in ("train", "test"))
    assert train.images.shape == (1000, 8, 8, 1)
    assert test.images.shape == (797, 8, 8, 1)
    assert (train.images.dtype, train.images.max(), train.classes) == (np.uint8, 255, tuple("0123456789"))
    images, labels = datasets.load_digits(return_X_y=True)
    both = np.concatenate([train.images, test.images]).reshape(len(images), -1)
    assert np.abs(both * (16 / 255) - images).max() < 0.04
    assert np.array_equal(np.concatenate([train.labels, test.labels]), labels)


def write_cifar(folder, rows, label_bytes, files):
    folder.mkdir()
    generator = np.random.default_rng(0)
    records = {}
    for file in files:
        labels = generator.integers(0, 10, (rows, label_bytes), np.uint8)
        planes = generator.integers(0, 256, (rows, 3, 32, 32), np.uint8)
        records[file] = labels, planes
        np.concatenate([labels, planes.reshape(rows, -1)], 1).tofile(folder / file)
    return records


def test_cifar_10_in_the_binary_version(tmp_path):
    files = [f"data_batch_{number}.bin" for number in range(1, 6)]
    records = write_cifar(tmp_path / "c", 4, 1, [*files, "test_batch.bin"])
    (tmp_path / "c" / "batches.meta.txt").write_text("\n".join(f"class_{n}" for n in range(10)) + "\n\n")
    train, test = (open_labeled(str(tmp_path / "c"), part) for part in ("train", "test"))
    assert (len(train.labels), len(test.labels), train.name, train.classes[3]) == (20, 4, "CIFAR-10", "class_3")
    labels, planes = records["data_batch_3.bin"]
    assert np.array_equal(train.images[9, :, :, 2], planes[1, 2])  # second image of the third file, its blue
    assert train.labels[9] == labels[1, 0]


def test_cifar_100_takes_the_fine_labels(tmp_path):
    records = write_cifar(tmp_path / "c", 3, 2, ["train.bin", "test.bin"])
    images = open_labeled(str(tmp_path / "c"), "test", name="mine")
    assert (images.name, len(images.classes)) == ("mine", 100)
    assert images.labels.tolist() == records["test.bin"][0][:, 1].tolist()


def test_sets_of_one_size_refuse_another(tmp_path):
    write_cifar(tmp_path / "c", 2, 1, ["test_batch.bin"])
    for dataroot in (str(tmp_path / "c"), "scikit-learn:digits"):
        with pytest.raises(UsageError, match="image_size is for folders of images"):
            open_labeled(dataroot, "test", image_size=16)


def test_a_cut_cifar_file_is_refused(tmp_path):
    write_cifar(tmp_path / "c", 2, 1, ["test_batch.bin"])
    file = tmp_path / "c" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(SrKdError, match=r"test_batch.bin has 6145 bytes"):
        open_labeled(str(tmp_path / "c"), "test")
    with pytest.raises(SrKdError, match="cannot read"):
        open_labeled(str(tmp_path / "c"), "train")


@pytest.fixture
def by_class(tmp_path):
    for name, image in (("a", data.camera()[:40, :60]), ("b", data.coffee()[:50, :30])):
        (tmp_path / name).mkdir()
        io.imsave(tmp_path / name / "1.png", image, check_contrast=False)
    return tmp_path


def test_folders_by_class_are_fitted_to_one_size(by_class):
    images = open_labeled(str(by_class), "train", image_size=20)
    assert images.images.shape == (2, 20, 20, 3)
    assert (images.classes, images.labels.tolist()) == (("a", "b"), [0, 1])
    center = data.camera()[:40, 10:50].astype(float)
    halved = center.reshape(20, 2, 20, 2).mean((1, 3))
    assert np.abs(images.images[0, :, :, 1] - halved).mean() < 3


def test_folders_of_several_sizes_need_an_image_size(by_class):
    with pytest.raises(UsageError, match=r"60x40 gray.*: set image_size"):
        open_labeled(str(by_class), "train")


def test_an_empty_class_is_named(by_class):
    (by_class / "nothing").mkdir()
    with pytest.raises(UsageError, match="no image in nothing"):
        open_labeled(str(by_class), "train", image_size=8)


@pytest.mark.parametrize(("root", "text"), [("scikit-learn:digit", "did you mean"), ("nowhere", "is no folder")])
def test_an_unknown_set_is_refused(root, text):
    with pytest.raises(UsageError, match=text):
        open_labeled(root, "train")
