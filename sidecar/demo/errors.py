"""The one error of the demo."""


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""
