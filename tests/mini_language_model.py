"""Miniature language models with random weights and a real tokenizer, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast, T5Config, T5Model

WORDS = ["[PAD]", "[UNK]", "[MASK]", "item", *map(str, range(100))]


def save_bert(path: Path, positions: int = 64) -> Path:
    """A bidirectional encoder of width 32."""
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
    )
    return _save(BertModel(config), path)


def save_gpt2(path: Path) -> Path:
    """A causal decoder of width 32."""
    config = GPT2Config(vocab_size=len(WORDS), n_embd=32, n_layer=2, n_head=2, n_positions=64)
    return _save(GPT2Model(config), path)


def save_t5(path: Path) -> Path:
    """An encoder-decoder, which lightrec refuses."""
    config = T5Config(vocab_size=len(WORDS), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
    return _save(T5Model(config), path)


def _save(model, path: Path) -> Path:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]"
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
