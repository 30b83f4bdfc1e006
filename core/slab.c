// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Slabs and their lists; see slab.h for the model. */
#include "slab.h"

/* Sizes of the classes; those above 256 leave least of a page over. */
static const u16 sizes[SLAB_CLASSES] = { 16,  32,  48,	64,  80,   96,	 112, 128,
					 160, 192, 224, 256, 288,  336,	 400, 448,
					 512, 576, 672, 816, 1024, 1360, 2048 };

static unsigned int class_words(const struct slab_class *c)
{
	return (c->nr + BITS_PER_LONG - 1) / BITS_PER_LONG;
}

/* All objects of a word. */
static unsigned long class_mask(const struct slab_class *c, unsigned int word)
{
	unsigned int left = c->nr - word * BITS_PER_LONG;

	return left >= BITS_PER_LONG ? ~0UL : (1UL << left) - 1;
}

static unsigned int nr_free(const struct slab_class *c, const struct slab *slab)
{
	unsigned int i, n = 0;

	for (i = 0; i < class_words(c); i++)
		n += hweight_long((unsigned long)atomic_long_read(&slab->words[i]));
	return n;
}

/* --- the lists ----------------------------------------------------------- */

static void set_state(struct slab *slab, enum slab_state state)
{
	/* Who sees a slab in use sees its class, too. */
	smp_store_release(&slab->state, (u8)state);
}

/*
 * Whether a slab is of this class and in this state, lock of the class held.  It
 * may have been released since we had to do with it, and be of another class now.
 */
static bool is_in(const struct slab_class *c, const struct slab *slab,
		  enum slab_state state)
{
	/* Pairs with set_state(). */
	return smp_load_acquire(&slab->state) == state &&
	       READ_ONCE(slab->class) == c->index;
}

static void unlist(struct slab_class *c, struct slab *slab, enum slab_state state)
{
	if (READ_ONCE(slab->state) == SLAB_LISTED)
		list_del_init(&slab->list);
	if (c->spare == slab)
		WRITE_ONCE(c->spare, NULL);
	set_state(slab, state);
}

/* Which list a slab belongs on. */
static unsigned int step_of(const struct slab_class *c, unsigned int free)
{
	return (free - 1) * SLAB_STEPS / c->nr;
}

/* Onto the list where it belongs now, or off it; lock held. */
static void settle(struct slab_class *c, struct slab *slab)
{
	unsigned int free, step;

	if (!is_in(c, slab, SLAB_FULL) && !is_in(c, slab, SLAB_LISTED))
		return;
	do {
		free = nr_free(c, slab);
		if (!free) {
			unlist(c, slab, SLAB_FULL);
		} else {
			step = step_of(c, free);
			if (READ_ONCE(slab->state) == SLAB_FULL)
				list_add_tail(&slab->list, &c->lists[step]);
			else if (slab->step != step)
				list_move_tail(&slab->list, &c->lists[step]);
			slab->step = (u8)step;
			set_state(slab, SLAB_LISTED);
		}
		/*
		 * A free sets bits and then looks at the state; here it is the
		 * other way round.  One of the two sees that a slab with free
		 * objects is on no list.
		 */
		smp_mb();
	} while (READ_ONCE(slab->state) == SLAB_FULL && nr_free(c, slab));
}

/*
 * A slab on a list is changed by frees only, and one without an object in use by
 * nobody.  One such is kept for each class.
 */
static void release_if_free(struct slabs *s, struct slab_class *c, struct slab *slab,
			    bool keep)
{
	bool release = false;
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&c->lock, flags);
	if (is_in(c, slab, SLAB_LISTED) && nr_free(c, slab) == c->nr) {
		if (keep &&
		    (!c->spare || c->spare == slab || nr_free(c, c->spare) < c->nr)) {
			WRITE_ONCE(c->spare, slab);
		} else {
			/* By xchg: after whatever was done to the objects before. */
			for (i = 0; i < SLAB_WORDS; i++)
				atomic_long_xchg(&slab->words[i], 0);
			unlist(c, slab, SLAB_NONE);
			release = true;
		}
	}
	spin_unlock_irqrestore(&c->lock, flags);
	if (!release)
		return;
	atomic_long_add(-1, &c->nr_slabs);
	s->ops->put(s->host, slab->pfn);
}

