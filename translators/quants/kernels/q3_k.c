/* Q3_K: super-blocks of sixteen groups of 16, each with a signed scale of six bits, no minima.
 *
 * Block: 32 bytes of the quants' third bits, 64 of their low two, 12 of scales, the half scale of scales. Quants
 * are stored with 4 added, scales with 32.
 * Without column weights a group's quants move one after the other, each to where the rest would have it, for as
 * long as that makes the fit better. Each move waits for the one before, a division included; so four vectors
 * take turns instead of two: a second batch of groups has the other half of the workspace.
 */
#include "kernel.h"
#include "scales.h"
#include "search_scale.h"

enum { GROUP = 16, PER_SUPER = SUPER / GROUP, BATCH = WIDTH * GROUP, SUPERS = BATCH / SUPER, BYTES = 110, HALF = 4 };
enum { BATCHES = 2, CHAINS = BATCHES * WAYS, ROUNDS = 5, TOP_SCALE = 32 };
_Static_assert(BATCHES *GROUP <= sizeof((groups *)0)->of / sizeof(weight), "the workspace holds both batches");

static const scale_search SEARCH = {.n = GROUP, .most_quant = HALF};

#define EACH_CHAIN(c) for (int c = 0; c < CHAINS; c++)
/* Chain c's lanes of weight i. */
#define OF(c, i, part) (&s->of[(c) / WAYS * GROUP + (i)].part[at + (c) % WAYS * LANES])

/* Starts with the weight of largest magnitude at the lowest quant. Leaves the quants, and w * x in place of w. */
INLINE void first_quants(groups *s, int at, floats *xl, floats *l2, mask *nothing) {
    floats largest[CHAINS], extreme[CHAINS], factor[CHAINS];
    EACH_CHAIN(c) largest[c] = extreme[c] = xl[c] = l2[c] = all_of(0);
    for (int i = 0; i < GROUP; i++)
        EACH_CHAIN(c) {
            const floats x = load(OF(c, i, x));
            const mask larger = less(largest[c], magnitude(x));
            largest[c] = choose(larger, magnitude(x), largest[c]);
            extreme[c] = choose(larger, x, extreme[c]);
        }
    EACH_CHAIN(c) {
        nothing[c] = less(largest[c], all_of(TINY));
        factor[c] = all_of(-HALF) / extreme[c];
    }
    for (int i = 0; i < GROUP; i++)
        EACH_CHAIN(c) {
            const floats x = load(OF(c, i, x)), w = x * x, l = scale_quants(SEARCH, factor[c] * x);
            store(OF(c, i, w), w * x);
            store(OF(c, i, kept), l);
            xl[c] = xl[c] + w * x * l;
            l2[c] = l2[c] + w * l * l;
        }
}

/* One quant of every group moves, where that makes the fit better. */
INLINE mask moved_quants(groups *s, int at, int c, int i, floats *xl, floats *l2) {
    const floats x = load(OF(c, i, x)), wx = load(OF(c, i, w)), l = load(OF(c, i, kept)), w = x * x;
    const floats others_xl = *xl - wx * l, others_l2 = *l2 - w * l * l;
    const floats to = nearest_within(x * others_l2 / others_xl, -HALF, HALF - 1);
    const floats with_xl = others_xl + wx * to, with_l2 = others_l2 + w * to * to;
    const mask possible = both(both(less(all_of(0), others_xl), less(all_of(0), with_l2)), unequal(to, l));
    const mask moved = both(possible, less(*xl * *xl * with_l2, with_xl * with_xl * *l2));
    store(OF(c, i, kept), choose(moved, to, l));
    *xl = choose(moved, with_xl, *xl);
    *l2 = choose(moved, with_l2, *l2);
    return moved;
}

/* Scales, and quants as they are stored, of the lanes from `at` on of both batches. */
INLINE void search_by_moves(groups *s, int at, float *scale) {
    const floats zero = all_of(0);
    floats xl[CHAINS], l2[CHAINS];
    mask nothing[CHAINS];
    first_quants(s, at, xl, l2, nothing);
    for (int round = 0; round < ROUNDS; round++) {
        mask moved = less(zero, zero);
        for (int i = 0; i < GROUP; i++)
            EACH_CHAIN(c) moved = either(moved, moved_quants(s, at, c, i, &xl[c], &l2[c]));
        if (!any(moved)) /* nor would another round move any */
            break;
    }
    EACH_CHAIN(c) {
        const floats fit = choose(less(zero, l2[c]), xl[c] / l2[c], zero);
        store(scale + c / WAYS * WIDTH + at + c % WAYS * LANES, choose(nothing[c], zero, fit));
        for (int i = 0; i < GROUP; i++)
            store(OF(c, i, kept), choose(nothing[c], zero, load(OF(c, i, kept)) + all_of(HALF)));
    }
}

