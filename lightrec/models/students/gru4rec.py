"""GRU4Rec: a recurrent network over the items of a history (Hidasi et al., arXiv 1511.06939).

Differences from the paper: the loss is full-catalogue cross-entropy over whole histories, instead of sampled losses
over parallel sessions; and input and output share one item table, with a linear layer before the output.
"""

from __future__ import annotations

from torch import Tensor, nn

from lightrec.models.students.dropout import Dropout
from lightrec.models.students.student import Student, StudentConfig


class Gru4RecConfig(StudentConfig):
    """Size and shape of a :class:`Gru4Rec`; see :class:`~lightrec.models.students.student.StudentConfig`.

    ``num_layers`` counts recurrent layers; ``num_heads`` is ignored.
    """

    model_type = "lightrec-gru4rec"


class Gru4Rec(Student):
    """A causal student: its state at position t ranks the item at position t + 1."""

    config_class = Gru4RecConfig
    objective = "causal"

    def __init__(self, config: Gru4RecConfig):
        super().__init__(config)
        width, layers = config.hidden_size, config.num_layers
        self.dropout = Dropout(config.dropout)
        between = config.dropout if layers > 1 else 0.0
        self.recurrent = nn.GRU(width, width, layers, batch_first=True, dropout=between)
        self.output = nn.Linear(width, width)
        self.post_init()

    def states(self, history: Tensor) -> Tensor:
        """Return the state ``[B, T, d]`` at every position of ``history [B, T]``; right padding does not affect it."""
        return self.finish(self.output(self.dropout(self._recur(history))))

    def last_state(self, history: Tensor, length: Tensor) -> Tensor:
        """See :meth:`Student.last_state`; the states of the padding are computed but not used."""
        states = self._recur(history)
        last = (length - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        return self.finish(self.output(self.dropout(states.gather(1, last)))).squeeze(1)

    def _recur(self, history: Tensor) -> Tensor:
        return self.recurrent(self.dropout(self.embed(history)))[0]
