#!/bin/sh
# SPDX-License-Identifier: MIT
#
# gigabyte.sh - split and heal entries of 1 GiB, in a machine of 6 GiB.
insmod "$VM_MODULES/unmapped_test.ko"
stats=/sys/kernel/debug/unmapped/stats
hold=/sys/kernel/debug/unmapped_test/hold
n=0

meminfo() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }
stat() { sed -n "s/^$1 //p" $stats; }
all() { echo "$(meminfo DirectMap4k) $(meminfo DirectMap2M) $(meminfo DirectMap1G)"; }
ok() {	# TEXT CONDITION...
	n=$((n + 1))
	text=$1
	shift
	if [ "$@" ]; then echo "ok $n - $text"; else echo "not ok $n - $text ($*)"; fi
}

before=$(all)
echo "# before: $before kB of 4k, 2M, 1G"
ok "control: there are 1 GiB entries" "$(meminfo DirectMap1G)" -gt 1048576
# More than smaller entries map: those are used first.
echo 2600 > $hold
echo "# in use: $(all)"
ok "5.1 GiB are held" "$(cat $hold)" -eq 2600
ok "no 2 MiB entry was split" "$(stat splits_2m)" -eq 0
ok "some 1 GiB entries were" "$(stat splits_1g)" -gt 0
ok "at most one for each GiB" "$(stat splits_1g)" -le 5
echo 0 > $hold
echo all > /sys/kernel/debug/unmapped/shrink
echo "# after: $(all)"
ok "all is healed" "$(stat heals_1g)" -eq "$(stat splits_1g)"
ok "the direct map is what it was" "$(all)" = "$before"
rmmod unmapped_test
# Whatever was freed with the tables must be usable.
dd if=/dev/zero of=/tmp/fill bs=1M count=512 2>/dev/null
ok "memory can be filled" "$(wc -c < /tmp/fill)" -eq 536870912
rm -f /tmp/fill
echo "1..$n"
