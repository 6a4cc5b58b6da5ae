# SPDX-License-Identifier: GPL-2.0-only
"""The series in a thread: one version, complete, in order and unchanged, or one line says why not.

A mailbox may be in order of arrival, and a thread also has answers, earlier versions, patches that
replace single ones of an earlier version, and duplicates. Nothing is taken of an answer, whatever
diff it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fixtures.errors import SpecError
from fixtures.progress import Progress
from workflows.mail import b4
from workflows.mail.mailbox import Mail

_NAMED = 5  # missing patches that are listed, at most
_BASE = re.compile(r"^base-commit: ([0-9a-f]{12,64})\b", re.MULTILINE | re.IGNORECASE)
_NEEDED = re.compile(r"^prerequisite-patch-id: ([0-9a-f]{12,64})\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Posting:
    """A series as it was posted: its patches by number, and its cover letter, if there is one."""

    patches: tuple[Mail, ...]
    cover: Mail | None
    version: int

    @property
    def top(self) -> Mail:
        """The mail that an answer to the series answers: the cover letter, or the first patch."""
        return self.cover or self.patches[0]

    @property
    def base_commit(self) -> str:
        """The commit that the author names as the base; "" if there is none."""
        return next(iter(self._said(_BASE)), "")

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """The ids (``git patch-id``) of patches that the author had below these."""
        return tuple(dict.fromkeys(self._said(_NEEDED)))

    def _said(self, pattern: re.Pattern[str]) -> list[str]:
        mails = [*([self.cover] if self.cover else []), *self.patches]
        return [found.lower() for mail in mails for found in pattern.findall(mail.text)]


@dataclass(frozen=True)
class Wish:
    """Which version is wanted: ``version``, 0 for any; or that of the mail with the id ``about``.

    The newest, without a wish.
    """

    version: int = 0
    about: str = ""


def choose(mailbox: Path, mails: Iterable[Mail], wish: Wish, progress: Progress) -> Posting:
    """Return the series in ``mails``, which are those of ``mailbox``.

    ``progress`` gets a note for each mail with a diff that is left out, and for each choice.

    Raises SpecError if it is not exactly one complete series.
    """
    mails = _once(mails)
    own: list[Mail] = []
    for mail in mails:
        if not mail.answers:
            own.append(mail)
        elif mail.changes:
            _leave_out(mail, "an answer", progress)
    if any(mail.numbered and mail.number for mail in own):
        own = _without_strays(mailbox, own, progress)
    version = _version(mailbox, own, wish, progress)
    of_version = [mail for mail in own if mail.version == version]
    if any(mail.numbered and mail.number for mail in of_version):
        patches = _by_number(mailbox, of_version, mails, progress)
    else:
        patches = _without_numbers(mailbox, of_version, progress)
        _name_others(own, version, progress)
    return Posting(tuple(patches), _cover(patches, own, version), version)


def _version(mailbox: Path, own: Sequence[Mail], wish: Wish, progress: Progress) -> int:
    """Return the version to take."""
    found = sorted({mail.version for mail in own if mail.numbered or mail.changes or mail.marked})
    if wish.version and wish.version not in found:
        raise SpecError(f"{mailbox}: VERSION={wish.version}: has {_versions(found)}")
    if len(found) < 2:
        return found[0] if found else 1
    named = [mail.version for mail in own if wish.about and mail.id == wish.about]
    version = wish.version or next(iter(named), found[-1])
    if not wish.version:
        progress.note(
            f"{mailbox.name}: has {_versions(found)}; v{version} is taken (VERSION= picks another)"
        )
    return version


def _versions(found: Sequence[int]) -> str:
    words = [f"v{version}" for version in found]
    return " and ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:]) or "no patch"


def _without_strays(mailbox: Path, mails: Sequence[Mail], progress: Progress) -> list[Mail]:
    """Return ``mails``, of which some are numbered, without others that have a diff.

    Raises SpecError if one of those is no reply, and of a version that is numbered.
    """
    kept: list[Mail] = []
    versions = {mail.version for mail in mails if mail.numbered}
    for mail in mails:
        if mail.numbered or not mail.changes:
            kept.append(mail)
        elif mail.parents:
            _leave_out(mail, "a reply without a number", progress)
        elif mail.version in versions:
            raise SpecError(
                f"{mailbox}: has numbered patches, and {mail.subject!r} without a number; remove"
                " mails that are not part of the series"
            )
        else:
            kept.append(mail)
    return kept


def _by_number(
    mailbox: Path, mails: Sequence[Mail], thread: Sequence[Mail], progress: Progress
) -> list[Mail]:
    """Return the numbered patches of ``mails``, in order; ``thread`` is all that there is."""
    series: list[Mail] = []
    for mail in mails:
        if mail.numbered and 0 < mail.number <= mail.total:
            series.append(mail)
        elif mail.changes and mail.numbered and mail.number:
            _leave_out(mail, f"it is on top of the {mail.total} patches", progress)
    totals = sorted({mail.total for mail in series})
    if not series:
        raise SpecError(f"{mailbox}: has only patches on top of a series, and none of the series")
    if len(totals) > 1:
        named = " and ".join(f"n/{total}" for total in totals)
        raise SpecError(f"{mailbox}: has patches numbered {named}; keep only one series")
    (total,) = totals
    missing = sorted(set(range(1, total + 1)) - {mail.number for mail in series})
    if missing and _replaces(series, thread):
        return _rerolled(mailbox, series, thread, total, progress)
    if missing:
        raise SpecError(
            f"{mailbox}: {_missing(missing, series[0])}; {_other_versions(series, thread)}"
        )
    return [
        _only(mailbox, [mail for mail in series if mail.number == number], total)
        for number in range(1, total + 1)
    ]


def _replaces(series: Sequence[Mail], thread: Sequence[Mail]) -> bool:
    """Return whether each mail of ``series`` answers, in the end, the patch that it replaces."""
    by_id = {mail.id: mail for mail in thread}
    return all(
        any(
            above.number == mail.number and above.version < mail.version and above.changes
            for above in _above(mail, by_id)
        )
        for mail in series
    )


def _above(mail: Mail, by_id: Mapping[str, Mail]) -> list[Mail]:
    """Return the mails that ``mail`` answers, and that those answer."""
    found: dict[str, Mail] = {}
    new = [mail]
    while new:
        parents = {one: by_id[one] for each in new for one in each.parents if one in by_id}
        new = [parent for one, parent in parents.items() if one not in found]
        found |= parents
    return list(found.values())


def _rerolled(
    mailbox: Path, series: Sequence[Mail], thread: Sequence[Mail], total: int, progress: Progress
) -> list[Mail]:
    """Return the patches of ``series``, and what it does not replace, by b4.

    Raises SpecError.
    """
    version = series[0].version
    by_id = {mail.id: mail for mail in thread if mail.changes and not mail.answers}
    try:
        chosen = b4.reroll([mail.contents for mail in thread], version)
    except SpecError as error:
        raise SpecError(
            f"{mailbox}: v{version} has only some of {total} patches, to replace those of an"
            f" earlier version: {error}; or VERSION= picks that"
        ) from error
    patches = [by_id[one] for one in chosen if one in by_id]
    if [mail.number for mail in patches] != list(range(1, total + 1)):
        missing = sorted(set(range(1, total + 1)) - {mail.number for mail in series})
        raise SpecError(
            f"{mailbox}: {_missing(missing, series[0])}, and b4 does not find them in the version"
            f" before it; {_other_versions(series, thread)}"
        )
    for mail in patches:
        if mail.version != version:
            progress.note(
                f"v{version} {mail.number}/{total} is v{mail.version}'s: {mail.subject!r}"
            )
    return patches


def _missing(numbers: Sequence[int], one: Mail) -> str:
    of_them = f"of {one.total}" + (f" of v{one.version}" if one.version > 1 else "")
    named = [str(number) for number in numbers[:_NAMED]]
    if len(numbers) > _NAMED:
        named.append(f"{len(numbers) - _NAMED} more")
    if len(named) == 1:
        return f"patch {named[0]} {of_them} is missing"
    return f"patches {', '.join(named[:-1])} and {named[-1]} {of_them} are missing"


def _other_versions(series: Sequence[Mail], thread: Sequence[Mail]) -> str:
    others = sorted(
        {mail.version for mail in thread if mail.numbered and not mail.answers}
        - {series[0].version}
    )
    if others:
        return f"VERSION={others[-1]} takes v{others[-1]}"
    return "get the whole thread (SERIES=MESSAGE-ID, or b4 mbox)"


def _only(mailbox: Path, mails: Sequence[Mail], total: int) -> Mail:
    """Return the patch in ``mails``, which all have the same number."""
    name = f"patch {mails[0].number} of {total}, {mails[0].patch.subject!r},"
    patches = [mail for mail in mails if mail.changes]
    if not patches:
        raise SpecError(f"{mailbox}: {name} {_no_diff(mails[0])}")
    if len({mail.changes for mail in patches}) > 1:
        raise SpecError(f"{mailbox}: {name} is there more than once, with different diffs")
    return patches[0]


def _without_numbers(mailbox: Path, mails: Sequence[Mail], progress: Progress) -> list[Mail]:
    """Return the patches of a mailbox without numbers, in its order."""
    patches: list[Mail] = []
    for mail in mails:
        if not mail.changes and mail.marked:
            raise SpecError(f"{mailbox}: {mail.subject!r} {_no_diff(mail)}")
        again = [one for one in patches if one.subject == mail.subject]
        if mail.changes and mail.changes not in {one.changes for one in again}:
            patches.append(mail)
    if not patches:
        raise SpecError(
            f"{mailbox}: has no patch: no mail has a diff, apart from answers; make a mailbox with"
            " b4 am or git format-patch --stdout"
        )
    ids = {mail.id for mail in patches}
    for mail in patches:
        if mail.parents & ids:
            raise SpecError(
                f"{mailbox}: {mail.subject!r} has no number and is a reply to another patch: it may"
                " follow it or replace it; keep one, or number them (git format-patch -n)"
            )
    if len(patches) > 1:
        progress.note(f"{mailbox.name}: no patch has a number; they are taken in this order")
    return [
        # A plain diff, without a mail, has no subject.
        replace(
            mail,
            patch=replace(mail.patch, number=number, subject=mail.patch.subject or mailbox.name),
        )
        for number, mail in enumerate(patches, start=1)
    ]


def _name_others(mails: Sequence[Mail], version: int, progress: Progress) -> None:
    """Name the mails with a diff that no version has been named for."""
    for mail in mails:
        if mail.version != version and mail.changes and not mail.numbered and not mail.marked:
            _leave_out(mail, f"it is not marked as of v{version}", progress)


def _cover(patches: Sequence[Mail], own: Sequence[Mail], version: int) -> Mail | None:
    """Return the cover letter: number 0, or what the first patch answers, by the same author."""
    # If this version replaces only some patches, the cover is that of an earlier one.
    versions = {version, *(mail.version for mail in patches)}
    numbered = [mail for mail in own if mail.numbered and not mail.number]
    if of_these := [mail for mail in numbered if mail.version in versions]:
        return max(of_these, key=lambda mail: mail.version)
    first = patches[0]
    for mail in own:
        if mail.id in first.parents and not (mail.numbered or mail.changes or mail.parents):
            return mail if mail.sender == first.sender else None
    return None


def _no_diff(mail: Mail) -> str:
    if mail.problem:
        return f"cannot be read: {mail.problem}"
    return "has no diff: it is an empty commit, HTML, or cut; get the series with b4 am"


def _leave_out(mail: Mail, why: str, progress: Progress) -> None:
    progress.note(f"left out, though it has a diff: {mail.subject!r}: {why}")


def _once(mails: Iterable[Mail]) -> list[Mail]:
    """Return ``mails`` without duplicates: an archive may have a copy from each list."""
    kept: list[Mail] = []
    seen: set[tuple[object, ...]] = set()
    for mail in mails:
        # A mail that was altered on the way is not a duplicate.
        key = (mail.id, mail.number, mail.total, mail.version, mail.changes)
        if not mail.id or key not in seen:
            kept.append(mail)
        seen.add(key)
    return kept
