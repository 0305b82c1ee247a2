import io

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import skimage.color
import skimage.data
import torch

import sr_kd
from sr_kd.data.resize import imresize
from sr_kd.errors import SrKdError, UsageError
from sr_kd.images import Image, Metadata
from sr_kd.images.color import srgb_profile
from sr_kd.imaging.alpha import bleed_colors
from sr_kd.imaging.upscaler import Upscaler
from sr_kd.memory import is_out_of_memory
from sr_kd.networks import SRNetwork, build_network
from sr_kd.networks.files import save_network

PHOTOGRAPH = skimage.data.astronaut()[:50, 100:164]  # 50 x 64


@pytest.fixture(scope="module")
def fsrcnn() -> SRNetwork:
    torch.manual_seed(0)
    return build_network("FSRCNN", scale=2, init="bicubic").eval()


@pytest.fixture(scope="module")
def upscaler(fsrcnn) -> Upscaler:
    return Upscaler(fsrcnn, device="cpu")


class Recorded(SRNetwork):
    """A network that upscales by repetition and says what it saw."""

    type_name = "Recorded"
    scales, receptive_radius = (2,), 0

    def __init__(self, color: str = "y", factor: float = 1.0) -> None:
        super().__init__()
        self.color = color
        self.taps = {}
        self.factor = torch.nn.Parameter(torch.tensor(factor))
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return (x * self.factor).repeat_interleave(2, 2).repeat_interleave(2, 3)

    def deploy(self) -> SRNetwork:
        return self


def bicubic(pixels: np.ndarray, scale: int = 2) -> np.ndarray:
    levels = np.iinfo(pixels.dtype).max
    image = torch.from_numpy(pixels.astype(np.float64)).permute(2, 0, 1)
    upscaled = imresize(image, (pixels.shape[0] * scale, pixels.shape[1] * scale)).permute(1, 2, 0)
    return upscaled.clamp(0, levels).round().numpy().astype(pixels.dtype)


# --- color ---


def test_color_through_a_y_network(upscaler, fsrcnn):
    y = skimage.color.rgb2ycbcr(PHOTOGRAPH)[..., 0] / 255  # an independent conversion
    with torch.no_grad():
        sr = fsrcnn(torch.from_numpy(y).float()[None, None])[0, 0].double().numpy()
    chroma = skimage.color.rgb2ycbcr(PHOTOGRAPH)[..., 1:] / 255
    upscaled = imresize(torch.from_numpy(chroma).permute(2, 0, 1), (100, 128)).permute(1, 2, 0).numpy()
    expected = skimage.color.ycbcr2rgb(np.concatenate([sr[..., None], upscaled], axis=2) * 255)
    result = upscaler.upscale(PHOTOGRAPH)
    assert np.abs(result - np.clip(expected, 0, 1) * 255).max() <= 0.51


def test_gray_is_one_channel_to_a_y_network():
    network = Recorded("y")
    gray = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    result = Upscaler(network, device="cpu", tile=0).upscale(gray)
    assert network.seen[0].shape == (1, 1, 4, 256)
    np.testing.assert_allclose(network.seen[0].amin().item() * 255, 16, atol=1e-4)
    np.testing.assert_allclose(network.seen[0].amax().item() * 255, 235, atol=1e-4)
    np.testing.assert_array_equal(result, gray.repeat(2, 0).repeat(2, 1))


def test_gray_and_color_agree_on_gray_images(upscaler):
    gray = skimage.data.camera()[:40, :40]
    color = upscaler.upscale(np.repeat(gray[..., None], 3, axis=2))
    assert np.abs(color - upscaler.upscale(gray)[..., None].astype(int)).max() <= 1


def test_gray_through_an_rgb_network():
    network = Recorded("rgb")
    gray = PHOTOGRAPH[..., :1]
    result = Upscaler(network, device="cpu", tile=0).upscale(gray)
    assert network.seen[0].shape[1] == 3
    np.testing.assert_array_equal(result, gray.repeat(2, 0).repeat(2, 1))


