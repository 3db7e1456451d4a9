"""The toolbox: tasks, clock, ids, sizes, files, logs, metrics. Not a word of the domain in here."""
