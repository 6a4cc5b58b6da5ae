# SPDX-License-Identifier: GPL-2.0-only
"""Chromium without a screen: what tests of pages have in common."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install chromium chromium-driver")
    return path


LOCAL = ("file:", "data:,", "about:blank", "blob:")


def requested(browser: Any) -> list[str]:
    """Return the URLs that the browser requested since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]


def show(browser: Any, width: int, height: int, scheme: str = "light") -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@contextmanager
def opening(browser: Any, page: str) -> Iterator[None]:
    """Load ``page`` freshly; after the block, check for errors and requests to others."""
    browser.get("about:blank")
    show(browser, 1280, 900)
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(page)
    yield
    assert browser.get_log("browser") == []
    assert [address for address in requested(browser) if not address.startswith(LOCAL)] == []
    assert browser.execute_script("return document.querySelectorAll('img, iframe').length") == 0


def brightness(colour: str) -> float:
    numbers = [int(one) for one in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(numbers) / 3
