# SPDX-License-Identifier: GPL-2.0-only
"""The frame of all pages: one file that needs no network, one style, light and dark.

A policy in the page's head allows the page's own script and style, by their hashes, and nothing
else. Templates clean and escape all text; data for a script cannot end its element.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fixtures.untrusted import clean

STYLE = "report.css"


def render(template: str, view: Mapping[str, Any], script: str = "") -> str:
    """Return the page: ``template``, which extends page.html, filled with ``view``.

    ``script`` is the file of the page's script, "" if it has none.
    """
    environment = _environment()
    style = _source(environment, STYLE)
    code = _source(environment, script) if script else ""
    frame = {
        "style": Markup(style),
        "style_hash": _hash(style),
        "script": Markup(code),
        "script_hash": _hash(code),
    }
    return environment.get_template(template).render(dict(view) | frame)


@functools.cache  # and with it the compiled templates
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def as_json(data: Any) -> Markup:
    """Return ``data`` as JSON that can neither end its element nor begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _clean(value: Any) -> Any:
    """Return text without what no file should have; a template's own parts are clean."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
