! A heat equation on all ranks, and a surrogate that some train while it runs: in_situ.c in Fortran.
! SPDX-License-Identifier: Apache-2.0

! The simulation: the field u lies in blocks on a grid of processes.
module heat
    use mpi
    use, intrinsic :: iso_fortran_env, only: real64, int64
    implicit none

    ! Own rows and columns of the field, with a border of one that holds the neighbours' edges.
    type block_t
        integer :: grid                                ! communicator
        integer :: size                                ! of the whole field
        integer :: rows, cols, first_row, first_col
        real(real64), allocatable :: u(:, :)           ! (0:rows + 1, 0:cols + 1)
    end type

contains

    ! Two hot spots on a cold plate.
    pure function start_value(y, x) result(value)
        real(real64), intent(in) :: y, x
        real(real64) :: value
        value = exp(-60*((y - 0.3_real64)**2 + (x - 0.35_real64)**2)) + &
                0.7_real64*exp(-90*((y - 0.7_real64)**2 + (x - 0.6_real64)**2))
    end function

    subroutine block_open(b, size)
        type(block_t), intent(out) :: b
        integer, intent(in) :: size
        integer :: ranks, rank, dims(2), position(2), i, j, error
        dims = 0
        call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
        call MPI_Dims_create(ranks, 2, dims, error)
        call MPI_Cart_create(MPI_COMM_WORLD, 2, dims, [.false., .false.], .false., b%grid, error)
        call MPI_Comm_rank(b%grid, rank, error)
        call MPI_Cart_coords(b%grid, rank, 2, position, error)
        b%size = size
        b%first_row = size*position(1)/dims(1)
        b%first_col = size*position(2)/dims(2)
        b%rows = size*(position(1) + 1)/dims(1) - b%first_row
        b%cols = size*(position(2) + 1)/dims(2) - b%first_col
        allocate (b%u(0:b%rows + 1, 0:b%cols + 1), source=0.0_real64)
        do j = 1, b%cols
            do i = 1, b%rows
                b%u(i, j) = start_value((b%first_row + i - 0.5_real64)/size, &
                                        (b%first_col + j - 0.5_real64)/size)
            end do
        end do
    end subroutine

    ! Edges go to the neighbours; beyond the plate it is cold.
    subroutine exchange(b)
        type(block_t), intent(inout) :: b
        integer :: up, down, left, right, error
        call MPI_Cart_shift(b%grid, 0, 1, up, down, error)
        call MPI_Cart_shift(b%grid, 1, 1, left, right, error)
        call swap(b%u(1, :), up, b%u(b%rows + 1, :), down)
        call swap(b%u(b%rows, :), down, b%u(0, :), up)
        ! with the rows that have just come: so the corners arrive too
        call swap(b%u(:, 1), left, b%u(:, b%cols + 1), right)
        call swap(b%u(:, b%cols), right, b%u(:, 0), left)
    contains
        subroutine swap(edge, to, border, from)
            real(real64), intent(in) :: edge(:)
            real(real64), intent(inout) :: border(:)
            integer, intent(in) :: to, from
            real(real64) :: sent(size(edge)), received(size(edge))
            sent = edge
            received = border
            call MPI_Sendrecv(sent, size(sent), MPI_DOUBLE_PRECISION, to, 0, &
                              received, size(received), MPI_DOUBLE_PRECISION, from, 0, &
                              b%grid, MPI_STATUS_IGNORE, error)
            border = received
        end subroutine
    end subroutine

    ! u <- u + dt a/h**2 (u of the four neighbours - 4u), with dt a/h**2 = 0.2.
    subroutine advance(b)
        type(block_t), intent(inout) :: b
        b%u(1:b%rows, 1:b%cols) = b%u(1:b%rows, 1:b%cols) + 0.2_real64* &
            (b%u(0:b%rows - 1, 1:b%cols) + b%u(2:b%rows + 1, 1:b%cols) + &
             b%u(1:b%rows, 0:b%cols - 1) + b%u(1:b%rows, 2:b%cols + 1) - 4*b%u(1:b%rows, 1:b%cols))
    end subroutine

    ! The same for every way to cut the field: each value, with its place, adds its share.
    function fingerprint(b) result(all)
        type(block_t), intent(in) :: b
        integer(int64) :: all, own, bits, place
        integer :: i, j, error
        own = 0
        do j = 1, b%cols
            do i = 1, b%rows
                place = int(b%first_row + i - 1, int64)*b%size + b%first_col + j - 1
                bits = ieor(transfer(b%u(i, j), bits), ishftc(place, 23))
                bits = ieor(bits, ishftc(bits, 27))
                own = ieor(own, ieor(bits, ishftc(bits, int(mod(place, 61_int64)))))
            end do
        end do
        call MPI_Reduce(own, all, 1, MPI_INTEGER8, MPI_BXOR, 0, b%grid, error)
    end function
