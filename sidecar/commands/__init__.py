"""The commands of `sidecar` that need more than a screen each, one file a command.

`terminal.py` is what all commands share: the configuration's option, errors, the event loop. The
commands themselves are registered in `sidecar/cli.py`.
"""
