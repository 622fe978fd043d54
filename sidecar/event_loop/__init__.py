"""Keeps the event loop free, because every client waits for it.

off_loop.py           runs long computations in a few threads, with a bounded queue
loop_turns.py         lets one search at a time compute on the event loop
loop_watch.py         notices when the event loop is blocked, and logs the cause
short_collections.py  keeps garbage collections short
stacks.py             stacks of running threads as one line
"""
