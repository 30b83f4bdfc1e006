// SPDX-License-Identifier: MIT
/*
 * What unmapped(1) reads from others, with bytes of a fuzzer: cores and texts.
 *
 * The first byte says what the rest is:
 *
 *	0	an ELF core, as it is
 *	1	words of page tables, out of which a core is built: so the fuzzer
 *		comes to all levels with few bytes
 *	2	text, for all parsers of text
 *
 * Whatever comes, sums must add up and ranges be in order.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"
#include "counters.h"
#include "debugfs.h"
#include "kcore.h"
#include "map.h"
#include "walk.h"

#define REGIONS 8
#define TABLES	8

#define must(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, \
				#what); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct sum {
	uint64_t end, absent, healable;
};

static int add_range(void *arg, const struct walk_range *r)
{
	struct sum *s = arg;

	must(r->start >= s->end && r->end > r->start);
	must(r->absent_bytes <= r->end - r->start);
	must(!r->absent == !r->absent_bytes || r->size == ENTRY_1G);
	s->end = r->end;
	s->absent += r->absent_bytes;
	if (r->healable)
		s->healable += r->end - r->start;
	return 0;
}

static void check_walk(const struct walk *w, const struct kcore *k)
{
	const struct walk_totals *t = &w->totals;
	uint64_t absent = t->absent[0] + t->absent[1] + t->absent[2];
	struct sum s = {};
	FILE *null;

	must(t->ram == kcore_ram_pages(k, 0, UINT64_MAX) * KCORE_PAGE);
	must(t->mapped[0] + t->mapped[1] + t->mapped[2] + absent == t->ram);
	must(!walk_ranges(w, add_range, &s));
	must(s.absent == absent && s.healable == t->healable_2m);
	null = fopen("/dev/null", "w");
	must(null);
	map_draw(null, w, 16, true);
	map_totals(null, t, false);
	fclose(null);
}

static void fuzz_core(const void *data, size_t len)
{
	int fd = memfd_create("core", MFD_CLOEXEC);
	struct kcore k;
	struct walk w;
	int err;

	must(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	err = kcore_open(&k, fd);
	must(memchr(k.error, 0, sizeof(k.error)));
	if (!err) {
		err = walk_read(&w, &k, REGIONS, NULL, NULL);
		if (!err) {
			check_walk(&w, &k);
			walk_free(&w);
		}
	}
	must(!err || *k.error);
	kcore_close(&k);
}

/* --- cores that are built ---------------------------------------------------- */

struct built {
	Elf64_Ehdr e;
	Elf64_Phdr h[4]; /* note, two of memory, tables */
	Elf64_Nhdr n;
	char name[12];
	char info[96];
	uint8_t pad[KCORE_PAGE - sizeof(Elf64_Ehdr) - 4 * sizeof(Elf64_Phdr) -
		    sizeof(Elf64_Nhdr) - 108];
	uint64_t tables[TABLES][512];
};

_Static_assert(offsetof(struct built, tables) == KCORE_PAGE, "tables in pages");

#define OFFSET 0xffff888000000000ULL

static uint64_t take(const uint8_t **p, size_t *len, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > *len)
		bytes = *len;
	memcpy(&value, *p, bytes);
	*p += bytes;
	*len -= bytes;
	return value;
}

/* An entry: of the direct map as a rule, so that little is foreign. */
static uint64_t entry(unsigned int kind, uint64_t raw, unsigned int table, unsigned int i)
{
	uint64_t flags = (raw & 0xf00) | 0x8000000000000063;

	switch (kind & 7) {
	case 0:
		return 0;
	case 1: /* a table; they begin behind 512 MiB */
		return ((1ULL << 29) + (raw % TABLES) * KCORE_PAGE) | 0x67;
	case 2:
		return (uint64_t)i << 30 | flags | 0x80;
	case 3:
		return ((uint64_t)table << 30) + ((uint64_t)i << 21) + (flags | 0x80);
	case 4:
		return ((uint64_t)table << 21) + ((uint64_t)i << 12) + flags;
	case 5:
		return (~raw & 0x000ffffffffff000) | 0x62;
	default:
		return raw;
	}
}

