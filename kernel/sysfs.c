// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/mm/unmapped/, one value in each file; and parameters, which are the
 * same values from the start.  ABI/sysfs-kernel-mm-unmapped describes them.
 *
 * Each value is a struct knob: its bounds, how it is read and how it is put into
 * effect.  Parameters and files are two ways to the same knobs.
 */
#define pr_fmt(fmt) "unmapped: " fmt

#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sysfs.h>

#include "device.h"
#include "host.h"
#include "policy.h"
#include "symbols.h"
#include "sysfs.h"

struct knob {
	struct kobj_attribute attr;
	unsigned int base; /* in which numbers are written and shown */
	unsigned long max;
	unsigned long min;
	unsigned long (*get)(void);
	int (*set)(unsigned long value);
	char *parameter; /* as given at load, or NULL */
};

static struct kobject *dir;
/* Of all changes: what two writers want must not be mixed. */
static DEFINE_MUTEX(lock);

/* --- what the knobs do ----------------------------------------------------- */

static unsigned long get_floor(void)
{
	return READ_ONCE(unmapped_allocator.floor);
}

static int set_floor(unsigned long blocks)
{
	WRITE_ONCE(unmapped_allocator.floor, blocks);
	return 0;
}

static unsigned long get_batch_limit(void)
{
	return READ_ONCE(unmapped_allocator.batch_limit);
}

static int set_batch_limit(unsigned long blocks)
{
	WRITE_ONCE(unmapped_allocator.batch_limit, (unsigned int)blocks);
	return 0;
}

static unsigned long get_decay_ms(void)
{
	return policy_decay_ms();
}

static int set_decay_ms(unsigned long ms)
{
	policy_set_decay_ms((unsigned int)ms);
	return 0;
}

static unsigned long get_heal_ms(void)
{
	return policy_heal_ms();
}

static int set_heal_ms(unsigned long ms)
{
	policy_set_heal_ms((unsigned int)ms);
	return 0;
}

static unsigned long get_limit_kb(void)
{
	return READ_ONCE(unmapped_allocator.limit) << (PAGE_SHIFT - 10);
}

static int set_limit_kb(unsigned long kb)
{
	/* Round up: 0 would be no limit. */
	allocator_set_limit(&unmapped_allocator,
			    DIV_ROUND_UP(kb, 1UL << (PAGE_SHIFT - 10)));
	return 0;
}

static unsigned long get_device_mode(void)
{
	return unmapped_device_mode();
}

static int set_device_mode(unsigned long mode)
{
	return unmapped_device_set_mode((umode_t)mode);
}

static unsigned long get_owned_kb(void)
{
	return (unsigned long)atomic_long_read(&unmapped_allocator.owned)
	       << (PAGE_SHIFT - 10);
}

/* --- knobs ----------------------------------------------------------------- */

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf);
static ssize_t store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
		     size_t len);

#define KNOB(name, base_, min_, max_) \
	static struct knob name##_knob = { \
		.attr = __ATTR(name, 0644, show, store), \
		.base = base_, \
		.min = min_, \
		.max = max_, \
		.get = get_##name, \
		.set = set_##name, \
	}

KNOB(floor, 10, 0, ULONG_MAX >> PMD_SHIFT);
KNOB(batch_limit, 10, 1, REFILL_MAX);
KNOB(decay_ms, 10, 0, POLICY_DECAY_MS_MAX);
KNOB(heal_ms, 10, 0, POLICY_HEAL_MS_MAX);
KNOB(limit_kb, 10, 0, ULONG_MAX >> 10);
KNOB(device_mode, 8, 0, 0777);

static struct knob owned_kb_knob = {
	.attr = __ATTR(owned_kb, 0444, show, NULL),
	.base = 10,
	.get = get_owned_kb,
};

static struct attribute *attrs[] = {
	&floor_knob.attr.attr,	  &batch_limit_knob.attr.attr,
	&decay_ms_knob.attr.attr, &heal_ms_knob.attr.attr,
	&limit_kb_knob.attr.attr, &device_mode_knob.attr.attr,
	&owned_kb_knob.attr.attr, NULL,
};

static const struct attribute_group group = { .attrs = attrs };

static struct knob *knob_of(struct attribute *attr)
{
	return container_of(attr, struct knob, attr.attr);
}

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct knob *k = knob_of(&attr->attr);

	return sysfs_emit(buf, k->base == 8 ? "%04lo\n" : "%lu\n", k->get());
}

/* Return: 0; -EINVAL for what is no number; -ERANGE; what set() says. */
static int knob_set(struct knob *k, const char *text)
{
	unsigned long value;
	int err;

	err = kstrtoul(text, k->base, &value);
	if (err)
		return err;
	if (value < k->min || value > k->max)
		return -ERANGE;
	mutex_lock(&lock);
	err = k->set(value);
	mutex_unlock(&lock);
	return err;
}

static ssize_t store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
		     size_t len)
{
	int err = knob_set(knob_of(&attr->attr), buf);

	return err ? err : (ssize_t)len;
}

/* --- parameters ------------------------------------------------------------ */

#define PARAMETER(name, text) \
	module_param_named(name, name##_knob.parameter, charp, 0); \
	MODULE_PARM_DESC(name, text)

PARAMETER(floor, "idle blocks of 2 MiB that each node keeps (default 0)");
PARAMETER(batch_limit, "blocks that one refill takes at most, 1 to 32 (default 32)");
PARAMETER(decay_ms, "after which time a block is idle; 0: never (default 30000)");
PARAMETER(
	heal_ms,
	"after which time to ask for blocks in place of pieces; 0: never (default 10000)");
PARAMETER(limit_kb, "memory to hold at most, in KiB; 0: no limit (default)");
PARAMETER(device_mode, "permissions of /dev/unmapped, octal (default 0600)");

int parameters_apply(void)
{
	struct knob *k;
	unsigned int i;
	int err;

	for (i = 0; attrs[i]; i++) {
		k = knob_of(attrs[i]);
		if (!k->parameter)
			continue;
		err = knob_set(k, k->parameter);
		if (!err)
			continue;
		if (k->base == 8)
			pr_err("%s=%s is no octal number of %lo to %lo; not loaded\n",
			       k->attr.attr.name, k->parameter, k->min, k->max);
		else
			pr_err("%s=%s is no number of %lu to %lu; not loaded\n",
			       k->attr.attr.name, k->parameter, k->min, k->max);
		return -EINVAL;
	}
	return 0;
}

int unmapped_sysfs_init(void)
{
	int err;

	dir = kobject_create_and_add("unmapped", *um_mm_kobj);
	if (!dir)
		return -ENOMEM;
	err = sysfs_create_group(dir, &group);
	if (err)
		kobject_put(dir);
	return err;
}

void unmapped_sysfs_exit(void)
{
	kobject_put(dir);
}
