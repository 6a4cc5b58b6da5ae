#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install what is missing: Debian packages (packages.txt and the lists that are named, as root or by
# sudo) and a virtual environment in .venv (requirements.txt). Does nothing, quickly, where nothing
# is missing.
set -eu
cd "$(dirname "$0")"

fail() {
	echo "error: $*" >&2
	exit 2
}

# Two runs at once: the second waits for the first one's installation.
exec 9>.setup.lock
flock 9

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "$python is not installed; install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	fail "$python is $("$python" -V); Python 3.11 or newer is needed (PYTHON=... names another)"

missing=
for package in $(cat packages.txt "$@" | sed 's/#.*//'); do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -n "$missing" ]; then
	sudo=
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		command -v sudo >/dev/null ||
			fail "these packages are missing, and there is no sudo; as root: apt-get install$missing"
	fi
	echo "installing packages:$missing"
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# The list of packages may be older than what the archive still has.
	# shellcheck disable=SC2086  # sudo and missing are lists of words
	if ! { $sudo apt-get -q update &&
		$sudo apt-get -q -y --no-install-recommends install $missing; } >"$log" 2>&1; then
		grep -m 5 -E '^(E|Err):' "$log" >&2 || tail -n 5 "$log" >&2
		fail "the packages cannot be installed; the whole log: $log"
	fi
	rm -f "$log"
fi

# The stamp holds what the environment was made from.
want=$(cat requirements.txt && "$python" -V)
if [ ! -x .venv/bin/python ] || [ "$(cat .venv/made-from 2>/dev/null)" != "$want" ]; then
	echo "making the virtual environment .venv"
	"$python" -m venv --clear .venv || fail "no virtual environment can be made with $python"
	log=$(mktemp)
	if ! .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt >"$log" 2>&1; then
		grep -m 5 '^ERROR' "$log" >&2 || tail -n 5 "$log" >&2
		fail "the packages of requirements.txt cannot be installed; the whole log: $log"
	fi
	rm -f "$log"
	printf '%s\n' "$want" >.venv/made-from
fi
