// SPDX-License-Identifier: MIT
/*
 * suspend - to RAM, woken by the clock: memory stays where it is, with what it
 * holds, and absent; an object made to be wiped is not.
 *
 * Not to idle, from which QEMU's clock does not wake.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PAGES 600 /* more than one block */

static int set_alarm(int seconds)
{
	struct rtc_wkalrm alarm = { .enabled = 1 };
	int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	struct tm tm;
	time_t t;

	if (fd < 0 || ioctl(fd, RTC_RD_TIME, &tm) < 0)
		die("/dev/rtc0");
	t = timegm(&tm) + seconds;
	gmtime_r(&t, &tm);
	memcpy(&alarm.time, &tm, sizeof(alarm.time));
	if (ioctl(fd, RTC_WKALM_SET, &alarm))
		die("alarm");
	return close(fd);
}

static void suspend(void)
{
	long times = file_number("/sys/power/suspend_stats/success");
	int err;

	if (file_write("/sys/power/mem_sleep", "deep"))
		die("no suspend to RAM");
	set_alarm(8);
	err = file_write("/sys/power/state", "mem");
	ok(!err && file_number("/sys/power/suspend_stats/success") == times + 1,
	   "suspended to RAM: %d", -err);
}

int main(void)
{
	struct unmapped_status status = { .argsz = sizeof(status) };
	struct direct_map before, after;
	struct secret s;
	long found, copies = 0;
	uint8_t *p;
	int fd, i;

	secret_new(&s);
	fd = um_create(2 * PAGES * PAGE, UNMAPPED_CREATE_WIPE_ON_HIBERNATE,
		       UNMAPPED_ANY_NODE);
	p = fd < 0 ? NULL : map_shared(fd, 2 * PAGES * PAGE);
	if (!p)
		die("object");
	for (i = 0; i < PAGES; i++)
		secret_write(p + i * PAGE, &s);
	direct_map_read(&before);
	suspend();
	for (i = 0; i < PAGES; i++)
		copies += secret_at(p + i * PAGE, &s);
	ok(copies == PAGES, "all is still there");
	ok(!ioctl(fd, UNMAPPED_IOC_STATUS, &status) && !status.wipes, "it was not wiped");
	ok(attack(&s, 1, &found) > 0 && !found, "it is absent");
	direct_map_read(&after);
	ok(direct_map_same(&before, &after) && after.splits2m == before.splits2m,
	   "the direct map is as before");
	ok(is_zero(p + PAGES * PAGE, PAGES * PAGE), "there is more memory to be had");
	ok(um_stat("quarantined") == 0, "nothing in quarantine");
	return finish();
}
