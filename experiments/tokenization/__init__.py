"""Text to tokens and back, without torch: one class for each kind of algorithm, and what can be told of its tokens.

Which tokenizers there are and where they come from is `catalog/tokenizers.py`. The ids are those of the reference
implementation; this room adds where each token stands in the text and what it is made of.
"""
