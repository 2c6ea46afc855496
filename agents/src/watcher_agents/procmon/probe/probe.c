// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a student's pod executes, and how it ended. Compiled by BCC when procmon starts, without kernel headers:
// no kernel structure is named here; the loader passes the offset of each member (OFFSET_...) as the running
// kernel's BTF gives it, and memory is read at base + offset. The records are decoded in records.py.
//
// Passed in by the loader besides: RING_PAGES, LIVE_ENTRIES, TICK_NS, PREFIX_LENGTH, PREFIX_BYTES.

#define BPF_LICENSE Dual MIT/GPL

#define RECORD_EXEC 1
#define RECORD_EXIT 2

#define EXE_TRUNCATED (1 << 0)
#define CWD_TRUNCATED (1 << 1)
#define ARGV_TRUNCATED (1 << 2)
#define EXE_UNREADABLE (1 << 3)
#define CWD_UNREADABLE (1 << 4)
#define ARGV_UNREADABLE (1 << 5)

#define NODENAME_SIZE 65
#define NAME_SIZE 256        // a name of 255 bytes and its NUL
#define PATH_SIZE 4096       // PATH_MAX; the last name may reach beyond it
#define PATH_DEPTH 256       // the verifier of 5.15 walks a loop as often as it may run
#define ARGV_SIZE 16384
#define PATHS_SIZE (2 * (PATH_SIZE + NAME_SIZE))
#define DATA_SIZE (PATHS_SIZE + ARGV_SIZE)

#define SIGNAL_GROUP_EXIT 0x4  // include/linux/sched/signal.h

// Paths are names from the leaf up to below the root of the file system, each with its NUL. mount_namespace is a
// number that no other one gets until the next boot (the inode number of a namespace is given again). init_pid is the
// first process of the pod and init_nodename its hostname; 0 and empty where it is not known.
struct exec_record {
    u32 kind;
    u32 pid;
    u64 start_boottime;
    u64 boottime;
    u64 argv_length;
    u32 flags;
    u32 exe_device;
    u32 cwd_device;
    u32 exe_size;
    u32 cwd_size;
    u32 argv_size;
    u64 mount_namespace;
    u64 init_start_boottime;
    u32 init_pid;
    u32 reserved;
    char nodename[72];
    char init_nodename[72];
    char data[DATA_SIZE];
};
#define EXEC_HEADER_SIZE __builtin_offsetof(struct exec_record, data)

struct exit_record {
    u32 kind;
    u32 pid;
    u64 start_boottime;
    u64 boottime;
    u64 image_boottime;
    u32 status;
    u32 reserved;
};

// A process whose end is wanted. image_boottime is that of its last exec, 0 where it was found in /proc.
struct live_process {
    u64 start_boottime;
    u64 image_boottime;
    u64 leader_exited;
};

enum loss { EXEC_RING_FULL, EXIT_RING_FULL, LIVE_FULL, EXE_READ, CWD_READ, ARGV_READ, LOSSES };

BPF_RINGBUF_OUTPUT(records, RING_PAGES);
BPF_HASH(live, u32, struct live_process, LIVE_ENTRIES);
BPF_PERCPU_ARRAY(losses, u64, LOSSES);
// An exec record is too large for the stack, and a ring buffer reservation must have a size known beforehand.
BPF_PERCPU_ARRAY(scratch, struct exec_record, 1);

static __always_inline void count(u32 cause) {
    u64 *counter = losses.lookup(&cause);
    if (counter) {
        (*counter)++;
    }
}

static __always_inline u64 pointer_at(u64 base, u64 offset) {
    u64 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
    return value;
}

static __always_inline u32 word_at(u64 base, u64 offset) {
    u32 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
    return value;
}

// The device (s_dev) of the file system that a dentry belongs to.
static __always_inline u32 device_of(u64 dentry) {
    u64 superblock = dentry ? pointer_at(dentry, OFFSET_dentry_d_sb) : 0;
    return superblock ? word_at(superblock, OFFSET_super_block_s_dev) : 0;
}

// Keeps the compiler from testing one copy of a number and using another, of which the verifier then knows nothing.
#define ONE_COPY(number) asm volatile("" : "+r"(number))

// A size that was stored in the record, read back as a number of which the verifier knows its bound only. It would
// otherwise follow what comes next once for every length that the walk before may have had: too many.
static __always_inline u64 bounded(u32 *stored, u64 limit) {
    u64 size = *(volatile u32 *)stored;
    ONE_COPY(size);
    if (size > limit) {
        size = limit;
    }
    ONE_COPY(size);
    return size;
}

