// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/block.c on a block of WORDS words with two pages each: reserve in the
 * counter, then claim bits; set bits, then count them.  Every interleaving of
 * PROCS users is looked at, each with ROUNDS claims of any kind; pages are kept
 * or given back, as they came or one by one.  An order is named by its pages:
 *
 *	1, 2	claim_in_word(): one compare-and-exchange in one word
 *	4	claim_words(): two words, or the first one back (WORDS > 2)
 *	some	block_take_half(): what one word has, at most two
 *	all	block_take_all()
 *	whole	block_take_whole()
 *
 * Always: no page is handed out that somebody has; the block is taken whole only
 * when all bits are there; there are never fewer bits than nr_free and the
 * claims under way ask for.  At the end, all is free and counted.  And it ends:
 * the retry of order 0 finds its page (run with the formula).
 *
 * One step here is one atomic operation there, in one order for all: what a
 * weaker machine may do is not seen.
 *
 * BROKEN=1 claims bits before the counter, BROKEN=2 counts before it sets bits,
 * BROKEN=3 gives up a reservation before what it claimed is back.
 */
#ifndef WORDS
#define WORDS 2
#endif
#ifndef PROCS
#define PROCS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#define FULL	  3 /* both pages of a word */
#define PAGES	  (2 * WORDS)
#define EVERY	  ((1 << PAGES) - 1)
#define COUNT(w)  (((w) & 1) + ((w) >> 1))
#define PART(m, w) (((m) >> (2 * (w))) & FULL)

short word[WORDS] = FULL;
short nr_free = PAGES;
short held;	 /* ghost: pages that somebody has, a bit for each */
short nr_bits = PAGES; /* ghost: bits set */
short asked;	 /* ghost: reserved, and the bits not yet claimed */
byte finished;

/* A bug has to be found by what it does, not by the ghosts. */
#if BROKEN
#define SOUND() skip
#else
#define SOUND() assert(nr_bits >= nr_free + asked && asked >= 0)
#endif

/* Bits that were set become those of somebody, or the reverse. */
inline claimed(w, bits)
{
	assert(!(held & (bits << (2 * (w)))));
	held = held | (bits << (2 * (w)));
	nr_bits = nr_bits - COUNT(bits);
	asked = asked - COUNT(bits);
	SOUND()
}

inline returned(w, bits)
{
	assert((held & (bits << (2 * (w)))) == (bits << (2 * (w))));
	held = held & ~(bits << (2 * (w)));
	nr_bits = nr_bits + COUNT(bits)
}

/*
 * reserve_some(): at most n, at least that many; reserved is 0 if there are not.
 * The look and the exchange are one step: a failed exchange looks again, and
 * nothing else depends on the look.
 */
inline reserve(least, n)
{
	d_step {
		reserved = 0;
		if
		:: nr_free >= n -> reserved = n
		:: nr_free < n && nr_free >= least -> reserved = nr_free
		:: else -> skip
		fi;
		nr_free = nr_free - reserved;
		asked = asked + reserved;
		SOUND()
	}
}

inline unreserve(n)
{
	atomic {
		asked = asked - (n);
		nr_free = nr_free + (n);
		SOUND()
	}
}

/* n pages, 1 or 2, of one word that has them. */
inline claim_in_word(n)
{
	w = 0;
	do
	:: w < WORDS && !got ->
		old = word[w];
		do
		:: old == 0 || (n == 2 && old != FULL) -> break
		:: else ->
			d_step {
				bits = ((n == 2) -> FULL : ((old & 1) -> 1 : 2));
				if
				:: word[w] == old ->
					word[w] = old & ~bits;
					got = bits << (2 * w);
					claimed(w, bits);
					old = 0
				:: else -> old = word[w]
				fi;
				bits = 0
			}
		od;
		w++
	:: else -> break
	od;
	atomic { w = 0; old = 0 }
}

inline alloc_small(n)
{
#if BROKEN == 1
	claim_in_word(n);
	atomic { nr_free = nr_free - (got -> n : 0); asked = asked + (got -> n : 0) }
#else
	reserve(n, n);
	if
	:: reserved ->
		claim_in_word(n);
		do
		:: !got && n == 1 -> claim_in_word(n)
		:: else -> break
		od;
		if
		:: !got -> unreserve(n)
		:: else -> skip
		fi
	:: else -> skip
	fi;
	reserved = 0
#endif
}

