# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# debian.sh - for scripts that fetch from Debian: where things are kept, which mirror
# this machine uses, and how to work in a system of another suite.

# shellcheck disable=SC2034 # for who reads this file
cache=${UNMAPPED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/unmapped}
as_root=()
((EUID == 0)) || as_root=(sudo)

mirror() {
	# shellcheck disable=SC2016 # for apt-get
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(LABEL) $(REPO_URI)' \
		'Created-By: Packages' | sed -n 's/^Debian main Debian //p' | head -n 1
}

in_system() { # ROOT COMMAND...
	local root=$1
	shift
	# shellcheck disable=SC2016 # for the shell inside
	"${as_root[@]}" unshare --mount --fork bash -c '
		mount -t proc proc "$1/proc" && cd "$1" && shift &&
		exec chroot . "$@"' - "$root" env DEBIAN_FRONTEND=noninteractive "$@"
}
