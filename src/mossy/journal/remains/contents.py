"""What the intact rows of a torn file say: its memories, their state, and what of it is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import Damaged, WrongKey
from mossy.journal.layout import BLOCK, GONE, PART, state_dtype
from mossy.journal.lock import left_note
from mossy.journal.meta import Head
from mossy.journal.remains.copies import Copies
from mossy.journal.remains.remains import Remains
from mossy.journal.rows import Width, crc_of_row, place_of
from mossy.journal.seal import Seal, Sealed, seal_for

__all__ = ["DEFAULTS", "STATE", "Contents", "Memory"]

Ids = NDArray[np.int64]
NO_IDS: Ids = np.empty(0, np.int64)

EARLY = 1e8  # a time before it is no second (it would be in 1973), but a step
MOST_LINKS = 1024
ROW, PAYLOAD, STATE = "the row", "the payload; the rest is rescued from the arrays", "strength, pin and links"

# What a memory is made with unless it is told otherwise, for a file that does not tell it any more.
DEFAULTS: dict[str, Any] = {
    "similarity": "euclidean",
    "separation": "softmax",
    "separation_parameters": {},
    "beta": 2000.0,
    "law": "power_law",
    "law_parameters": {"exponent": 0.5, "fastest": 1.0, "slowest": 315576000.0, "modes": 12, "short": 600.0},
    "delta": 0.002,
    "familiar": 0.75,
    "links": 0,
    "association": 0.0,
    "short_term": 1024,
    "keep": "all",
    "capacity": None,
    "merge": 0.0,
    "duplicates": "reinforce",
    "pathway": "auto",
    "adapt": False,
    "clock": "seconds",
    "modes": 12,
}


class Memory(NamedTuple):
    """A memory in the clear."""

    id: int
    stored: float
    key: bytes
    value: bytes | None
    payload: bytes | None


@final
class Contents:
    """The content of a journal, as far as it is intact.

    Parameters
    ----------
    path
        The file.
    remains
        Its intact rows.
    secret
        The key of an encrypted file.

    Attributes
    ----------
    configuration, head
        As they were; the defaults and None where they are lost.
    width
        The neurons of keys and values, None if there are no memories.
    dtype
        The record of the state of a memory.
    next_id
        An id above all that were ever there, as far as anything tells.
    losses
        Which memories lack what, by what they lack.
    lost
        What else is lost, in words.

    Raises
    ------
    WrongKey
    Damaged
        Nothing can be rescued.
    """

    def __init__(self, path: Path, remains: Remains, secret: bytes | None) -> None:
        self.lost: list[str] = []
        self.losses: dict[str, list[int]] = {ROW: [], PAYLOAD: [], STATE: []}
        self._path, self._remains = path, remains
        self._seal = self._seal_of(secret)
        self._told = self._entries()
        self.head = Head.decode(self._told["head"]) if "head" in self._told else None
        self.configuration = self._configured()
        lineage = self.configuration.pop("lineage", None)
        self.dtype = state_dtype(self.configuration["modes"], self.configuration["links"])
        arrays = path.with_name(path.name + ".arrays")
        self._copies = Copies(arrays, self._seal, None if lineage is None else bytes.fromhex(lineage), self._width())
        if lineage is None and not self._copies.fit(remains.ids, self._crcs()):
            self._copies.drop()
        self.width = self._width() or self._copies.width
        self.next_id = self._next_id()

    def __bool__(self) -> bool:
        return bool(self._remains) or bool(len(self._copies.ids))

    def entry(self, name: str) -> bytes | None:
        """Return one of the small arrays, None if it is lost."""
        return self._told.get(name)

    def weights(self) -> bytes:
        """Return the weights of a memory that keeps nothing else.

        Raises
        ------
        Damaged
            A part of them is lost, and the rest is of no use without it.
        """
        parts = self._remains.parts
        try:
            if not parts and self.head is not None and self.head.memories:
                raise KeyError(0)
            return b"".join(
                self._seal.open(self._remains.content(parts[number]), b"w%d" % number) for number in range(len(parts))
            )
        except (KeyError, WrongKey) as error:
            raise Damaged(
                f"{self._path}: a part of its weights is lost, and the rest is of no use without it. Nothing can be "
                "rescued. No new file was made."
            ) from error

    def wanted(self) -> Ids:
        """Return the ids that should be there: those that the state tells, and where that is lost, any other trace."""
        remains = self._remains
        sound, alive = [], [NO_IDS]
        for block in sorted(remains.state):
            records = self.state(block)
            if records is not None:
                sound.append(block)
                alive.append(block * BLOCK + np.flatnonzero(records["flags"] & GONE == 0))
        traces = np.concatenate([remains.ids, self._copies.ids, np.array(list(remains.damaged), np.int64)])
        traces = traces[~np.isin(traces // BLOCK, sound)]
        wanted = np.union1d(np.concatenate(alive), traces)
        wanted = wanted[(wanted >= 0) & (wanted < self.next_id)]
        return np.setdiff1d(wanted, np.array(list(remains.empty), np.int64))

    def state(self, block: int) -> NDArray[Any] | None:
        """Return the state of a block, None if it is lost."""
        if block not in self._remains.state:
            return None
        try:
            content = self._seal.open(self._remains.content(self._remains.state[block][1]), b"s%d" % block)
        except WrongKey:
            return None
        return np.frombuffer(content, self.dtype) if len(content) == BLOCK * self.dtype.itemsize else None

    def memory(self, id: int) -> Memory | None:
        """Return a memory, from its row or from the arrays; what is lost of it is noted."""
        remains = self._remains
        at = int(np.searchsorted(remains.ids, id))
        if at < len(remains.ids) and remains.ids[at] == id:
            opened = self._opened(int(remains.places[at]))
            if opened is not None:
                return opened
        copy = self._copies.copy(id)
        if copy is None:
            self.losses[ROW].append(id)
            return None
        rescued = Memory(id, copy.stored, copy.key, copy.value, None)
        damaged = [remains.row(place) for place in remains.damaged.get(id, [])]
        for payload, crc in [(None, None), *((row[4], row[5]) for row in damaged)]:
            sound, payload = self._fitting(rescued, payload, crc, copy.crc)
            if sound:
                return rescued._replace(payload=payload)
        self.losses[PAYLOAD].append(id)
        return rescued

    # -- inside ---------------------------------------------------------------------------------------------------

    def _fitting(self, rescued: Memory, payload: Any, crc: Any, told: int) -> tuple[bool, bytes | None]:
        """Return whether a payload is surely that of a memory, and the payload in the clear.

        In the clear the checksum of the row tells, which goes over all of it. What is encrypted tells it by itself;
        that there is none, the checksum that stands in the row.
        """
        if not isinstance(payload, bytes | None):
            return False, None
        if not self._seal.overhead:
            return crc_of_row(rescued.id, rescued.stored, rescued.key, rescued.value, payload) == told, payload
        if payload is None:
            return crc == told, None
        try:
            return True, self._seal.open(payload, b"p" + place_of(rescued.id, rescued.stored))
        except WrongKey:
            return False, None

    def _opened(self, place: int) -> Memory | None:
        id, stored, key, value, payload, _ = self._remains.row(place)
        bound = place_of(id, stored)
        try:
            opened = Memory(
                id,
                stored,
                self._seal.open(key, b"k" + bound),
                None if value is None else self._seal.open(value, b"v" + bound),
                None if payload is None else self._seal.open(payload, b"p" + bound),
            )
        except WrongKey:
            return None
        width = Width(len(opened.key) // 4, None if opened.value is None else len(opened.value) // 4)
        return opened if width == self.width else None

    def _seal_of(self, secret: bytes | None) -> Seal:
        salt, told = self._remains.entries.get("salt"), self._remains.entries.get("configuration")
        if salt is None and (self._is_sealed() if told is None else not told.startswith(b"{")):
            raise Damaged(
                f"{self._path}: it is encrypted, and its salt is lost, without which no key opens it. Nothing can be "
                "rescued. No new file was made."
            )
        try:
            return seal_for(secret, salt)
        except WrongKey as error:
            raise WrongKey(f"{self._path}: {error}") from error

    def _is_sealed(self) -> bool:
        """Tell by lengths whether it is encrypted: what is sealed is longer by the same everywhere."""
        remains = self._remains
        for _, place in remains.state.values():
            return len(remains.content(place)) % BLOCK == Sealed.overhead % BLOCK
        return any(len(remains.content(place)) > PART for place in remains.parts.values())

    def _entries(self) -> dict[str, bytes]:
        told, closed = {}, [name for name in self._remains.entries if name != "salt"]
        wrong = None
        for name in closed:
            content = self._remains.entries[name]
            try:
                told[name] = self._seal.open(content or b"", name.encode())
            except WrongKey as error:
                wrong = error
        if wrong is not None and not told:
            raise WrongKey(f"{self._path}: {wrong}") from wrong
        return told

    def _configured(self) -> dict[str, Any]:
        """Return the configuration; if it is lost, the defaults, as far as what is there fits them."""
        if "configuration" in self._told:
            configuration: dict[str, Any] = json.loads(self._told["configuration"])
            return configuration
        if self._remains.parts:
            raise Damaged(f"{self._path}: the configuration of its weights is lost. No new file was made.")
        links = 0
        for _, place in [*self._remains.state.values()][:1]:
            size = (len(self._remains.content(place)) - self._seal.overhead) // BLOCK
            sizes = {state_dtype(DEFAULTS["modes"], n).itemsize: n for n in range(MOST_LINKS + 1)}
            links = sizes.get(size, 0)
        times = [self._remains.row(place)[1] for place in self._remains.places[-1:].tolist()]
        clock = "steps" if times and times[0] < EARLY else "seconds"
        self.lost.append(
            f"the configuration: the new file has the defaults, with links={links} and a clock that counts {clock}"
        )
        return DEFAULTS | {"links": links, "clock": clock}

    def _width(self) -> Width | None:
        if self.head is not None and self.head.d is not None:
            return Width(self.head.d, self.head.d_value)
        for place in self._remains.places[:1].tolist():
            _, _, key, value, _, _ = self._remains.row(place)
            extra = self._seal.overhead
            return Width((len(key) - extra) // 4, None if value is None else (len(value) - extra) // 4)
        return None

    def _crcs(self) -> Ids:
        return np.array([self._remains.row(place)[5] for place in self._remains.places.tolist()], np.int64)

    def _next_id(self) -> int:
        remains, left = self._remains, left_note(self._path)
        told = [0 if self.head is None else self.head.next_id, 0 if left is None else left[0]]
        told.append(int.from_bytes(self._told.get("short", b"")[:8], "little"))
        told += [int(ids[-1]) + 1 for ids in (remains.ids, self._copies.ids) if len(ids)]
        told += [id + 1 for id in remains.empty]
        told += [id + 1 for id in remains.damaged if id // BLOCK in remains.state]
        told += [block * BLOCK + 1 for block in remains.state]
        return max(told)
