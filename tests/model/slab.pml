// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * core/slab.c with SLABS pages of WORDS words of two objects each, and one class.
 * Each of PROCS users is a CPU with its magazines and its active slab; it allocates,
 * or frees what any of them has allocated, ROUNDS times, then frees the rest and is
 * drained.  As in
 * the library nobody else is on its CPU, so magazines and the active slab are its
 * own, and what all share is: words, states and, under the lock, the lists.
 *
 * Always: no object is handed out that somebody has or that is in another magazine;
 * a page goes back only when no client and no magazine has anything of it.  At the
 * end no slab with free objects is off the lists.
 *
 * With DOUBLE two CPUs free the same object, another one of its page being in use.
 * Either the second free is refused, or the page is quarantined at the latest when
 * both are drained.
 *
 * One step here is one atomic operation there, in one order for all: a broken order
 * is modelled by two steps in the other order, what a weaker machine may do beyond
 * that is not seen.
 *
 * BROKEN=1 looks at the state before it puts objects back, BROKEN=2 calls a slab full
 * for a look before that, BROKEN=3 releases what was wholly free before the lock was
 * taken, BROKEN=4 takes objects by a read and a write, BROKEN=5 puts them back so,
 * too, BROKEN=6 does not care for bits that were there already.
 */
#ifndef SLABS
#define SLABS 2
#endif
#ifndef WORDS
#define WORDS 1
#endif
#ifndef PROCS
#define PROCS 2
#endif
#ifndef ROUNDS
#define ROUNDS 4
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#define EVERY 3		 /* both objects of a word */
#define NR    (SLABS * WORDS)
#define NOBODY 255
#define SLAB(i) ((i) / WORDS)

#define NONE	    0
#define FULL	    1
#define LISTED	    2
#define ACTIVE	    3
#define QUARANTINED 4

byte state[SLABS];
byte word[NR];
bool locked;
byte used[NR];
bool taken[SLABS]; /* the page is ours: from get() to put() */
byte held[NR];	   /* ghost: objects of clients */
byte loaded[NR];   /* ghost: in magazines */
byte finished;
byte passed;	   /* of DOUBLE: frees that were not refused */

#define LOCK()	 atomic { !locked -> locked = true }
#define UNLOCK() locked = false

/* nr_free(): word by word. */
inline look(s)
{
	any = (word[(s) * WORDS] != 0);
	all = (word[(s) * WORDS] == EVERY);
#if WORDS == 2
	d_step {
		any = any || word[(s) * WORDS + 1] != 0;
		all = all && word[(s) * WORDS + 1] == EVERY
	}
#endif
}

inline settle(s)
{
	if
	:: state[s] == FULL || state[s] == LISTED ->
		do
		:: look(s);
			if
			:: any -> state[s] = LISTED; break
			:: else ->
				state[s] = FULL;
				look(s);
				if
				:: any -> skip
				:: else -> break
				fi
			fi
		od
	:: else -> skip
	fi
}

inline release_if_free(s)
{
	LOCK();
	release = false;
	if
#if BROKEN == 3
	:: skip ->
#else
	:: state[s] == LISTED ->
		look(s);
#endif
		if
		:: all ->
			if
			:: skip -> skip /* it is the one that is kept */
			:: d_step {
				assert(!held[(s) * WORDS] && !loaded[(s) * WORDS]);
				word[(s) * WORDS] = 0;
#if WORDS == 2
				assert(!held[(s) * WORDS + 1] && !loaded[(s) * WORDS + 1]);
				word[(s) * WORDS + 1] = 0;
#endif
				state[s] = NONE;
				release = true
			   }
			fi
		:: else -> skip
		fi
#if BROKEN != 3
	:: else -> skip
#endif
	fi;
	UNLOCK();
	if
	:: release -> d_step { assert(taken[s]); taken[s] = false; release = false }
	:: else -> skip
	fi
}

