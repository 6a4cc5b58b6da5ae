# SPDX-License-Identifier: GPL-2.0-only
"""The region-based protocol of 2019: our device conforms, and a changed one is caught."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.paths import CHECKOUT
from fixtures.plugin.run import Run
from fixtures.record import catalogue
from tests.vm.changed import MTTY, with_change
from tests.vm.conftest import NEW, OLD, Finished, Suites

NAME = "region2019"
ABSENT = "region.absent"


def deviating(run: Finished, driver: str = NAME) -> set[str]:
    """Return the clauses from which ``driver`` deviated."""
    clauses = run.results.drivers[driver].clauses
    return {name for name, held in clauses.items() if held.verdict == "deviates"}


@pytest.mark.parametrize("kernel", [NEW, OLD])
def test_the_device_keeps_every_rule_of_the_protocol(suites: Suites, kernel: str) -> None:
    run = suites.run(f"--kernel={kernel}", f"--driver={NAME}")
    assert run.status == 0, run.output
    assert run.results.complete is True
    verdicts = {name: held.verdict for name, held in run.results.drivers[NAME].clauses.items()}
    rules = {name for name in catalogue.clauses() if name.startswith("region.")}
    assert {name for name in rules if verdicts[name] == "conforms"} == rules - {ABSENT}
    assert verdicts[ABSENT] == "not_applicable"
    assert run.results.drivers[NAME].words["feature.migration_region"] == "supported"


def changed(old: str, new: str, folder: Path) -> Path:
    """Return a checkout in which our device, the only driver, has ``new`` instead of ``old``."""
    checkout = folder / "checkout"
    left_out = shutil.ignore_patterns(".git", ".venv", "results", ".*_cache")
    shutil.copytree(CHECKOUT, checkout, ignore=left_out)
    for path in (checkout / "fixtures/drivers").glob("*.yaml"):
        if path.stem != NAME:
            path.unlink()  # the other doubles need not be compiled
    folder = checkout / "vm-images/doubles/region"
    texts = {path: path.read_text(encoding="utf-8") for path in folder.glob("*.c")}
    (source,) = (path for path, text in texts.items() if old in text)
    assert texts[source].count(old) == 1
    source.write_text(texts[source].replace(old, new), encoding="utf-8")
    return checkout


@pytest.mark.parametrize(
    ("old", "new", "part", "clauses"),
    [
        pytest.param(
            "if (state & STATE_RESUMING && state != STATE_RESUMING)",
            "if (state == (STATE_RESUMING | STATE_RUNNING))",
            "device_state",
            {"region.device-state.invalid"},
            id="invalid-combination",
        ),
        pytest.param(
            "if (state & ~STATE_MASK)",
            "if (state > U32_MAX)",
            "device_state",
            {"region.device-state.reserved-write"},
            id="reserved-bits",
        ),
        pytest.param(
            "fields[i].width == count",
            "fields[i].width >= count",
            "fields",
            {"region.access.width"},
            id="width",
        ),
        pytest.param(
            "	u64 pending = dev->staged;\n",
            "	u64 pending = dev->staged + 8;\n",
            "saving",
            {"region.saving.sequence", "region.pending-bytes.rises"},
            id="pending-bytes",
        ),
        pytest.param(
            "	bitmap_set(dev->dirty_blocks, first, last - first + 1);\n",
            "	bitmap_set(dev->dirty_blocks, first, last - first);\n",
            "saving or resuming",
            {
                "region.pending-bytes.rises",
                "region.saving.both-phases",
                "region.resuming.state",
                "region.resuming.order",
            },
            id="dirty-state",
        ),
        pytest.param(
            "__set_bit_le(pfn - start, dev->bitmap);",
            "__set_bit_le((pfn - start) ^ 7, dev->bitmap);",
            "dirty_pages",
            {
                "region.dirty-pages.bitmap",
                "region.dirty-pages.loop",
                "region.dirty-pages.page-size",
            },
            id="bitmap",
        ),
        pytest.param(
            "		dev->announced = dev->staged;\n",
            "",
            "mapped",
            {"region.mapped.saving"},
            id="mapped",
        ),
        pytest.param(
            "	sparse->areas[0].size = DATA_SIZE;\n",
            "	sparse->areas[0].size = DATA_SIZE - 8;\n",
            "mapped",
            {"region.mapped.parts"},
            id="mapped-parts",
        ),
        pytest.param(
            "	if (region != MIGRATION_REGION || offset < DATA_OFFSET ||\n",
            "	offset = max_t(u64, offset, DATA_OFFSET);\n	if (region != MIGRATION_REGION ||\n",
            "mapped",
            {"region.mapped.structure"},
            id="mapped-structure",
        ),
        pytest.param(
            "	return DATA_OFFSET;\n",
            "	return DATA_OFFSET + 8;\n",
            "mapped",
            {
                "region.mapped.data-offset",
                "region.mapped.same",
                "region.mapped.saving",
                "region.mapped.resuming",
            },
            id="mapped-data-offset",
        ),
        pytest.param(
            "read_section(buf, count, dev->data, dev->info.data_size, at);",
            "read_section(buf, count, dev->memory, dev->info.data_size, at);",
            "mapped",
            {"region.mapped.same", "region.mapped.resuming"},
            id="mapped-same",
        ),
        pytest.param(
            "	memcpy(dev->memory + offset, mapped->bytes, length);\n",
            "	memcpy(dev->memory + offset, mapped->bytes, length / 2);\n",
            "mapped",
            {"region.mapped.saving", "region.mapped.resuming"},
            id="mapped-resuming",
        ),
    ],
)
def test_a_device_that_breaks_a_rule_is_caught(
    run: Run, suites: Suites, tmp_path: Path, old: str, new: str, part: str, clauses: set[str]
) -> None:
    checkout = changed(old, new, tmp_path)
    # With a build folder no kernel has to be built for the changed device.
    kernel = run.prepare().kernel.build
    options = [f"--kernel={kernel}", f"--driver={NAME}", "-k", part]
    done = suites.run(*options, checkout=checkout)
    assert done.status == 1, done.output
    assert done.results.complete is True
    assert deviating(done) == clauses
    # What leads to it is told.
    assert any(f"{call}(" in done.output for call in ("pread", "ioctl", "map_shared"))


def test_a_driver_that_offers_both_protocols_is_caught(
    run: Run, suites: Suites, tmp_path: Path
) -> None:
    offer = """\
	if (bar_index == VFIO_PCI_BAR5_REGION_INDEX) {
		struct vfio_region_info_cap_type type = {
			.header.id = VFIO_REGION_INFO_CAP_TYPE,
			.header.version = 1,
			.type = 3,
			.subtype = 1,
		};

		if (vfio_info_add_capability(caps, &type.header, sizeof(type)))
			size = 0;
	}
"""
    line = "	mdev_state->region_info[bar_index].size = size;\n"
    kernel = with_change(run.prepare().kernel, MTTY, line, offer + line, tmp_path)
    done = suites.run(f"--kernel={kernel}", "--driver=mtty", "-k", "no_migration_region")
    assert done.status == 1, done.output
    assert deviating(done, "mtty") == {ABSENT}
    assert done.results.drivers["mtty"].words["feature.migration_region"] == "supported"
