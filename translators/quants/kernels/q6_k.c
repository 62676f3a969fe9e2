/* Q6_K: super-blocks of sixteen groups of 16, each with a signed scale of eight bits, no minima.
 *
 * Block: 128 bytes of low quants (four bits), 64 bytes of high ones (two bits), 16 scales, the half scale of
 * scales. Quants are stored with 32 added. A super-block whose scales are all tiny is all zero bytes.
 */
#include "kernel.h"
#include "scales.h"
#include "search_scale.h"

enum { GROUP = 16, PER_SUPER = SUPER / GROUP, BATCH = WIDTH * GROUP, SUPERS = BATCH / SUPER, BYTES = 210, HALF = 32 };

static const scale_search SEARCH = {.n = GROUP, .most_quant = HALF};

/* Writes scales and their scale; `seen`: the groups' scales as a reader will see them. 0 for a zero block. */
INLINE int write_scales(const float *scale, uint8_t *to, float *seen) {
    float largest = 0, extreme = 0;
    for (int j = 0; j < PER_SUPER; j++) {
        const float size = __builtin_fabsf(scale[j]);
        if (size > largest) {
            largest = size;
            extreme = scale[j];
        }
    }
    if (largest < TINY) {
        memset(to, 0, BYTES);
        for (int j = 0; j < PER_SUPER; j++)
            seen[j] = 1;
        return 0;
    }
    const float factor = -128.0f / extreme;
    const uint16_t half = to_half(1 / factor);
    put16(to + 208, half);
    for (int j = 0; j < PER_SUPER; j++) {
        const int32_t quant = nearest(factor * scale[j]);
        const int8_t stored = (int8_t)(uint8_t)(quant < 127 ? quant : 127);
        to[192 + j] = (uint8_t)stored;
        seen[j] = from_half(half) * (float)stored;
    }
    return 1;
}

INLINE void keep_quants(groups *s, const float *scale) {
    const floats half = all_of(HALF);
    for (int at = 0; at < WIDTH; at += LANES) {
        const floats d = load(scale + at);
        const mask none = equal(d, all_of(0));
        if (__builtin_expect(any(none), 0)) {
            for (int i = 0; i < GROUP; i++) {
                floats x = load(&s->of[i].x[at]), l = nearest_within(x / d, -HALF, HALF - 1) + half;
                store(&s->of[i].kept[at], choose(none, won_steps(s, at, SEARCH, x), l));
            }
            continue;
        }
        for (int i = 0; i < GROUP; i++) {
            floats x = load(&s->of[i].x[at]);
            store(&s->of[i].kept[at], nearest_within(x / d, -HALF, HALF - 1) + half);
        }
    }
}

INLINE void write_quants(const groups *s, int b, uint8_t *to) {
    uint8_t l[SUPER] ALIGNED;
    gather(s, GROUP, b * PER_SUPER, l);
    gather(s, GROUP, b * PER_SUPER + 8, l + SUPER / 2);
    for (int half = 0; half < 2; half++) {
        const uint8_t *q = l + 128 * half;
        uint8_t *low = to + 64 * half, *high = to + 128 + 32 * half;
        for (int i = 0; i < 64; i += 16)
            store_bytes(low + i, (load_bytes(q + i) & 15) | load_bytes(q + 64 + i) << 4);
        for (int i = 0; i < 32; i += 16)
            store_bytes(high + i, load_bytes(q + i) >> 4 | load_bytes(q + 32 + i) >> 4 << 2 |
                                      load_bytes(q + 64 + i) >> 4 << 4 | load_bytes(q + 96 + i) >> 4 << 6);
    }
}

INLINE void make_batch(const float *x, const float *columns, uint8_t *to, groups *s) {
    float scale[WIDTH] ALIGNED;
    int live[SUPERS];
    spread(x, GROUP, s->of[0].x);
    if (columns)
        spread(columns, GROUP, s->of[0].w);
    else
        for (int i = 0; i < GROUP; i++)
            for (int at = 0; at < WIDTH; at += LANES) {
                floats value = load(&s->of[i].x[at]);
                store(&s->of[i].w[at], value * value);
            }
    search_scales(s, SEARCH);
    for (int b = 0; b < SUPERS; b++)
        live[b] = write_scales(s->scale + b * PER_SUPER, to + b * BYTES, scale + b * PER_SUPER);
    keep_quants(s, scale);
    for (int b = 0; b < SUPERS; b++)
        if (live[b])
            write_quants(s, b, to + b * BYTES);
}

static void unweighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s);
}
static void by_columns(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s);
}

static void q6_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(unweighted, BATCH, SUPER, BYTES, x, 0, 0, count, to, s);
}
static void q6_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(by_columns, BATCH, SUPER, BYTES, x, columns, mean, count, to, s);
}

static void read_q6_k(const uint8_t *from, int64_t count, float *to) {
    uint8_t l[SUPER] ALIGNED;
    for (; count > 0; count--, from += BYTES) {
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < 32; i += 16) {
                const bytes low = load_bytes(from + 64 * half + i), next = load_bytes(from + 64 * half + 32 + i);
                const bytes high = load_bytes(from + 128 + 32 * half + i);
                uint8_t *q = l + 128 * half + i;
                store_bytes(q, (low & 15) | (high & 3) << 4);
                store_bytes(q + 32, (next & 15) | (high >> 2 & 3) << 4);
                store_bytes(q + 64, low >> 4 | (high >> 4 & 3) << 4);
                store_bytes(q + 96, next >> 4 | high >> 6 << 4);
            }
        const float d = from_half(*(const half_word *)(from + 208));
        for (int j = 0; j < PER_SUPER; j++) {
            const float scale = d * (float)(int8_t)from[192 + j];
            for (int i = 0; i < GROUP; i++)
                *to++ = scale * (float)(l[j * GROUP + i] - HALF);
        }
    }
}

const kernel NAMED(q6_k) = {14, SUPER, BYTES, {208, -1}, 0, q6_k, q6_k_weighted, read_q6_k};