inline deactivated(s)
{
	LOCK();
	if
	:: state[s] == ACTIVE ->
#if BROKEN == 2
		look(s);
		state[s] = (any -> LISTED : FULL)
#else
		state[s] = FULL;
		settle(s)
#endif
	:: else -> skip
	fi;
	UNLOCK();
	look(s);
	if
	:: all -> release_if_free(s)
	:: else -> skip
	fi
}

inline quarantine(s)
{
	LOCK();
	d_step {
		state[s] = QUARANTINED;
		word[(s) * WORDS] = 0;
#if WORDS == 2
		word[(s) * WORDS + 1] = 0;
#endif
	};
	UNLOCK()
}

/* put_back(): what was in a magazine is in its slab again. */
inline put_back(i, set)
{
	if
	:: set && state[SLAB(i)] != QUARANTINED ->
#if BROKEN == 1
		st = state[SLAB(i)];
#endif
#if BROKEN == 5
		old = word[i];
		d_step { word[i] = old | set; loaded[i] = loaded[i] & ~set };
#else
		d_step {
			old = word[i];
			word[i] = old | set;
			loaded[i] = loaded[i] & ~set
		};
#endif
		if
#if BROKEN != 6
		:: old & set -> quarantine(SLAB(i))
#endif
		:: else ->
#if BROKEN != 1
			st = state[SLAB(i)];
#endif
			if
			:: st == FULL ->
				LOCK();
				settle(SLAB(i));
				UNLOCK();
				st = state[SLAB(i)]
			:: else -> skip
			fi;
			if
			:: st == LISTED ->
				look(SLAB(i));
				if
				:: all -> release_if_free(SLAB(i))
				:: else -> skip
				fi
			:: else -> skip
			fi
		fi
	:: else -> skip
	fi;
	d_step { old = 0; st = 0; any = false; all = false }
}

/* All of a word that has any; got is 0 if the slab has none. */
inline take(s)
{
	i = (s) * WORDS;
	do
	:: i < (s) * WORDS + WORDS && !got ->
#if BROKEN == 4
		got = word[i];
		if
		:: got -> d_step { word[i] = 0; loaded[i] = loaded[i] | got }
		:: else -> i++
		fi
#else
		d_step {
			got = word[i];
			if
			:: got -> assert(!(loaded[i] & got)); word[i] = 0; loaded[i] = loaded[i] | got
			:: else -> i++
			fi
		}
#endif
	:: else -> break
	od
}

/* Any slab of the lists, or a new one. */
inline pick()
{
	LOCK();
	s = 0;
	do
	:: s < SLABS ->
		if
		:: state[s] == LISTED ->
			settle(s);
			if
			:: state[s] == LISTED -> state[s] = ACTIVE; break
			:: else -> s++
			fi
		:: else -> s++
		fi
	:: else -> break
	od;
	UNLOCK();
	if
	:: s == SLABS ->
		d_step {
			s = 0;
			do
			:: s < SLABS && taken[s] -> s++
			:: else -> break
			od;
			if
			:: s < SLABS -> taken[s] = true
			:: else -> skip
			fi
		};
		if
		:: s < SLABS ->
			state[s] = ACTIVE;
			word[s * WORDS] = EVERY;
#if WORDS == 2
			word[s * WORDS + 1] = EVERY
#endif
		:: else -> skip
		fi
	:: else -> skip
	fi
}

inline alloc_slow()
{
	if
	:: on != NOBODY && state[on] == ACTIVE -> take(on)
	:: else -> skip
	fi;
	do
	:: !got ->
		pick();
		if
		:: s == SLABS -> break
		:: else -> skip
		fi;
		take(s);
		if
		:: on != NOBODY && on != s ->
			other = on;
			on = s;
			deactivated(other);
			other = 0
		:: else -> on = s
		fi
	:: else -> break
	od;
	skip;
	d_step {
		if
		:: got -> mag[0] = i; bits[0] = got; got = 0
		:: else -> skip
		fi;
		s = 0; i = 0; any = false; all = false
	}
}

