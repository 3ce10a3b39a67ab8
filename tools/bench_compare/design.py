"""Which command runs when.

A round is four runs, A B B A: whatever drifts evenly (a processor that warms up) hits both sides alike. Every other round is
B A A B, so that being first or last in a round favours neither. Between them stand null rounds, A A A A, scored as if two
of the runs were B's: they tell how far apart two equal programs come out on this machine, now.
"""

from dataclasses import dataclass

REAL_A, REAL_B = "A", "B"


@dataclass(frozen=True)
class Round:
    order: str  # "ABBA" or "BAAB": which side each run counts for
    null: bool  # all four runs are A's

    def runs(self) -> list[str]:
        """Whose command each of the four runs is."""
        return [REAL_A] * 4 if self.null else list(self.order)

    def contrast(self, log_values: list[float]) -> float:
        """B's mean less A's."""
        signed = [value if side == REAL_B else -value for side, value in zip(self.order, log_values)]
        return sum(signed) / 2.0


def schedule(rounds: int, null_rounds: int) -> list[Round]:
    """`rounds` real rounds with `null_rounds` null ones spread evenly between them."""
    orders = ("ABBA", "BAAB")
    out: list[Round] = []
    nulls = 0
    for i in range(rounds):
        out.append(Round(orders[i % 2], null=False))
        while nulls < null_rounds * (i + 1) // rounds:
            out.append(Round(orders[nulls % 2], null=True))
            nulls += 1
    return out
