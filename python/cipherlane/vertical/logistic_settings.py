"""How a federated logistic regression is trained: what all parties accept before they begin."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from cipherlane.errors import ProtocolError

SCHEDULES = ("constant", "inverse", "exponential")
CLASS_WEIGHTS = ("none", "balanced")
FEWEST_TERMS = 4
MOST_TERMS = 16


@dataclass(frozen=True)
class LogisticSettings:
    """Section ``[logistic]`` of a plan.

    Attributes
    ----------
    learning_rate, schedule, decay
        The rate in epoch t = 0, 1, ... is eta for "constant", eta / (1 + decay t) for "inverse" and eta exp(-decay t)
        for "exponential".
    l1, l2
        The penalty l1 |w| + l2 |w|² / 2 on top of the mean loss; the intercept is left out of it.
    batch_rows
        Rows of a batch at most; 0 takes all rows at once. Batches are dealt once and stay the same in every epoch.
    class_weight, positive_weight
        "balanced" gives both classes the same total weight; the positive class is then weighted further.
    positive
        The label that counts as 1; None takes the later of the two in order of their text.
    patience
        Epochs without a better loss after which training stops, with the coefficients of the best; 0 switches it off.
    validation
        Share of the rows that is left out of training and whose loss decides, where there is patience.
    terms, reach
        Of the separable logistic function: see `SeparableLogistic`.
    seed
        Deals validation rows and batches.

    Examples
    --------
    >>> LogisticSettings.from_text(LogisticSettings(l2=0.01).to_text()).l2
    0.01
    """

    learning_rate: float = 0.5
    schedule: str = "constant"
    decay: float = 0.0
    l1: float = 0.0
    l2: float = 1e-3
    batch_rows: int = 0
    class_weight: str = "none"
    positive_weight: float = 1.0
    positive: str | None = None
    patience: int = 0
    validation: float = 0.0
    terms: int = 8
    reach: float = 10.0
    seed: int = 0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if self.schedule == "inverse":
            return self.learning_rate / (1.0 + self.decay * epoch)
        if self.schedule == "exponential":
            return self.learning_rate * math.exp(-self.decay * epoch)
        return self.learning_rate

    def to_text(self) -> str:
        """Return the settings as one line of JSON, the same for the same settings."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> LogisticSettings:
        """Return the settings that `to_text` wrote, checked.

        Raises
        ------
        ProtocolError
            The text is something else, or a setting is out of range.
        """
        try:
            fields = json.loads(text)
            settings = cls(**fields)
            types = [
                isinstance(value, str | None) if field.name == "positive" else type(value) is type(field.default)
                for field in dataclasses.fields(cls)
                for value in [getattr(settings, field.name)]
            ]
        except (ValueError, TypeError, RecursionError):
            raise ProtocolError("logistic settings: expected those of a plan, got something else") from None
        if not all(types) or not settings._in_range():
            raise ProtocolError("logistic settings: one is of the wrong type or out of range; correct [logistic]")
        return settings

    def _in_range(self) -> bool:
        numbers = (self.learning_rate, self.decay, self.l1, self.l2, self.positive_weight, self.validation, self.reach)
        return (
            all(math.isfinite(number) for number in numbers)
            and self.learning_rate > 0
            and min(self.decay, self.l1, self.l2) >= 0
            and self.positive_weight > 0
            and self.schedule in SCHEDULES
            and self.class_weight in CLASS_WEIGHTS
            and 0 <= self.validation < 1
            and self.reach >= 1
            and min(self.batch_rows, self.patience, self.seed) >= 0
            and FEWEST_TERMS <= self.terms <= MOST_TERMS
        )
