/* Einstein's summation convention for a batch and a kernel. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_EINSUM_H
#define STRATA_OPS_EINSUM_H

#include "ops/ops.h"

enum { STRATA__LETTERS = STRATA_MAX_RANK + 1 };

/* One letter for each axis of both operands and of the result. Axes that "..." stands for have
 * digits. */
typedef struct strata__equation {
    char x[STRATA__LETTERS], kernel[STRATA__LETTERS], y[STRATA__LETTERS];
    int elided; /* axes that "..." stands for */
    bool left;  /* they are the first ones, not the last */
} strata__equation;

/*
 * The forms of Keras: "ab,bc->ac", "...b,bc->...c", "ab...,bc->ac...", for x with `rank` axes.
 * False: it is none of these, or there are more letters than a tensor can have axes. The rank may
 * still not fit: then strlen(equation->x) is not `rank`.
 */
bool strata__equation_parse(const char *text, int rank, strata__equation *equation);

/*
 * If y = x · kernel with the last axes of x and the first of the kernel summed over: how many last
 * axes of the kernel, and of y, are the columns. 0: the equation is another one.
 */
int strata__equation_columns(const strata__equation *equation);

/*
 * y by the equation: letters that are not in y are summed over. x is a batch, and its first letter
 * is the first of y and none of the kernel's; no letter occurs twice in an operand. The kernel is
 * whole. A letter with two sizes is an error.
 */
strata_tensor *strata__einsum(const char *who, strata_tensor *x, strata_tensor *kernel,
                              const strata__equation *equation);

#endif