static void deactivated(struct slabs *s, struct slab_class *c, struct slab *slab)
{
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	if (is_in(c, slab, SLAB_ACTIVE)) {
		set_state(slab, SLAB_FULL);
		settle(c, slab);
	}
	spin_unlock_irqrestore(&c->lock, flags);
	if (nr_free(c, slab) == c->nr)
		release_if_free(s, c, slab, true);
}

/* This CPU is on this slab from now on, or on none. */
static void activate(struct slabs *s, struct slab_class *c, struct slab *slab)
{
	struct slab *old = this_cpu_xchg(c->cpu->active, slab);

	if (old && old != slab)
		deactivated(s, c, old);
}

static void quarantine(struct slab_class *c, struct slab *slab)
{
	unsigned long flags;
	unsigned int i;
	bool first;

	spin_lock_irqsave(&c->lock, flags);
	first = READ_ONCE(slab->state) != SLAB_QUARANTINED;
	unlist(c, slab, SLAB_QUARANTINED);
	for (i = 0; i < SLAB_WORDS; i++)
		atomic_long_xchg(&slab->words[i], 0);
	spin_unlock_irqrestore(&c->lock, flags);
	if (first)
		atomic_long_add(-1, &c->nr_slabs);
	WARN_ONCE(
		first,
		"unmapped: broken: page of pfn %#lx quarantined: an object is free twice",
		slab->pfn);
}

/* --- magazines ------------------------------------------------------------ */

/* The objects of a magazine, back into their slab. */
static void put_back(struct slabs *s, struct slab_class *c, u64 m)
{
	unsigned long old, mask, slot = magazine_pfn(m);
	unsigned int index = slot % SLAB_SLOTS;
	unsigned long flags;
	struct slab *slab;
	u8 state;

	if (!magazine_pages(m))
		return;
	slab = slab_of(s, slot >> SLAB_SLOT_SHIFT);
	mask = (unsigned long)magazine_pages(m) << index % BITS_PER_LONG;
	if (READ_ONCE(slab->state) == SLAB_QUARANTINED)
		return;
	old = (unsigned long)atomic_long_fetch_or((long)mask,
						  &slab->words[index / BITS_PER_LONG]);
	if (unlikely(old & mask)) {
		quarantine(c, slab);
		return;
	}
	state = READ_ONCE(slab->state);
	if (state == SLAB_FULL) {
		spin_lock_irqsave(&c->lock, flags);
		settle(c, slab);
		spin_unlock_irqrestore(&c->lock, flags);
		state = READ_ONCE(slab->state);
	}
	if (state == SLAB_LISTED && nr_free(c, slab) == c->nr)
		release_if_free(s, c, slab, true);
}

/* Up to 32 objects of one aligned run of a slab. */
static u32 take(struct slab_class *c, struct slab *slab, unsigned int *first)
{
	unsigned int word, shift;
	unsigned long bits;
	long old;

	for (word = 0; word < class_words(c); word++) {
		old = atomic_long_read(&slab->words[word]);
		while (old) {
			shift = __ffs((unsigned long)old) & HALF_PAGES;
			bits = (unsigned long)old >> shift & 0xffffffffUL;
			if (atomic_long_try_cmpxchg(&slab->words[word], &old,
						    old & ~(long)(bits << shift))) {
				*first = word * BITS_PER_LONG + shift;
				return (u32)bits;
			}
		}
	}
	return 0;
}

/* The fullest slab on the lists, taken off them; NULL if there is none. */
static struct slab *pick(struct slab_class *c)
{
	struct slab *slab = NULL;
	unsigned long flags;
	unsigned int step = 0;

