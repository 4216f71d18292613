"""SASRec: a causal transformer over the items of a history (Kang and McAuley, arXiv 1808.09781).

Differences from the paper: pre-norm layers, one item table shared by input and output, GELU, and, instead of position
vectors, a learnt attention bias for each distance, so that appending an item to the history changes nothing computed
for the earlier items.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightrec.models.students.dropout import Dropout
from lightrec.models.students.student import Student, StudentConfig


class SasrecConfig(StudentConfig):
    """Size and shape of a :class:`Sasrec`; see :class:`~lightrec.models.students.student.StudentConfig`."""

    model_type = "lightrec-sasrec"


class SasrecLayer(nn.Module):
    """One pre-norm causal layer: attention with a distance bias, then a feed-forward block."""

    def __init__(self, config: SasrecConfig):
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.distance_bias = nn.Embedding(config.max_length, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.feed_forward_size)
        self.contract = nn.Linear(config.feed_forward_size, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, states: Tensor, query_positions: Tensor, queries: Tensor) -> Tensor:
        """Return the layer's output for ``queries [B, Q, d]`` at ``query_positions [B or 1, Q]``, attending to
        ``states [B, T, d]``."""
        keys, values = self.key_value(self.attention_norm(states)).chunk(2, dim=-1)
        query = self._heads(self.query(self.attention_norm(queries))) * (states.shape[2] // self.num_heads) ** -0.5
        weights = query @ self._heads(keys).transpose(2, 3) + self._bias(query_positions, states.shape[1])
        attended = self.dropout(weights.softmax(dim=-1)) @ self._heads(values)
        attended = attended.transpose(1, 2).flatten(2)
        queries = queries + self.dropout(self.output(attended))
        hidden = F.gelu(self.expand(self.feed_forward_norm(queries)))
        return queries + self.dropout(self.contract(hidden))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def _bias(self, query_positions: Tensor, n_keys: int) -> Tensor:
        """Return the bias by distance, ``[B or 1, heads, Q, T]``: minus infinity where the key is after the query."""
        distance = query_positions[:, :, None] - torch.arange(n_keys, device=query_positions.device)
        bias = self.distance_bias(distance.clamp(min=0))
        return bias.masked_fill(distance[..., None] < 0, float("-inf")).permute(0, 3, 1, 2)


class Sasrec(Student):
    """A causal student: its state at position t ranks the item at position t + 1."""

    config_class = SasrecConfig
    objective = "causal"

    def __init__(self, config: SasrecConfig):
        super().__init__(config)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(SasrecLayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size)
        self.post_init()

    def states(self, history: Tensor) -> Tensor:
        """Return the state ``[B, T, d]`` at every position of ``history [B, T]``; right padding does not affect it."""
        positions = torch.arange(history.shape[1], device=history.device)[None, :]
        states = self._embed(history)
        for layer in self.layers:
            states = layer(states, positions, states)
        return self.finish(self.final_norm(states))

    def last_state(self, history: Tensor, length: Tensor) -> Tensor:
        """See :meth:`Student.last_state`; the last layer computes only the last position."""
        positions = torch.arange(history.shape[1], device=history.device)[None, :]
        last = (length - 1).clamp(min=0)[:, None]
        states = self._embed(history)
        for layer in self.layers[:-1]:
            states = layer(states, positions, states)
        queries = states.gather(1, last[:, :, None].expand(-1, -1, states.shape[2]))
        return self.finish(self.final_norm(self.layers[-1](states, last, queries))).squeeze(1)

    def _embed(self, history: Tensor) -> Tensor:
        if not self.training:
            return self.embed(history)
        # Under cosine, item vectors enter with their own, small lengths in training, and normalised in evaluation. The
        # layers' contribution thus weighs less against the item vectors in evaluation than in training: it is shrunk
        # (measured in docs/log/2026-11.md). Under dot product both are the same.
        return self.dropout(self.item_embedding(history) * self.config.hidden_size**0.5)
