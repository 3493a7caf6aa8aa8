"""The commands, one file a room of the lab; each takes its place on `terminal.app`. Order is the order of the help."""

from experiments.commands import choose, own, train, anew, estimate, sweep, compare  # noqa: F401, I001
from experiments.commands import keep, generate, reward, merge, calculate, pretrain, tokenize  # noqa: F401, I001
