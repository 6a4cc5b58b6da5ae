# SPDX-License-Identifier: GPL-2.0-only
"""A git history to test the workflows, made from a kernel source without history.

``series/`` adds VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 to a kernel, patch by patch. Its last patch
results in the given source; reverting the whole series results in the kernel before it.
``broken-flags/`` continues from the series and breaks mtty. A file's name gives its patch's purpose
and whether the kernel compiles with it.
"""
