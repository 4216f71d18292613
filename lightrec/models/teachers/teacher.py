"""The teacher: a pre-trained language model that reads a user's history, one item per position.

This is stage 1 of arXiv 2409.14810, extended to text: an item's vector is a learnt id embedding, a projection of the
language model's own encoding of the item's text, or their sum. The vectors pass through the language model's
transformer layers and a small head; the result is scored against the vectors of all items.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from lightrec.errors import ModelError
from lightrec.models.students.dropout import Dropout
from lightrec.models.teachers.language_model import (
    LanguageModel,
    config_for_vectors,
    drop_unused_parts,
    input_width,
    reads_ahead,
)


class TeacherConfig(PreTrainedConfig):
    """Size, inputs and language model of a :class:`Teacher`.

    Args:
        n_items: number of items in the catalogue, N.
        max_length: largest number of items of a history that it reads, L.
        item_input: source of an item's vector: ``ids``, ``text`` or ``both``.
        objective: ``causal`` (predict the next item at every position) or ``masked`` (predict hidden items).
        language_model: the configuration of the language model, as a dictionary with its ``model_type``.
        language_model_name: the name or path that the language model was loaded from.
        width: width E of the item vectors, equal to the width of the language model's word embeddings.
        dropout: dropout on the item vectors, in training only.
        similarity, logit_scale: see :class:`~lightrec.models.students.student.StudentConfig`; item biases are added to
            the scores.
    """

    model_type = "lightrec-teacher"

    n_items: int = 1
    max_length: int = 50
    item_input: str = "both"
    objective: str = "causal"
    language_model: dict | None = None
    language_model_name: str = ""
    width: int = 1
    dropout: float = 0.1
    similarity: str = "dot"
    logit_scale: float = 10.0


class Teacher(PreTrainedModel):
    """A language model over item sequences; notation and padding as in
    :class:`lightrec.models.students.student.Student`."""

    config_class = TeacherConfig
    base_model_prefix = "teacher"
    main_input_name = "history"
    _supports_sdpa = True

    def __init__(self, config: TeacherConfig):
        super().__init__(config)
        values = dict(config.language_model or {})
        kind = values.pop("model_type")
        self.language_model = AutoModel.from_config(AutoConfig.for_model(kind, **values))
        drop_unused_parts(self.language_model)
        hidden = self.language_model.config.hidden_size
        if config.item_input in ("ids", "both"):
            self.item_embedding = nn.Embedding(config.n_items, config.width)
        if config.item_input in ("text", "both"):
            self.register_buffer("text_vectors", torch.zeros(config.n_items, config.width))
            self.text_projection = nn.Linear(config.width, config.width)
        if config.objective == "masked":
            self.mask_vector = nn.Parameter(torch.zeros(config.width))
        self.dropout = Dropout(config.dropout)
        self.head = nn.Sequential(nn.Linear(hidden, config.width), nn.GELU(), nn.LayerNorm(config.width))
        self.item_bias = nn.Parameter(torch.zeros(config.n_items))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the weights that are not pre-trained; :meth:`from_language_model` copies the pre-trained ones."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    @classmethod
    def from_language_model(
        cls,
        base: LanguageModel,
        *,
        n_items: int,
        max_length: int,
        item_input: str,
        objective: str,
        text_vectors: Tensor | None = None,
        popularity: Tensor | None = None,
        dropout: float = 0.1,
        language_model_dropout: float = 0.0,
        similarity: str = "dot",
        logit_scale: float = 10.0,
    ) -> Teacher:
        """Build a teacher from a pre-trained language model.

        Args:
            base: the loaded language model; its weights are copied.
            text_vectors: ``[N, E]``, needed unless ``item_input`` is ``ids``.
            popularity: ``[N]``, training events of each item; if given, the item biases start from its logarithm,
                so that no training step is spent on learning which items are frequent.
            dropout: dropout on the item vectors.
            language_model_dropout: dropout everywhere inside the language model.

        Raises:
            ModelError: if the model cannot read ``max_length`` positions or does not fit the objective.
        """
        check_fit(base, objective, max_length)
        width = input_width(base.model)
        language_model = config_for_vectors(base.model.config)
        for key, value in language_model.items():
            if isinstance(value, float) and ("dropout" in key or key.endswith("pdrop")):
                language_model[key] = language_model_dropout
        config = TeacherConfig(
            n_items=n_items,
            max_length=max_length,
            item_input=item_input,
            objective=objective,
            language_model=language_model,
            language_model_name=base.name,
            width=width,
            dropout=dropout,
            similarity=similarity,
            logit_scale=logit_scale,
        )
        words = base.model.get_input_embeddings().weight.detach()
        mask_token = base.tokenizer.mask_token_id
        teacher = cls(config)
        drop_unused_parts(base.model)
        teacher.language_model.load_state_dict(base.model.state_dict())
        with torch.no_grad():
            scale = words.std()
            if item_input != "text":
                # Id embeddings start smaller than text vectors, so that the text dominates at first.
                teacher.item_embedding.weight.normal_(std=float(scale) * (1.0 if item_input == "ids" else 0.3))
            if item_input != "ids":
                assert text_vectors is not None
                teacher.text_vectors.copy_(text_vectors * scale)
                teacher.text_projection.weight.copy_(torch.eye(width))
            if popularity is not None:
                counts = popularity.float() + 1
                teacher.item_bias.copy_((counts / counts.mean()).log())
                teacher.head[-1].get_parameter("weight").fill_(0.2)  # popularity dominates the first scores
            if objective == "masked" and mask_token is not None:
                teacher.mask_vector.copy_(words[mask_token])
        return teacher

    def carry_over(self, source: Teacher) -> None:
        """Copy from a teacher of another catalogue all weights that do not belong to single items.

        These are the language model's layers, the head, the projection of texts and the mask vector, where both
        teachers have them. Both must be made from the same language model.
        """
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, parameter in source.named_parameters():
                if name in own and name not in ("item_embedding.weight", "item_bias"):
                    own[name].copy_(parameter)

    @property
    def objective(self) -> str:
        """``causal`` or ``masked``."""
        return self.config.objective

    @property
    def item_table(self) -> Tensor:
        """The item vectors ``[N, E]`` that states are scored against."""
        vectors = self.item_vectors
        return vectors if self.config.similarity == "dot" else F.normalize(vectors, dim=-1)

    @property
    def item_vectors(self) -> Tensor:
        """The item vectors ``[N, E]`` that the language model reads: ids, projected texts, or their sum."""
        table = torch.zeros((), device=self.item_bias.device)
        if self.config.item_input != "text":
            table = table + self.item_embedding.weight
        if self.config.item_input != "ids":
            table = table + self.text_projection(self.text_vectors)
        return table

    def states(self, history: Tensor, length: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """Return the state ``[B, T, E]`` at every position, ready for :meth:`logits`.

        Args:
            history: int64 ``[B, T]``, right-padded with N.
            length: int64 ``[B]``; needed only by the masked objective.
            masked: bool ``[B, T]``, positions whose item is hidden (masked objective).
        """
        vectors = F.embedding(history, F.pad(self.item_vectors, (0, 0, 0, 1)))
        steps = torch.arange(history.shape[1], device=history.device)
        if self.objective == "masked":
            assert length is not None and masked is not None
            vectors = torch.where(masked[:, :, None], self.mask_vector, vectors)
            visible = (steps[None, :] < length[:, None])[:, None, None, :].expand(-1, 1, len(steps), -1)
        else:
            visible = (steps[None, :] <= steps[:, None])[None, None].expand(len(history), -1, -1, -1)
        # An additive mask [B, 1, T, T] given from outside makes encoders causal; decoders use it unchanged.
        mask = torch.zeros(visible.shape, device=history.device).masked_fill(~visible, torch.finfo(vectors.dtype).min)
        output = self.language_model(inputs_embeds=self.dropout(vectors), attention_mask=mask)
        states = self.head(output.last_hidden_state)
        return states if self.config.similarity == "dot" else F.normalize(states, dim=-1) * self.config.logit_scale

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits ``[..., N]`` of the whole catalogue for states ``[..., E]``."""
        return F.linear(states, self.item_table, self.item_bias)

    def last_state(self, history: Tensor, length: Tensor) -> Tensor:
        """Return the state ``[B, E]`` that ranks the next item: at the last item, or at a mask appended after it."""
        if self.objective == "causal":
            states, place = self.states(history), (length - 1).clamp(min=0)
        else:
            history = torch.cat([history, torch.full_like(history[:, :1], self.config.n_items)], dim=1)
            masked = torch.arange(history.shape[1], device=history.device)[None, :] == length[:, None]
            states, place = self.states(history, length + 1, masked), length
        return states.gather(1, place[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)

    def score(self, history: Tensor, length: Tensor) -> Tensor:
        """Return the score ``[B, N]`` of every item as the next item; seen items are not masked."""
        return self.logits(self.last_state(history, length))

    forward = score


def check_fit(base: LanguageModel, objective: str, max_length: int) -> None:
    """Raise :class:`ModelError` if the language model cannot be used with this objective and length."""
    ahead = reads_ahead(base.model)
    if objective == "masked" and not ahead:
        raise ModelError(
            f"{base.name} is a causal decoder: it never sees what stands after a mask, so --objective masked cannot "
            "work. Use --objective causal, or an encoder (BERT-like) for --base."
        )
    model = base.model.eval()
    positions = max_length + 1
    try:
        with torch.no_grad():
            mask = torch.zeros(1, 1, positions, positions).masked_fill(
                ~torch.ones(positions, positions, dtype=torch.bool).tril(), torch.finfo(torch.float32).min
            )
            vectors = torch.randn(1, positions, input_width(model), generator=torch.Generator().manual_seed(0))
            first = model(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
            shorter = model(inputs_embeds=vectors[:, :-1], attention_mask=mask[..., :-1, :-1]).last_hidden_state
    except (IndexError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{base.name} cannot read {positions} item vectors ({str(error).splitlines()[0]}): choose a smaller "
            "--max-length or another --base."
        ) from None
    if objective == "causal" and not torch.allclose(first[:, :-1], shorter, atol=1e-4):
        raise ModelError(
            f"{base.name} does not honour an attention mask given from outside, so --objective causal would let it "
            "see the future. Use --objective masked or another --base."
        )
