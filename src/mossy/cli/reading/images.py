"""Images, one or a folder of them: grey, or in colour, from 0 to 1, row by row. The payload is the name of the file.

What a folder holds is read in the order of its names, folders in it included. Of a file with several images the first
is read; transparency is left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.cli.reading.batch import Batch, rows_of_batch
from mossy.cli.reading.source import Options, Source, decoded
from mossy.errors import EmptyBatch, InvalidInput, InvalidShape, MissingExtra

__all__ = ["SUFFIXES", "read_images"]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def read_images(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the images, when all of them were read: what cannot be read is told before anything is stored."""
    paths = _paths(source)
    if not paths:
        raise EmptyBatch(f"{source}: no image was given; files that end with {', '.join(SUFFIXES)} are allowed.")
    names: list[str] = []
    shape: tuple[int, ...] | None = None
    with tempfile.TemporaryFile() as file:  # so that more images than fit into memory can be read
        for i, (path, name) in enumerate(paths):
            place = str(path)
            try:
                pixels = _pixels(path, place, options)
                if shape is not None and pixels.shape != shape:
                    raise _other_size(place, pixels, names[0], shape)
            except InvalidInput as error:
                options.refuse(error)
                continue
            shape = pixels.shape
            file.write(pixels.tobytes())
            names.append(name)
            options.tell((i + 1) / len(paths))
        if shape is None:
            return
        d = int(np.prod(shape))
        step = rows_of_batch(d)
        file.seek(0)
        for first in range(0, len(names), step):
            part = names[first : first + step]
            pixels = np.frombuffer(file.read(len(part) * d), np.uint8).reshape(-1, d)
            yield Batch(pixels / np.float32(255), None, part, _place(source, part))


def _paths(source: Source) -> list[tuple[Path, str]]:
    """Return each image with its name: relative to the folder, or alone."""
    if not source.file.is_dir():
        return [(source.file, source.file.name)]
    found = (path for path in source.file.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    named = [(path, path.relative_to(source.file).as_posix()) for path in found]
    return sorted((one for one in named if not Path(one[1]).name.startswith(".")), key=lambda one: one[1])


def _pixels(path: Path, place: str, options: Options) -> NDArray[np.uint8]:
    """Return an image as ``(height, width)`` or ``(height, width, 3)``, or raise ``InvalidInput``."""
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as missing:
        raise MissingExtra("pillow", "cli") from missing
    with decoded(place, "an image"), Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # conversion would cut off what is brighter than 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("I", "F"):
            raise InvalidInput(f"{place}: it has {image.mode!r} pixels of 32 bits; 8 or 16 bits are allowed.")
        image = image.convert("RGB" if options.colour else "L")
        if options.size is not None:
            image = image.resize(options.size, Image.Resampling.LANCZOS)
        return np.asarray(image)


def _other_size(place: str, pixels: NDArray[Any], first: str, shape: tuple[int, ...]) -> InvalidShape:
    return InvalidShape(
        f"{place}: it has {pixels.shape[1]}x{pixels.shape[0]} pixels, and {first} has {shape[1]}x{shape[0]}; give "
        "--size WIDTHxHEIGHT, to which all are scaled."
    )


def _place(source: Source, names: list[str]) -> Callable[[int], str]:
    return lambda i: f"{source}, {names[i]}" if source.file.is_dir() else str(source)
