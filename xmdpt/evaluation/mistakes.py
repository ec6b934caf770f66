"""The two ways in which a command of this package ends early, each with one line for people.

Holds no exit statuses: `xmdpt.training.__main__` gives 2 for an `InputError` and 1 for a `RunError`.
"""


class InputError(ValueError):
    """What the user brought does not fit; the message names the file, the line if there is one, and what to do."""


class RunError(RuntimeError):
    """The input was good, but the work could not be done: a damaged model, a full disk."""
