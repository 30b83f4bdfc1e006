// SPDX-License-Identifier: MIT
/*
 * module-code - what modules and BPF programs do to the direct map.
 *
 *	module-code splits modules|bpf	50 modules, or 500 programs, three times over
 *	module-code attack modules|bpf	is their code in the direct map?
 *	module-code wx modules|bpf	is anything writable and executable?
 *	module-code hibernate modules	refused while they are there
 *
 * SERIES in the environment says whether the kernel has the patches: without
 * them the same must be seen to break what it is known to break.
 *
 * The modules are copies of one, each with a name of its own: the name is in
 * the structure that the kernel makes the module from.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULES	 50
#define PROGRAMS 500
#define INSNS	 1000
#define ROUNDS	 3
#define STOCK	 "/vm/stock/"
#define TABLES	 "/sys/kernel/debug/page_tables/kernel"

static bool series;

/* --- modules ---------------------------------------------------------------- */

static void *file_map(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st))
		die("%s", path);
	p = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die("%s", path);
	close(fd);
	*size = st.st_size;
	return p;
}

static char *section(uint8_t *ko, const char *name, size_t *size)
{
	Elf64_Ehdr *head = (void *)ko;
	Elf64_Shdr *s = (void *)(ko + head->e_shoff);
	const char *names = (char *)ko + s[head->e_shstrndx].sh_offset;
	int i;

	for (i = 0; i < head->e_shnum; i++)
		if (!strcmp(names + s[i].sh_name, name)) {
			*size = s[i].sh_size;
			return (char *)ko + s[i].sh_offset;
		}
	die("no section %s", name);
}

static void load(void *ko, size_t size, const char *name, const char *args)
{
	if (syscall(SYS_init_module, ko, size, args))
		die("loading %s", name);
}

static void unload(const char *name)
{
	if (syscall(SYS_delete_module, name, 0))
		die("unloading %s", name);
}

static void copies(bool in)
{
	static const char old[] = "test_module";
	char name[sizeof(old)], *at;
	uint8_t *ko;
	size_t size, len;
	int i;

	for (i = 0; i < MODULES; i++) {
		snprintf(name, sizeof(name), "copy_%06d", i);
		if (!in) {
			unload(name);
			continue;
		}
		ko = file_map(STOCK "test_module.ko", &size);
		at = section(ko, ".gnu.linkonce.this_module", &len);
		at = memmem(at, len, old, sizeof(old));
		if (!at)
			die("no name in test_module.ko");
		memcpy(at, name, sizeof(name));
		load(ko, size, name, "");
		munmap(ko, size);
	}
}

/* --- BPF programs ----------------------------------------------------------- */

static long bpf(int what, union bpf_attr *attr)
{
	return syscall(SYS_bpf, what, attr, sizeof(*attr));
}

