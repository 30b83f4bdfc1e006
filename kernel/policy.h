/* SPDX-License-Identifier: GPL-2.0 */
/* When memory is taken and given back without anybody waiting; see policy.c. */
#ifndef UNMAPPED_POLICY_H
#define UNMAPPED_POLICY_H

#include <linux/types.h>

/* The time after which a block that nobody needs counts as idle; 0: never. */
#define POLICY_DECAY_MS	    30000U
#define POLICY_DECAY_MS_MAX (24U * 60 * 60 * 1000)

/* After which time to ask for whole blocks in place of pieces; 0: never. */
#define POLICY_HEAL_MS	   10000U
#define POLICY_HEAL_MS_MAX POLICY_DECAY_MS_MAX

/* Return: 0 or -ENOMEM.  Before the first refill. */
int policy_init(void);
/* Nothing runs any more when it returns.  May sleep. */
void policy_exit(void);

/* Of struct um_host_ops: refill the cache of node @nid soon.  Any context. */
void policy_wake(void *host, int nid);

/* Memory was taken: see to it that it does not stay for ever.  Any context. */
void policy_taken(void);

/* And that it does not stay in pieces.  Any context. */
void policy_in_pieces(void);

unsigned int policy_decay_ms(void);
void policy_set_decay_ms(unsigned int ms);
unsigned int policy_heal_ms(void);
void policy_set_heal_ms(unsigned int ms);

#endif /* UNMAPPED_POLICY_H */