/* Quants of scales by the largest of them; returns what they count. A byte holds them before they are limited. */
INLINE float by_largest(const float *scale, int32_t *quants) {
    float largest = 0, extreme = 0;
    for (int j = 0; j < PER_SUPER; j++) {
        const float size = __builtin_fabsf(scale[j]);
        if (size > largest) {
            largest = size;
            extreme = scale[j];
        }
    }
    memset(quants, 0, PER_SUPER * sizeof *quants);
    if (extreme == 0)
        return 0;
    const float factor = -(float)TOP_SCALE / extreme;
    for (int j = 0; j < PER_SUPER; j++) {
        const int32_t l = (int8_t)(uint8_t)nearest(factor * scale[j]);
        quants[j] = (l < -TOP_SCALE ? -TOP_SCALE : l < TOP_SCALE - 1 ? l : TOP_SCALE - 1) + TOP_SCALE;
    }
    return 1 / factor;
}

/* Scales are stored in six bits: the low four first, then the high two. `seen`: as a reader will have them. */
INLINE void write_scales(float d, const int32_t *quants, uint8_t *to, float *seen) {
    const uint16_t half = to_half(d);
    memset(to + 96, 0, 12);
    for (int j = 0; j < PER_SUPER; j++) {
        to[96 + j % 8] |= (uint8_t)((quants[j] & 15) << j / 8 * 4);
        to[104 + j % 4] |= (uint8_t)(quants[j] >> 4 << j / 4 * 2);
        seen[j] = from_half(half) * (float)(quants[j] - TOP_SCALE);
    }
    put16(to + 108, half);
}

/* The quants by the scales that a reader sees; where such a scale is zero, those of the search stay. */
INLINE void keep_quants(weight *of, const float *scale) {
    for (int at = 0; at < WIDTH; at += LANES) {
        const floats d = load(scale + at);
        const mask none = equal(d, all_of(0));
        for (int i = 0; i < GROUP; i++) {
            const floats l = nearest_within(load(&of[i].x[at]) / d, -HALF, HALF - 1) + all_of(HALF);
            store(&of[i].kept[at], choose(none, load(&of[i].kept[at]), l));
        }
    }
}

INLINE void write_quants(const weight *of, int b, uint8_t *to) {
    uint8_t l[SUPER] ALIGNED;
    gather(of, GROUP, b * PER_SUPER, l);
    gather(of, GROUP, b * PER_SUPER + 8, l + SUPER / 2);
    for (int i = 0; i < 32; i += 16) {
        bytes third = {0};
        for (int k = 0; k < 8; k++)
            third |= (load_bytes(l + 32 * k + i) >> 2 & 1) << k;
        store_bytes(to + i, third);
        for (int half = 0; half < 2; half++) {
            bytes low = {0};
            for (int k = 0; k < 4; k++)
                low |= (load_bytes(l + 128 * half + 32 * k + i) & 3) << 2 * k;
            store_bytes(to + 32 + 32 * half + i, low);
        }
    }
}

/* Blocks of one batch, whose quants were kept by the search. `total`: sums of w, or null. */
INLINE void write_batch(weight *of, const float *scale, const float *total, uint8_t *to) {
    float seen[WIDTH] ALIGNED;
    int32_t quants[PER_SUPER];
    for (int b = 0; b < SUPERS; b++) {
        const float *x = scale + b * PER_SUPER;
        const float d = total ? fit_signed(PER_SUPER, TOP_SCALE, x, total + b * PER_SUPER, quants) : by_largest(x, quants);
        write_scales(d, quants, to + b * BYTES, seen + b * PER_SUPER);
    }
    keep_quants(of, seen);
    for (int b = 0; b < SUPERS; b++)
        write_quants(of, b, to + b * BYTES);
}

static void unweighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    float scale[BATCHES * WIDTH] ALIGNED;
    (void)columns, (void)mean;
    for (int n = 0; n < BATCHES; n++)
        spread(x + n * BATCH, GROUP, s->of[n * GROUP].x);
    for (int at = 0; at < WIDTH; at += STEP)
        search_by_moves(s, at, scale);
    for (int n = 0; n < BATCHES; n++)
        write_batch(s->of + n * GROUP, scale + n * WIDTH, 0, to + n * SUPERS * BYTES);
}

static void by_columns(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    spread(x, GROUP, s->of[0].x);
    weigh_by_columns(x, columns, GROUP, 2, s);
    search_scales(s, SEARCH);
    for (int at = 0; at < WIDTH; at += LANES) {
        floats total = all_of(0);
        for (int i = 0; i < GROUP; i++) {
            total = total + load(&s->of[i].w[at]);
            store(&s->of[i].kept[at], won_steps(s, at, SEARCH, load(&s->of[i].x[at])));
        }
        store(&s->total[at], total);
    }
    write_batch(s->of, s->scale, s->total, to);
}

static void q3_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(unweighted, BATCHES * BATCH, SUPER, BYTES, x, 0, 0, count, to, s);
}
static void q3_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(by_columns, BATCH, SUPER, BYTES, x, columns, mean, count, to, s);
}

const kernel NAMED(q3_k) = {11, SUPER, BYTES, {108, -1}, 0, q3_k, q3_k_weighted};