// Appends the names from `dentry` up to the root at data[start] and stores their size in bytes. A file that is in
// no directory (memfd) is its own root and has a name other than "/".
static __always_inline void append_path(struct exec_record *record, u64 start, u64 dentry, u32 *stored, u32 truncated,
                                        u32 unreadable, u32 read_failed) {
    u64 used = 0;
    u32 problem = truncated;
#pragma clang loop unroll(disable)
    for (int depth = 0; depth < PATH_DEPTH; depth++) {
        u64 at = start + used;
        ONE_COPY(at);
        if (used > PATH_SIZE || at > PATHS_SIZE - NAME_SIZE) {
            break;
        }
        u64 parent = dentry ? pointer_at(dentry, OFFSET_dentry_d_parent) : 0;
        u64 name = dentry ? pointer_at(dentry, OFFSET_dentry_d_name_name) : 0;
        long size = bpf_probe_read_kernel_str(&record->data[at], NAME_SIZE, (void *)name);
        if (size <= 0 || size > NAME_SIZE || !parent) {
            problem = unreadable;
            count(read_failed);
            break;
        }
        if (parent == dentry) {
            problem = 0;
            if (used == 0 && record->data[at] != '/') {
                used = size;
            }
            break;
        }
        used += size;
        dentry = parent;
    }
    record->flags |= problem;
    *(volatile u32 *)stored = used;
}

static __always_inline void append_argv(struct exec_record *record, u64 at, u64 mm) {
    u64 start = pointer_at(mm, OFFSET_mm_struct_arg_start);
    u64 size = pointer_at(mm, OFFSET_mm_struct_arg_end) - start;
    record->argv_length = size;
    ONE_COPY(size);
    if (size > ARGV_SIZE) {
        size = ARGV_SIZE;
        record->flags |= ARGV_TRUNCATED;
    }
    if (bpf_probe_read_user(&record->data[at], size, (void *)start) != 0) {
        size = 0;
        record->flags |= ARGV_UNREADABLE;
        count(ARGV_READ);
    }
    *(volatile u32 *)&record->argv_size = size;
}

// The first process of the pid namespace next below the node's: the pod's own, whatever namespaces a student has made
// in it. 0 where there is none: a process of the node, or a pod that uses the node's pid namespace.
static __always_inline u64 init_of_pod(u64 task) {
    u64 pid = pointer_at(task, OFFSET_task_struct_thread_pid);
    if (word_at(pid, OFFSET_pid_level) == 0) {
        return 0;
    }
    // numbers[1].ns; of a number, the pointer is the last member.
    u64 pid_namespace = pointer_at(pid, OFFSET_pid_numbers + OFFSET_upid_ns + sizeof(u64) + OFFSET_upid_ns);
    return pointer_at(pid_namespace, OFFSET_pid_namespace_child_reaper);
}

static __always_inline u64 nodename_of(u64 nsproxy) {
    return pointer_at(nsproxy, OFFSET_nsproxy_uts_ns) + OFFSET_uts_namespace_name_nodename;
}

static __always_inline int in_a_pod(u64 nodename) {
    const char wanted[] = {PREFIX_BYTES};
    char actual[PREFIX_LENGTH] = {};
    bpf_probe_read_kernel(actual, PREFIX_LENGTH, (void *)nodename);
#pragma unroll
    for (int i = 0; i < PREFIX_LENGTH; i++) {
        if (actual[i] != wanted[i]) {
            return 0;
        }
    }
    return 1;
}

