"""A visitor's own rows: read within limits, kept by their hash, mapped to prompt and completion, shown as they are trained on.

Imports in milliseconds. What can be made to blow up (Parquet, the model hub's data sets) is opened in a process of its
own with a limit on memory and time.
"""
