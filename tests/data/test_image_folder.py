"""Folders of image files: every file is read, refused by its name or listed as left out."""

import io
import shutil
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from genbalance.data import image_files, reading
from genbalance.data.image_files import KINDS
from genbalance.runtime.errors import UserError

SIDE = 12
LOSSLESS = {"WebP": {"lossless": True}}
RIGHT_SIDE_UP = 274  # EXIF's tag of the orientation


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A function that writes pictures, by the name of the file."""

    def write(**pictures):
        for name, picture in pictures.items():
            Image.fromarray(picture).save(tmp_path / f"{name}.png")
        return tmp_path

    return write


def same(folder, images):
    np.testing.assert_array_equal(image_files.read_folder(folder).images, images)


def refused(folder, found):
    with pytest.raises(UserError) as error:
        image_files.read_folder(folder)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(folder))
    assert found in message, message


def save(path, image, **options):
    kind = KINDS[path.suffix.lower()]
    Image.fromarray(image).save(path, format=kind.upper(), **LOSSLESS.get(kind, {}), **options)


@pytest.mark.parametrize("suffix", [suffix for suffix, kind in KINDS.items() if kind != "JPEG"])
def test_a_lossless_file_of_any_kind_gives_its_pixels(suffix, images, tmp_path):
    save(tmp_path / f"x{suffix.upper()}", images[0])
    same(tmp_path, images[:1])
    assert image_files.read_folder(tmp_path).kinds == (KINDS[suffix],)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_a_jpeg_gives_what_its_compression_left(suffix, tmp_path):
    smooth = np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
    save(tmp_path / f"x{suffix}", smooth, quality=95)
    assert np.abs(image_files.read_folder(tmp_path).images[0].astype(int) - smooth).max() < 16


def test_a_folder_may_hold_several_kinds(images, tmp_path):
    names = ["0.gif", "1.png", "2.bmp", "3.tiff", "10.webp"]
    for name, image in zip(names, images, strict=False):
        save(tmp_path / name, image)
    same(tmp_path, images[:5])
    assert image_files.read_folder(tmp_path).kinds == ("GIF", "PNG", "BMP", "TIFF", "WebP")


def test_pictures_come_in_natural_order(folder):
    names = ["sample_2", "sample_10", "sample_1", "a", "sample_02", "10"]
    pictures = {name: np.full((2, 2), 10 * index + 10, np.uint8) for index, name in enumerate(names)}
    ordered = ["10", "a", "sample_1", "sample_02", "sample_2", "sample_10"]
    read = image_files.read_folder(folder(**pictures)).images
    assert read[:, 0, 0].tolist() == [pictures[name][0, 0] for name in ordered]


def test_companions_are_left_out_and_listed(folder, images):
    path = folder(x=images[0])
    names = [".DS_Store", "._x.png", "labels.csv", "meta.JSON", "notes.txt", "README", "Thumbs.db"]
    for name in names:
        (path / name).write_bytes(b"hello")
    (path / ".ipynb_checkpoints").mkdir()
    read = image_files.read_folder(path)
    assert sorted(read.left_out) == sorted([*names, ".ipynb_checkpoints"])
    same(path, images[:1])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.svg"], "found 1 .svg (a.svg)"),
        (["a.xyz", "b.xyz", "c.npy"], "found 2 .xyz (a.xyz, …), 1 .npy (c.npy)"),
        (["digits"], "found 1 file (digits)"),
        (["sub/"], "found 1 folder (sub)"),
        (["folder.png/"], "found 1 folder (folder.png)"),
        (["labels/"], "found 1 folder (labels)"),
    ],
)
@pytest.mark.parametrize("pictures", [True, False])
def test_whatever_else_is_in_the_folder_is_refused_by_name(folder, images, names, found, pictures):
    path = folder(**({"x": images[0]} if pictures else {}))
    for name in names:
        (path / name).mkdir() if name.endswith("/") else (path / name).write_bytes(b"x")
    refused(path, f"only PNG, JPEG, WebP, BMP, TIFF, GIF are supported; {found}")


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    refused(tmp_path, "found nothing")
    for index in range(3):
        (tmp_path / f"{index}.csv").write_bytes(b"x")
    refused(tmp_path, "found 3 .csv (0.csv, …)")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_becomes_the_same_grey(tmp_path, mode):
    levels = np.array([[0, 255], [255, 0]], np.uint8)
    if mode == "I;16":
        levels[0, 0] = 77
        image = Image.fromarray(levels.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(levels).convert(mode)
    assert image.mode == mode
    image.save(tmp_path / "x.png")
    same(tmp_path, levels[None])


def test_sixteen_bits_of_a_tiff_become_eight_and_thirty_two_are_refused(tmp_path):
    levels = np.array([[0, 255], [77, 1]], np.uint8)
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "x.tif")
    same(tmp_path, levels[None])
    for kind in (np.float32, np.int32):
        Image.fromarray(levels.astype(kind)).save(tmp_path / "x.tif")
        with pytest.raises(UserError, match=r"x\.tif: found pixels of 32 bits; allowed: 8 or 16"):
            image_files.read_folder(tmp_path)


RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
COLOURS = np.array([[RED, GREEN], [BLUE, GREY]], np.uint8)


def test_colours_become_their_luma_where_grey_is_asked_for(folder):
    path = folder(x=COLOURS)
    luma = [255 * share for share in (0.299, 0.587, 0.114)]
    grey = image_files.read_folder(path, channels=1).images
    assert grey.shape == (1, 2, 2)
    assert np.abs(grey.ravel() - [*luma, 9]).max() <= 1
    same(path, COLOURS[None])


@pytest.mark.parametrize("suffix", [suffix for suffix, kind in KINDS.items() if kind != "JPEG"])
def test_a_lossless_file_of_any_kind_gives_its_colours(suffix, tmp_path):
    save(tmp_path / f"x{suffix}", COLOURS)
    same(tmp_path, COLOURS[None])


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".gif"])
def test_a_palette_is_looked_up(suffix, tmp_path):
    image = Image.fromarray(np.array([[2, 0], [1, 3]], np.uint8), mode="P")
    image.putpalette([*GREEN, *BLUE, *RED, *GREY])
    image.save(tmp_path / f"x{suffix}")
    same(tmp_path, COLOURS[None])


def test_one_picture_in_colour_makes_all_of_them_so(folder, images):
    grey = images[:, :2, :2]
    read = image_files.read_folder(folder(a=grey[0], b=grey[1], c=COLOURS, d=grey[2])).images
    np.testing.assert_array_equal(read, [*np.stack([grey[:2]] * 3, 3), COLOURS, np.stack([grey[2]] * 3, 2)])


def test_equal_channels_are_grey_unless_colour_is_asked_for(folder, images):
    path = folder(a=np.stack([images[0]] * 3, 2), b=images[1])
    same(path, images[:2])
    np.testing.assert_array_equal(image_files.read_folder(path, channels=3).images, np.stack([images[:2]] * 3, 3))


def png_of_sixteen_bits(values, kind):
    """A PNG file as the standard has it: big-endian values [H, W, samples] of the colour type ``kind``."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">2I5B", width, height, 16, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("kind", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_of_a_png_become_the_nearest_eight(kind, samples, tmp_path):
    values = np.random.default_rng(1).integers(0, 2**16, (5, 6, samples))
    if samples in (2, 4):
        values[..., -1] = 2**16 - 1
    (tmp_path / "x.png").write_bytes(png_of_sixteen_bits(values, kind))
    (found,) = image_files.read_folder(tmp_path).images
    expected = values[..., 0] if samples < 3 else values[..., :3]
    assert np.abs(found - expected / 257).max() <= (0.5 if samples == 1 else 1)  # Pillow cuts off the lower eight


