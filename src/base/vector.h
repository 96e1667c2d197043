/* Vectorised kernels: compiled for several instruction sets, chosen when the program starts. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_VECTOR_H
#define STRATA_BASE_VECTOR_H

/*
 * Put in front of a function with plain loops. Resolvers run before a sanitizer is set up, so its
 * builds have one version only; so do compilers and machines that do not know the clones.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define STRATA__SIMD __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define STRATA__SIMD
#endif

#endif
