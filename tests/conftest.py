# SPDX-License-Identifier: GPL-2.0-only
"""Some tests press Ctrl-C; the programs that they start must react to it."""

import signal

# A shell's background processes, and their children, ignore SIGINT. With Python's handler, which a
# new program does not inherit, the programs that tests start have the default action again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
