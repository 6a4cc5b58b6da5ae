#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install what is missing: Debian packages (packages.txt and the lists that are named, as root or by
# sudo) and a virtual environment in .venv (requirements.txt). With --python, the environment alone.
# Does nothing, quickly, where nothing is missing.
set -eu
CDPATH='' cd -- "$(dirname "$0")"

fail() {
	echo "error: $*" >&2
	exit 2
}

# shellcheck disable=SC1091  # not of this project
host=$(. /etc/os-release 2>/dev/null && echo "${ID:-}") || host=
if [ "${1:-}" = --python ]; then
	packages=
	programs=
else
	packages=$(cat packages.txt "$@" | sed 's/#.*//')
	# What the suite runs of them, for hosts where packages have other names.
	programs="bc bison depmod file flex gcc git mmdebstrap newuidmap pgrep qemu-system-x86_64 xz"
fi
case $host:$packages in
ubuntu:*chromium*)
	echo "note: Ubuntu has Chromium as a snap only: what needs a browser is skipped" >&2
	packages=$(echo "$packages" | sed '/^chromium/d')
	;;
esac
# Print the packages that are not installed; where there is no dpkg, the programs.
missing() {
	if [ -n "$packages" ] && command -v dpkg-query >/dev/null; then
		# A line for each architecture that a package is known of.
		# shellcheck disable=SC2086  # a list of words
		known=$(dpkg-query -W -f ' ${db:Status-Status} ${Package};\n' $packages 2>/dev/null) || :
		for package in $packages; do
			case $known in
			*" installed $package;"*) ;;
			*) printf ' %s' "$package" ;;
			esac
		done
	else
		for program in $programs; do
			PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || printf ' %s' "$program"
		done
	fi
}

# What an environment is made from, with the Python that is named.
recipe() {
	cat requirements.txt
	"$1" -V
}

# Whether .venv is as requirements.txt has it, and lies where it was made: its programs name that
# place. Without PYTHON it keeps the Python that it was made with.
venv_is_right() {
	[ -x .venv/bin/python ] || return 1
	[ "$(cat .venv/made-from 2>/dev/null)" = \
		"$(recipe "${PYTHON:-.venv/bin/python}" 2>/dev/null)" ] || return 1
	# shellcheck disable=SC3013  # known to dash, bash and busybox
	[ "$(cat .venv/made-at 2>/dev/null)" -ef .venv ]
}

install_packages() {
	command -v apt-get >/dev/null ||
		fail "install by hand what is missing, as there is no apt-get to do it:$1" \
			"(packages.txt has the names of Debian's packages)"
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		command -v sudo >/dev/null ||
			fail "these packages are missing, and there is no sudo; as root: apt-get install$1"
	fi
	echo "installing packages:$1"
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# The list of packages may be older than what the archive still has.
	# shellcheck disable=SC2086  # sudo and $1 are lists of words
	if ! { $sudo apt-get -q update &&
		$sudo apt-get -q -y --no-install-recommends install $1; } >"$log" 2>&1; then
		grep -m 5 -E '^(E|Err):' "$log" >&2 || tail -n 5 "$log" >&2
		fail "the packages cannot be installed; the whole log: $log"
	fi
	rm -f "$log"
}

make_venv() {
	python=${PYTHON:-python3}
	command -v "$python" >/dev/null || fail "$python is not installed; install Python 3.11 or newer"
	"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
		fail "$python is $("$python" -V); Python 3.11 or newer is needed (PYTHON=... names another)"
	echo "making the virtual environment .venv"
	# .venv may be a link: Python clears, but does not make, an environment that a link leads to.
	place=$(readlink -f .venv)
	"$python" -m venv --clear "$place" || fail "no virtual environment can be made with $python"
	log=$(mktemp)
	if ! .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt >"$log" 2>&1; then
		grep -m 5 '^ERROR' "$log" >&2 || tail -n 5 "$log" >&2
		fail "the packages of requirements.txt cannot be installed; the whole log: $log"
	fi
	rm -f "$log"
	printf '%s\n' "$place" >.venv/made-at
	recipe "$python" >.venv/made-from
}

[ -z "$(missing)" ] && venv_is_right && exit

# Two runs at once: the second waits for the first one's installation.
(: >>.setup.lock) 2>/dev/null ||
	fail "$(pwd) cannot be written to, and the virtual environment or packages are missing:" \
		"run ./setup.sh as somebody who may write there"
exec 9>>.setup.lock
flock 9

absent=$(missing)
[ -z "$absent" ] || install_packages "$absent"
venv_is_right || make_venv
