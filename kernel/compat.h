/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that this builds for; nothing else asks.
 *
 * The code is written for the newest of them, and older ones are given its
 * names here.  What a kernel has is found by compiling (kernel/Kbuild,
 * HAVE_*), not by its version number, as stable trees and distributions take
 * changes back.
 */
#ifndef UNMAPPED_COMPAT_H
#define UNMAPPED_COMPAT_H

#endif /* UNMAPPED_COMPAT_H */
