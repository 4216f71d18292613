"""Base class of the students: small models that score one vector per history against their item table."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from lightrec.models.students.item_item_weights import Neighbours
from lightrec.models.students.top_k import recommend_from_scores


class StudentConfig(PreTrainedConfig):
    """Size and shape of a student.

    Args:
        n_items: number of items in the catalogue, N.
        max_length: largest number of items of a history that the model reads, L.
        hidden_size: width of the item vectors and of the layers, d.
        num_layers: number of layers.
        num_heads: attention heads; must divide ``hidden_size``.
        intermediate_size: width inside a layer's feed-forward block; None for four times ``hidden_size``.
        dropout: dropout probability, in training only.
        initializer_range: standard deviation of the initial weights.
        similarity: how the score of a state and an item vector is computed: ``dot``, their dot product, or
            ``cosine``, their cosine times ``logit_scale``. Under cosine, the length of an item's vector cannot encode
            its popularity, and vectors made from text keep their meaning.
        logit_scale: factor on cosines, the inverse of the softmax temperature.
        neighbours: item-item weights of each item, M; 0 for none. See
            :class:`~lightrec.models.students.item_item_weights.Neighbours`.
    """

    model_type = "lightrec-student"

    n_items: int = 1
    max_length: int = 50
    hidden_size: int = 64
    num_layers: int = 2
    num_heads: int = 2
    intermediate_size: int | None = None
    dropout: float = 0.2
    initializer_range: float = 0.02
    similarity: str = "dot"
    logit_scale: float = 10.0
    neighbours: int = 0

    @property
    def feed_forward_size(self) -> int:
        """The width inside a layer's feed-forward block: ``intermediate_size`` or its default."""
        return self.intermediate_size or 4 * self.hidden_size


class Student(PreTrainedModel):
    """Base of the students.

    Notation: B users in a batch, T positions (at most L), N items, d the hidden size. Histories are right-padded:
    position 0 is the oldest item, and positions from ``length`` on are ignored. Item index 0 is an ordinary item;
    index N, the last row of the item table, is padding.

    A subclass sets ``objective`` ("causal": the state at position t predicts item t+1; "masked": the state at a
    masked position predicts the item hidden there) and implements :meth:`last_state` and ``states``, which training
    uses.
    """

    config_class = StudentConfig
    base_model_prefix = "student"
    main_input_name = "history"
    _supports_sdpa = True
    objective: str

    def __init__(self, config: StudentConfig):
        super().__init__(config)
        self.item_embedding = nn.Embedding(config.n_items + 1, config.hidden_size)
        self.neighbours: Neighbours | None = None
        if config.neighbours:
            self.neighbours = Neighbours(config.n_items, config.neighbours, config.max_length)
        self._is_folded = False

    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=std)
            if module is getattr(self, "item_embedding", None):
                nn.init.zeros_(module.weight[-1])
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    @property
    def item_table(self) -> Tensor:
        """The item vectors ``[N, d]`` that states are scored against, without the padding row; differentiable."""
        return self._directions(self.item_embedding.weight[: self.config.n_items])

    def set_item_table(self, vectors: Tensor) -> None:
        """Replace the item vectors by ``vectors [N, d]``; the padding row stays zero."""
        with torch.no_grad():
            self.item_embedding.weight[: self.config.n_items].copy_(vectors)

    def set_neighbours(self, neighbours: Neighbours | None) -> None:
        """Set the item-item weights to ``neighbours``, or remove them with None."""
        self.neighbours = neighbours
        self.config.neighbours = 0 if neighbours is None else neighbours.items.shape[1]

    def fold(self) -> Student:
        """Normalise the stored item vectors (under cosine), so that scoring need not do it each time.

        Scores stay the same; the model must not be trained afterwards. Returns the model itself.
        """
        with torch.no_grad():
            self.item_embedding.weight.copy_(self._directions(self.item_embedding.weight))
        self._is_folded = True
        return self

    def embed(self, history: Tensor) -> Tensor:
        """Return the item vectors ``[B, T, d]`` as input of the layers, scaled to about 1 in each coordinate."""
        return self._directions(self.item_embedding(history)) * self.config.hidden_size**0.5

    def finish(self, states: Tensor) -> Tensor:
        """Return states ``[..., d]`` ready for :meth:`logits`: normalised and scaled under cosine."""
        if self.config.similarity == "dot":
            return states
        return F.normalize(states, dim=-1) * self.config.logit_scale

    def _directions(self, vectors: Tensor) -> Tensor:
        if self.config.similarity == "dot" or self._is_folded:
            return vectors
        return F.normalize(vectors, dim=-1)

    def last_state(self, history: Tensor, length: Tensor) -> Tensor:
        """Return the vector ``[B, d]`` that is scored against the item table to rank the next item.

        Args:
            history: int64 ``[B, T]``, item indices, right-padded; T at most ``max_length``.
            length: int64 ``[B]``, number of real items, 1 to T.
        """
        raise NotImplementedError

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits ``[..., N]`` of the whole catalogue for states ``[..., d]``."""
        return F.linear(states, self.item_table)

    def score(self, history: Tensor, length: Tensor) -> Tensor:
        """Return the score ``[B, N]`` of every item as the next item; seen items are not masked. Padding is N."""
        return self._with_votes(self.logits(self.last_state(history, length)), history, length)

    def forward(self, history: Tensor, length: Tensor, exclude: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Rank the whole catalogue without seen and excluded items; this is the inference graph.

        Args:
            history: int64 ``[B, T]``, right-padded.
            length: int64 ``[B]``.
            exclude: int64 ``[B, E]``, further items never to return, padded with -1; E may be 0.
            k: int64 ``[1]``, number of items requested.

        Returns:
            ``items`` int64 ``[B, K]`` and ``scores`` float ``[B, K]``, best first, where K is the smaller of ``k``
            and the largest number of items that remain for a user; rows with fewer items end in -1.
        """
        n_items = self.config.n_items
        steps = torch.arange(history.shape[1], device=history.device)
        history = torch.where(steps[None, :] >= length[:, None], n_items, history)
        # The padding row is scored with the rest, so that neither the table nor the scores are copied.
        table = self._directions(self.item_embedding.weight)
        scores = self._with_votes(F.linear(self.last_state(history, length), table), history, length)
        return recommend_from_scores(scores, history, exclude, k)

    def _with_votes(self, scores: Tensor, history: Tensor, length: Tensor) -> Tensor:
        return scores if self.neighbours is None else self.neighbours(scores, history, length)