static void fuzz_built(const uint8_t *data, size_t len)
{
	static struct built b;
	uint64_t start, size, word, raw;
	unsigned int i, table, first, nr;

	memset(&b, 0, sizeof(b));
	memcpy(b.e.e_ident, "\177ELF\2\1\1", 7);
	b.e.e_type = ET_CORE;
	b.e.e_machine = EM_X86_64;
	b.e.e_phoff = offsetof(struct built, h);
	b.e.e_phentsize = sizeof(Elf64_Phdr);
	b.e.e_phnum = 4;
	b.h[0].p_type = PT_NOTE;
	b.h[0].p_offset = offsetof(struct built, n);
	b.h[0].p_filesz = b.h[0].p_memsz = sizeof(b.n) + sizeof(b.name) + sizeof(b.info);
	b.n.n_namesz = 11;
	b.n.n_descsz = sizeof(b.info);
	memcpy(b.name, "VMCOREINFO", 11);
	snprintf(b.info, sizeof(b.info),
		 "SYMBOL(init_top_pgt)=%llx\nNUMBER(pgtable_l5_enabled)=%llu\n",
		 OFFSET + (1ULL << 29), (unsigned long long)take(&data, &len, 1) & 1);
	for (i = 1; i < 3; i++) {
		start = take(&data, &len, 3) << 9;
		size = take(&data, &len, 3) << 9;
		b.h[i].p_type = PT_LOAD;
		b.h[i].p_vaddr = OFFSET + start;
		b.h[i].p_paddr = start;
		b.h[i].p_memsz = size;
	}
	b.h[3].p_type = PT_LOAD;
	b.h[3].p_offset = offsetof(struct built, tables);
	b.h[3].p_vaddr = OFFSET + (1ULL << 29);
	b.h[3].p_paddr = UINT64_MAX;
	b.h[3].p_filesz = b.h[3].p_memsz = sizeof(b.tables);
	/* Runs of entries: table, kind, first, how many, and bits for all. */
	while (len) {
		word = take(&data, &len, 4);
		raw = take(&data, &len, 4);
		table = word & 7;
		first = word >> 8 & 511;
		nr = (unsigned int)(word >> 20 & 511) + 1;
		for (i = first; i < 512 && i < first + nr; i++)
			b.tables[table][i] =
				entry((unsigned int)(word >> 3), raw, table, i);
	}
	/* The way down to them, from the first entry of the direct map. */
	if (!b.tables[0][273])
		b.tables[0][273] = ((1ULL << 29) + KCORE_PAGE) | 0x67;
	fuzz_core(&b, sizeof(b));
}

/* --- texts ------------------------------------------------------------------ */

static void fuzz_text(const uint8_t *data, size_t len)
{
	char *text = strndup((const char *)data, len), s[SIZE_TEXT], *half;
	struct counters c;
	struct holders h;
	struct blocks b;
	struct stats st;
	uint64_t value;
	size_t i;

	must(text);
	half = strchr(text, '\f');
	if (half)
		*half++ = 0;
	counters_parse(&c, text, half ? half : text);
	must(!stats_parse(&st, text));
	for (i = 0; i < st.nr; i++)
		must(*st.lines[i].name &&
		     memchr(st.lines[i].name, 0, sizeof(st.lines[i].name)));
	stats_value(&st, "pages_owned");
	must(!blocks_parse(&b, text));
	for (i = 0; i < b.nr; i++)
		must(b.nodes[i].node < 4096);
	must(!holders_parse(&h, text));
	for (i = 0; i < h.nr; i++)
		must(memchr(h.list[i].comm, 0, COMM_BYTES) && *h.list[i].flags);
	if (!size_parse(text, &value)) {
		must(strlen(size_text(s, value, false)) < SIZE_TEXT);
		must(!size_parse(size_text(s, value, true), &value));
	}
	free(st.lines);
	free(b.nodes);
	free(h.list);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len)
		return 0;
	switch (data[0]) {
	case 0:
		fuzz_core(data + 1, len - 1);
		break;
	case 1:
		fuzz_built(data + 1, len - 1);
		break;
	case 2:
		fuzz_text(data + 1, len - 1);
		break;
	}
	return 0;
}