def test_bicubic_is_matlabs():
    for scale in (2, 3, 4):
        result = Upscaler(None, scale=scale, device="cpu", tile=7).upscale(PHOTOGRAPH)
        assert np.abs(result.astype(int) - bicubic(PHOTOGRAPH, scale)).max() <= 1


# --- kinds of images ---


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (4,)])
def test_arrays(upscaler, dtype, shape):
    samples = np.random.default_rng(0).random((9, 11, *shape))
    image = (samples * np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else samples).astype(dtype)
    result = upscaler.upscale(image)
    assert result.dtype == dtype and result.shape == (18, 22, *shape)
    assert result.min() >= 0
    assert result.max() <= (np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1)


def test_sixteen_bits_are_not_eight():
    ramp = np.linspace(20000, 20200, 64 * 64).reshape(64, 64).astype(np.uint16)
    color = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]])
    for network, image in ((Recorded("y"), ramp), (Recorded("rgb"), color)):
        result = Upscaler(network, device="cpu").upscale(image)
        np.testing.assert_array_equal(result, image.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16"])
def test_pil_images(upscaler, mode):
    source = PIL.Image.fromarray(PHOTOGRAPH)
    source = PIL.Image.fromarray(PHOTOGRAPH[..., 0].astype(np.uint16) * 200) if mode == "I;16" else source.convert(mode)
    source.info = {"dpi": (300, 300), "icc_profile": srgb_profile()}
    result = upscaler.upscale(source)
    assert result.size == (128, 100)
    assert result.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
    assert result.info == source.info


def test_pil_profiles_belong_to_the_pixels(upscaler):
    lab = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("LAB")).tobytes()
    source = PIL.Image.fromarray(PHOTOGRAPH)
    source.info = {"icc_profile": lab}
    assert upscaler.upscale(source).info == {}
    assert upscaler.upscale(source.convert("CMYK")).info == {"icc_profile": srgb_profile()}


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_pil_animations_are_refused_and_single_frames_are_not(upscaler, kind):
    frames = [PIL.Image.fromarray(np.roll(PHOTOGRAPH, shift, axis=0)) for shift in (0, 5)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:])
    with PIL.Image.open(buffer) as opened:
        with pytest.raises(UsageError, match=rf"this {kind} has 2 (frames|pages)"):
            upscaler.upscale(opened)
        opened.seek(1)
        second = np.asarray(opened.convert("RGB"))
        np.testing.assert_array_equal(upscaler.upscale(opened.copy().convert("RGB")), upscaler.upscale(second))
    frames[0].save(tmp := io.BytesIO(), format=kind)
    with PIL.Image.open(tmp) as opened:
        opened.load()
    assert upscaler.upscale(opened).size == (128, 100)  # closed


def test_a_phone_photograph_with_a_preview(upscaler):
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTOGRAPH).save(
        buffer, format="MPO", save_all=True, append_images=[PIL.Image.fromarray(PHOTOGRAPH[:9, :9])]
    )
    assert upscaler.upscale(PIL.Image.open(buffer)).size == (128, 100)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u2"])
def test_arrays_of_the_other_byte_order(upscaler, dtype):
    image = (PHOTOGRAPH / 255 if dtype[0] == "f" else PHOTOGRAPH).astype(dtype)
    result = upscaler.upscale(image.astype(image.dtype.newbyteorder("S")))
    assert result.dtype == image.dtype
    np.testing.assert_array_equal(result, upscaler.upscale(image))


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite"), (-200, "reach -200"), (3, "3")]
)
def test_one_pixel_that_is_no_level(upscaler, value, word):
    image = PHOTOGRAPH / 255
    image[3, 4, 1] = value
    for given in (image, image.astype(np.float16), torch.from_numpy(image).permute(2, 0, 1).bfloat16()):
        with pytest.raises(UsageError, match=rf"must lie in \[0, 1\].*{word}"):
            upscaler.upscale(given)
    image[3, 4, 1] = -0.2  # as a filter leaves it
    assert np.isfinite(upscaler.upscale(image)).all()


