#include "client/preload/weight.h"

#include <string.h>

#include "profd/heap_table.h"

#define SERIES_BELOW  0.25 /* arguments for which the series of exp is short */
#define CERTAIN_RATIO 40.0 /* size/rate beyond which not being sampled is a 1e-17 chance */

#define CLASS_STEP	   16
#define CLASS_LINEAR	   128
#define CLASSES_A_DOUBLING 8

/* exp(x) - 1 for -64 <= x <= 0, to 1e-12. The Taylor series near 0; twice the argument
 * is then e*(e+2). No difference of nearly equal numbers is taken, hence no digit is lost
 * for a small x. */
static double exp_minus_1(double x)
{
	unsigned doublings = 0;
	double term, e;

	for (; x < -SERIES_BELOW; x /= 2)
		doublings++;
	e = term = x;
	for (unsigned n = 2; n <= 11; n++) {
		term *= x / n;
		e += term;
	}
	for (; doublings; doublings--)
		e *= e + 2;
	return e;
}

/* To 1e-12. x = m * 2^e with m in [sqrt(1/2), sqrt(2)); log(m) = 2 artanh((m-1)/(m+1)). */
static double natural_log(double x)
{
	static const double ln2 = 0.69314718055994530942, sqrt2 = 1.41421356237309504880;
	uint64_t bits;
	double m, s, square, term, sum;
	int e;

	memcpy(&bits, &x, sizeof(bits));
	e = (int)(bits >> 52 & 0x7ff) - 1023;
	bits = (bits & 0xfffffffffffffULL) | 1023ULL << 52;
	memcpy(&m, &bits, sizeof(m));
	if (m >= sqrt2) {
		m /= 2;
		e++;
	}
	s = (m - 1) / (m + 1);
	square = s * s;
	sum = term = s;
	for (unsigned n = 3; n <= 19; n += 2) {
		term *= square;
		sum += term / n;
	}
	return 2 * sum + e * ln2;
}

/* Sebastiano Vigna's xorshift64*: one word of state, all bits usable at the top. */
uint64_t weight_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

uint64_t weight_draw(uint64_t *state, uint64_t rate_bytes)
{
	double uniform, interval;
	uint64_t whole;

	if (rate_bytes <= 1)
		return 0;
	/* 53 bits, in (0, 1): log is finite, and never 0 */
	uniform = ((double)(weight_random(state) >> 11) + 0.5) * 0x1p-53;
	interval = -natural_log(uniform) * (double)rate_bytes;
	whole = (uint64_t)interval;
	return whole + 1;
}

uint64_t weight_objects(uint64_t size, uint64_t rate_bytes)
{
	double ratio;

	if (rate_bytes <= 1)
		return 1ULL << HEAP_OBJECT_SHIFT;
	ratio = (double)(size ? size : 1) / (double)rate_bytes;
	if (ratio > CERTAIN_RATIO)
		return 1ULL << HEAP_OBJECT_SHIFT;
	return (uint64_t)((double)(1ULL << HEAP_OBJECT_SHIFT) / -exp_minus_1(-ratio) + 0.5);
}

uint64_t weight_bytes(uint64_t size, uint64_t objects)
{
	return (uint64_t)((unsigned __int128)size * objects >>
			  (HEAP_OBJECT_SHIFT - HEAP_BYTE_SHIFT));
}

uint64_t weight_class(uint64_t size)
{
	uint64_t power, step;

	if (size <= CLASS_STEP)
		return CLASS_STEP;
	if (size <= CLASS_LINEAR)
		return (size + CLASS_STEP - 1) & ~(uint64_t)(CLASS_STEP - 1);
	power = 1ULL << (63 - __builtin_clzll(size - 1)); /* power < size <= 2 * power */
	step = power / CLASSES_A_DOUBLING;
	return power + (size - power + step - 1) / step * step;
}
