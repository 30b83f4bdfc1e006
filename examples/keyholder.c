// SPDX-License-Identifier: MIT
/*
 * keyholder - a key that is in reach only while it is used.
 *
 * The key lies in a guarded object. Between uses nobody, not even this program,
 * can read it: a bug that reads where it should not is a SIGSEGV.
 *
 *	keyholder TEXT...	prints a tag for each text, and whether it verifies
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <unmapped.h>

#define KEY_BYTES 32

struct key {
	uint8_t bytes[KEY_BYTES];
};

static struct key *key_new(void)
{
	struct key *key = unmapped_guarded_malloc(sizeof(*key));

	if (!key)
		return NULL;
	if (getrandom(key->bytes, KEY_BYTES, 0) != KEY_BYTES ||
	    unmapped_protect(key, UNMAPPED_NOACCESS)) {
		unmapped_free(key);
		return NULL;
	}
	return key;
}

/* In place of a real message authentication code. */
static uint64_t mix(const struct key *key, const char *text)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	size_t i, n = strlen(text);

	for (i = 0; i < n + KEY_BYTES; i++)
		h = (h ^ (i < n ? (uint8_t)text[i] : key->bytes[i - n])) *
		    0x100000001b3ULL;
	return h;
}

/* Only here is the key readable, and never writable again. */
static int key_tag(struct key *key, const char *text, uint64_t *tag)
{
	if (unmapped_protect(key, UNMAPPED_READONLY))
		return -1;
	*tag = mix(key, text);
	return unmapped_protect(key, UNMAPPED_NOACCESS);
}

int main(int argc, char **argv)
{
	struct key *key = key_new();
	uint64_t tag, again;
	int i;

	if (!key) {
		fprintf(stderr, "keyholder: no key: %s\n", unmapped_strerror());
		return 1;
	}
	for (i = 1; i < argc; i++) {
		if (key_tag(key, argv[i], &tag) || key_tag(key, argv[i], &again)) {
			fprintf(stderr, "keyholder: %s\n", unmapped_strerror());
			return 1;
		}
		printf("%016llx %s: %s\n", (unsigned long long)tag, argv[i],
		       unmapped_memcmp(&tag, &again, sizeof(tag)) ? "differs"
								  : "verifies");
	}
	unmapped_free(key);
	return 0;
}
