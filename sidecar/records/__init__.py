"""Recorded exchanges: one reader a format, and the one writer of our own. Shared by whatever reads or writes records.

`files` opens a file or a folder and tells its format; `exchanges` is our JSONL, read and written; `sagemaker`, `azure`
and `har` are read only. A line that cannot be read is named and passed over.
"""
