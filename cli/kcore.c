// SPDX-License-Identifier: MIT
/*
 * The ELF core of a kernel.
 *
 * Of its segments, those whose physical address differs from the virtual one by
 * the same amount are the direct map's, and are the memory that there is; one
 * more holds the kernel's image, with the top page table.  VMCOREINFO, a note of
 * text lines made for crash dumps, says where that is.
 *
 * In a recorded core the bytes in the file (p_filesz) are fewer than the memory
 * described (p_memsz): RAM is described, and only page tables are there.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kcore.h"

#define KERNEL_HALF  0xff00000000000000ULL
#define GIB	     (1ULL << 30)
#define NOTES_MAX    (1U << 20)
#define ADDRESS_BITS 0x000ffffffffff000ULL

static int fail(struct kcore *k, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct kcore *k, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->error, sizeof(k->error), fmt, ap);
	va_end(ap);
	return err;
}

/* All of @len bytes, or -EIO where the file ends before. */
static int read_at(int fd, uint64_t offset, void *buf, size_t len)
{
	char *p = buf;
	ssize_t n;

	if (offset > INT64_MAX - len)
		return -EIO;
	while (len) {
		n = pread(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- notes ----------------------------------------------------------------- */

/* The value behind "@name=" at the beginning of a line. */
static const char *info_find(const char *info, const char *name)
{
	size_t len = strlen(name);
	const char *p = info;

	while (p) {
		if (!strncmp(p, name, len) && p[len] == '=')
			return p + len + 1;
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return NULL;
}

static bool info_number(const char *info, const char *name, int base, uint64_t *value)
{
	const char *p = info_find(info, name);
	char *end;

	if (!p)
		return false;
	errno = 0;
	*value = strtoull(p, &end, base);
	return !errno && end != p && (*end == '\n' || !*end);
}

static int info_parse(struct kcore *k)
{
	uint64_t value;
	const char *p;

	if (!info_number(k->vmcoreinfo, "SYMBOL(init_top_pgt)", 16, &k->top_table) &&
	    !info_number(k->vmcoreinfo, "SYMBOL(swapper_pg_dir)", 16, &k->top_table))
		return fail(k, -ENOENT, "VMCOREINFO has no SYMBOL(init_top_pgt)");
	if (k->top_table < KERNEL_HALF || k->top_table % KCORE_PAGE)
		return fail(k, -ENOEXEC,
			    "init_top_pgt at 0x%" PRIx64 " is no page of the kernel's",
			    k->top_table);
	if (info_number(k->vmcoreinfo, "NUMBER(pgtable_l5_enabled)", 10, &value))
		k->five_levels = value != 0;
	k->address_bits = ADDRESS_BITS;
	if (info_number(k->vmcoreinfo, "NUMBER(sme_mask)", 10, &value))
		k->address_bits &= ~value;
	p = info_find(k->vmcoreinfo, "OSRELEASE");
	if (p)
		snprintf(k->release, sizeof(k->release), "%.*s", (int)strcspn(p, "\n"),
			 p);
	return 0;
}

static int notes_parse(struct kcore *k, const char *notes, size_t len)
{
	static const char name[] = "VMCOREINFO";
	size_t pos = 0, desc;
	Elf64_Nhdr n;

	while (len - pos >= sizeof(n)) {
		memcpy(&n, notes + pos, sizeof(n));
		pos += sizeof(n);
		if (n.n_namesz > len - pos)
			break;
		desc = pos + ((n.n_namesz + 3ULL) & ~3ULL);
		if (desc > len || n.n_descsz > len - desc)
			break;
		if (n.n_namesz >= sizeof(name) - 1 &&
		    !memcmp(notes + pos, name, sizeof(name) - 1)) {
			k->vmcoreinfo = strndup(notes + desc, n.n_descsz);
			return k->vmcoreinfo ? info_parse(k)
					     : fail(k, -ENOMEM, "out of memory");
		}
		pos = desc + ((n.n_descsz + 3ULL) & ~3ULL);
		if (pos > len)
			break;
	}
	return 0;
}

static int notes_read(struct kcore *k, const Elf64_Phdr *p)
{
	size_t len = p->p_filesz;
	char *notes;
	int err;

	if (k->vmcoreinfo)
		return 0;
	if (len > NOTES_MAX)
		return fail(k, -ENOEXEC, "notes of %zu bytes; at most %u are read", len,
			    NOTES_MAX);
	notes = malloc(len + 1);
	if (!notes)
		return fail(k, -ENOMEM, "out of memory");
	err = read_at(k->fd, p->p_offset, notes, len);
	err = err ? fail(k, err, "can't read the notes: %s", strerror(-err))
		  : notes_parse(k, notes, len);
	free(notes);
	return err;
}

/* --- segments -------------------------------------------------------------- */

static int by_vaddr(const void *a, const void *b)
{
	const struct kcore_segment *x = a, *y = b;

	return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

static int by_start(const void *a, const void *b)
{
	const struct kcore_ram *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static bool phdr_valid(const Elf64_Phdr *p)
{
	return p->p_filesz <= p->p_memsz && p->p_memsz <= UINT64_MAX - p->p_vaddr &&
	       p->p_offset <= INT64_MAX && p->p_filesz <= INT64_MAX - p->p_offset;
}

static bool phdr_is_ram(const Elf64_Phdr *p)
{
	return p->p_paddr <= ADDRESS_BITS && p->p_vaddr >= KERNEL_HALF &&
	       p->p_vaddr < KCORE_IMAGE && p->p_memsz <= ADDRESS_BITS - p->p_paddr;
}

/* Sort, and join what touches or overlaps. */
static void ram_merge(struct kcore *k)
{
	struct kcore_ram *r = k->ram;
	size_t i, last = 0;

	if (!k->nr_ram)
		return;
	qsort(r, k->nr_ram, sizeof(*r), by_start);
	for (i = 1; i < k->nr_ram; i++) {
		if (r[i].start > r[last].end)
			r[++last] = r[i];
		else if (r[i].end > r[last].end)
			r[last].end = r[i].end;
	}
	k->nr_ram = last + 1;
}

static int segment_add(struct kcore *k, const Elf64_Phdr *p)
{
	const uint64_t mask = KCORE_PAGE - 1;
	uint64_t start, end;

	if (!phdr_valid(p))
		return fail(k, -ENOEXEC,
			    "segment at 0x%" PRIx64 " of 0x%" PRIx64
			    " bytes is out of bounds",
			    (uint64_t)p->p_vaddr, (uint64_t)p->p_memsz);
	if (p->p_filesz)
		k->segments[k->nr_segments++] =
			(struct kcore_segment){ p->p_vaddr, p->p_filesz, p->p_offset };
	if (!phdr_is_ram(p))
		return 0;
	if (!k->page_offset)
		k->page_offset = p->p_vaddr - p->p_paddr;
	if (p->p_vaddr - p->p_paddr != k->page_offset)
		return 0;
	start = (p->p_paddr + mask) & ~mask;
	end = (p->p_paddr + p->p_memsz) & ~mask;
	if (start < end)
		k->ram[k->nr_ram++] = (struct kcore_ram){ start, end };
	return 0;
}

static int headers_read(struct kcore *k, const Elf64_Ehdr *e)
{
	size_t len = e->e_phnum * sizeof(Elf64_Phdr), i;
	Elf64_Phdr *p = malloc(len);
	int err;

	k->segments = calloc(e->e_phnum, sizeof(*k->segments));
	k->ram = calloc(e->e_phnum, sizeof(*k->ram));
	if (!p || !k->segments || !k->ram) {
		free(p);
		return fail(k, -ENOMEM, "out of memory");
	}
	err = read_at(k->fd, e->e_phoff, p, len);
	if (err)
		fail(k, err, "can't read the program headers: %s", strerror(-err));
	for (i = 0; !err && i < e->e_phnum; i++) {
		if (p[i].p_type == PT_NOTE)
			err = notes_read(k, &p[i]);
		else if (p[i].p_type == PT_LOAD)
			err = segment_add(k, &p[i]);
	}
	free(p);
	return err;
}

static int elf_check(struct kcore *k, const Elf64_Ehdr *e)
{
	if (memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_type != ET_CORE)
		return fail(k, -ENOEXEC, "not an ELF core");
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != EM_X86_64)
		return fail(k, -ENOEXEC, "not of an x86-64 kernel");
	if (e->e_phentsize != sizeof(Elf64_Phdr) || !e->e_phnum || e->e_phnum == PN_XNUM)
		return fail(k, -ENOEXEC, "%u program headers of %u bytes", e->e_phnum,
			    e->e_phentsize);
	return 0;
}

/* /proc/kcore is as long as the address space; a file may be shorter than it says. */
static void count_pages(struct kcore *k)
{
	uint64_t bytes = 0, length;
	struct stat st;
	size_t i;

	length = fstat(k->fd, &st) ? 0 : (uint64_t)st.st_size;
	for (i = 0; i < k->nr_segments && bytes < length; i++)
		bytes += k->segments[i].size;
	k->nr_pages = (bytes < length ? bytes : length) / KCORE_PAGE;
}

int kcore_open(struct kcore *k, int fd)
{
	Elf64_Ehdr e;
	int err;

	memset(k, 0, sizeof(*k));
	k->fd = fd;
	err = read_at(fd, 0, &e, sizeof(e));
	if (err)
		return fail(k, err == -EIO ? -ENOEXEC : err, "can't read the header: %s",
			    err == -EIO ? "too short" : strerror(-err));
	err = elf_check(k, &e);
	if (!err)
		err = headers_read(k, &e);
	if (err)
		return err;
	if (!k->vmcoreinfo)
		return fail(k, -ENOENT, "no VMCOREINFO note (CONFIG_VMCORE_INFO)");
	if (k->nr_segments)
		qsort(k->segments, k->nr_segments, sizeof(*k->segments), by_vaddr);
	count_pages(k);
	ram_merge(k);
	if (!k->nr_ram)
		return fail(k, -ENOENT, "no segment of the direct map");
	if (k->page_offset % GIB)
		return fail(k, -ENOEXEC,
			    "the direct map at 0x%" PRIx64 " does not begin at a GiB",
			    k->page_offset);
	return 0;
}

void kcore_close(struct kcore *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	free(k->segments);
	free(k->ram);
	free(k->vmcoreinfo);
	k->segments = NULL;
	k->ram = NULL;
	k->vmcoreinfo = NULL;
}

/* --- memory ---------------------------------------------------------------- */

/* The last segment that begins at or before an address. */
static const struct kcore_segment *segment_find(const struct kcore *k, uint64_t vaddr)
{
	size_t low = 0, high = k->nr_segments, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (k->segments[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || vaddr - k->segments[low - 1].vaddr >= k->segments[low - 1].size)
		return NULL;
	return &k->segments[low - 1];
}

int kcore_read(const struct kcore *k, uint64_t vaddr, void *buf, size_t len)
{
	const struct kcore_segment *s;
	uint64_t skip, n;
	char *p = buf;
	int err;

	while (len) {
		s = segment_find(k, vaddr);
		if (!s)
			return -EFAULT;
		skip = vaddr - s->vaddr;
		n = s->size - skip < len ? s->size - skip : len;
		err = read_at(k->fd, s->offset + skip, p, n);
		if (err)
			return err;
		p += n;
		vaddr += n;
		len -= n;
	}
	return 0;
}

const struct kcore_ram *kcore_ram_first(const struct kcore *k, uint64_t start)
{
	size_t low = 0, high = k->nr_ram, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (k->ram[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return k->ram + low;
}

uint64_t kcore_ram_pages(const struct kcore *k, uint64_t start, uint64_t end)
{
	const struct kcore_ram *r = kcore_ram_first(k, start);
	uint64_t from, to, pages = 0;

	for (; r < k->ram + k->nr_ram && r->start < end; r++) {
		from = r->start > start ? r->start : start;
		to = r->end < end ? r->end : end;
		pages += (to - from) / KCORE_PAGE;
	}
	return pages;
}