// sched_process_exec: the new image is in place, and the thread that called exec is the group's leader now,
// whichever it was before; it has the old leader's start time.
int on_exec(void *context) {
    u64 task = bpf_get_current_task();
    u64 nsproxy = pointer_at(task, OFFSET_task_struct_nsproxy);
    u64 nodename = nodename_of(nsproxy);
    u64 init = init_of_pod(task);
    u64 init_nodename = init ? nodename_of(pointer_at(init, OFFSET_task_struct_nsproxy)) : 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    // A student may give a process another hostname (unshare -Ur --uts): its pod's first process still has the pod's.
    // And a process that is followed stays so whatever it does: its last image must get an end.
    if (!in_a_pod(nodename) && !(init && in_a_pod(init_nodename)) && !live.lookup(&pid)) {
        return 0;
    }

    u32 zero = 0;
    struct exec_record *record = scratch.lookup(&zero);
    if (!record) {
        return 0;
    }
    u64 leader = pointer_at(task, OFFSET_task_struct_group_leader);
    record->kind = RECORD_EXEC;
    record->pid = pid;
    record->start_boottime = pointer_at(leader, OFFSET_task_struct_start_boottime);
    record->boottime = bpf_ktime_get_boot_ns();
    record->flags = 0;
    record->mount_namespace = pointer_at(pointer_at(nsproxy, OFFSET_nsproxy_mnt_ns), OFFSET_mnt_namespace_id);
    record->init_pid = init ? word_at(init, OFFSET_task_struct_tgid) : 0;
    record->init_start_boottime =
        init ? pointer_at(pointer_at(init, OFFSET_task_struct_group_leader), OFFSET_task_struct_start_boottime) : 0;
    bpf_probe_read_kernel(record->nodename, NODENAME_SIZE, (void *)nodename);
    // Where it cannot be read, the kernel writes zeros.
    bpf_probe_read_kernel(record->init_nodename, NODENAME_SIZE, (void *)init_nodename);

    struct live_process process = {.start_boottime = record->start_boottime, .image_boottime = record->boottime};
    if (live.update(&pid, &process) != 0) {
        count(LIVE_FULL);  // its end would never be told, so neither is its beginning
        return 0;
    }

    u64 mm = pointer_at(task, OFFSET_task_struct_mm);
    u64 exe = pointer_at(pointer_at(mm, OFFSET_mm_struct_exe_file), OFFSET_file_f_path_dentry);
    u64 cwd = pointer_at(pointer_at(task, OFFSET_task_struct_fs), OFFSET_fs_struct_pwd_dentry);
    record->exe_device = device_of(exe);
    record->cwd_device = device_of(cwd);
    append_path(record, 0, exe, &record->exe_size, EXE_TRUNCATED, EXE_UNREADABLE, EXE_READ);
    u64 used = bounded(&record->exe_size, PATH_SIZE + NAME_SIZE);
    append_path(record, used, cwd, &record->cwd_size, CWD_TRUNCATED, CWD_UNREADABLE, CWD_READ);
    used += bounded(&record->cwd_size, PATH_SIZE + NAME_SIZE);
    append_argv(record, used, mm);
    used += bounded(&record->argv_size, ARGV_SIZE);
    u64 size = EXEC_HEADER_SIZE + used;
    if (records.ringbuf_output(record, size, 0) != 0) {
        count(EXEC_RING_FULL);
    }
    return 0;
}

// sched_process_exit: a thread ends. The process has when its last thread does (signal->live == 0).
//
// Two threads that end at once can both find 0; deleting the entry succeeds for one of them, which reports. Where no
// thread called exit_group, kernels before 6.0 take the leader's own exit code, and whoever is quicker than the leader
// does not find it yet: the leader says in the entry when it is there, and until then the report is left to it.
int on_exit(void *context) {
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 pid = pid_tgid >> 32;
    struct live_process *process = live.lookup(&pid);
    if (!process) {
        return 0;
    }
    u64 task = bpf_get_current_task();
    u64 leader = pointer_at(task, OFFSET_task_struct_group_leader);
    u64 signal = pointer_at(task, OFFSET_task_struct_signal);
    if (pid == (u32)pid_tgid) {
        __sync_fetch_and_add(&process->leader_exited, 1);
    }
    if (word_at(signal, OFFSET_signal_struct_live_counter) != 0 || !process->leader_exited) {
        return 0;
    }
    struct exit_record record = {
        .kind = RECORD_EXIT,
        .pid = pid,
        .start_boottime = pointer_at(leader, OFFSET_task_struct_start_boottime),
        .boottime = bpf_ktime_get_boot_ns(),
        .image_boottime = process->image_boottime,
    };
    // An entry from /proc knows its start in clock ticks only.
    u64 known_start = process->start_boottime;
    if (live.delete(&pid) != 0) {
        return 0;
    }
    if (known_start / TICK_NS != record.start_boottime / TICK_NS) {
        return 0;  // left over from another process that had this pid
    }
    if (word_at(signal, OFFSET_signal_struct_flags) & SIGNAL_GROUP_EXIT) {
        record.status = word_at(signal, OFFSET_signal_struct_group_exit_code);
    } else {
        record.status = word_at(leader, OFFSET_task_struct_exit_code);
    }
    if (records.ringbuf_output(&record, sizeof(record), 0) != 0) {
        count(EXIT_RING_FULL);
    }
    return 0;
}
