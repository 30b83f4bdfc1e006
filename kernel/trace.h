/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints, as events/unmapped/ in tracefs. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM unmapped

#if !defined(UNMAPPED_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UNMAPPED_TRACE_H

#include <linux/mm.h>
#include <linux/tracepoint.h>
#include <linux/types.h>
#include <trace/events/mmflags.h>

/* Laid out as everywhere in the kernel. */
/* clang-format off */

/* @page NULL: the allocation failed. */
TRACE_EVENT(unmapped_alloc,
	TP_PROTO(struct page *page, unsigned int order, gfp_t gfp_flags, int nid),
	TP_ARGS(page, order, gfp_flags, nid),
	TP_STRUCT__entry(
		__field(unsigned long, pfn)
		__field(unsigned int, order)
		__field(unsigned long, gfp_flags)
		__field(int, nid)
	),
	TP_fast_assign(
		__entry->pfn = page ? page_to_pfn(page) : -1UL;
		__entry->order = order;
		__entry->gfp_flags = (__force unsigned long)gfp_flags;
		__entry->nid = nid;
	),
	TP_printk("pfn=%#lx order=%u nid=%d gfp_flags=%s%s",
		  __entry->pfn != -1UL ? __entry->pfn : 0, __entry->order,
		  __entry->nid, show_gfp_flags(__entry->gfp_flags),
		  __entry->pfn != -1UL ? "" : " failed")
);

TRACE_EVENT(unmapped_free,
	TP_PROTO(struct page *page, unsigned int order),
	TP_ARGS(page, order),
	TP_STRUCT__entry(
		__field(unsigned long, pfn)
		__field(unsigned int, order)
	),
	TP_fast_assign(
		__entry->pfn = page_to_pfn(page);
		__entry->order = order;
	),
	TP_printk("pfn=%#lx order=%u", __entry->pfn, __entry->order)
);

/* Memory was taken from the system: @err, or how much, with one flush. */
TRACE_EVENT(unmapped_refill,
	TP_PROTO(int nid, unsigned int order, unsigned long want, unsigned int blocks,
		 unsigned int pieces, int err),
	TP_ARGS(nid, order, want, blocks, pieces, err),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned int, order)
		__field(unsigned long, want)
		__field(unsigned int, blocks)
		__field(unsigned int, pieces)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->order = order;
		__entry->want = want;
		__entry->blocks = blocks;
		__entry->pieces = pieces;
		__entry->err = err;
	),
	TP_printk("nid=%d order=%u want=%lu blocks=%u pieces=%u err=%d",
		  __entry->nid, __entry->order, __entry->want, __entry->blocks,
		  __entry->pieces, __entry->err)
);

/* The system had no whole block: @pieces of at most order @largest instead. */
TRACE_EVENT(unmapped_fallback,
	TP_PROTO(int nid, unsigned int order, unsigned int largest, unsigned int pieces),
	TP_ARGS(nid, order, largest, pieces),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned int, order)
		__field(unsigned int, largest)
		__field(unsigned int, pieces)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->order = order;
		__entry->largest = largest;
		__entry->pieces = pieces;
	),
	TP_printk("nid=%d order=%u largest=%u pieces=%u", __entry->nid, __entry->order,
		  __entry->largest, __entry->pieces)
);

/* Free memory went back to the system; @nr and @released in pages. */
TRACE_EVENT(unmapped_shrink,
	TP_PROTO(int nid, unsigned long nr, unsigned long released),
	TP_ARGS(nid, nr, released),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long, nr)
		__field(unsigned long, released)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->nr = nr;
		__entry->released = released;
	),
	TP_printk("nid=%d nr=%ld released=%lu", __entry->nid, (long)__entry->nr,
		  __entry->released)
);

/* One entry of the direct map became 512 smaller ones, or the reverse. */
DECLARE_EVENT_CLASS(unmapped_entry,
	TP_PROTO(unsigned long pfn, unsigned int order),
	TP_ARGS(pfn, order),
	TP_STRUCT__entry(
		__field(unsigned long, pfn)
		__field(unsigned int, order)
	),
	TP_fast_assign(
		__entry->pfn = pfn & ~((1UL << order) - 1);
		__entry->order = order;
	),
	TP_printk("pfn=%#lx entry=%s", __entry->pfn,
		  __print_symbolic(__entry->order, { 9, "2M" }, { 18, "1G" }))
);

DEFINE_EVENT(unmapped_entry, unmapped_split,
	TP_PROTO(unsigned long pfn, unsigned int order),
	TP_ARGS(pfn, order)
);

DEFINE_EVENT(unmapped_entry, unmapped_heal,
	TP_PROTO(unsigned long pfn, unsigned int order),
	TP_ARGS(pfn, order)
);

/* clang-format on */

#endif /* UNMAPPED_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
