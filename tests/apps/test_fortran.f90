! Tests of the Fortran module strata.
! SPDX-License-Identifier: Apache-2.0
program test_fortran
    use mpi
    use strata
    use, intrinsic :: iso_c_binding
    use, intrinsic :: ieee_arithmetic, only: ieee_is_nan
    implicit none
    character(*), parameter :: network = '{"class_name": "Sequential", "config": {"layers": ['// &
        '{"class_name": "InputLayer", "config": {"batch_shape": [null, 2]}}, '// &
        '{"class_name": "Dense", "config": {"units": 1}}]}}'
    integer :: rank, ranks, number = 0, error

    call MPI_Init(error)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
    call train_and_save()
    call report_errors()
    call refuse_options()
    call MPI_Finalize(error)

contains

    ! Agreed by all ranks, told by the first.
    subroutine check(right, what)
        logical, intent(in) :: right
        character(*), intent(in) :: what
        logical :: all
        number = number + 1
        call MPI_Reduce(right, all, 1, MPI_LOGICAL, MPI_LAND, 0, MPI_COMM_WORLD, error)
        if (rank == 0) print '(a, i0, 2a)', trim(merge('ok    ', 'not ok', all))//' ', number, &
            ' - ', what
    end subroutine

    ! y = x1 - x2; samples are the last axis, and every rank has another number of them.
    subroutine train_and_save()
        type(c_ptr) :: ctx, model, again, samples
        real(c_float), allocatable, target :: x(:, :), y(:, :)
        real(c_double) :: before, step, fitted, after, loaded
        integer(c_int) :: status
        allocate (x(2, 8*rank + 4), y(1, 8*rank + 4))
        call random_number(x)
        y(1, :) = x(1, :) - x(2, :)
        ctx = strata_init(MPI_COMM_WORLD, '--seed=2')
        model = strata_model_from_json(ctx, network)
        status = strata_compile(model, 'SGD(0.1)', 'mse', 'mae')
        samples = strata_local_dataset(ctx, x, y)
        before = strata_evaluate(model, samples, 8_c_int64_t)
        step = strata_train_on_batch(model, samples)
        fitted = strata_fit(model, samples, 8_c_int64_t, 30_c_int)
        after = strata_evaluate(model, samples, 8_c_int64_t)
        call check(strata_rank(ctx) == rank .and. strata_size(ctx) == ranks, 'rank and size')
        call check(status == 0 .and. strata_error(ctx) == 0 .and. strata_error_message(ctx) == '', &
                   'no error')
        call check(abs(step - before) < 1e-5*before, 'a step tells the loss before it')
        call check(fitted < step .and. after < step, 'training learns')
        status = strata_save(model, 'test_fortran.keras')
        again = strata_load(ctx, 'test_fortran.keras')
        loaded = strata_evaluate(again, samples, 8_c_int64_t)
        call check(status == 0 .and. abs(loaded - after) <= 1e-6*after, &
                   'a model comes back from its file')
        call MPI_Barrier(MPI_COMM_WORLD, error)
        if (rank == 0) call unlink('test_fortran.keras')
        call strata_dataset_free(samples)
        call check(strata_finish(ctx) == 0, 'the exit code of success')
        call check(.not. c_associated(ctx), 'no context is left')
    end subroutine

    subroutine report_errors()
        type(c_ptr) :: ctx, model
        character(:), allocatable :: message
        logical :: agreed, told
        ctx = strata_init(MPI_COMM_WORLD, '')
        model = strata_load(ctx, 'nowhere.keras')
        agreed = strata_agree(ctx) == strata_error(ctx) .and. strata_error(ctx) /= 0
        message = strata_error_message(ctx)
        told = index(message, 'nowhere.keras') > 0 .and. .not. c_associated(model)
        call check(agreed .and. told, 'a missing file is told')
        call check(ieee_is_nan(strata_train_on_batch(model, c_null_ptr)), 'no loss without a model')
        call strata_error_clear(ctx)
        call check(strata_error_message(ctx) == '', 'an error can be forgotten')
        call check(strata_finish(ctx) == 0, 'and then the end is well')
    end subroutine

    subroutine refuse_options()
        type(c_ptr) :: ctx
        ctx = strata_init(MPI_COMM_WORLD, '--mash=cols=2')
        call check(index(strata_error_message(ctx), '--mash=cols=2') > 0, &
                   'an unknown option is refused')
        call strata_error_clear(ctx)
        call check(strata_finish(ctx) == 0, 'the context ends')
    end subroutine
end program
