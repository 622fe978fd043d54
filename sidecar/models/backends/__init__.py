"""What runs a model: one file each, all of them as `base.py` says, the fake beside the real."""