def test_a_transparent_level_of_sixteen_bits_is_transparent(tmp_path):
    values = np.full((6, 6), 300, np.uint16)
    values[2:4, 2:4] = 65535
    Image.fromarray(values).save(tmp_path / "x.png", transparency=300)
    read = image_files.read_folder(tmp_path)
    assert (read.transparent, read.background) == (1, 0)
    np.testing.assert_array_equal(read.images[0], (values == 65535) * 255)


@pytest.mark.parametrize(("ink", "colour"), [((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), RED)])
def test_a_jpeg_in_cmyk_is_read(ink, colour, tmp_path):
    Image.new("CMYK", (8, 8), ink).save(tmp_path / "x.jpg", quality=95)
    found = image_files.read_folder(tmp_path, channels=3).images
    assert np.abs(found.astype(int) - colour).max() < 6


def test_lab_colours_are_refused(tmp_path):
    Image.new("LAB", (8, 8)).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match=r"x\.tif: found colours of the kind LAB; allowed: grey, RGB, CMYK"):
        image_files.read_folder(tmp_path)


def test_of_several_pictures_in_a_jpeg_the_first_is_read(tmp_path):
    """As phones write them, with a map of brightness behind the picture."""
    first, second = Image.new("RGB", (16, 16), RED), Image.new("L", (8, 8), 77)
    first.save(tmp_path / "x.mpo", format="MPO", save_all=True, append_images=[second])
    (tmp_path / "x.mpo").rename(tmp_path / "x.jpg")
    (found,) = image_files.read_folder(tmp_path).images
    assert found.shape == (16, 16, 3)
    assert np.abs(found.astype(int) - RED).max() < 6


