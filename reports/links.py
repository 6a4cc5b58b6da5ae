# SPDX-License-Identifier: GPL-2.0-only
"""Where others can read what lies on this host, as the environment says."""

from __future__ import annotations

import os
import re

from fixtures.errors import SpecError


def base(variable: str, what: str) -> str:
    """Return the URL in the environment's ``variable``, without a slash at its end, or "".

    Raises SpecError if it is no URL; it is where ``what`` can be read.
    """
    url = os.environ.get(variable, "")
    if url and not re.fullmatch(r"https?://[^\s]+", url):
        raise SpecError(f"{variable}={url}: is no URL; it is where {what} can be read")
    return url.rstrip("/")
