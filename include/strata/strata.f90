! The Fortran module strata: the plain functions of strata/plain.h, with Fortran's text and arrays.
! SPDX-License-Identifier: Apache-2.0
!
! Compile it with the program that uses it. Handles are of type(c_ptr); what each function does, and
! on which ranks it must be called, stands in the C header of the same function. Errors are sticky:
! check strata_error() once, at the end.
module strata
    use, intrinsic :: iso_c_binding
    implicit none
    private

    public :: strata_init, strata_finish, strata_rank, strata_size
    public :: strata_error, strata_error_message, strata_error_clear, strata_agree
    public :: strata_model_from_json, strata_load, strata_save
    public :: strata_compile, strata_fit, strata_train_on_batch, strata_evaluate
    public :: strata_local_dataset, strata_dataset_free

    interface
        function c_init(comm, words) bind(C, name='strata_plain_init') result(ctx)
            import :: c_ptr, c_int, c_char
            integer(c_int), value :: comm
            character(kind=c_char), intent(in) :: words(*)
            type(c_ptr) :: ctx
        end function

        !> Sets ctx to c_null_ptr; returns the exit code that stands for what happened.
        function strata_finish(ctx) bind(C) result(code)
            import :: c_ptr, c_int
            type(c_ptr), intent(inout) :: ctx
            integer(c_int) :: code
        end function

        !> 0 is no error.
        function strata_error(ctx) bind(C) result(status)
            import :: c_ptr, c_int
            type(c_ptr), value :: ctx
            integer(c_int) :: status
        end function

        function c_error_message(ctx) bind(C, name='strata_error_message') result(text)
            import :: c_ptr
            type(c_ptr), value :: ctx
            type(c_ptr) :: text
        end function

        subroutine strata_error_clear(ctx) bind(C)
            import :: c_ptr
            type(c_ptr), value :: ctx
        end subroutine

        function strata_agree(ctx) bind(C) result(status)
            import :: c_ptr, c_int
            type(c_ptr), value :: ctx
            integer(c_int) :: status
        end function

        function strata_rank(ctx) bind(C) result(rank)
            import :: c_ptr, c_int
            type(c_ptr), value :: ctx
            integer(c_int) :: rank
        end function

        function strata_size(ctx) bind(C) result(ranks)
            import :: c_ptr, c_int
            type(c_ptr), value :: ctx
            integer(c_int) :: ranks
        end function

        function c_model_from_json(ctx, json) bind(C, name='strata_model_from_json') result(model)
            import :: c_ptr, c_char
            type(c_ptr), value :: ctx
            character(kind=c_char), intent(in) :: json(*)
            type(c_ptr) :: model
        end function

        function c_load(ctx, path) bind(C, name='strata_load') result(model)
            import :: c_ptr, c_char
            type(c_ptr), value :: ctx
            character(kind=c_char), intent(in) :: path(*)
            type(c_ptr) :: model
        end function

        function c_save(model, path) bind(C, name='strata_save') result(status)
            import :: c_ptr, c_int, c_char
            type(c_ptr), value :: model
            character(kind=c_char), intent(in) :: path(*)
            integer(c_int) :: status
        end function

        function c_compile(model, optimizer, loss, metric) &
            bind(C, name='strata_plain_compile') result(status)
            import :: c_ptr, c_int, c_char
            type(c_ptr), value :: model, metric
            character(kind=c_char), intent(in) :: optimizer(*), loss(*)
            integer(c_int) :: status
        end function

        function c_local_dataset(ctx, samples, features, x, targets, y) &
            bind(C, name='strata_plain_local_dataset') result(dataset)
            import :: c_ptr, c_int64_t
            type(c_ptr), value :: ctx, x, y
            integer(c_int64_t), value :: samples, features, targets
            type(c_ptr) :: dataset
        end function

        subroutine strata_dataset_free(dataset) bind(C)
            import :: c_ptr
            type(c_ptr), value :: dataset
        end subroutine

        !> Loss of the last epoch; NaN after an error.
        function strata_fit(model, dataset, batch_size, epochs) &
            bind(C, name='strata_plain_fit') result(loss)
            import :: c_ptr, c_int, c_int64_t, c_double
            type(c_ptr), value :: model, dataset
            integer(c_int64_t), value :: batch_size
            integer(c_int), value :: epochs
            real(c_double) :: loss
        end function

        function strata_train_on_batch(model, dataset) &
            bind(C, name='strata_plain_train_on_batch') result(loss)
            import :: c_ptr, c_double
            type(c_ptr), value :: model, dataset
            real(c_double) :: loss
        end function

        function strata_evaluate(model, dataset, batch_size) &
            bind(C, name='strata_plain_evaluate') result(loss)
            import :: c_ptr, c_int64_t, c_double
            type(c_ptr), value :: model, dataset
            integer(c_int64_t), value :: batch_size
            real(c_double) :: loss
        end function
    end interface

contains

    !> A communicator as `use mpi` has it; options in words, '--mesh=cols=2 --seed=3' or ''.
    function strata_init(comm, words) result(ctx)
        integer, intent(in) :: comm
        character(*), intent(in) :: words
        type(c_ptr) :: ctx
        ctx = c_init(int(comm, c_int), trim(words)//c_null_char)
    end function

    !> One line, '' without an error.
    function strata_error_message(ctx) result(message)
        type(c_ptr), intent(in) :: ctx
        character(:), allocatable :: message
        character(kind=c_char), pointer :: text(:)
        integer, parameter :: most = 1024
        integer :: i
        call c_f_pointer(c_error_message(ctx), text, [most])
        message = ''
        do i = 1, most
            if (text(i) == c_null_char) exit
            message = message//text(i)
        end do
    end function

    function strata_model_from_json(ctx, json) result(model)
        type(c_ptr), intent(in) :: ctx
        character(*), intent(in) :: json
        type(c_ptr) :: model
        model = c_model_from_json(ctx, trim(json)//c_null_char)
    end function

    function strata_load(ctx, path) result(model)
        type(c_ptr), intent(in) :: ctx
        character(*), intent(in) :: path
        type(c_ptr) :: model
        model = c_load(ctx, trim(path)//c_null_char)
    end function

    function strata_save(model, path) result(status)
        type(c_ptr), intent(in) :: model
        character(*), intent(in) :: path
        integer(c_int) :: status
        status = c_save(model, trim(path)//c_null_char)
    end function

    function strata_compile(model, optimizer, loss, metric) result(status)
        type(c_ptr), intent(in) :: model
        character(*), intent(in) :: optimizer, loss
        character(*), intent(in), optional :: metric
        integer(c_int) :: status
        character(:), allocatable, target :: text
        if (present(metric)) then
            text = trim(metric)//c_null_char
            status = c_compile(model, trim(optimizer)//c_null_char, trim(loss)//c_null_char, &
                               c_loc(text))
        else
            status = c_compile(model, trim(optimizer)//c_null_char, trim(loss)//c_null_char, &
                               c_null_ptr)
        end if
    end function

    !> Own samples: x(features, samples) and y(targets, samples), which must live as long as the
    !> dataset, and may get new values between two calls of fit.
    function strata_local_dataset(ctx, x, y) result(dataset)
        type(c_ptr), intent(in) :: ctx
        real(c_float), intent(in), contiguous, target :: x(:, :), y(:, :)
        type(c_ptr) :: dataset
        dataset = c_local_dataset(ctx, size(x, 2, c_int64_t), size(x, 1, c_int64_t), c_loc(x), &
                                  size(y, 1, c_int64_t), c_loc(y))
    end function
end module