def test_a_coloured_stroke_is_laid_on_the_background_in_each_channel(folder):
    stroke = drawn(0, 0, 0)
    stroke[..., :3] = (200, 30, 90)
    stroke[4, 5, 3] = 51  # a fifth
    read = image_files.read_folder(folder(x=stroke))
    assert (read.transparent, read.background) == (1, 255)
    np.testing.assert_array_equal(read.images[0, 0, 0], [255] * 3)
    np.testing.assert_array_equal(read.images[0, 5, 5], [200, 30, 90])
    np.testing.assert_array_equal(read.images[0, 4, 5], [0.2 * level + 0.8 * 255 for level in (200, 30, 90)])


def test_colours_that_cannot_be_seen_do_not_count(folder):
    stroke = drawn(255, 0, 0)
    stroke[0, 0] = (*RED, 0)
    assert image_files.read_folder(folder(x=stroke)).images.ndim == 3


def test_the_md5_names_names_and_contents(folder, images):
    path = folder(a=images[0], b=images[1])
    first = image_files.read_folder(path).md5
    assert image_files.read_folder(path).md5 == first
    (path / "b.png").rename(path / "c.png")
    second = image_files.read_folder(path).md5
    folder(a=images[2])
    assert len({first, second, image_files.read_folder(path).md5}) == 3


@pytest.mark.parametrize(("size", "shape"), [(8, (8, 8)), ([8, 16], (8, 16)), ([24, 8], (24, 8)), (30, (30, 30))])
def test_pictures_of_several_sizes_become_of_one(folder, size, shape):
    sides = [(40, 40), (16, 16), (31, 50), (100, 9), (8, 8)]
    pictures = {str(n): np.full((*side, 3), (n, 50, 99), np.uint8) for n, side in enumerate(sides)}
    read = image_files.read_folder(folder(**pictures), size=size).images
    expected = np.stack([np.full((*shape, 3), (n, 50, 99)) for n in range(len(sides))])
    np.testing.assert_array_equal(read, expected)


def test_what_is_transparent_has_no_colour_when_it_is_resized(folder):
    """Half of each pixel is opaque white, half is transparent black: half white, not a quarter."""
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, ::2] = 255
    picture[0] = picture[-1] = 0
    read = image_files.read_folder(folder(x=picture), size=4)
    assert read.background == 0
    np.testing.assert_allclose(read.images[0, 1:3], 128, atol=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
@pytest.mark.parametrize(("orientation", "back"), [(3, 2), (6, 1), (8, 3)])
def test_an_exif_orientation_is_applied(suffix, orientation, back, tmp_path):
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :8] = 255
    stored = Image.fromarray(np.rot90(upright, back))
    exif = Image.Exif()
    exif[RIGHT_SIDE_UP] = orientation
    stored.save(tmp_path / f"x{suffix}", exif=exif)
    assert np.abs(image_files.read_folder(tmp_path).images[0].astype(int) - upright).max() < 32


def drawn(ink, paper, opacity_of_paper):
    """A stroke on paper, with what of the paper is opaque."""
    levels = np.full((SIDE, SIDE), paper, np.uint8)
    opacity = np.full((SIDE, SIDE), opacity_of_paper, np.uint8)
    levels[3:-3, 5:7], opacity[3:-3, 5:7] = ink, 255
    return np.dstack([levels, levels, levels, opacity])


@pytest.mark.parametrize(
    ("ink", "paper", "opacity", "background"),
    [
        (255, 0, 0, 0),
        (0, 0, 0, 255),  # the colour of what cannot be seen tells nothing
        (0, 255, 0, 255),
        (255, 255, 0, 0),
        (0, 255, 200, 255),  # an opaque border does
        (255, 0, 200, 0),
        (90, 40, 200, 0),
        (160, 230, 200, 255),
    ],
)
def test_transparent_pictures_are_laid_on_the_colour_of_their_border(folder, ink, paper, opacity, background):
    read = image_files.read_folder(folder(x=drawn(ink, paper, opacity)))
    assert (read.transparent, read.background) == (1, background)
    seen = round((paper * opacity + background * (255 - opacity)) / 255)
    assert read.images[0, 0, 0] == seen
    assert read.images[0, 5, 5] == ink
    assert set(np.unique(read.images)) == {ink, seen}


