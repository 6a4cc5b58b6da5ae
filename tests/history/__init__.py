# SPDX-License-Identifier: GPL-2.0-only
"""A git history to try the workflows on, made from a kernel's source that has none.

``series/`` adds VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 to a kernel, patch by patch, and ends in the
source as it is; taken out of it again, it leaves the kernel of before. ``broken-flags/`` goes on
from there and breaks mtty. A file's name says what its patch is for, and whether the kernel
compiles with it.
"""
