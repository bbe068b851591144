"""Images: one, a folder, of any kind of pixels; what cannot be read is named before anything is stored."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.cli.writing import image, read_or_told

from mossy.cli.reading import Options, batch, find_sources, read
from mossy.errors import InvalidInput, MissingExtra

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with three images of one size, one of them in a folder, and other files."""
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "z.PNG").write_bytes(image(GREY))
    (folder / "a.png").write_bytes(image(255 - GREY))
    (folder / "c.bmp").write_bytes(image(np.stack([GREY, GREY // 2, GREY // 3], axis=-1), "bmp"))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"no image")
    return folder


def look(path: Path, **options):
    [(source, format)] = find_sources([str(path)], None, Options(**options))
    return list(read(source, format, Options(**options)))


def test_a_folder_of_images(images, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 2)
    first, second = look(images)
    assert first.payload + second.payload == ["a.png", "b/z.PNG", "c.bmp"]
    assert first.patterns.shape == (2, 12)
    assert np.array_equal(first.patterns[1], (GREY / np.float32(255)).ravel())
    assert second.place(0) == f"{images}, c.bmp"


def test_one_image(images):
    [one] = look(images / "b" / "z.PNG")
    assert one.payload == ["z.PNG"]
    assert one.place(0) == str(images / "b" / "z.PNG")


def test_images_in_colour_and_of_another_size(images):
    [one] = look(images, colour=True)
    assert one.patterns.shape == (3, 36)
    assert np.array_equal(one.patterns[2].reshape(3, 4, 3)[..., 1], GREY // 2 / np.float32(255))
    [one] = look(images, size=(2, 5))
    assert one.patterns.shape == (3, 10)
    assert one.patterns.min() >= 0
    assert one.patterns.max() <= 1


def test_sixteen_bits_are_scaled_and_the_camera_is_held_upright(tmp_path):
    Image.fromarray(GREY.astype(np.uint16) << 8).save(tmp_path / "deep.png")
    [one] = look(tmp_path / "deep.png")
    assert np.array_equal(one.patterns[0], (GREY / np.float32(255)).ravel())
    turned = Image.fromarray(np.rot90(GREY))  # anticlockwise, so that it is to be shown turned clockwise
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    [one] = look(tmp_path / "turned.png")
    assert np.array_equal(one.patterns[0], (GREY / np.float32(255)).ravel())


def spoil(images: Path) -> Path:
    bad = images / "b" / "a.png"
    bad.write_bytes(image(GREY)[:50])
    return bad


def test_a_bad_image_is_named_before_any_is_read(images):
    bad = spoil(images)
    with pytest.raises(InvalidInput, match=f"^{re.escape(str(bad))}: it cannot be read as an image .*take it away"):
        look(images)


def test_the_other_images_are_read_where_a_bad_one_may_be_left_out(images):
    bad, told = spoil(images), []
    [one] = look(images, refuse=told.append)
    assert one.payload == ["a.png", "b/z.PNG", "c.bmp"]
    assert [str(error).partition(": ")[0] for error in told] == [str(bad)]


def test_images_of_mixed_sizes_need_a_size(images):
    (images / "b" / "large.png").write_bytes(image(np.zeros((5, 7), np.uint8)))
    with pytest.raises(InvalidInput, match=r"large.png: it has 7x5 pixels, and a.png has 4x3; give --size"):
        look(images)
    assert len(look(images, size=(4, 3))[0]) == 4


def test_no_image(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "deep.tiff")
    with pytest.raises(InvalidInput, match="'F' pixels of 32 bits"):
        look(tmp_path)
    (tmp_path / "deep.tiff").unlink()
    with pytest.raises(InvalidInput, match=r"no image was given; files that end with \.bmp"):
        look(tmp_path)


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"])
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255) | st.none())
@settings(max_examples=30, deadline=None)
def test_a_torn_or_altered_image_is_refused_or_read(form, position, byte):
    content = image(np.stack([GREY] * 3, axis=-1), form)
    at = int(position * len(content))
    torn = content[:at] if byte is None else content[:at] + bytes([byte]) + content[at + 1 :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about tags that it does not understand
        for one in read_or_told(torn, f".{form}"):
            assert len(one) == 1
            assert one.patterns.min() >= 0
            assert one.patterns.max() <= 1


def test_without_pillow_the_message_installs_it(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mossy\[cli\]'"):
        look(images)
