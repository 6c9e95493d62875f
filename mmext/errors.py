"""The one error of the tools that is shown without a traceback."""


class BadInputError(ValueError):
    """Something a person gave is wrong: the message is one sentence that says expected, got and do."""