def test_tensors(upscaler):
    image = torch.from_numpy(PHOTOGRAPH).permute(2, 0, 1)
    expected = torch.from_numpy(upscaler.upscale(PHOTOGRAPH)).permute(2, 0, 1)
    assert torch.equal(upscaler.upscale(image), expected)
    floating = upscaler.upscale(image[None].float() / 255)
    assert floating.shape == (1, 3, 100, 128) and floating.dtype == torch.float32
    assert (floating[0] * 255 - expected).abs().max() <= 0.51
    assert upscaler.upscale(image.bfloat16() / 255).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("photo.png", "a str"),
        (np.zeros((4, 4, 5)), "an array must be"),
        (np.zeros((0, 4, 3)), "an array must be"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.full((4, 4, 3), 128.0), r"must lie in \[0, 1\]; these reach 128: divide them by 255"),
        (torch.full((3, 4, 4), 128.0), r"must lie in \[0, 1\]"),
        (torch.zeros(2, 3, 4, 4), "a tensor must be"),
        (torch.zeros(3, 4, 4, device="meta"), "this one is on the device meta"),
        (torch.zeros(3, 4, 4).to_sparse(), "this one is torch.sparse_coo"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "these are torch.int64"),
        (torch.zeros(3, 4, 4).to(torch.float8_e4m3fn), "these are torch.float8_e4m3fn"),
        (PIL.Image.new("F", (4, 4)), "mode F"),
    ],
)
def test_what_is_no_image(upscaler, image, word):
    with pytest.raises(UsageError, match=word):
        upscaler.upscale(image)


def test_metadata_stays(upscaler):
    metadata = Metadata(b"icc", b"exif", (72, 72), {"a": "b"})
    assert upscaler.upscale(Image(PHOTOGRAPH, None, metadata)).metadata == metadata


# --- transparency ---


@pytest.mark.parametrize("shown", [0, 255])
def test_no_fringe_around_what_is_visible(upscaler, shown):
    """A white disc on transparent black, or the reverse: what is visible of the result stays as it is."""
    y, x = np.mgrid[:64, :64]
    alpha = np.where((y - 32) ** 2 + (x - 32) ** 2 < 20**2, 255, 0).astype(np.uint8)
    image = np.repeat(np.where(alpha, shown, 255 - shown).astype(np.uint8)[..., None], 3, axis=2)
    result = upscaler.upscale(np.dstack([image, alpha]))
    plain = upscaler.upscale(np.full_like(image, shown))
    np.testing.assert_array_equal(result[..., :3], plain)
    np.testing.assert_array_equal(result[..., 3], bicubic(alpha[..., None])[..., 0])


def test_constant_alpha_is_exact(upscaler):
    for value in (0, 7, 255):
        alpha = np.full(PHOTOGRAPH.shape[:2], value, np.uint8)
        result = upscaler.upscale(np.dstack([PHOTOGRAPH, alpha]))
        assert (result[..., 3] == value).all()
        np.testing.assert_array_equal(result[..., :3], upscaler.upscale(PHOTOGRAPH))


def test_bleeding_takes_the_nearest_visible_color():
    pixels = np.array([[[9], [0], [0], [0], [5], [0]]], np.uint8)
    alpha = np.array([[1, 0, 0, 0, 255, 0]], np.uint8)
    filled = bleed_colors(pixels, alpha)[0, :, 0].tolist()
    assert filled in ([9, 9, 9, 5, 5, 5], [9, 9, 5, 5, 5, 5])
    assert pixels[0, 1, 0] == 0


# --- size, precision, self-ensemble, memory ---