/* Loads of 64-bit constants, of which only the code of the JIT has all bytes. */
static int program(unsigned int seed)
{
	static struct bpf_insn insns[INSNS];
	union bpf_attr attr = {};
	int i, fd;

	for (i = 0; i + 2 < INSNS; i += 2) {
		insns[i] =
			(struct bpf_insn){ .code = BPF_LD | BPF_DW | BPF_IMM,
					   .dst_reg = (i / 2) % 6,
					   .imm = 0x40000000 ^ seed * 2654435761u ^ i };
		insns[i + 1] = (struct bpf_insn){ .imm = 0x20000001 + i * 40503 };
	}
	insns[INSNS - 2] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	insns[INSNS - 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = INSNS;
	attr.license = (uintptr_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		die("BPF program");
	return fd;
}

static void programs(bool in)
{
	static int fds[PROGRAMS];
	int i;

	for (i = 0; i < PROGRAMS; i++)
		if (in)
			fds[i] = program(i);
		else
			close(fds[i]);
}

/* --- splits ----------------------------------------------------------------- */

static void rounds(const char *what, void (*change)(bool in))
{
	struct direct_map start, used, end;
	long pages = 0, most = 0;
	int round;

	direct_map_read(&start);
	direct_map_note("start", &start);
	if (series)
		pages = um_stat("pages_allocated");
	for (round = 1; round <= ROUNDS; round++) {
		change(true);
		direct_map_read(&used);
		if (series) {
			most = um_stat("pages_allocated");
			ok(most > pages, "%s, round %d: have unmapped pages", what,
			   round);
			ok(direct_map_same(&start, &used) &&
				   used.splits2m == start.splits2m,
			   "%s, round %d: DirectMap is unchanged in use", what, round);
		}
		change(false);
		/* They are freed by workers, after a grace period. */
		if (series)
			ok(um_stat_becomes("pages_allocated", pages, 20),
			   "%s, round %d: all pages are free again", what, round);
		else
			sleep(2);
		direct_map_read(&end);
		if (series)
			ok(direct_map_same(&start, &end) &&
				   end.splits2m == start.splits2m,
			   "%s, round %d: DirectMap is what it was", what, round);
	}
	direct_map_note("end", &end);
	if (series)
		note("%s: %ld pages", what, most - pages);
	note("row %s-splits %ld", what, end.splits2m - start.splits2m);
	note("row %s-4k-kB %ld", what, end.kb4 - start.kb4);
	if (!series)
		ok(end.splits2m > start.splits2m,
		   "%s: control: without the patches the direct map is split", what);
}

/* --- attack ----------------------------------------------------------------- */

static uint64_t module_at(const char *name, size_t *size)
{
	FILE *f = fopen("/proc/modules", "re");
	char line[256], is[64];
	unsigned long at;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %zu %*s %*s %*s %lx", is, size, &at) == 3 &&
		    !strcmp(is, name)) {
			fclose(f);
			return at;
		}
	die("%s is not in /proc/modules", name);
}

/* Read from the kernel's address space, where it is mapped. */
static void kernel_read(uint64_t addr, void *to, size_t len)
{
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr head;
	Elf64_Phdr s;
	int i;

	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head))
		die("/proc/kcore");
	for (i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &s, sizeof(s), head.e_phoff + i * sizeof(s)) != sizeof(s))
			die("/proc/kcore");
		if (s.p_type == PT_LOAD && addr >= s.p_vaddr &&
		    addr - s.p_vaddr < s.p_filesz)
			break;
	}
	if (i == head.e_phnum)
		die("no segment of /proc/kcore has %#lx", addr);
	if (pread(fd, to, len, s.p_offset + addr - s.p_vaddr) != (ssize_t)len)
		die("/proc/kcore at %#lx", addr);
	close(fd);
}

/* Take 32 bytes as a secret, and leave no copy here. */
static void keep(struct secret *s, volatile uint8_t *from)
{
	int i;

	for (i = 0; i < SECRET_BYTES; i++) {
		s->masked[i] = from[i] ^ SECRET_MASK;
		from[i] = 0;
	}
}

/*
 * Bytes of a module's text that are nowhere else: they have addresses in them,
 * so that the file does not have them.
 */
static int of_module(struct secret *s, int nr)
{
	static uint8_t text[PAGE] __attribute__((aligned(64)));
	size_t file_size, size, text_size;
	uint8_t *ko = file_map(STOCK "brd.ko", &file_size);
	uint64_t at;
	int n = 0;
	size_t i;

	section(ko, ".text", &text_size);
	load(ko, file_size, "brd", "rd_nr=1 rd_size=1024");
	at = module_at("brd", &size);
	kernel_read(at, text, PAGE);
	for (i = 0; i + SECRET_BYTES <= text_size && i < PAGE && n < nr;
	     i += SECRET_ALIGN)
		if (!memmem(ko, file_size, text + i, SECRET_BYTES))
			keep(&s[n++], text + i);
	memset(text, 0, PAGE);
	munmap(ko, file_size);
	return n;
}

static int of_program(struct secret *s, int nr)
{
	static uint8_t code[8 * PAGE];
	struct bpf_prog_info info = {};
	union bpf_attr attr = {};
	uint64_t at;
	int n = 0, fd = program(4711);
	size_t i;

	info.jited_prog_insns = (uintptr_t)code;
	info.jited_prog_len = sizeof(code);
	info.jited_ksyms = (uintptr_t)&at;
	info.nr_jited_ksyms = 1;
	attr.info.bpf_fd = fd;
	attr.info.info = (uintptr_t)&info;
	attr.info.info_len = sizeof(info);
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) || info.nr_jited_ksyms != 1)
		die("code of a BPF program");
	ok(info.jited_prog_len > 4 * INSNS, "a BPF program is %u bytes of code",
	   info.jited_prog_len);
	for (i = -at % SECRET_ALIGN + 64; i + 64 < info.jited_prog_len && n < nr;
	     i += SECRET_ALIGN)
		keep(&s[n++], code + i);
	memset(code, 0, sizeof(code));
	return n;
}

