/* Scales: what super-blocks do with the scales of their groups, which are numbers to be quantised themselves,
 * and how column weights count in them. A dozen numbers a super-block, so the former is scalar.
 */
#ifndef PRISMFS_SCALES_H
#define PRISMFS_SCALES_H

#include "groups.h"

enum { SUPER = 256 };

/* Sums of squares of `count` super-blocks, each in order, side by side. */
INLINE void sums_of_squares(const float *x, int count, float *sums) {
    for (int b = 0; b < count; b++)
        sums[b] = 0;
    for (int i = 0; i < SUPER; i++)
        for (int b = 0; b < count; b++)
            sums[b] += x[b * SUPER + i] * x[b * SUPER + i];
}

/* What errors count: the column's weight times the size of the weight, to which the mean square of the
 * super-block is added, `times` times. For groups of `n`. */
INLINE void weigh_by_columns(const float *x, const float *columns, int n, float times, groups *s) {
    float sums[WIDTH], mean[WIDTH] ALIGNED;
    sums_of_squares(x, WIDTH * n / SUPER, sums);
    for (int g = 0; g < WIDTH; g++)
        mean[g] = times * sums[g * n / SUPER] / SUPER;
    spread(columns, n, s->of[0].w);
    for (int i = 0; i < n; i++)
        for (int at = 0; at < WIDTH; at += LANES) {
            floats value = load(&s->of[i].x[at]);
            floats size = root(load(&mean[at]) + value * value);
            store(&s->of[i].w[at], load(&s->of[i].w[at]) * size);
        }
}

/* Quantises `n` numbers that are not negative to 0 .. top: x is nearly result * quant, with errors weighted by
 * `w`. First the factor of least error out of nine, then each quant moves for as long as that makes it better. */
INLINE float fit_positive(int n, int top, const float *x, const float *w, uint8_t *quants) {
    float largest = 0;
    for (int i = 0; i < n; i++)
        largest = largest > x[i] ? largest : x[i];
    memset(quants, 0, (size_t)n);
    if (largest < TINY)
        return 0;
    float won = 0, least_error = 0;
    for (int turn = -5; turn <= 4; turn++) { /* the first, then those around it */
        if (turn == 0)
            continue;
        float factor = turn == -5 ? (float)top / largest : (0.1f * (float)turn + (float)top) / largest;
        float scale = 1 / factor, error = 0;
        for (int i = 0; i < n; i++) {
            int32_t l = nearest(factor * x[i]);
            l = turn == -5 ? (uint8_t)l : l < top ? l : top;
            float difference = x[i] - scale * (float)l;
            error += w[i] * difference * difference;
        }
        if (turn == -5 || error < least_error) {
            least_error = error;
            won = factor;
        }
    }
    float sum_xl = 0, sum_l2 = 0;
    for (int i = 0; i < n; i++) {
        int32_t l = nearest(won * x[i]);
        l = l < top ? l : top;
        quants[i] = (uint8_t)l;
        sum_xl += w[i] * x[i] * (float)l;
        sum_l2 += w[i] * (float)l * (float)l;
    }
    for (int round = 0, moved = 1; round < 5 && moved; round++) {
        moved = 0;
        for (int i = 0; i < n; i++) {
            const float l = quants[i], others_xl = sum_xl - w[i] * x[i] * l, others_l2 = sum_l2 - w[i] * l * l;
            if (!(others_xl > 0 && others_l2 > 0))
                continue;
            int32_t to = nearest(x[i] * others_l2 / others_xl);
            to = to < top ? to : top;
            if (to == quants[i])
                continue;
            float with_xl = others_xl + w[i] * x[i] * (float)to;
            float with_l2 = others_l2 + w[i] * (float)to * (float)to;
            if (with_xl * with_xl * sum_l2 > sum_xl * sum_xl * with_l2) {
                quants[i] = (uint8_t)to;
                sum_xl = with_xl;
                sum_l2 = with_l2;
                moved = 1;
            }
        }
    }
    return sum_l2 > 0 ? sum_xl / sum_l2 : 0;
}

/* Quantises `n` numbers to -half .. half - 1, `half` added: x is nearly result * quant, with errors weighted by `w`.
 * As the search of search_scale.h, but for any numbers, and a lane has a try instead of a group. */
INLINE float fit_signed(int n, int half, const float *x, const float *w, int32_t *quants) {
    enum { TRIES = 19, ROOM = 32 }; /* the first, then nine on either side of it */
    float factor[ROOM] ALIGNED, xl[ROOM] ALIGNED, l2[ROOM] ALIGNED, largest = 0, extreme = 0;
    for (int i = 0; i < n; i++) {
        const float size = __builtin_fabsf(x[i]);
        if (size > largest) {
            largest = size;
            extreme = x[i];
        }
    }
    memset(quants, 0, (size_t)n * sizeof *quants);
    if (largest < TINY)
        return 0;
    for (int t = 0; t < ROOM; t++) {
        const float aside = t == 0 ? 0 : 0.1f * (float)(t < 10 ? t - 10 : t - 9);
        factor[t] = -((float)half + aside) / extreme;
    }
    for (int at = 0; at < TRIES; at += LANES) {
        floats sum_xl = all_of(0), sum_l2 = all_of(0);
        for (int i = 0; i < n; i++) {
            const floats l = nearest_within(load(factor + at) * all_of(x[i]), -half, half - 1);
            sum_xl = sum_xl + all_of(w[i] * x[i]) * l;
            sum_l2 = sum_l2 + all_of(w[i]) * l * l;
        }
        store(xl + at, sum_xl);
        store(l2 + at, sum_l2);
    }
    float scale = l2[0] == 0 ? 0 : xl[0] / l2[0], best = scale * xl[0], won = factor[0];
    for (int t = 1; t < TRIES; t++)
        if (l2[t] > 0 && xl[t] * xl[t] > best * l2[t]) {
            scale = xl[t] / l2[t];
            best = scale * xl[t];
            won = factor[t];
        }
    for (int i = 0; i < n; i++) {
        const int32_t l = nearest(won * x[i]);
        quants[i] = (l < -half ? -half : l < half - 1 ? l : half - 1) + half;
    }
    return scale;
}

#endif