	spin_lock_irqsave(&c->lock, flags);
	while (step < SLAB_STEPS) {
		if (list_empty(&c->lists[step])) {
			step++;
			continue;
		}
		slab = list_first_entry(&c->lists[step], struct slab, list);
		settle(c, slab);
		if (is_in(c, slab, SLAB_LISTED) && slab->step == step) {
			unlist(c, slab, SLAB_ACTIVE);
			break;
		}
		slab = NULL;
	}
	spin_unlock_irqrestore(&c->lock, flags);
	return slab;
}

/* Descriptors for the pages of a block; NULL when out of memory. */
static struct slab *make_block(struct slabs *s, unsigned long pfn)
{
	struct slab **at = &s->blocks[pfn >> BLOCK_ORDER];
	struct slab *made, *block = smp_load_acquire(at); /* zeroed */

	if (block)
		return block;
	made = kvcalloc(BLOCK_PAGES, sizeof(*made), GFP_METADATA);
	if (!made)
		return NULL;
	block = cmpxchg(at, NULL, made);
	if (block)
		kvfree(made);
	return block ? block : made;
}

/* A slab of a new page, all of it free, on no list. */
static struct slab *make_slab(struct slabs *s, struct slab_class *c)
{
	struct slab *block, *slab;
	unsigned long pfn;
	unsigned int i;
	char *page;

	if (s->ops->get(s->host, &pfn))
		return NULL;
	block = WARN_ON(pfn >= s->nr_pfns) ? NULL : make_block(s, pfn);
	if (!block) {
		s->ops->put(s->host, pfn);
		return NULL;
	}
	slab = &block[pfn % BLOCK_PAGES];
	INIT_LIST_HEAD(&slab->list);
	slab->pfn = pfn;
	WRITE_ONCE(slab->class, c->index);
	page = s->base + (pfn << PAGE_SHIFT);
	for (i = 0; s->secret && i < c->nr; i++, page += c->size)
		*slab_canary_at(c, page) = slab_canary(s, slab_canary_at(c, page));
	set_state(slab, SLAB_ACTIVE);
	for (i = 0; i < class_words(c); i++)
		atomic_long_set(&slab->words[i], (long)class_mask(c, i));
	atomic_long_add(1, &c->nr_slabs);
	return slab;
}

void *slabs_alloc_slow(struct slabs *s, struct slab_class *c)
{
	struct slab *slab = this_cpu_read(c->cpu->active);
	unsigned int first = 0;
	unsigned long slot;
	u32 objects = 0;
	u64 m, old;

	if (slab && READ_ONCE(slab->state) == SLAB_ACTIVE)
		objects = take(c, slab, &first);
	while (!objects) {
		slab = pick(c);
		if (!slab)
			slab = make_slab(s, c);
		if (!slab)
			return NULL;
		objects = take(c, slab, &first);
		activate(s, c, slab);
	}
	slot = (slab->pfn << SLAB_SLOT_SHIFT) + first;
	m = magazine_make(slot, objects);
	slot += __ffs(objects);
	m &= m - 1;
	old = this_cpu_read(c->cpu->magazine[SLAB_LOADED]);
	if (magazine_pages(old) ||
	    this_cpu_cmpxchg(c->cpu->magazine[SLAB_LOADED], old, m) != old)
		put_back(s, c, m); /* somebody else loaded it meanwhile */
	return slab_hand_out(s, c, slot);
}

/* Objects that are freed gather in a magazine until one of another run comes. */
void slabs_gather(struct slabs *s, struct slab_class *c, unsigned long slot)
{
	u64 m = magazine_make(slot, (u32)magazine_bit(slot));
	u64 was, old = this_cpu_read(c->cpu->magazine[SLAB_FREED]);

	while ((was = this_cpu_cmpxchg(c->cpu->magazine[SLAB_FREED], old, m)) != old)
		old = was;
	put_back(s, c, old);
}

