"""Reads the configuration from its files, and reports every mistake in them with its line.

config_files.py     reads the main file and the plans
yaml_files.py       reads YAML, and knows the line of each value
renamed_keys.py     old names of keys, for one release
config_checks.py    checks what one file says of another, and files on disk that are named
config_messages.py  words mistakes for the person who edits the file

What the files may contain is declared in `sidecar/config/` and `pipelines/plan.py`.
"""
