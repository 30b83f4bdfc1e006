// SPDX-License-Identifier: MIT
/*
 * unmapped record - write what the other verbs read to a directory, for
 * --sysroot: to look at it elsewhere, or later.
 *
 * Of memory only page tables of the direct map are written, as an ELF core with the
 * few notes that are needed; no content of any page goes along.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "debugfs.h"
#include "kcore.h"
#include "root.h"
#include "walk.h"

static const char *const files[] = {
	"/proc/meminfo",
	"/proc/vmstat",
	"/proc/cmdline",
	"/proc/sys/kernel/osrelease",
	DEBUGFS "stats",
	DEBUGFS "pagetypeinfo",
	DEBUGFS "holders",
	"/sys/kernel/mm/unmapped/limit_kb",
	"/sys/kernel/security/lockdown",
	"/sys/module/module/parameters/sig_enforce",
	"/sys/module/secretmem/parameters/enable",
	"/sys/module/unmapped/initstate",
};

/* Lines of VMCOREINFO that are kept. */
static const char *const notes[] = {
	"OSRELEASE=",
	"PAGESIZE=",
	"SYMBOL(init_top_pgt)=",
	"SYMBOL(swapper_pg_dir)=",
	"NUMBER(phys_base)=",
	"NUMBER(pgtable_l5_enabled)=",
	"NUMBER(sme_mask)=",
	"KERNELOFFSET=",
};

/* Open for writing below @dir, and make the directories on the way. */
static FILE *create(int dir, const char *path)
{
	char part[128];
	const char *p;
	int fd;

	for (p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path - 1), path + 1);
		if (mkdirat(dir, part, 0755) && errno != EEXIST)
			give_up("%s: %s", part, strerror(errno));
	}
	fd = openat(dir, path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		give_up("%s: %s", path + 1, strerror(errno));
	return check_memory(fdopen(fd, "w"));
}

static void put(FILE *to, const void *data, size_t len)
{
	if (fwrite(data, 1, len, to) != len)
		give_up("can't write: %s", strerror(errno));
}

static void done(FILE *to)
{
	if (fclose(to))
		give_up("can't write: %s", strerror(errno));
}

static void copy(int dir, const char *path)
{
	size_t len;
	char *text = root_read(path, &len);
	FILE *to;

	if (!text) {
		/* What there is not here shall not be there, either. */
		if (errno != ENOENT)
			complain("%s: %s", path, strerror(errno));
		return;
	}
	to = create(dir, path);
	put(to, text, len);
	done(to);
	free(text);
}

/* The first CPU only: they are alike in what is looked at. */
static void copy_cpuinfo(int dir)
{
	char *text = root_read("/proc/cpuinfo", NULL), *end;
	FILE *to;

	if (!text) {
		complain("/proc/cpuinfo: %s", strerror(errno));
		return;
	}
	end = strstr(text, "\n\n");
	to = create(dir, "/proc/cpuinfo");
	put(to, text, end ? (size_t)(end - text) + 1 : strlen(text));
	done(to);
	free(text);
}

/* --- kcore ----------------------------------------------------------------- */

struct page {
	uint64_t vaddr;
	uint8_t bytes[KCORE_PAGE];
};

struct pages {
	struct page *list;
	size_t nr, size;
};

static int keep(void *arg, uint64_t vaddr, const void *bytes)
{
	struct pages *p = arg;

	if (p->nr == p->size) {
		p->size = p->size ? p->size * 2 : 64;
		p->list = check_memory(reallocarray(p->list, p->size, sizeof(*p->list)));
	}
	p->list[p->nr].vaddr = vaddr;
	memcpy(p->list[p->nr++].bytes, bytes, KCORE_PAGE);
	return 0;
}

