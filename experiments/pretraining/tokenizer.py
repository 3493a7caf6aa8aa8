"""The bundled model's own tokenizer: byte-level BPE trained on its text, digits one by one, four special tokens, a chat template.

A document ends with `<|end|>`, and so does a turn. The template's tokens are those `encode_turns` makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END, USER, ASSISTANT, SYSTEM, PAD = "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>"
SPECIAL = [END, USER, ASSISTANT, SYSTEM, PAD]
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer with `vocabulary` tokens, the special ones first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def whole(turns: Sequence[str]) -> str:
    """A document as it is tokenized: prose and its end, or the turns of a conversation in the chat template."""
    if len(turns) == 1:
        return turns[0] + END
    return "".join(f"{ASSISTANT if i % 2 else USER}{turn}{END}" for i, turn in enumerate(turns))


def save(tokenizer: Tokenizer, folder: Path, length: int) -> None:
    """Write the tokenizer as transformers reads it, with the chat template."""
    from transformers import PreTrainedTokenizerFast

    made: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        model_max_length=length,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = TEMPLATE
    made.save_pretrained(folder)
