"""Mini-BERT: a small bidirectional transformer trained by masking items (BERT4Rec, Sun et al., arXiv 1904.06690).

The encoder is transformers' own BERT. To score a history, a mask is appended to it; the state at the mask ranks the
items.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from lightrec.models.students.student import Student, StudentConfig


class MiniBertConfig(StudentConfig):
    """Size and shape of a :class:`MiniBert`; see :class:`~lightrec.models.students.student.StudentConfig`."""

    model_type = "lightrec-mini-bert"


class MiniBert(Student):
    """A bidirectional student: its state at a masked position ranks the item hidden there."""

    config_class = MiniBertConfig
    objective = "masked"

    def __init__(self, config: MiniBertConfig):
        super().__init__(config)
        self.encoder = BertModel(
            BertConfig(
                vocab_size=1,  # items come in as vectors: the word table is not used
                hidden_size=config.hidden_size,
                num_hidden_layers=config.num_layers,
                num_attention_heads=config.num_heads,
                intermediate_size=config.feed_forward_size,
                max_position_embeddings=config.max_length + 1,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                attn_implementation="sdpa",
            ),
            add_pooling_layer=False,
        )
        self.mask_vector = nn.Parameter(torch.randn(config.hidden_size) * 0.02)
        self.post_init()

    def states(self, history: Tensor, length: Tensor, masked: Tensor) -> Tensor:
        """Return the state ``[B, T, d]`` at every position, with the items at ``masked`` (bool ``[B, T]``) hidden."""
        vectors = self._directions(self.item_embedding(history))
        vectors = torch.where(masked[:, :, None], self.mask_vector, vectors)
        steps = torch.arange(history.shape[1], device=history.device)
        visible = (steps[None, :] < length[:, None]).long()
        return self.finish(self.encoder(inputs_embeds=vectors, attention_mask=visible).last_hidden_state)

    def last_state(self, history: Tensor, length: Tensor) -> Tensor:
        """See :meth:`Student.last_state`; this is the state at a mask appended to the history."""
        padding = torch.full_like(history[:, :1], self.config.n_items)
        history = torch.cat([history, padding], dim=1)
        masked = torch.arange(history.shape[1], device=history.device)[None, :] == length[:, None]
        states = self.states(history, length + 1, masked)
        return states.gather(1, length[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