static int by_vaddr(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

/* Sorted, each once: a second try of the walk has read them again. */
static void pages_sort(struct pages *p)
{
	size_t i, last = 0;

	if (p->nr)
		qsort(p->list, p->nr, sizeof(*p->list), by_vaddr);
	for (i = 1; i < p->nr; i++)
		if (p->list[i].vaddr != p->list[last].vaddr)
			p->list[++last] = p->list[i];
	p->nr = p->nr ? last + 1 : 0;
}

static char *notes_text(const char *info)
{
	char *text = check_memory(calloc(1, strlen(info) + 1)), *to = text;
	const char *line = info;
	size_t i, len;

	for (; *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		for (i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
			if (strncmp(line, notes[i], strlen(notes[i])))
				continue;
			memcpy(to, line, len);
			to += len;
			*to++ = '\n';
			break;
		}
	}
	return text;
}

static Elf64_Phdr *headers_make(const struct kcore *k, const struct pages *p, size_t *nr)
{
	Elf64_Phdr *h = check_memory(calloc(1 + k->nr_ram + p->nr, sizeof(*h)));
	Elf64_Phdr *last = NULL;
	size_t i;

	*nr = 1;
	h[0].p_type = PT_NOTE;
	for (i = 0; i < k->nr_ram; i++)
		h[(*nr)++] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_vaddr = k->page_offset + k->ram[i].start,
			.p_paddr = k->ram[i].start,
			.p_memsz = k->ram[i].end - k->ram[i].start,
		};
	/* One for tables that are neighbours. */
	for (i = 0; i < p->nr; i++) {
		if (!last || p->list[i].vaddr != last->p_vaddr + last->p_filesz) {
			last = &h[(*nr)++];
			last->p_type = PT_LOAD;
			last->p_vaddr = p->list[i].vaddr;
			last->p_paddr = UINT64_MAX;
		}
		last->p_filesz += KCORE_PAGE;
		last->p_memsz += KCORE_PAGE;
	}
	return h;
}

static void kcore_write(FILE *to, const struct kcore *k, struct pages *p)
{
	static const char name[12] = "VMCOREINFO";
	static const char zeros[KCORE_PAGE];
	char *text = notes_text(k->vmcoreinfo);
	Elf64_Nhdr n = { sizeof("VMCOREINFO"), (Elf64_Word)strlen(text), 0 };
	size_t text_len = (strlen(text) + 3) & ~3UL, nr, i;
	uint64_t offset, head;
	Elf64_Ehdr e = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(e),
		.e_ehsize = sizeof(e),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
	Elf64_Phdr *h;

	pages_sort(p);
	h = headers_make(k, p, &nr);
	if (nr >= PN_XNUM)
		give_up("page tables in %zu places; at most %u can be recorded", nr,
			PN_XNUM - 1);
	e.e_phnum = (Elf64_Half)nr;
	h[0].p_offset = sizeof(e) + nr * sizeof(*h);
	h[0].p_filesz = sizeof(n) + sizeof(name) + text_len;
	h[0].p_memsz = h[0].p_filesz;
	head = h[0].p_offset + h[0].p_filesz;
	offset = (head + KCORE_PAGE - 1) & ~(uint64_t)(KCORE_PAGE - 1);
	for (i = 1; i < nr; i++) {
		if (!h[i].p_filesz)
			continue;
		h[i].p_offset = offset;
		offset += h[i].p_filesz;
	}
	put(to, &e, sizeof(e));
	put(to, h, nr * sizeof(*h));
	put(to, &n, sizeof(n));
	put(to, name, sizeof(name));
	put(to, text, strlen(text));
	put(to, zeros, text_len - strlen(text));
	put(to, zeros, -head & (KCORE_PAGE - 1));
	for (i = 0; i < p->nr; i++)
		put(to, p->list[i].bytes, KCORE_PAGE);
	free(h);
	free(text);
}

/* Return: whether what is there could be recorded. */
static bool copy_kcore(int dir)
{
	struct pages pages = {};
	struct kcore k;
	struct walk w;
	FILE *to;
	int fd, err;

	fd = root_open("/proc/kcore");
	if (fd < 0) {
		complain("/proc/kcore: %s; page tables are not recorded", strerror(-fd));
		return fd == -ENOENT;
	}
	err = kcore_open(&k, fd);
	if (!err)
		err = walk_read(&w, &k, 0, keep, &pages);
	if (err) {
		complain("/proc/kcore: %s; page tables are not recorded", k.error);
	} else {
		walk_free(&w);
		to = create(dir, "/proc/kcore");
		kcore_write(to, &k, &pages);
		done(to);
	}
	free(pages.list);
	kcore_close(&k);
	return !err;
}

static int record(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS, {} };
	struct style style = {};
	bool good;
	size_t i;
	int c, dir;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
		option_common(c, &verb_record, &style);
	if (argc - optind != 1) {
		complain("record takes one argument, the directory to make");
		try_help(&verb_record);
	}
	if (mkdir(argv[optind], 0755))
		give_up("%s: %s", argv[optind], strerror(errno));
	dir = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		give_up("%s: %s", argv[optind], strerror(errno));
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		copy(dir, files[i]);
	copy_cpuinfo(dir);
	good = copy_kcore(dir);
	close(dir);
	return good ? EXIT_DONE : EXIT_ERROR;
}

const struct verb verb_record = {
	.name = "record",
	.synopsis = "[OPTION...] DIR",
	.summary = "Write what the other verbs read to a new directory, for --sysroot",
	.help = "",
	.run = record,
};
