# SPDX-License-Identifier: GPL-2.0-only
"""The reason why a kernel lacks a driver, from its Kconfig files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.kernel import kconfig

KCONFIG = """\
if VFIO
menuconfig QAT_VFIO_PCI
  tristate "VFIO support for QAT VF PCI devices"
  select VFIO_PCI_CORE
  depends on CRYPTO_DEV_QAT_4XXX || \\
  CRYPTO_DEV_QAT_420XX
  depends on PCI_IOV # a comment
  help
  This provides migration support. It does not
  depends on luck
  config MTTY

config OTHER # another
  bool
  depends on NEVER
choice
  depends on SOMETHING
config MTTY
  tristate
endif
"""


def tree(tmp_path: Path) -> Path:
    for name, text in (("drivers/vfio/Kconfig", KCONFIG), ("samples/Kconfig.x", "config MTTY\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_what_options_depend_on(tmp_path: Path) -> None:
    names = ["CONFIG_QAT_VFIO_PCI", "CONFIG_MTTY", "CONFIG_OTHER", "CONFIG_GONE"]
    assert kconfig.dependencies(tree(tmp_path), names) == {
        "CONFIG_QAT_VFIO_PCI": "(CRYPTO_DEV_QAT_4XXX || CRYPTO_DEV_QAT_420XX) && PCI_IOV",
        "CONFIG_MTTY": "",
        "CONFIG_OTHER": "NEVER",
    }


def test_the_reason_tells_an_unknown_option_from_one_that_cannot_be_set(tmp_path: Path) -> None:
    drivers = {
        "qat": {"CONFIG_QAT_VFIO_PCI": "m"},
        "xe": {"CONFIG_GONE": "m", "CONFIG_OTHER": "y"},
        "mtty": {"CONFIG_MTTY": "m"},
        "mlx5": {"CONFIG_MLX5": "m"},
    }
    config = {"CONFIG_MLX5": "y"}
    assert kconfig.lacking(config, drivers, tree(tmp_path)) == {
        "qat": "not in this kernel: CONFIG_QAT_VFIO_PCI=m does not hold (depends on"
        " (CRYPTO_DEV_QAT_4XXX || CRYPTO_DEV_QAT_420XX) && PCI_IOV)",
        "xe": "not in this kernel: the tree knows no option CONFIG_GONE, CONFIG_OTHER=y does not"
        " hold (depends on NEVER)",
        "mtty": "not in this kernel: CONFIG_MTTY=m does not hold",
    }


def test_either_name_of_an_option_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kconfig, "RENAMED", {"CONFIG_GONE": "CONFIG_MTTY"})
    assert kconfig.as_text({"CONFIG_GONE": "m"}) == "CONFIG_GONE=m\nCONFIG_MTTY=m\n"
    for there in ("CONFIG_GONE", "CONFIG_MTTY"):
        assert not kconfig.missing({there: "m"}, {"CONFIG_GONE": "m"})
    lost = kconfig.lacking({}, {"old": {"CONFIG_GONE": "m"}}, tree(tmp_path))
    assert lost == {"old": "not in this kernel: CONFIG_GONE=m does not hold"}


def test_without_the_tree_nothing_is_said_of_it() -> None:
    reasons = kconfig.lacking({}, {"xe": {"CONFIG_GONE": "m"}})
    assert reasons == {"xe": "not in this kernel: CONFIG_GONE=m does not hold"}
