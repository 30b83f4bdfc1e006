#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kunit.sh NR SUITE... - what the cases of these suites said, NR in all, as one test.
wanted=$1
shift
for suite; do
	# Cases are set in; older kernels put a dash before the name.
	sed -n 's/^ \{4,\}\(not ok\|ok\) [0-9]*\( -\)\? \(.*\)/\1 - '"$suite"': \3/p' \
		"/sys/kernel/debug/kunit/$suite/results"
done >/tmp/kunit.cases
cat /tmp/kunit.cases
nr=$(grep -c . /tmp/kunit.cases)
if [ "$nr" -eq "$wanted" ]; then
	echo "ok - all cases ran"
else
	echo "not ok - $nr cases ran, not $wanted"
fi
echo "1..$((nr + 1))"
! grep -q '^not ok' /tmp/kunit.cases && [ "$nr" -eq "$wanted" ]