void slabs_drain_cpu(struct slabs *s)
{
	struct slab_class *c;
	unsigned int kind;
	u64 was, m;

	for (c = s->classes; c < s->classes + SLAB_CLASSES; c++) {
		for (kind = 0; kind < NR_SLAB_MAGAZINES; kind++) {
			m = this_cpu_read(c->cpu->magazine[kind]);
			while ((was = this_cpu_cmpxchg(c->cpu->magazine[kind], m,
						       MAGAZINE_EMPTY)) != m)
				m = was;
			put_back(s, c, m);
		}
		activate(s, c, NULL);
	}
}

void slabs_drain_dead_cpu(struct slabs *s, unsigned int cpu)
{
	struct slab_cpu *dead;
	struct slab_class *c;
	struct slab *old;
	unsigned int kind;

	for (c = s->classes; c < s->classes + SLAB_CLASSES; c++) {
		dead = per_cpu_ptr(c->cpu, cpu);
		for (kind = 0; kind < NR_SLAB_MAGAZINES; kind++) {
			put_back(s, c, dead->magazine[kind]);
			dead->magazine[kind] = MAGAZINE_EMPTY;
		}
		old = dead->active;
		WRITE_ONCE(dead->active, NULL);
		if (old)
			deactivated(s, c, old);
	}
}

void slabs_shrink(struct slabs *s)
{
	struct slab_class *c;
	struct slab *spare;

	for (c = s->classes; c < s->classes + SLAB_CLASSES; c++) {
		spare = READ_ONCE(c->spare);
		if (spare)
			release_if_free(s, c, spare, false);
	}
}

/* --- what can be said of it ------------------------------------------------ */

size_t slabs_usable(const struct slabs *s, const void *object)
{
	unsigned long offset = (unsigned long)((const char *)object - s->base);
	struct slab *slab = slab_of(s, offset >> PAGE_SHIFT);
	const struct slab_class *c;
	unsigned int index;

	if (!slab || READ_ONCE(slab->state) == SLAB_NONE)
		return 0;
	c = &s->classes[READ_ONCE(slab->class)];
	offset %= PAGE_SIZE;
	index = slab_index(c, (unsigned int)offset);
	if (index * c->size != offset || index >= c->nr || !READ_ONCE(slab->used[index]))
		return 0;
	return c->size - (s->secret ? SLAB_CANARY : 0);
}

static struct slab *next_slab(const struct slabs *s, unsigned long *pfn)
{
	struct slab *slab;

	while (*pfn < s->nr_pfns) {
		slab = slab_of(s, *pfn);
		if (!slab)
			*pfn |= BLOCK_PAGES - 1;
		++*pfn;
		if (slab && READ_ONCE(slab->state) != SLAB_NONE)
			return slab;
	}
	return NULL;
}

void slabs_report(const struct slabs *s, struct slab_report *r)
{
	const struct slab_class *c;
	struct slab *slab;
	unsigned long i;
	unsigned int k;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < s->nr_pfns; i += BLOCK_PAGES)
		if (slab_of(s, i))
			r->metadata += BLOCK_PAGES * sizeof(*slab);
	for (i = 0; (slab = next_slab(s, &i)) != NULL;) {
		c = &s->classes[READ_ONCE(slab->class)];
		r->pages++;
		for (k = 0; k < c->nr; k++) {
			if (!READ_ONCE(slab->used[k]))
				continue;
			r->objects++;
			r->bytes += c->size - (s->secret ? SLAB_CANARY : 0);
		}
	}
}

/* What all magazines of a class hold of a slab, as words. */
static const char *in_magazines(const struct slab_class *c, const struct slab *slab,
				unsigned long *words)
{
	unsigned long slot, mask;
	unsigned int kind, cpu;
	u64 m;

	memset(words, 0, SLAB_WORDS * sizeof(*words));
	for_each_possible_cpu(cpu) {
		for (kind = 0; kind < NR_SLAB_MAGAZINES; kind++) {
			m = per_cpu_ptr(c->cpu, cpu)->magazine[kind];
			slot = magazine_pfn(m);
			if (!magazine_pages(m) || slot >> SLAB_SLOT_SHIFT != slab->pfn)
				continue;
			slot %= SLAB_SLOTS;
			mask = (unsigned long)magazine_pages(m) << slot % BITS_PER_LONG;
			if (words[slot / BITS_PER_LONG] & mask)
				return "an object is in two magazines";
			words[slot / BITS_PER_LONG] |= mask;
		}
	}
	return NULL;
}

