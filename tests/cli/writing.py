"""Files in every format, as the tests write them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from mossy.cli.reading import Options, find_sources, read
from mossy.errors import InvalidInput

PLAIN = Options()
NAMED = Options(payload=("name",))


def npy(patterns, names) -> bytes:
    file = io.BytesIO()
    np.save(file, patterns)
    return file.getvalue()


def npz(patterns, names) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, patterns=patterns, values=patterns[:, :1], payload=np.array(names))
    return file.getvalue()


def comma(patterns, names) -> bytes:
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(["name", *(f"x{j}" for j in range(patterns.shape[1]))])
    table.writerows([name, *line] for name, line in zip(names, patterns.tolist(), strict=True))
    return file.getvalue().encode()


def whole_lines(patterns, names) -> bytes:
    rows = zip(patterns.tolist(), names, strict=True)
    return lines({"pattern": line, "value": line[:1], "payload": name} for line, name in rows)


def named_lines(patterns, names) -> bytes:
    rows = zip(patterns.tolist(), names, strict=True)
    return lines({f"x{j}": x for j, x in enumerate(line)} | {"name": name} for line, name in rows)


def lines(objects) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects).encode()


def whole_parquet(patterns, names) -> bytes:
    return parquet({"pattern": list(patterns), "value": list(patterns[:, :1]), "payload": names})


def named_parquet(patterns, names) -> bytes:
    return parquet({f"x{j}": column for j, column in enumerate(patterns.T)} | {"name": names})


def parquet(columns) -> bytes:
    file = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def image(pixels, form="png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(file, form)
    return file.getvalue()


def archive(**named) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def gather(content: bytes, suffix: str, options: Options = PLAIN):
    """Read a file with this content, and return the batches and the name of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file" + suffix)
        path.write_bytes(content)
        [(source, format)] = find_sources([str(path)], None, options)
        return list(read(source, format, options)), str(path)


def fails(content: bytes | str, suffix: str, options: Options = PLAIN) -> str:
    """Return the message of a file that cannot be read, without its folder."""
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(InvalidInput) as caught:
        _ = [one.complete(options.refuse) for one in gather(content, suffix, options)[0]]
    told = str(caught.value)
    assert "file" + suffix in told
    return told[told.index("file" + suffix) :]


def read_or_told(content: bytes, suffix: str, options: Options = PLAIN):
    """Return the batches of a file that may be torn; of one that is refused none, and the error must name it."""
    try:
        return gather(content, suffix, options)[0]
    except InvalidInput as error:
        if f"file{suffix}" not in str(error):
            raise
        return []
