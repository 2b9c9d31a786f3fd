"""What a person said of names: which are one person and which are not, without contradictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.same_shot import joined

NamePair = tuple[int, int, int]  # two names, line


@dataclass(frozen=True)
class NamesSaid:
    """Pairs of names by number, in the order of their lines."""

    together: tuple[NamePair, ...] = ()  # the first takes the name of the second
    apart: tuple[NamePair, ...] = ()

    def joined(self, count: int) -> Int64s:
        """For each of `count` names the smallest number among those that are said to be one with it."""
        pairs = np.array([pair[:2] for pair in self.together], np.int64).reshape(-1, 2)
        component = joined(pairs[:, 0], pairs[:, 1], count)
        return np.unique(component, return_index=True)[1][component].astype(np.int64)

    def chosen(self) -> list[int]:
        """The names that a person gave to what was joined; of two for one person the later comes later."""
        takes = {one: other for one, other, _ in self.together}
        found = []
        for name, _, _ in self.together:
            last, seen = name, {name}
            while takes.get(last, last) not in seen:
                last = takes[last]
                seen.add(last)
            found.append(last)
        return found

    def leads(self, count: int) -> tuple[Int64s, Int64s]:
        """Whose name each of `count` names takes by nothing but this, and the line that says so (or 0).

        One more, the last, is NOBODY's (-1).
        """
        group = np.append(self.joined(count), -1)
        lead, line = group.copy(), np.zeros(count + 1, np.int64)
        for name in self.chosen():
            lead[group == group[name]] = name
        for one, other, number in self.together:
            for name in (one, other):
                line[name] = number if lead[name] != name else 0
        return lead, line


def consistent(words: Iterable[tuple[int, str, str, str]], number: Mapping[str, int]) -> NamesSaid:
    """Of (line, `same` or `different`, name, name) those about known names that no later line contradicts."""
    group = {name: name for name in range(len(number))}
    together: list[NamePair] = []
    apart: list[NamePair] = []

    def top(name: int) -> int:
        while group[name] != name:
            name = group[name]
        return name

    for line, decision, what, other in sorted(words, reverse=True):
        if what not in number or other not in number:
            continue
        one, two = number[what], number[other]
        if decision == "different":
            if top(one) != top(two):
                apart.append((one, two, line))
        elif not any({top(a), top(b)} == {top(one), top(two)} for a, b, _ in apart):
            group[top(one)] = top(two)
            together.append((one, two, line))
    return NamesSaid(tuple(together[::-1]), tuple(apart[::-1]))
