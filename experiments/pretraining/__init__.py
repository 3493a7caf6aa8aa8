"""How the bundled model is made: its world of facts, its text, its tokenizer and the yardstick it is held against. Loads no torch."""