def test_a_size_after_the_network(upscaler):
    result = upscaler.upscale(PHOTOGRAPH, size=(75, 96))
    whole = upscaler.upscale(PHOTOGRAPH)
    image = torch.from_numpy(whole.astype(np.float64)).permute(2, 0, 1)
    expected = imresize(image, (75, 96), levels=255).permute(1, 2, 0).numpy()
    assert np.abs(result - expected).max() <= 1
    with pytest.raises(SrKdError, match=r"x2\.02.*upscales x2"):
        upscaler.upscale(PHOTOGRAPH, size=(101, 128))


@pytest.mark.parametrize("size", [5, (5,), (0, 5), "5x5", (2.5, 5)])
def test_what_is_no_size(upscaler, size):
    with pytest.raises(UsageError, match=r"a size is \(height, width\) in pixels"):
        upscaler.upscale(PHOTOGRAPH, size=size)


def test_smaller_results_need_no_network():
    network = Recorded("rgb")
    result = Upscaler(network, device="cpu").upscale(PHOTOGRAPH, size=(25, 32))
    assert result.shape == (25, 32, 3) and not network.seen


def test_half_precision_falls_back_by_itself(caplog):
    image = PHOTOGRAPH[:8, :8].copy()
    image[:4] = 0
    factor = 70000.0  # beyond fp16, as a weight too
    half = Upscaler(Recorded("rgb", factor), device="cpu", precision="fp16")
    result = half.upscale(image / 255 / factor)
    np.testing.assert_allclose(result, (image / 255).repeat(2, 0).repeat(2, 1), atol=1e-6)
    assert [record.getMessage() for record in caplog.records] == [
        "float16 gave values that are not finite: going on in fp32"
    ]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_leaves_the_skip_alone(precision):
    network = build_network("FSRCNN", scale=2, skip="bicubic", init="bicubic")
    expected = Upscaler(network, device="cpu").upscale(PHOTOGRAPH)
    assert np.array_equal(Upscaler(network, device="cpu", precision=precision).upscale(PHOTOGRAPH), expected)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp64"])
def test_precisions_agree(fsrcnn, precision):
    image = PHOTOGRAPH[:16, :16]
    result = Upscaler(fsrcnn, device="cpu", precision=precision).upscale(image)
    expected = Upscaler(fsrcnn, device="cpu").upscale(image)
    assert np.abs(result.astype(int) - expected).max() <= {"fp16": 2, "bf16": 12, "fp64": 1}[precision]


def test_self_ensemble_is_symmetric(fsrcnn):
    ensemble = Upscaler(fsrcnn, device="cpu", tta=True, precision="fp64")
    image = PHOTOGRAPH / 255
    result = ensemble.upscale(image)
    turned = ensemble.upscale(np.rot90(image).copy())
    np.testing.assert_allclose(turned, np.rot90(result), rtol=0, atol=1e-12)
    plain = Upscaler(fsrcnn, device="cpu", precision="fp64").upscale(image)
    assert 0 < np.abs(result - plain).max() < 0.2


class Greedy(Recorded):
    """Runs out of memory on windows of more than `limit` pixels, as a device would."""

    limit = 80 * 80

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] * x.shape[3] > self.limit:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 20.00 GiB")
        return super().forward(x)


def test_tiles_are_halved_when_memory_runs_out(caplog):
    network = Greedy("rgb")
    image = skimage.data.astronaut()[:300, :300]
    upscaler = Upscaler(network, device="cpu", tile=0)
    np.testing.assert_array_equal(upscaler.upscale(image), image.repeat(2, 0).repeat(2, 1))
    assert upscaler.tile is not None and 0 < upscaler.tile <= 80
    assert "out of memory" in caplog.text
    network.limit = 0
    upscaler.tile = 0
    with pytest.raises(SrKdError, match="even with tiles"):
        upscaler.upscale(image)
    assert upscaler.tile == 0  # other images may be smaller


