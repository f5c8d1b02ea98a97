"""What a reader changed or left out."""


class Notes:
    """Counts the cases of each kind and keeps the first, so that a kind takes one line."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, where: str) -> None:
        """Count a case of `kind`, a clause without its subject's number, at `where`."""
        count, first = self._kinds.get(kind, (0, where))
        self._kinds[kind] = count + 1, first

    def lines(self) -> list[str]:
        """One line for each kind: 'kind: number (first: where)'."""
        return [f'{kind}: {n} (first: {where})' for kind, (n, where) in self._kinds.items()]

    def count(self, kind: str) -> int:
        """How many cases of `kind` there are."""
        return self._kinds.get(kind, (0, ''))[0]

    def first(self, kind: str) -> str:
        """Where the first case of `kind` is, or ''."""
        return self._kinds.get(kind, (0, ''))[1]