/* An object of a magazine becomes the client's. */
inline hand_out(m)
{
	d_step {
		i = mag[m];
		got = ((bits[m] & 1) -> 1 : 2);
		bits[m] = bits[m] & ~got;
		assert(taken[SLAB(i)] && state[SLAB(i)] != NONE && !(held[i] & got));
		held[i] = held[i] | got;
		loaded[i] = loaded[i] & ~got;
		used[i] = used[i] | got;
		got = 0; i = 0
	}
}

inline alloc()
{
	if
	:: !bits[0] && !bits[1] -> alloc_slow()
	:: else -> skip
	fi;
	if
	:: bits[0] -> hand_out(0)
	:: !bits[0] && bits[1] -> hand_out(1)
	:: else -> skip
	fi
}

/* Object @set of word @at; what the FREED magazine held goes back for another run. */
inline give(at, set)
{
	if
	:: used[at] & set ->
		d_step {
			used[at] = used[at] & ~set;
			loaded[at] = loaded[at] | set;
			passed++;
			if
			:: mag[0] == at -> bits[0] = bits[0] | set
			:: mag[0] != at && mag[1] == at -> bits[1] = bits[1] | set
			:: else -> other = mag[1]; got = bits[1]; mag[1] = at; bits[1] = set
			fi
		};
		put_back(other, got);
		d_step { other = 0; got = 0 }
	:: else -> skip
	fi
}

/* Of what clients have, whoever allocated it, one that this user frees. */
inline claim()
{
	d_step { w = 0; b = 0 };
	atomic {
		do
		:: w < NR && held[w] -> b = ((held[w] & 1) -> 1 : 2); break
		:: w < NR -> w++
		:: else -> break
		od;
		if
		:: b -> held[w] = held[w] & ~b
		:: else -> w = 0;
			/* Passed by some: the first. */
			do
			:: w < NR && !held[w] -> w++
			:: else -> break
			od;
			if
			:: w < NR -> b = ((held[w] & 1) -> 1 : 2); held[w] = held[w] & ~b
			:: else -> skip
			fi
		fi
	}
}

inline drain()
{
	put_back(mag[0], bits[0]);
	put_back(mag[1], bits[1]);
	d_step { bits[0] = 0; bits[1] = 0 };
	if
	:: on != NOBODY -> other = on; on = NOBODY; deactivated(other)
	:: else -> skip
	fi
}

proctype user()
{
	byte mag[2], bits[2];
	byte on, round, w, b, i, s, got, old, st, other;
	bool any, all, release;

	d_step { on = NOBODY; mag[0] = NOBODY; mag[1] = NOBODY };
#ifdef DOUBLE
	round = ROUNDS;
#endif
	do
	:: round < ROUNDS -> round++; alloc()
	:: round < ROUNDS ->
		round++;
		claim();
		if
		:: b -> give(w, b)
		:: else -> skip
		fi
	:: round >= ROUNDS -> break
	od;
#ifdef DOUBLE
	give(0, 1);
#else
	do
	:: claim();
		if
		:: b -> give(w, b)
		:: else -> break
		fi
	od;
#endif
	drain();

	atomic {
		finished++;
		if
		:: finished == PROCS ->
			s = 0;
			do
			:: s < SLABS ->
#ifdef DOUBLE
				assert(s || passed == 1 || state[0] == QUARANTINED);
				assert(s || passed == 2 || state[0] == LISTED);
#else
				look(s);
				/* On the lists, or given back. */
				assert(state[s] == (taken[s] -> LISTED : NONE));
				assert(all == taken[s] && any == taken[s]);
#endif
				s++
			:: else -> break
			od
		:: else -> skip
		fi
	}
}

init {
	byte n;

	atomic {
#ifdef DOUBLE
		state[0] = FULL;
		taken[0] = true;
		used[0] = EVERY;
		held[0] = EVERY;
#endif
		for (n : 1 .. PROCS) {
			run user()
		}
	}
}
