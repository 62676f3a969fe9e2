/* Q4_0, Q4_1, Q5_0, Q5_1 with column weights: one block of 32 a lane, and a search as for the super-blocks.
 *
 * What a weight's error counts depends on the mean square of its whole row.
 */
#include "blocks.h"
#include "kernel.h"
#include "search_minimum.h"
#include "search_scale.h"

enum { BATCH = WIDTH * BLOCK };

INLINE void fill(const float *x, const float *columns, float mean, groups *s) {
    spread(x, BLOCK, s->of[0].x);
    spread(columns, BLOCK, s->of[0].w);
    for (int i = 0; i < BLOCK; i++)
        for (int at = 0; at < WIDTH; at += LANES) {
            floats value = load(&s->of[i].x[at]);
            store(&s->of[i].w[at], load(&s->of[i].w[at]) * root(all_of(mean) + value * value));
        }
}

/* Blocks of the lanes: halves, fifth bits where there are any, nibbles. */
INLINE void write_blocks(const groups *s, int five, int with_low, uint8_t *to) {
    const int bytes = 18 + (five ? 4 : 0) + (with_low ? 2 : 0);
    for (int g = 0; g < WIDTH; g += 8) {
        uint8_t quants[8][BLOCK] ALIGNED;
        gather(s, BLOCK, g, quants[0]);
        for (int j = 0; j < 8; j++, to += bytes) {
            put16(to, to_half(s->scale[g + j]));
            if (with_low)
                put16(to + 2, to_half(s->low[g + j]));
            if (five)
                put_fifth_bits(to + (with_low ? 4 : 2), quants[j]);
            put_nibbles(to + bytes - BLOCK / 2, quants[j]);
        }
    }
}

INLINE void around(const float *x, const float *columns, float mean, uint8_t *to, groups *s, const int five) {
    const scale_search search = {.n = BLOCK, .most_quant = five ? 16 : 8};
    fill(x, columns, mean, s);
    search_scales(s, search);
    for (int at = 0; at < WIDTH; at += LANES)
        for (int i = 0; i < BLOCK; i++)
            store(&s->of[i].kept[at], won_steps(s, at, search, load(&s->of[i].x[at])));
    write_blocks(s, five, 0, to);
}

INLINE void above(const float *x, const float *columns, float mean, uint8_t *to, groups *s, const int five) {
    const range_search search = {
        .n = BLOCK, .most_quant = five ? 31 : 15, .first = -0.9f, .step = 0.05f, .steps = 36, .weighted = 1};
    fill(x, columns, mean, s);
    search_ranges(s, search);
    for (int at = 0; at < WIDTH; at += LANES)
        for (int i = 0; i < BLOCK; i++)
            store(&s->of[i].kept[at], won_quants(s, at, search, load(&s->of[i].x[at])));
    write_blocks(s, five, 1, to);
}

static void four_around(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    around(x, columns, mean, to, s, 0);
}
static void five_around(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    around(x, columns, mean, to, s, 1);
}
static void four_above(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    above(x, columns, mean, to, s, 0);
}
static void five_above(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    above(x, columns, mean, to, s, 1);
}

#define WEIGHTED(name, bytes, make)                                                                               \
    void NAMED(simple_weighted_##name)(const float *, const float *, float, int64_t, uint8_t *, groups *);        \
    void NAMED(simple_weighted_##name)(const float *x, const float *columns, float mean, int64_t count,           \
                                       uint8_t *to, groups *s) {                                                  \
        in_batches(make, BATCH, BLOCK, bytes, x, columns, mean, count, to, s);                                    \
    }
WEIGHTED(q4_0, 18, four_around)
WEIGHTED(q4_1, 20, four_above)
WEIGHTED(q5_0, 22, five_around)
WEIGHTED(q5_1, 24, five_above)