static void attack_code(const char *what, int (*take)(struct secret *s, int nr))
{
	struct secret s[8];
	long found[8], bytes, sum = 0;
	int i, nr;

	/* Addresses as they are. */
	if (file_write("/proc/sys/kernel/kptr_restrict", "1"))
		die("kptr_restrict");
	nr = take(s, ARRAY_SIZE(s));
	bytes = attack(s, nr, found);
	ok(nr > 0 && bytes > (long)(512 * MIB), "%s: %d patterns of code, %ld MiB read",
	   what, nr, bytes / (long)MIB);
	for (i = 0; i < nr; i++)
		sum += found[i];
	if (series)
		ok(sum == 0, "%s: none is in the direct map: found %ld", what, sum);
	else
		ok(sum >= nr, "%s: control: all are in the direct map: found %ld", what,
		   sum);
}

/* --- permissions ------------------------------------------------------------ */

/* Entries of the kernel's page tables that are executable; and writable, too. */
static long executable(long *writable, long *large)
{
	FILE *f = fopen(TABLES, "re");
	bool modules = false;
	char line[256];
	long nr = 0;

	*writable = *large = 0;
	if (!f)
		die(TABLES);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "---[", 4))
			modules = strstr(line, "Modules");
		if (!strstr(line, " x "))
			continue;
		if (strstr(line, " RW ")) {
			(*writable)++;
			note("%s", line);
		}
		nr += modules;
		if (modules && strstr(line, " PSE "))
			(*large)++;
	}
	fclose(f);
	return nr;
}

static void wx(const char *what, void (*change)(bool in), bool large_ones)
{
	long none, nr, writable, large;

	none = executable(&writable, &large);
	ok(writable == 0, "%s: at first nothing is writable and executable", what);
	change(true);
	nr = executable(&writable, &large);
	ok(nr > none, "%s: control: %ld executable ranges, %ld before", what, nr, none);
	ok(writable == 0, "%s: nothing is writable and executable", what);
	note("row %s-large-entries %ld", what, large);
	if (series && large_ones)
		ok(large > 0, "%s: code stands in entries of 2 MiB: %ld", what, large);
	change(false);
	executable(&writable, &large);
	ok(writable == 0, "%s: nor is anything afterwards", what);
}

/* --- hibernation ------------------------------------------------------------ */

static void hibernate(const char *what, void (*change)(bool in))
{
	long pages = um_stat("pages_allocated");

	change(true);
	ok(file_write("/sys/power/state", "disk") == -EBUSY, "%s: no hibernation", what);
	ok(log_has("hibernation refused"), "%s: the log says why", what);
	change(false);
	ok(um_stat_becomes("pages_allocated", pages, 20), "%s: all pages are free again",
	   what);
	change(true);
	ok(um_stat("pages_allocated") > pages, "%s: have unmapped pages again", what);
	change(false);
}

int main(int argc, char **argv)
{
	const char *with = getenv("SERIES");
	const char *what = argc == 3 ? argv[2] : "";
	bool modules = !strcmp(what, "modules");

	series = with && !strcmp(with, "yes");
	if (!modules && strcmp(what, "bpf"))
		die("%s: modules or bpf", what);
	if (!strcmp(argv[1], "splits"))
		rounds(what, modules ? copies : programs);
	else if (!strcmp(argv[1], "attack"))
		attack_code(what, modules ? of_module : of_program);
	else if (!strcmp(argv[1], "wx"))
		wx(what, modules ? copies : programs, !modules);
	else if (!strcmp(argv[1], "hibernate"))
		hibernate(what, modules ? copies : programs);
	else
		die("%s: splits, attack, wx or hibernate", argv[1]);
	return finish();
}