/* Two words, each wholly free, or none of them. */
inline alloc_words()
{
	reserve(4, 4);
	if
	:: reserved ->
		w = 0;
		do
		:: w < WORDS && !got ->
			d_step {
				old = (word[w] == FULL);
				if
				:: old -> word[w] = 0; claimed(w, FULL)
				:: else -> skip
				fi
			};
			if
			:: old ->
				d_step {
					old = (word[w + 1] == FULL);
					if
					:: old -> word[w + 1] = 0; claimed(w + 1, FULL); got = 15 << (2 * w)
					:: else -> skip
					fi
				};
				if
				:: !old ->
#if BROKEN == 3
					d_step { nr_free = nr_free + 4; asked = asked - 4 };
#endif
					d_step {
						returned(w, FULL);
						asked = asked + 2;
						word[w] = word[w] | FULL;
						SOUND()
					}
#if BROKEN == 3
					;d_step { nr_free = nr_free - 4; asked = asked + 4 }
#endif
				:: else -> skip
				fi
			:: else -> skip
			fi;
			w = w + 2
		:: else -> break
		od;
		if
		:: !got -> unreserve(4)
		:: else -> skip
		fi
	:: else -> skip
	fi;
	atomic { w = 0; old = 0; reserved = 0 }
}

/* What word w has, as far as it is reserved; taken is how much that was. */
inline claim_some()
{
	old = word[w];
	do
	:: old == 0 || taken == reserved -> break
	:: else ->
		d_step {
			bits = ((reserved - taken >= COUNT(old)) -> old : 2);
			if
			:: word[w] == old ->
				word[w] = old & ~bits;
				got = got | (bits << (2 * w));
				taken = taken + COUNT(bits);
				claimed(w, bits);
				old = 0
			:: else -> old = word[w]
			fi;
			bits = 0
		}
	od
}

inline take_some()
{
	reserve(1, 2);
	w = 0;
	do
	:: w < WORDS && reserved && !got -> claim_some(); w++
	:: else -> break
	od;
	if
	:: reserved > taken -> unreserve(reserved - taken)
	:: else -> skip
	fi;
	atomic { w = 0; old = 0; reserved = 0; taken = 0 }
}

inline take_all()
{
	reserve(1, PAGES);
	w = 0;
	do
	:: w < WORDS && reserved -> claim_some(); w++
	:: else -> break
	od;
	if
	:: reserved > taken -> unreserve(reserved - taken)
	:: else -> skip
	fi;
	atomic { w = 0; old = 0; reserved = 0; taken = 0 }
}

inline take_whole()
{
	d_step {
		reserved = (nr_free == PAGES);
		if
		:: reserved ->
			nr_free = 0;
			asked = asked + PAGES;
			/* From here on it is ours, although the bits are there. */
			assert(!held);
			held = EVERY;
			got = EVERY
		:: else -> skip
		fi
	};
	w = 0;
	do
	:: w < WORDS && reserved ->
		d_step {
			assert(word[w] == FULL);
			word[w] = 0;
			nr_bits = nr_bits - 2;
			asked = asked - 2;
			SOUND()
		};
		w++
	:: else -> break
	od;
	atomic { w = 0; reserved = 0 }
}

/* The pages of a mask, in one word each time, and counted as one. */
inline give_back(pages)
{
#if BROKEN == 2
	nr_free = nr_free + nr;
#endif
	w = 0;
	do
	:: w < WORDS ->
		if
		:: PART(pages, w) ->
			d_step {
				bits = PART(pages, w);
				assert(!(word[w] & bits));
				returned(w, bits);
				word[w] = word[w] | bits;
				bits = 0
			}
		:: else -> skip
		fi;
		w++
	:: else -> break
	od;
#if BROKEN != 2
	atomic { nr_free = nr_free + nr; SOUND() };
#endif
	w = 0
}

proctype user()
{
	short mine, got, old, bits;
	byte round, w, reserved, taken, nr;

	do
	:: round < ROUNDS ->
		round++;
		if
		:: alloc_small(1)
		:: alloc_small(2)
#if WORDS > 2
		:: alloc_words()
#endif
		:: take_some()
		:: take_all()
		:: take_whole()
		fi;
		mine = mine | got;
		if
		:: got -> /* as it came */
			nr = 0;
			do
			:: w < PAGES -> d_step { nr = nr + ((got >> w) & 1); w++ }
			:: else -> break
			od;
			w = 0;
			mine = mine & ~got;
			give_back(got);
			nr = 0
		:: skip -> skip /* later */
		fi;
		got = 0
	:: round == ROUNDS -> break
	od;

	/* The rest, one by one. */
	nr = 1;
	round = 0;
	do
	:: round < PAGES && ((mine >> round) & 1) ->
		got = 1 << round;
		give_back(got);
		got = 0;
		round++
	:: round < PAGES && !((mine >> round) & 1) -> round++
	:: round == PAGES -> break
	od;

	atomic {
		finished++;
		assert(finished < PROCS || (nr_free == PAGES && nr_bits == PAGES && !held))
	}
}

init {
	byte i;

	atomic {
		for (i : 1 .. PROCS) {
			run user()
		}
	}
}

ltl ends { <> (finished == PROCS) }
