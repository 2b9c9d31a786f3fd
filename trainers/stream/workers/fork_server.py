"""What the fork server of the workers imports, and nobody else: it lives on through a SIGTERM, as its workers do.

A scheduler's SIGTERM reaches all processes, and the trainer has a step to finish with batches of workers that would
pass for dead without their server. The server ends with the process that started it.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
