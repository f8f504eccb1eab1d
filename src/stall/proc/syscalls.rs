//! The system calls that threads sleep in: their names, and where their arguments are.
//!
//! Numbers differ from one architecture to the next. On one that has no table here a call is shown
//! by its number, and nothing is said of its arguments.

/// What the arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The first is a descriptor.
    Fd,
    /// The argument of this index is a path.
    Path(usize),
    /// A `pollfd` array and its length; the third is a timeout in milliseconds.
    Poll,
    /// The same; the third is a `timespec`.
    PollSpec,
    /// A `timespec` is the first.
    Sleep,
    /// Flags are the second, a `timespec` is the third.
    ClockSleep,
    Other,
}

use Shape::{ClockSleep, Fd, Other, Path, Poll, PollSpec, Sleep};

/// Name and shape of a call.
pub(super) fn of(number: i64) -> Option<(&'static str, Shape)> {
    TABLE
        .iter()
        .find(|(known, ..)| *known == number)
        .map(|(_, name, shape)| (*name, *shape))
}

#[cfg(target_arch = "x86_64")]
const TABLE: &[(i64, &str, Shape)] = &[
    (0, "read", Fd),
    (1, "write", Fd),
    (2, "open", Path(0)),
    (3, "close", Fd),
    (4, "stat", Path(0)),
    (5, "fstat", Fd),
    (6, "lstat", Path(0)),
    (7, "poll", Poll),
    (16, "ioctl", Fd),
    (17, "pread64", Fd),
    (18, "pwrite64", Fd),
    (19, "readv", Fd),
    (20, "writev", Fd),
    (23, "select", Other),
    (26, "msync", Other),
    (34, "pause", Other),
    (35, "nanosleep", Sleep),
    (40, "sendfile", Fd),
    (42, "connect", Fd),
    (43, "accept", Fd),
    (44, "sendto", Fd),
    (45, "recvfrom", Fd),
    (46, "sendmsg", Fd),
    (47, "recvmsg", Fd),
    (56, "clone", Other),
    (58, "vfork", Other),
    (59, "execve", Path(0)),
    (61, "wait4", Other),
    (65, "semop", Other),
    (69, "msgsnd", Other),
    (70, "msgrcv", Other),
    (72, "fcntl", Fd),
    (73, "flock", Fd),
    (74, "fsync", Fd),
    (75, "fdatasync", Fd),
    (76, "truncate", Path(0)),
    (77, "ftruncate", Fd),
    (78, "getdents", Fd),
    (82, "rename", Path(0)),
    (83, "mkdir", Path(0)),
    (87, "unlink", Path(0)),
    (89, "readlink", Path(0)),
    (128, "rt_sigtimedwait", Other),
    (162, "sync", Other),
    (202, "futex", Other),
    (217, "getdents64", Fd),
    (219, "restart_syscall", Other),
    (220, "semtimedop", Other),
    (230, "clock_nanosleep", ClockSleep),
    (232, "epoll_wait", Fd),
    (242, "mq_timedsend", Fd),
    (243, "mq_timedreceive", Fd),
    (247, "waitid", Other),
    (257, "openat", Path(1)),
    (258, "mkdirat", Path(1)),
    (262, "newfstatat", Path(1)),
    (263, "unlinkat", Path(1)),
    (264, "renameat", Path(1)),
    (267, "readlinkat", Path(1)),
    (270, "pselect6", Other),
    (271, "ppoll", PollSpec),
    (275, "splice", Fd),
    (277, "sync_file_range", Fd),
    (281, "epoll_pwait", Fd),
    (285, "fallocate", Fd),
    (288, "accept4", Fd),
    (295, "preadv", Fd),
    (296, "pwritev", Fd),
    (299, "recvmmsg", Fd),
    (306, "syncfs", Fd),
    (307, "sendmmsg", Fd),
    (316, "renameat2", Path(1)),
    (318, "getrandom", Other),
    (326, "copy_file_range", Fd),
    (327, "preadv2", Fd),
    (328, "pwritev2", Fd),
    (332, "statx", Path(1)),
    (426, "io_uring_enter", Fd),
    (437, "openat2", Path(1)),
    (441, "epoll_pwait2", Fd),
    (449, "futex_waitv", Other),
    (455, "futex_wait", Other),
];

#[cfg(target_arch = "aarch64")]
const TABLE: &[(i64, &str, Shape)] = &[
    (22, "epoll_pwait", Fd),
    (25, "fcntl", Fd),
    (29, "ioctl", Fd),
    (32, "flock", Fd),
    (34, "mkdirat", Path(1)),
    (35, "unlinkat", Path(1)),
    (38, "renameat", Path(1)),
    (45, "truncate", Path(0)),
    (46, "ftruncate", Fd),
    (47, "fallocate", Fd),
    (56, "openat", Path(1)),
    (57, "close", Fd),
    (61, "getdents64", Fd),
    (63, "read", Fd),
    (64, "write", Fd),
    (65, "readv", Fd),
    (66, "writev", Fd),
    (67, "pread64", Fd),
    (68, "pwrite64", Fd),
    (69, "preadv", Fd),
    (70, "pwritev", Fd),
    (71, "sendfile", Fd),
    (72, "pselect6", Other),
    (73, "ppoll", PollSpec),
    (76, "splice", Fd),
    (78, "readlinkat", Path(1)),
    (79, "newfstatat", Path(1)),
    (80, "fstat", Fd),
    (81, "sync", Other),
    (82, "fsync", Fd),
    (83, "fdatasync", Fd),
    (84, "sync_file_range", Fd),
    (95, "waitid", Other),
    (98, "futex", Other),
    (101, "nanosleep", Sleep),
    (115, "clock_nanosleep", ClockSleep),
    (128, "restart_syscall", Other),
    (137, "rt_sigtimedwait", Other),
    (182, "mq_timedsend", Fd),
    (183, "mq_timedreceive", Fd),
    (188, "msgrcv", Other),
    (189, "msgsnd", Other),
    (192, "semtimedop", Other),
    (193, "semop", Other),
    (202, "accept", Fd),
    (203, "connect", Fd),
    (206, "sendto", Fd),
    (207, "recvfrom", Fd),
    (211, "sendmsg", Fd),
    (212, "recvmsg", Fd),
    (220, "clone", Other),
    (221, "execve", Path(0)),
    (227, "msync", Other),
    (242, "accept4", Fd),
    (243, "recvmmsg", Fd),
    (260, "wait4", Other),
    (267, "syncfs", Fd),
    (269, "sendmmsg", Fd),
    (276, "renameat2", Path(1)),
    (278, "getrandom", Other),
    (285, "copy_file_range", Fd),
    (286, "preadv2", Fd),
    (287, "pwritev2", Fd),
    (291, "statx", Path(1)),
    (426, "io_uring_enter", Fd),
    (437, "openat2", Path(1)),
    (441, "epoll_pwait2", Fd),
    (449, "futex_waitv", Other),
    (455, "futex_wait", Other),
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const TABLE: &[(i64, &str, Shape)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_in_order_and_the_names_are_known_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut names: Vec<&str> = TABLE.iter().map(|(_, name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        // `Poll` is a shape that the newer architectures have no call for.
        assert!(
            TABLE
                .iter()
                .all(|(_, name, shape)| (*shape == Poll) == (*name == "poll"))
        );
    }
}