end module

! The surrogate: ranks with even numbers learn from their blocks how a value changes until the next
! time, from the differences to its eight neighbours.
module surrogates
    use mpi
    use strata
    use heat
    use, intrinsic :: iso_c_binding
    use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
    implicit none

    integer, parameter :: neighbours = 8
    integer, parameter :: around(2, neighbours) = reshape( &
        [-1, -1, -1, 0, -1, 1, 0, -1, 0, 1, 1, -1, 1, 0, 1, 1], [2, neighbours])
    integer(c_int64_t), parameter :: batch = 256
    real(real64), parameter :: scale = 50 ! of differences and changes, so that they are about 1

    type surrogate
        type(c_ptr) :: ctx = c_null_ptr ! no trainer, or no longer
        type(c_ptr) :: model, samples
        integer :: trainers
        logical :: is_first, is_last    ! of the trainers
        real(c_float), pointer, contiguous :: x(:, :), y(:, :) ! (neighbours, samples), (1, samples)
        real(real64), allocatable :: before(:)                  ! the values when x was taken
    end type

    ! What model.to_json() says in Keras, without what has its default.
    character(*), parameter :: network = &
        '{"class_name": "Sequential", "config": {"name": "surrogate", "layers": ['// &
        '{"class_name": "InputLayer", "config": {"batch_shape": [null, 8]}}, '// &
        '{"class_name": "Dense", "config": {"units": 32, "activation": "tanh"}}, '// &
        '{"class_name": "Dense", "config": {"units": 1}}]}}'

contains

    ! Collective on the grid.
    subroutine surrogate_open(s, b, options)
        type(surrogate), intent(out) :: s
        type(block_t), intent(in) :: b
        character(*), intent(in) :: options
        integer :: rank, colour, error
        integer(c_int) :: status
        call MPI_Comm_rank(b%grid, rank, error)
        colour = merge(0, MPI_UNDEFINED, mod(rank, 2) == 0)
        call MPI_Comm_split(b%grid, colour, rank, s%trainers, error)
        if (s%trainers == MPI_COMM_NULL) return
        s%ctx = strata_init(s%trainers, '--check-numerics '//options)
        s%is_first = strata_rank(s%ctx) == 0
        s%is_last = strata_rank(s%ctx) == strata_size(s%ctx) - 1
        allocate (s%x(neighbours, b%rows*b%cols), s%y(1, b%rows*b%cols), source=0.0_c_float)
        allocate (s%before(b%rows*b%cols))
        s%model = strata_model_from_json(s%ctx, network)
        status = strata_compile(s%model, 'Adam(learning_rate=0.01)', 'mse')
        s%samples = strata_local_dataset(s%ctx, s%x, s%y)
        call give_up_on_error(s, 0)
    end subroutine

    ! Training is over, well or with an error, which strata_finish() prints. Collective on the
    ! trainers.
    subroutine surrogate_close(s)
        type(surrogate), intent(inout) :: s
        integer :: error
        integer(c_int) :: code
        if (.not. c_associated(s%ctx)) return
        code = strata_finish(s%ctx)
        deallocate (s%x, s%y)
        call MPI_Comm_free(s%trainers, error)
    end subroutine

    subroutine give_up_on_error(s, step)
        type(surrogate), intent(inout) :: s
        integer, intent(in) :: step
        if (strata_error(s%ctx) == 0) return
        if (s%is_first) print '(a, i0, a)', 'training ends at step ', step, &
            '; the simulation goes on'
        call surrogate_close(s)
    end subroutine

    ! Needs the borders.
    subroutine take_inputs(s, b)
        type(surrogate), intent(inout) :: s
        type(block_t), intent(in) :: b
        integer :: i, j, n, sample
        do j = 1, b%cols
            do i = 1, b%rows
                sample = (j - 1)*b%rows + i
                do n = 1, neighbours
                    s%x(n, sample) = real(scale*(b%u(i + around(1, n), j + around(2, n)) - &
                                                 b%u(i, j)), c_float)
                end do
                s%before(sample) = b%u(i, j)
            end do
        end do
    end subroutine

    ! Returns the mean square over all trainers: the error of one who says that nothing changes.
    function take_changes(s, b) result(mean)
        type(surrogate), intent(inout) :: s
        type(block_t), intent(in) :: b
        real(real64) :: mean, sums(2)
        integer :: error
        s%y(1, :) = real(scale*(reshape(b%u(1:b%rows, 1:b%cols), [b%rows*b%cols]) - s%before), &
                         c_float)
        sums = [sum(real(s%y(1, :), real64)**2), real(size(s%y), real64)]
        call MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE_PRECISION, MPI_SUM, s%trainers, &
                           error)
        mean = sums(1)/sums(2)
    end function

    ! First tries what it knows on the new samples, then learns from them. Collective on the trainers.
    subroutine learn(s, b, step, fails)
        type(surrogate), intent(inout) :: s
        type(block_t), intent(in) :: b
        integer, intent(in) :: step
        logical, intent(in) :: fails
        real(real64) :: naive, error, loss
        naive = take_changes(s, b)
        if (fails .and. s%is_last) &
            s%x(1, size(s%x, 2)/2) = ieee_value(0.0_c_float, ieee_quiet_nan)
        error = strata_evaluate(s%model, s%samples, batch)
        loss = strata_fit(s%model, s%samples, batch, 1_c_int)
        if (.not. ieee_is_nan(loss) .and. s%is_first) print '(a, i0, a, es7.1, a)', &
            'step ', step, ': the surrogate''s error is ', error/naive, ' of the naive one'
        call give_up_on_error(s, step)
    end subroutine
