// SPDX-License-Identifier: MIT
/* See code.h. */
#define _GNU_SOURCE
#include "code.h"
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

/* --- modules ---------------------------------------------------------------- */

void *file_map(const char *path, size_t *size)
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

char *module_section(uint8_t *ko, const char *name, size_t *size)
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

void module_load(void *ko, size_t size, const char *name, const char *args)
{
	if (module_try(ko, size, args))
		die("loading %s", name);
}

int module_try(void *ko, size_t size, const char *args)
{
	return syscall(SYS_init_module, ko, size, args) ? -errno : 0;
}

int module_remove(const char *name)
{
	return syscall(SYS_delete_module, name, 0) ? -errno : 0;
}

void module_name(char name[MODULE_NAME], int nr)
{
	snprintf(name, MODULE_NAME, "copy_%06d", nr);
}

void *module_copy(const char name[MODULE_NAME], size_t *size)
{
	static const char old[] = "test_module";
	uint8_t *ko = file_map(STOCK "test_module.ko", size);
	size_t len;
	char *at;

	at = module_section(ko, ".gnu.linkonce.this_module", &len);
	at = memmem(at, len, old, sizeof(old));
	if (!at)
		die("no name in test_module.ko");
	memcpy(at, name, MODULE_NAME);
	return ko;
}

void all_modules(bool in)
{
	char name[MODULE_NAME];
	size_t size;
	void *ko;
	int i;

	for (i = 0; i < MODULES; i++) {
		module_name(name, i);
		if (!in) {
			if (module_remove(name))
				die("unloading %s", name);
			continue;
		}
		ko = module_copy(name, &size);
		module_load(ko, size, name, "");
		munmap(ko, size);
	}
}

/* --- BPF programs ----------------------------------------------------------- */

static long bpf(int what, union bpf_attr *attr)
{
	return syscall(SYS_bpf, what, attr, sizeof(*attr));
}

/* Loads of 64-bit constants, of which only the code of the JIT has all bytes. */
int program_try(unsigned int seed)
{
	static struct bpf_insn insns[INSNS];
	union bpf_attr attr = {};
	int i;

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
	return (int)bpf(BPF_PROG_LOAD, &attr);
}

int program(unsigned int seed)
{
	int fd = program_try(seed);

	if (fd < 0)
		die("BPF program");
	return fd;
}

bool program_is_code(int fd)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = fd;
	attr.info.info = (uintptr_t)&info;
	attr.info.info_len = sizeof(info);
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		die("a BPF program");
	return info.jited_prog_len;
}

int program_fds[PROGRAMS];

void all_programs(bool in)
{
	int i;

	for (i = 0; i < PROGRAMS; i++)
		if (in)
			program_fds[i] = program(i);
		else
			close(program_fds[i]);
}

size_t program_code(int fd, uint8_t *code, uint64_t *at)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {};

	info.jited_prog_insns = (uintptr_t)code;
	info.jited_prog_len = PROGRAM_BYTES;
	info.jited_ksyms = (uintptr_t)at;
	info.nr_jited_ksyms = 1;
	attr.info.bpf_fd = fd;
	attr.info.info = (uintptr_t)&info;
	attr.info.info_len = sizeof(info);
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) || info.nr_jited_ksyms != 1)
		die("code of a BPF program");
	return info.jited_prog_len;
}

/* --- memory ----------------------------------------------------------------- */

uint64_t module_at(const char *name, size_t *size)
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

long pages_of_areas(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512], *at;
	long pages = 0;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, " pages=");
		if (at && strstr(line, " execmem_"))
			pages += atol(at + strlen(" pages="));
	}
	if (!f)
		die("vmallocinfo");
	fclose(f);
	return pages;
}

bool code_is_cached(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	bool cached = false;
	char line[512];

	while (!cached && f && fgets(line, sizeof(line), f))
		cached = strstr(line, " execmem_cache_");
	if (!f)
		die("kallsyms");
	fclose(f);
	return cached;
}

void kernel_read(uint64_t addr, void *to, size_t len)
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