@pytest.mark.parametrize(
    "message",
    [
        "could not create a primitive",  # oneDNN
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        "std::bad_alloc",
        "OpenCV(4.13.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8 bytes",
    ],
)
def test_what_a_cpu_says_when_memory_runs_out(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(RuntimeError("a defect"))


def test_other_errors_are_not_taken_for_memory(fsrcnn):
    class Broken(Recorded):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        Upscaler(Broken(), device="cpu").upscale(PHOTOGRAPH)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 1)])
def test_the_smallest_images(upscaler, size):
    image = np.full((*size, 3), 128, np.uint8)
    assert upscaler.upscale(image).shape == (2 * size[0], 2 * size[1], 3)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"tile": 1.5}, "a tile's side is 1.5"),
        ({"tile": True}, "a tile's side is True"),
        ({"tta": "no"}, "tta is 'no'; give True or False"),
        ({"scale": 1.5}, "to scale 1.5"),
        ({"scale": 0}, "to scale 0"),
    ],
)
def test_options_of_a_wrong_kind(options, word):
    with pytest.raises(UsageError, match=word):
        Upscaler(None, device="cpu", **options)


# --- loading ---


def test_load_model_from_a_file(fsrcnn, upscaler, tmp_path):
    for suffix in (".pth", ".safetensors"):
        save_network(tmp_path / f"net{suffix}", fsrcnn)
        loaded = sr_kd.load_model(tmp_path / f"net{suffix}", device="cpu")
        assert (loaded.scale, loaded.color, loaded.name) == (2, "y", f"net{suffix}")
        np.testing.assert_array_equal(loaded.upscale(PHOTOGRAPH), upscaler.upscale(PHOTOGRAPH))
    np.testing.assert_array_equal(sr_kd.upscale(PHOTOGRAPH, tmp_path / "net.pth"), upscaler.upscale(PHOTOGRAPH))
    np.testing.assert_array_equal(sr_kd.upscale(PHOTOGRAPH, upscaler), upscaler.upscale(PHOTOGRAPH))
    with pytest.raises(UsageError, match="serves x2, not x3"):
        sr_kd.load_model(tmp_path / "net.pth", scale=3)


def test_load_model_by_name():
    bicubic_x3 = sr_kd.load_model("bicubic", scale=3, device="cpu")
    assert (bicubic_x3.scale, bicubic_x3.network, bicubic_x3.name) == (3, None, "bicubic")
    with pytest.raises(UsageError, match=r"'bicubik' \(did you mean 'bicubic'\?\)"):
        sr_kd.load_model("bicubik")


def test_weights_that_are_no_numbers(fsrcnn):
    broken = build_network("FSRCNN", scale=2)
    torch.nn.init.constant_(broken.last_layer.weight, float("nan"))
    with pytest.raises(SrKdError, match="diverged"):
        Upscaler(broken, device="cpu")


@pytest.mark.parametrize(
    ("options", "word"),
    [({"tile": -1}, "side is -1"), ({"precision": "fp8"}, "precision 'fp8'"), ({"device": "tpu"}, "device 'tpu'")],
)
def test_wrong_options(fsrcnn, options, word):
    with pytest.raises(UsageError, match=word):
        Upscaler(fsrcnn, **options)


def test_a_pil_photograph_keeps_its_orientation_tag(upscaler):
    """Pixels and tag stay together: whoever shows the result turns it as they would have the original."""
    source = PIL.Image.fromarray(PHOTOGRAPH)
    source.getexif()[0x0112] = 6
    buffer = io.BytesIO()
    source.save(buffer, format="PNG", exif=source.getexif())
    opened = PIL.Image.open(io.BytesIO(buffer.getvalue()))
    assert upscaler.upscale(opened).getexif()[0x0112] == 6


def test_what_a_library_makes_of_missing_memory_counts_too():
    error = ImportError("The `scipy` install you are using seems to be broken")
    assert not is_out_of_memory(error)
    error.__cause__ = ImportError("libscipy_openblas.so: failed to map segment from shared object")
    assert is_out_of_memory(error)
