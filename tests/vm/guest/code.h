/* SPDX-License-Identifier: MIT */
/*
 * Modules and BPF programs that come and go, and their code; each call dies on errors,
 * but for those that say that they return one.
 */
#ifndef CODE_H
#define CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULES	 50
#define PROGRAMS 500
#define INSNS	 1000 /* of a program, before the JIT */

/* Where the machine's modules are. */
#define STOCK "/vm/stock/"

/* Room for the name of one of MODULES, and for the code of a program. */
#define MODULE_NAME   12
#define PROGRAM_BYTES (32UL << 10)

/* A file that may be changed in memory; a section of one that is a module. */
void *file_map(const char *path, size_t *size);
char *module_section(uint8_t *ko, const char *name, size_t *size);
void module_load(void *ko, size_t size, const char *name, const char *args);
/* Return: 0 or -errno. */
int module_try(void *ko, size_t size, const char *args);
int module_remove(const char *name);
/* One that can be loaded under any name of that length. */
void *module_copy(const char name[MODULE_NAME], size_t *size);

/*
 * All are loaded, or go.  The modules are copies of one, each with a name of its
 * own: the name is in the structure that the kernel makes the module from.
 */
void all_modules(bool in);
void module_name(char name[MODULE_NAME], int nr);
void all_programs(bool in);
extern int program_fds[PROGRAMS];

/* A program of its own for each @seed, which returns 0; its descriptor. */
int program(unsigned int seed);
int program_try(unsigned int seed); /* or -1 and errno */
/* Whether the JIT has made code of it; without memory it is left to the interpreter. */
bool program_is_code(int fd);

/* @code: PROGRAM_BYTES, receives what the JIT has made. @at: where that is. */
size_t program_code(int fd, uint8_t *code, uint64_t *at);

/* Where a module's text begins; from /proc/modules. */
uint64_t module_at(const char *name, size_t *size);

/*
 * What could not be had as 2 MiB, execmem's cache (7.2) takes as less, and then it
 * never gives it back, but hands it out again: pages of all areas for code.
 */
long pages_of_areas(void);
bool code_is_cached(void); /* by execmem */

/* Read from the kernel's address space, where it is mapped. */
void kernel_read(uint64_t addr, void *to, size_t len);

#endif /* CODE_H */
