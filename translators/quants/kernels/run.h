/* What is asked of a build: the data that Python hands over, and the memory that a run works in. */
#ifndef PRISMFS_RUN_H
#define PRISMFS_RUN_H

#include "kernel.h"

typedef struct {
    int32_t type, source;  /* as GGUF numbers them; the source is F32, F16 or BF16 */
    int32_t check_result;  /* refuse scales that are no numbers */
    int64_t rows, length;  /* length: weights of a row, whole blocks */
    const uint8_t *from;   /* any alignment */
    uint8_t *to;
    const float *columns;  /* a weight for each column, or null */
} run;

typedef struct {
    groups lanes;
    float widened[TILE] ALIGNED;
} workspace;

enum { WORK_BYTES = 32 * 1024 }; /* room for the workspace of any build */
_Static_assert(sizeof(workspace) <= WORK_BYTES, "the workspace of this build is too large");

#endif
