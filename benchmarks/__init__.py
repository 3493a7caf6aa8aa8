"""Speed and memory, as ratios against a named peer measured in turn in one run. Not tests: nothing here passes or fails."""
