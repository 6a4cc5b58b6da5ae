# SPDX-License-Identifier: GPL-2.0-only
"""Some tests press Ctrl-C; the programs that they start must react to it."""

import signal

# A shell that starts something in the background has it ignore SIGINT, and all that it starts in
# turn. Python's handler is not inherited: a program that is started has the default action again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
