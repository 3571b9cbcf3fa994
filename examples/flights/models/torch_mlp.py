"""Will a flight arrive late? Embeddings of its codes, its numbers, two dense layers.

Entry point `examples.flights.models.torch_mlp:build`. Integers named in `codes` are codes, in
which 0 and whatever the training rows did not have mean unknown; all else are numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.training.spec import Column, Spec

CODES = ("carrier_code", "origin_code", "dest_code", "weekday")


def build(
    spec: Spec,
    *,
    hidden: int = 64,
    embedding: int = 8,
    dropout: float = 0.3,
    codes: Sequence[str] = CODES,
) -> nn.Module:
    """Build the network.

    Args:
        spec: inputs, and what their training rows look like.
        hidden: width of the first dense layer; the second has half.
        embedding: at most this many numbers stand for a code.
        dropout: share of hidden numbers left out in training.
        codes: the integers that are codes; those that are not inputs do not matter.
    """
    coded = [column for column in spec.columns if column.integer and column.name in codes]
    numbers = [column for column in spec.columns if column not in coded]
    return LateFlight(Numbers(numbers), coded, hidden=hidden, embedding=embedding, dropout=dropout)


class LateFlight(nn.Module):
    """Takes one tensor a feature by keyword; returns a logit a row."""

    def __init__(
        self,
        numbers: "Numbers",
        codes: Sequence[Column],
        *,
        hidden: int,
        embedding: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.numbers = numbers
        widths = [min(embedding, (column.size + 1) // 2) for column in codes]
        self.codes = nn.ModuleDict(
            {c.name: Code(c.size, width) for c, width in zip(codes, widths, strict=True)}
        )
        self.layers = nn.Sequential(
            nn.Linear(len(numbers.names) + sum(widths), hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden // 2, 1),
        )

    def forward(self, **inputs: Tensor) -> Tensor:
        codes = [code(inputs[name]) for name, code in self.codes.items()]
        logits: Tensor = self.layers(torch.cat([*self.numbers(inputs), *codes], dim=1))
        return logits.squeeze(1)


class Numbers(nn.Module):
    """Scale numbers by the training rows; missing ones become the mean.

    That a number is missing is not told: in the training rows it means January, before there
    was any history, and nothing later.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.names = [column.name for column in columns]
        self.means: Tensor
        self.deviations: Tensor
        self.register_buffer("means", torch.tensor([c.mean for c in columns]))
        self.register_buffer("deviations", torch.tensor([c.deviation for c in columns]))

    def forward(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        if not self.names:
            return []
        values = torch.stack([inputs[name].to(torch.float32) for name in self.names], dim=1)
        filled = torch.where(torch.isnan(values), self.means, values)
        return [((filled - self.means) / self.deviations).clamp(-4, 4)]


class Code(nn.Module):
    """An embedding that takes codes it never saw for 0, unknown."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.table = nn.Embedding(size, width)

    def forward(self, codes: Tensor) -> Tensor:
        known = (codes >= 0) & (codes < self.size)
        embedded: Tensor = self.table(torch.where(known, codes, 0))
        return embedded
