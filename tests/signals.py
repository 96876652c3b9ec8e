"""Programs that hear the signals that a test sends them."""

import signal


def hears_all() -> None:
    """For ``preexec_fn``: a shell's background job ignores Ctrl-C, and one under `nohup` a hangup, and both hand that
    down to what they start."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
