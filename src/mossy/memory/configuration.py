"""How a memory is set: checked once, and written as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from mossy.arrays import as_bytes, check_flag, check_fraction, check_integer, check_number, choose
from mossy.errors import InvalidParameter
from mossy.memory.short_term import ShortTerm
from mossy.pathway.vector import PATHWAYS
from mossy.recall import Settings
from mossy.separation import SEPARATIONS, Separation
from mossy.similarity import Similarity
from mossy.strength import LAWS, LinearLaw, as_law
from mossy.substrate.index import Index

__all__ = ["Configuration"]

KEEP = {"all": False, "frequent": True}
DUPLICATES = {"reinforce": False, "keep": True}


@final
@dataclass(frozen=True)
class Configuration:
    """The settings of a ``Memory``, as its docstring tells them."""

    similarity: str | Similarity = "euclidean"
    separation: str | Separation = "softmax"
    beta: float | None = None
    law: str | LinearLaw = "power_law"
    delta: float = 0.002
    familiar: float = 0.75
    links: int = 0
    association: float = 0.0
    short_term: int = 1024
    keep: str = "all"
    capacity: int | str | None = None
    merge: float | None = 0.0
    duplicates: str = "reinforce"
    pathway: str = "auto"
    adapt: bool = False

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        index = self.index()
        put("similarity", index.similarity)
        put("separation", index.separation)
        put("beta", index.beta)
        put("law", as_law(self.law))
        put("delta", check_number(self.delta, "Memory.delta", 0, 1e6))
        put("familiar", check_fraction(self.familiar, "Memory.familiar"))
        put("links", check_integer(self.links, "Memory.links", 0, 1024))
        put("association", check_number(self.association, "Memory.association", 0))
        put("short_term", check_integer(self.short_term, "Memory.short_term", 1))
        choose(KEEP, self.keep, "keep")
        choose(DUPLICATES, self.duplicates, "duplicates")
        choose(PATHWAYS, self.pathway, "pathway")
        put("adapt", check_flag(self.adapt, "Memory.adapt"))
        if self.association > 0 and self.links == 0:
            raise InvalidParameter("Memory.association: needs links; set links=8, for example.")
        if self.capacity is not None:
            put("capacity", _check_capacity(self.capacity))
        if isinstance(self.capacity, str) and self.pathway == "graph":
            raise InvalidParameter(
                f"Memory.capacity: {self.capacity!r} was given with pathway='graph', whose bytes are those of another "
                "library; a number of memories is allowed, or another pathway."
            )
        if self.merge is not None:
            put("merge", check_number(self.merge, "Memory.merge", 0))
        if self.merge and not index.similarity.reflexive:
            raise InvalidParameter(
                f"Memory.merge: {self.merge:g} was given with {index.similarity.name!r}, by which a longer key "
                "fits better than an equal one; 0 or None is allowed, or another similarity."
            )

    @property
    def budget(self) -> int | None:
        """The capacity in bytes, if it was given so."""
        return as_bytes(self.capacity, "Memory.capacity") if isinstance(self.capacity, str) else None

    @property
    def keeps_duplicates(self) -> bool:
        """Whether what is there already is stored again."""
        return DUPLICATES[self.duplicates]

    def index(self) -> Index:
        """Return an empty index so set."""
        return Index(self.similarity, self.separation, self.beta)

    def short(self) -> ShortTerm:
        """Return an empty short-term memory so set."""
        return ShortTerm(self.short_term, KEEP[self.keep])

    def recall(self) -> Settings:
        """Return the settings of recall."""
        return Settings(self.delta, self.association, self.familiar)

    def linear_law(self) -> LinearLaw:
        """Return the strength law."""
        return as_law(self.law)

    def replaced(self, settings: dict[str, Any]) -> Configuration:
        """Return it with these settings instead of its own."""
        return replace(self, **settings)

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        index, law = self.index(), self.linear_law()
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "similarity": index.similarity.name,
            "separation": index.separation.name,
            "separation_parameters": dict(index.separation.parameters),
            "law": law.name,
            "law_parameters": dict(law.parameters),
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Configuration:
        """Make it again, or raise ``UnknownName`` for a variant of your own, which only a program can give."""
        settings = {name: told[name] for name in cls.__dataclass_fields__ if name in told}
        settings["separation"] = choose(SEPARATIONS, told["separation"], "separation")(**told["separation_parameters"])
        settings["law"] = choose(LAWS, told["law"], "law")(**told["law_parameters"])
        return cls(**settings)


def _check_capacity(given: object) -> int | str:
    """Return a number of memories, or bytes as a string, or raise ``InvalidParameter``."""
    if not isinstance(given, str):
        return check_integer(given, "Memory.capacity", 1)
    try:
        as_bytes(given, "Memory.capacity")
        if not given.strip()[-1].isalpha():  # "100" of what?
            raise InvalidParameter("Memory.capacity: a unit is missing")
    except InvalidParameter as error:
        raise InvalidParameter(
            f"Memory.capacity: {given!r} was given; an integer of at least 1, which is a number of memories, or bytes "
            "with their unit, such as '64 MB' or '1 GiB', are allowed."
        ) from error
    return given
