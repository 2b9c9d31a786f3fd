"""Imported only by the fork server of the workers: makes it ignore SIGTERM, as its workers do.

A scheduler sends SIGTERM to all processes, but the trainer must finish its step with batches of the workers, which
would count as dead without their server. The server ends with the process that started it.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
