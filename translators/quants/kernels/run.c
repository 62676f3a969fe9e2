/* A run: rows of a tensor through a kernel, a tile at a time, so that all steps on a tile find it in the cache.
 *
 * A tile is widened to float32, refused if a number in it is none, quantised, and where wanted its result is
 * refused if a scale in it is none: what upstream's quantiser checks. Nothing depends on where tiles begin.
 */
#include "run.h"

/* A family's file defines kernels; here they are listed. */
#define EACH_KERNEL(X) X(f32) X(f16) X(bf16) X(q8_0) X(q4_0) X(q4_1) X(q5_0) X(q5_1) \
    X(q2_k) X(q3_k) X(q4_k) X(q5_k) X(q6_k) X(iq4_nl) X(iq4_xs) X(tq1_0) X(tq2_0) X(mxfp4)

#define DECLARED(name) extern const kernel NAMED(name);
EACH_KERNEL(DECLARED)
#define LISTED(name) &NAMED(name),
static const kernel *const KERNELS[] = {EACH_KERNEL(LISTED)};

enum { F32 = 0, F16 = 1, BF16 = 30, MXFP4 = 39 };

static const kernel *find(int32_t type) {
    for (size_t i = 0; i < sizeof KERNELS / sizeof *KERNELS; i++)
        if (KERNELS[i]->type == type)
            return KERNELS[i];
    return 0;
}

int NAMED(knows)(int32_t type, int32_t source, int weighted) {
    const kernel *k = find(type);
    return k && (source == F32 || source == F16 || source == BF16) && (!weighted || k->weighted || !k->row_wide);
}

int NAMED(reads)(int32_t type) {
    const kernel *k = find(type);
    return k && k->read;
}

void NAMED(read)(int32_t type, const uint8_t *from, int64_t blocks, float *to) { find(type)->read(from, blocks, to); }

/* The numbers `first` to `first` + count of `from`, as float32: where they lie, or in `scratch`. */
static const float *widened(int32_t source, const uint8_t *from, int64_t first, int64_t count, float *scratch) {
    int64_t i = 0;
    if (source == F32) {
        const uint8_t *at = from + 4 * first;
        if ((uintptr_t)at % sizeof(float) == 0)
            return (const float *)(const void *)at;
        memcpy(scratch, at, (size_t)count * sizeof(float));
        return scratch;
    }
    const half_word *at = (const half_word *)from + first;
    if (source == BF16) {
        for (; i < count; i++)
            scratch[i] = float_of((uint32_t)at[i] << 16);
        return scratch;
    }
#if LANES >= 8
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(scratch + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(at + i))));
#endif
    for (; i < count; i++)
        scratch[i] = from_half(at[i]);
    return scratch;
}

/* The place of the first number that is none, or -1. */
static int64_t bad_number(const float *x, int64_t count) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= (word_of(x[i]) & 0x7f800000) == 0x7f800000;
    for (int64_t i = 0; bad && i < count; i++)
        if ((word_of(x[i]) & 0x7f800000) == 0x7f800000)
            return i;
    return -1;
}

/* The first weight of the first block one of whose scales, halves, is no number; or -1. */
static int64_t bad_scale(const kernel *k, const uint8_t *made, int64_t count) {
    const int64_t blocks = count / k->block;
    int64_t first = blocks;
    for (int n = 0; n < 2 && k->scales[n] >= 0; n++) {
        const uint8_t *at = made + k->scales[n];
        for (int64_t b = 0; b < first; b++, at += k->bytes)
            if ((*(const half_word *)at & 0x7c00) == 0x7c00)
                first = b;
    }
    return first < blocks ? first * k->block : -1;
}

/* The first of the 16-bit numbers that has all bits of its exponent set, or -1. */
static int64_t bad_word(const half_word *made, int64_t count, uint16_t exponent) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= (made[i] & exponent) == exponent;
    for (int64_t i = 0; bad && i < count; i++)
        if ((made[i] & exponent) == exponent)
            return i;
    return -1;
}

/* The first weight of the first block whose scale is a power of two beyond all; or -1. */
static int64_t bad_exponent(const kernel *k, const uint8_t *made, int64_t count) {
    for (int64_t i = 0; i < count; i += k->block, made += k->bytes)
        if (*made == 0xff)
            return i;
    return -1;
}

static int64_t bad_result(const kernel *k, const uint8_t *made, int64_t count) {
    if (k->type == F16 || k->type == BF16) /* rounding may make infinity */
        return bad_word((const half_word *)made, count, k->type == F16 ? 0x7c00 : 0x7f80);
    return k->type == MXFP4 ? bad_exponent(k, made, count) : bad_scale(k, made, count);
}

static float mean_square(int32_t source, const uint8_t *from, int64_t first, int64_t length, float *scratch) {
    float sum = 0; /* in order, as the reference adds */
    for (int64_t at = 0; at < length; at += TILE) {
        const int64_t count = length - at < TILE ? length - at : TILE;
        const float *x = widened(source, from, first + at, count, scratch);
        for (int64_t i = 0; i < count; i++)
            sum += x[i] * x[i];
    }
    return sum / (float)length;
}

int64_t NAMED(quantise)(const run *r, int32_t *in_result, workspace *work) {
    const kernel *k = find(r->type);
    const int weighted = r->columns && k->weighted;
    const int64_t length = weighted ? r->length : r->rows * r->length, rows = weighted ? r->rows : 1;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t start = row * length;
        const float mean =
            weighted && k->row_wide ? mean_square(r->source, r->from, start, length, work->widened) : 0;
        for (int64_t at = 0; at < length; at += TILE) {
            const int64_t count = length - at < TILE ? length - at : TILE;
            uint8_t *made = r->to + (start + at) / k->block * k->bytes;
            const float *x = widened(r->source, r->from, start + at, count, work->widened);
            int64_t bad = bad_number(x, count);
            *in_result = 0;
            if (bad >= 0)
                return start + at + bad;
            if (weighted)
                k->weighted(x, r->columns + at, mean, count, made, &work->lanes);
            else
                k->plain(x, count, made, &work->lanes);
            bad = r->check_result ? bad_result(k, made, count) : -1;
            *in_result = 1;
            if (bad >= 0)
                return start + at + bad;
        }
    }
    return -1;
}