end module

program in_situ_fortran
    use surrogates
    implicit none
    integer :: size = 96, steps = 300, every = 20, fail = 0, rank, error
    logical :: trains = .true., right = .true.
    character(:), allocatable :: options

    call MPI_Init(error)
    call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
    call parse()
    if (right) then
        call run()
    else if (rank == 0) then
        print '(a)', 'Usage: mpirun in_situ_fortran [--size=N] [--steps=N] [--every=N]'// &
            ' [--no-training] [--fail=STEP] [--mesh=data=D,rows=R,cols=C] [--seed=N]'
    end if
    call MPI_Finalize(error)
    deallocate (options) ! a main program's own are not given back by themselves
    if (.not. right) stop 1

contains

    ! Collective.
    subroutine run()
        type(block_t) :: b
        type(surrogate) :: s
        integer(int64) :: print_of_field
        integer :: n
        call block_open(b, size)
        if (trains) call surrogate_open(s, b, options)
        do n = 0, steps - 1
            call exchange(b)
            if (mod(n, every) == 0) then
                if (c_associated(s%ctx) .and. n > 0) &
                    call learn(s, b, n, fail > 0 .and. n >= fail)
                if (c_associated(s%ctx)) call take_inputs(s, b)
            end if
            call advance(b)
        end do
        call surrogate_close(s)
        print_of_field = fingerprint(b)
        if (rank == 0) &
            print '(a, i0, a, z16.16)', 'the field after ', steps, ' steps: ', print_of_field
        call MPI_Comm_free(b%grid, error)
    end subroutine

    ! Other options are those of the library.
    subroutine parse()
        character(256) :: argument
        logical :: known
        integer :: i
        options = ''
        do i = 1, command_argument_count()
            call get_command_argument(i, argument)
            known = argument == '--no-training'
            if (known) trains = .false.
            call take_number(argument, '--size=', size, known)
            call take_number(argument, '--steps=', steps, known)
            call take_number(argument, '--every=', every, known)
            call take_number(argument, '--fail=', fail, known)
            if (.not. known) options = options//' '//trim(argument)
        end do
    end subroutine

    ! A number from 1 to 100000, if the argument begins with the name.
    subroutine take_number(argument, name, value, known)
        character(*), intent(in) :: argument, name
        integer, intent(inout) :: value
        logical, intent(inout) :: known
        integer :: status
        if (index(argument, name) /= 1) return
        known = .true.
        read (argument(len(name) + 1:), '(i8)', iostat=status) value
        right = right .and. status == 0 .and. value >= 1 .and. value <= 100000
    end subroutine
end program
