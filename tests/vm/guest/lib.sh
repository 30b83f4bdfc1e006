#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lib.sh BACKEND - the library's tests with this backend, as one test.

export UNMAPPED_BACKEND="$1"
# Root has no more memfd_secret(2) than others.
# shellcheck disable=SC3045 # busybox has it
ulimit -l unlimited
# Some of them give up being root.
test "$1" = device && chmod 666 /dev/unmapped
status=0 planned=0
for name in api misuse process; do
	/vm/bin/lib_$name >/tmp/lib.out || status=1
	grep -v '^1\.\.' /tmp/lib.out | sed "s/ok - /ok - $name: /"
	planned=$((planned + $(sed -n 's/^1\.\.//p' /tmp/lib.out)))
done
test "$1" = device && chmod 600 /dev/unmapped
echo "1..$planned"
exit $status
