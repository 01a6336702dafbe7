/*
 * The arithmetic of sampling: pure functions, no libm, no state.
 *
 * Intervals between samples are drawn from the exponential distribution with
 * mean R. It has no memory, so an allocation of S bytes is sampled with the
 * probability 1 - exp(-S/R), whatever went before it, and stands for the inverse
 * of that (profd/heap_table.h).
 */
#pragma once

#include <stdint.h>

/* The next number of a generator with the state *@state, which is never 0. */
uint64_t weight_random(uint64_t *state);

/* The finalizer of splitmix64: every bit of the result depends on every bit of @x. */
static inline uint64_t weight_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

/* Bytes until the next sample, rounded up, so that an allocation is sampled if
 * and only if its size reaches it. 0 if @rate_bytes <= 1: sample everything. */
uint64_t weight_draw(uint64_t *state, uint64_t rate_bytes);

/* How many objects one sample of @size stands for; fixed point, HEAP_OBJECT_SHIFT. */
uint64_t weight_objects(uint64_t size, uint64_t rate_bytes);

/* The bytes that go with @objects of @size; fixed point, HEAP_BYTE_SHIFT. */
uint64_t weight_bytes(uint64_t size, uint64_t objects);

/* The upper end of the size class of @size: 16-byte steps up to 128, then eight
 * classes a doubling. */
uint64_t weight_class(uint64_t size);
