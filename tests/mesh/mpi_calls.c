/* MPI's profiling interface: what this program hands to MPI, counted call by call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mpi_calls.h"

static struct {
    bool counts;
    mpi_calls so_far;
} recorder;

void mpi_calls_begin(void)
{
    recorder.so_far = (mpi_calls){0};
    recorder.counts = true;
}

mpi_calls mpi_calls_end(void)
{
    recorder.counts = false;
    return recorder.so_far;
}

static void count(int64_t elements, MPI_Datatype type)
{
    int size;
    PMPI_Type_size(type, &size);
    recorder.so_far.calls += recorder.counts;
    recorder.so_far.sent += recorder.counts ? elements * size : 0;
}

static void count_other(void)
{
    recorder.so_far.others += recorder.counts;
}

static int rank_in(MPI_Comm comm)
{
    int rank;
    PMPI_Comm_rank(comm, &rank);
    return rank;
}

static int size_of(MPI_Comm comm)
{
    int size;
    PMPI_Comm_size(comm, &size);
    return size;
}

/* What does not stay with this rank. */
static int64_t for_others(const int *counts, MPI_Comm comm)
{
    int64_t sum = 0;
    for (int i = 0; i < size_of(comm); i++)
        sum += i == rank_in(comm) ? 0 : counts[i];
    return sum;
}

/* --- expected --- */

int MPI_Allreduce(const void *from, void *to, int elements, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm)
{
    count(elements, type);
    return PMPI_Allreduce(from, to, elements, type, op, comm);
}

int MPI_Bcast(void *data, int elements, MPI_Datatype type, int root, MPI_Comm comm)
{
    count(rank_in(comm) == root ? elements : 0, type);
    return PMPI_Bcast(data, elements, type, root, comm);
}

int MPI_Allgatherv(const void *from, int elements, MPI_Datatype type, void *to, const int *counts,
                   const int *offsets, MPI_Datatype received, MPI_Comm comm)
{
    count((int64_t)elements * (size_of(comm) - 1), type);
    return PMPI_Allgatherv(from, elements, type, to, counts, offsets, received, comm);
}

int MPI_Reduce_scatter(const void *from, void *to, const int *counts, MPI_Datatype type, MPI_Op op,
                       MPI_Comm comm)
{
    count(for_others(counts, comm), type);
    return PMPI_Reduce_scatter(from, to, counts, type, op, comm);
}

int MPI_Alltoall(const void *from, int elements, MPI_Datatype type, void *to, int to_elements,
                 MPI_Datatype received, MPI_Comm comm)
{
    count((int64_t)elements * (size_of(comm) - 1), type);
    return PMPI_Alltoall(from, elements, type, to, to_elements, received, comm);
}

int MPI_Alltoallv(const void *from, const int *counts, const int *offsets, MPI_Datatype type,
                  void *to, const int *to_counts, const int *to_offsets, MPI_Datatype received,
                  MPI_Comm comm)
{
    count(for_others(counts, comm), type);
    return PMPI_Alltoallv(from, counts, offsets, type, to, to_counts, to_offsets, received, comm);
}

int MPI_Isend(const void *data, int elements, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    count(elements, type);
    return PMPI_Isend(data, elements, type, to, tag, comm, request);
}

int MPI_Ialltoallv(const void *from, const int *counts, const int *offsets, MPI_Datatype type,
                   void *to, const int *to_counts, const int *to_offsets, MPI_Datatype received,
                   MPI_Comm comm, MPI_Request *request)
{
    count(for_others(counts, comm), type);
    return PMPI_Ialltoallv(from, counts, offsets, type, to, to_counts, to_offsets, received, comm,
                           request);
}

/* In place: the own piece stands where it arrives at the others. */
int MPI_Iallgatherv(const void *from, int elements, MPI_Datatype type, void *to, const int *counts,
                    const int *offsets, MPI_Datatype received, MPI_Comm comm, MPI_Request *request)
{
    count((int64_t)counts[rank_in(comm)] * (size_of(comm) - 1), received);
    return PMPI_Iallgatherv(from, elements, type, to, counts, offsets, received, comm, request);
}

/* --- not expected --- */

int MPI_Send(const void *data, int elements, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    count_other();
    return PMPI_Send(data, elements, type, to, tag, comm);
}

int MPI_Allgather(const void *from, int elements, MPI_Datatype type, void *to, int to_elements,
                  MPI_Datatype received, MPI_Comm comm)
{
    count_other();
    return PMPI_Allgather(from, elements, type, to, to_elements, received, comm);
}

int MPI_Reduce(const void *from, void *to, int elements, MPI_Datatype type, MPI_Op op, int root,
               MPI_Comm comm)
{
    count_other();
    return PMPI_Reduce(from, to, elements, type, op, root, comm);
}

int MPI_Iallreduce(const void *from, void *to, int elements, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request *request)
{
    count_other();
    return PMPI_Iallreduce(from, to, elements, type, op, comm, request);
}

int MPI_Ibcast(void *data, int elements, MPI_Datatype type, int root, MPI_Comm comm,
               MPI_Request *request)
{
    count_other();
    return PMPI_Ibcast(data, elements, type, root, comm, request);
}

int MPI_Barrier(MPI_Comm comm)
{
    count_other();
    return PMPI_Barrier(comm);
}
