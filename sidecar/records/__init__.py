"""Recorded exchanges: one reader a format, one writer a format. Shared by whatever reads or writes records.

`files` opens a file or a folder and tells its format; `exchanges` is our JSONL, read and written; `sagemaker`, `azure`
and `har` are readers. A line that cannot be read is named and passed over. `entries` is a kept input as a line, from
which `formats` lists the writers: `sagemaker_files`, `azure_files`, `azure_csv_files`, and `parquet_files`, which reads
too.
"""
