"""Override lines about two names: must-link and cannot-link pairs, without contradictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from facerefs.schemas.arrays import Int64s
from facerefs.stages.identities.same_shot import component_numbers

NamePair = tuple[int, int, int]  # two names, number of the line


@dataclass(frozen=True)
class NameOverrides:
    """Pairs of names by number, in the order of their lines in `overrides.csv`."""

    must_link: tuple[NamePair, ...] = ()  # the first takes the name of the second
    cannot_link: tuple[NamePair, ...] = ()

    def linked(self, count: int) -> Int64s:
        """For each of `count` names the smallest number of the names linked with it, int64 (count,)."""
        pairs = np.array([pair[:2] for pair in self.must_link], np.int64).reshape(-1, 2)
        component = component_numbers(pairs[:, 0], pairs[:, 1], count)
        return np.unique(component, return_index=True)[1][component].astype(np.int64)

    def final_names(self) -> list[int]:
        """For each must-link pair the name that its group gets. If two lines name one group, the later comes last."""
        takes = {one: other for one, other, _ in self.must_link}
        found = []
        for name, _, _ in self.must_link:
            last, seen = name, {name}
            while takes.get(last, last) not in seen:
                last = takes[last]
                seen.add(last)
            found.append(last)
        return found

    def merged_into(self, count: int) -> tuple[Int64s, Int64s]:
        """For each of `count` names the name it merges into by these lines alone, and the line that decided it (or 0).

        Both have one more entry; the last name is UNASSIGNED (-1).
        """
        group = np.append(self.linked(count), -1)
        merged_into, override_line = group.copy(), np.zeros(count + 1, np.int64)
        for name in self.final_names():
            merged_into[group == group[name]] = name
        for one, other, number in self.must_link:
            for name in (one, other):
                override_line[name] = number if merged_into[name] != name else 0
        return merged_into, override_line


def consistent_overrides(
    lines: Iterable[tuple[int, str, str, str]], number: Mapping[str, int]
) -> NameOverrides:
    """The lines about known names that no later line contradicts. lines: (line, `same` or `different`, name, name)."""
    group = {name: name for name in range(len(number))}
    must_link: list[NamePair] = []
    cannot_link: list[NamePair] = []

    def root(name: int) -> int:
        while group[name] != name:
            name = group[name]
        return name

    for line, decision, what, other in sorted(lines, reverse=True):
        if what not in number or other not in number:
            continue
        one, two = number[what], number[other]
        if decision == "different":
            if root(one) != root(two):
                cannot_link.append((one, two, line))
        elif not any({root(a), root(b)} == {root(one), root(two)} for a, b, _ in cannot_link):
            group[root(one)] = root(two)
            must_link.append((one, two, line))
    return NameOverrides(tuple(must_link[::-1]), tuple(cannot_link[::-1]))
