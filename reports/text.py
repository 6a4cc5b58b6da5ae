# SPDX-License-Identifier: GPL-2.0-only
"""Fill templates for mails: lines of at most 72 columns."""

from __future__ import annotations

import functools
import textwrap
from typing import Any

import jinja2

from fixtures.untrusted import clean

WIDTH = 72  # columns, so that a mail can be quoted


def render(template: str, view: dict[str, Any]) -> str:
    """Return ``template`` filled with ``view``."""
    return _environment().get_template(template).render(view | {"width": WIDTH})


@functools.cache  # and with it the compiled templates
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=False,  # the output is plain text, not HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"wrap": _wrap, "clip": _clip, "code": _code}
    return environment


def _wrap(words: str, indent: int = 0) -> str:
    """Fill ``words`` into lines, each with ``indent`` blanks before it."""
    blanks = " " * indent
    lines = textwrap.wrap(
        clean(words), WIDTH, initial_indent=blanks, subsequent_indent=blanks, break_on_hyphens=False
    )
    return "\n".join(lines)


def _clip(words: str, width: int) -> str:
    words = clean(words).expandtabs(1).rstrip()
    return words if len(words) <= width else words[: width - 2].rstrip() + ".."


def _code(words: str) -> str:
    """Return ``words`` as Markdown code, whatever characters they have."""
    words = " ".join(clean(words).replace("`", "'").replace("|", "/").split())
    return f"`{words}`"
