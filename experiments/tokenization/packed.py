"""The tokenizer inside a GGUF file as a tokenizer.json, the same as the engine writes beside the weights it unpacks."""

from __future__ import annotations

from pathlib import Path

CONTROL = 3  # a special token, in GGUF's list of token types


def write_tokenizer(packed: Path, target: Path) -> None:
    """Byte-level BPE only (`tokenizer.ggml.model` gpt2). Raises ValueError for another kind."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(packed).fields
    if fields["tokenizer.ggml.model"].contents() != "gpt2":
        raise ValueError(f"{packed.name} holds no byte-level BPE tokenizer.")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    specials = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])
    target.write_text(made.to_str(), "utf8")