def test_all_pictures_of_a_folder_are_laid_on_one_background(folder, images):
    stroke = drawn(255, 0, 0)
    bold = stroke.copy()
    bold[..., 3] = 255 * (np.arange(SIDE) > 0)  # white up to the border
    bold[..., :3] = 255
    read = image_files.read_folder(folder(a=stroke, b=bold, c=images[0], d=np.zeros((SIDE, SIDE, 4), np.uint8)))
    assert (read.transparent, read.background) == (3, 0)
    np.testing.assert_array_equal(read.images[0], stroke[..., 3])
    np.testing.assert_array_equal(read.images[1], bold[..., 3])
    np.testing.assert_array_equal(read.images[2], images[0])
    assert not read.images[3].any()


def test_sixty_png_and_sixty_jpeg_are_a_hundred_and_twenty_images(tmp_path):
    levels = np.arange(120, dtype=np.uint8) * 2
    for number, level in enumerate(levels):
        image = np.full((SIDE, SIDE), level, np.uint8)
        save(tmp_path / f"{number}.{'png' if number % 2 else 'jpg'}", image)
    read = image_files.read_folder(tmp_path)
    assert read.images.shape == (120, SIDE, SIDE)
    np.testing.assert_allclose(read.images[:, 0, 0], levels, atol=1)
    assert (read.kinds.count("PNG"), read.kinds.count("JPEG"), read.left_out) == (60, 60, ())


@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[2J.png", "\udcff.png", "a\nb.txt"])
def test_a_name_that_cannot_be_told_in_a_line_is_refused(folder, images, name):
    path = folder(x=images[0])
    (path / name).write_bytes(b"x")
    refused(path, "unprintable; rename that file")


@pytest.mark.parametrize(
    ("side", "reason"), [(40_000, "found more than 89,478,485 pixels"), (10_000, "89,478,485 pixels")]
)
def test_a_picture_of_more_pixels_than_pillow_opens_is_refused_by_its_header(tmp_path, side, reason):
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    whole = stream.getvalue()
    header = b"IHDR" + struct.pack(">2I", side, side) + whole[24:29]
    (tmp_path / "x.png").write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])
    refused(tmp_path, reason)


def test_a_chunk_that_claims_gigabytes_takes_no_memory(folder, images):
    path = folder(x=images[0]) / "x.png"
    whole = path.read_bytes()
    at = whole.index(b"IDAT") - 4
    path.write_bytes(whole[:at] + b"\x7f\xff\xff\xff" + whole[at + 4 :])
    tracemalloc.start()
    try:
        same(path.parent, images[:1])  # all of it is there
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_the_budget_is_held_against_a_pictures_header(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 4 * 99 * 100)
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image.Image, "load", None)  # what decodes
    refused(tmp_path, "found more than 39,600 bytes of values; allowed: at most that, the budget")


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tiff"])
def test_an_animation_is_refused(suffix, images, tmp_path):
    first, *others = [Image.fromarray(image) for image in images[:3]]
    first.save(tmp_path / f"x{suffix}", save_all=True, append_images=others)
    with pytest.raises(UserError, match=rf"x\{suffix}: found 3 frames; allowed: one"):
        image_files.read_folder(tmp_path)


def test_pictures_of_differing_sizes_are_named(folder):
    path = folder(a=np.zeros((3, 3), np.uint8), b=np.zeros((4, 4), np.uint8))
    with pytest.raises(UserError, match=r"b\.png: found 4 × 4 pixels, but a\.png has 3 × 3"):
        image_files.read_folder(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_cut_anywhere_is_refused_by_name_or_whole(suffix, images, tmp_path):
    stream = io.BytesIO()
    kind = KINDS[suffix]
    Image.fromarray(images[0]).save(stream, format=kind.upper(), **LOSSLESS.get(kind, {}))
    whole = stream.getvalue()
    path = tmp_path / f"x{suffix}"
    path.write_bytes(whole)
    expected = image_files.read_folder(tmp_path).images
    refusals = []
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        try:
            found = image_files.read_folder(tmp_path).images
        except UserError as error:
            refusals.append(str(error))
        else:  # what is missing holds no pixels, as an end marker does not
            np.testing.assert_array_equal(found, expected)
    assert len(refusals) > len(whole) // 7 / 2
    assert all(message.startswith(f"{path}: is not a whole {kind} file") for message in refusals)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_of_another_kind_than_its_name_says_is_named(suffix, images, tmp_path):
    other = "BMP" if KINDS[suffix] == "PNG" else "PNG"
    Image.fromarray(images[0]).save(tmp_path / "x", format=other)
    shutil.move(tmp_path / "x", tmp_path / f"x{suffix}")
    with pytest.raises(UserError, match=rf"x\{suffix}: is not a whole {KINDS[suffix]} file"):
        image_files.read_folder(tmp_path)
