# SPDX-License-Identifier: GPL-2.0 OR MIT
#
# More tests of the core on the lab host, and of the lab itself; included by
# host.mk after UNITS.  check-lab and check-break are there.

UNITS += test_cache test_failures test_shrink test_traces slab
