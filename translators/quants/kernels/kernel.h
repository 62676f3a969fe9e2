/* A kernel: how weights become blocks of one type. Every family of types has a file that defines some.
 *
 * Each file is compiled once a build (BUILD names it: portable, avx2, avx512), so names carry the build's.
 * Kernels take float32 that is finite, and whole blocks; run.c sees to both.
 */
#ifndef PRISMFS_KERNEL_H
#define PRISMFS_KERNEL_H

#include "groups.h"

#define JOINED_(a, b) a##_##b
#define JOINED(a, b) JOINED_(a, b)
#define NAMED(name) JOINED(prismfs_##name, BUILD)

typedef struct {
    int32_t type;         /* as GGUF numbers it */
    int32_t block, bytes; /* weights and bytes of a block */
    int32_t scales[2];    /* where a block has halves that must be numbers; -1: nowhere */
    int32_t row_wide;     /* with column weights, a block depends on its whole row */
    void (*plain)(const float *x, int64_t count, uint8_t *to, groups *s);
    /* `columns`: the weight of each column; `mean`: of the squares of the row, where the kernel is row_wide.
     * A null pointer for types that column weights do not change. */
    void (*weighted)(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s);
    /* The way back, for `count` blocks. A null pointer where libggml's own is fast enough. */
    void (*read)(const uint8_t *from, int64_t count, float *to);
} kernel;

/* How many weights are converted, checked and quantised at a time; a multiple of every batch and block. */
enum { TILE = 4096 };

/* Calls a function for each `batch` weights: what all lanes hold. The last one is filled up with zeros. */
typedef void batch_of(const float *x, const float *columns, float mean, uint8_t *to, groups *s);

INLINE void in_batches(batch_of *make, int batch, int block, int bytes, const float *x, const float *columns,
                       float mean, int64_t count, uint8_t *to, groups *s) {
    for (; count >= batch; count -= batch) {
        make(x, columns, mean, to, s);
        x += batch;
        columns = columns ? columns + batch : 0;
        to += batch / block * bytes;
    }
    if (count) {
        float last[TILE] ALIGNED, last_columns[TILE] ALIGNED;
        uint8_t made[2 * TILE];
        memset(last, 0, (size_t)batch * sizeof(float));
        memcpy(last, x, (size_t)count * sizeof(float));
        memset(last_columns, 0, (size_t)batch * sizeof(float));
        if (columns)
            memcpy(last_columns, columns, (size_t)count * sizeof(float));
        make(last, columns ? last_columns : 0, mean, made, s);
        memcpy(to, made, (size_t)(count / block * bytes));
    }
}

#endif
