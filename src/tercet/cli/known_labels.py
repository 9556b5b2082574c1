"""The labels of a classifier, in every form in which the input may have them."""

from dataclasses import dataclass
from functools import cached_property

from tercet._nested_labels import is_below, join_path, path_of


@dataclass(frozen=True)
class KnownLabels:
    """The labels of a classifier, and their parents if they are nested.

    Attributes:
        names: the labels, as text.
        separator: the separator of the levels of nested labels; None for labels without levels.
    """

    names: frozenset[str]
    separator: str | None = None

    @cached_property
    def parents(self) -> frozenset[str]:
        """The parents of the labels; none for labels without levels."""
        if self.separator is None:
            return frozenset()
        paths = [label.split(self.separator) for label in self.names]
        above = {self.separator.join(path[:depth]) for path in paths for depth in range(1, len(path))}
        return frozenset(above - self.names)

    def form_of(self, label: str) -> str | None:
        """Return the label or parent that is equal to a given one or differs only in form; None without one."""
        return label if label in self.names or label in self.parents else self._forms.get(self._key(label))

    def is_below(self, label: str, parent: str) -> bool:
        """Return whether a label is below a parent. They may differ from each other in form."""
        return is_below(self._key(label), self._key(parent), str(self.separator))

    @cached_property
    def _forms(self) -> dict[str, str]:
        """The labels and their parents by the key that all forms of them have."""
        return {self._key(name): name for name in [*sorted(self.parents), *sorted(self.names)]}

    def _key(self, label: str) -> str:
        """Return a label with the key of each level, which is equal for levels that differ only in form."""
        from tercet.data.cleaning.label_forms import label_key

        if self.separator is None:
            return label_key(label)
        return join_path([label_key(level) for level in path_of(label, self.separator)], self.separator)