static const char *validate_slab(const struct slabs *s, const struct slab *slab)
{
	const struct slab_class *c = &s->classes[slab->class];
	unsigned long held[SLAB_WORDS], word;
	unsigned long states;
	unsigned int i, bit;
	const char *wrong = in_magazines(c, slab, held);

	for (i = 0; i < SLAB_SLOTS && !wrong; i++) {
		word = (unsigned long)atomic_long_read(&slab->words[i / BITS_PER_LONG]);
		bit = i % BITS_PER_LONG;
		states = slab->used[i] + (word >> bit & 1) +
			 (held[i / BITS_PER_LONG] >> bit & 1);
		if (states != (i < c->nr))
			wrong = "an object is not in exactly one place";
	}
	if (!wrong && slab->state != SLAB_ACTIVE &&
	    (slab->state == SLAB_LISTED) != !!nr_free(c, slab))
		wrong = "a slab is on the wrong list";
	return wrong;
}

const char *slabs_validate(const struct slabs *s)
{
	unsigned long counted[SLAB_CLASSES] = { 0 };
	const char *wrong = NULL;
	struct slab *slab;
	unsigned long i;
	unsigned int k;

	for (i = 0; (slab = next_slab(s, &i)) != NULL;) {
		if (slab->state == SLAB_QUARANTINED)
			continue;
		counted[slab->class]++;
		wrong = wrong ? wrong : validate_slab(s, slab);
	}
	for (k = 0; k < SLAB_CLASSES && !wrong; k++)
		if (counted[k] !=
		    (unsigned long)atomic_long_read(&s->classes[k].nr_slabs))
			wrong = "slabs are miscounted";
	return wrong;
}

/* --- life ------------------------------------------------------------------ */

void slabs_destroy(struct slabs *s)
{
	unsigned long i;
	unsigned int k;

	for (k = 0; k < SLAB_CLASSES; k++)
		free_percpu(s->classes[k].cpu);
	for (i = 0; s->blocks && i < (s->nr_pfns + BLOCK_PAGES - 1) / BLOCK_PAGES; i++)
		kvfree(s->blocks[i]);
	kvfree(s->blocks);
	s->blocks = NULL;
}

int slabs_init(struct slabs *s, const struct slab_ops *ops, void *host, void *base,
	       unsigned long nr_pfns, u64 secret)
{
	struct slab_class *c;
	unsigned int i, k;

	memset(s, 0, sizeof(*s));
	if (nr_pfns > SLAB_MAX_PFN)
		return -E2BIG;
	s->ops = ops;
	s->host = host;
	s->base = base;
	s->nr_pfns = nr_pfns;
	s->secret = secret;
	for (k = 0; k < SLAB_CLASSES; k++) {
		c = &s->classes[k];
		c->size = sizes[k];
		c->nr = (u32)(PAGE_SIZE / c->size);
		c->inverse = ((1U << 20) + c->size - 1) / c->size;
		c->index = (u8)k;
		spin_lock_init(&c->lock);
		for (i = 0; i < SLAB_STEPS; i++)
			INIT_LIST_HEAD(&c->lists[i]);
		c->cpu = alloc_percpu(struct slab_cpu);
		if (!c->cpu)
			goto fail;
	}
	for (i = k = 0; i < ARRAY_SIZE(s->class_of); i++) {
		while (sizes[k] < i * SLAB_ALIGN)
			k++;
		s->class_of[i] = (u8)k;
	}
	s->blocks = kvcalloc((nr_pfns + BLOCK_PAGES - 1) / BLOCK_PAGES,
			     sizeof(*s->blocks), GFP_METADATA);
	if (!s->blocks)
		goto fail;
	return 0;
fail:
	slabs_destroy(s);
	return -ENOMEM;
}
