"""Replaces the configuration of a running sidecar between two requests.

A generation is everything that one configuration makes: the front, the pool, the models, the doors.
A request takes the current generation when it begins, and keeps it until it ends, so no request
sees parts of two configurations. A generation is closed after its last request.

effective_config.py  a configuration as flat keys and values, without secrets, and its digest
differences.py       what differs between two of them, and which keys need a restart
generation.py        what one configuration makes, and how it is closed
adoption_parts.py    what a generation needs for shadows and User Behavior Insights
reloader.py          reloads one after the other, and reports each
file_watch.py        notices that the configuration's files have changed
config_door.py       `/config` on the api listener: what the running sidecar uses
"""
