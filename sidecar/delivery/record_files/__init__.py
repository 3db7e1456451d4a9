"""Kept inputs as record files, in a local folder or an object store, in a format that people's tools read.

`destination` says when what is done; `parts` keeps what was delivered until it becomes a file; `stores` opens one of
`local_folder` and `object_store`, which know paths and bytes alone; `retention` says which files have had their time.
Why it is so: decision 0017.
"""
