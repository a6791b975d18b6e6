//! Where the members of the kernel's structures are.
//!
//! rustc emits no CO-RE relocations, so the tracer resolves these offsets from the
//! running kernel's BTF before it loads the programs. An offset the kernel does not have
//! is [`ABSENT`]; what needs it is then left out.

/// The kernel has no such member.
pub const ABSENT: u16 = 0xffff;

macro_rules! layout {
    ($($(#[$documentation:meta])* $name:ident: $structure:literal . $member:literal;)*) => {
        /// Byte offsets of members, in the order of [`MEMBERS`].
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$documentation])* pub $name: u16,)*
        }

        impl Layout {
            /// Nothing is known.
            pub const UNKNOWN: Self = Self { $($name: ABSENT,)* };
        }

        /// Structure and member (a path through nested structures) behind each offset.
        pub const MEMBERS: &[(&str, &str)] = &[$(($structure, $member),)*];
    };
}

layout! {
    sock_family: "sock_common"."skc_family";
    sock_state: "sock_common"."skc_state";
    /// Local port, host byte order; 0 again once the socket has given it back.
    sock_local_port: "sock_common"."skc_num";
    /// Local port, network byte order; it stays when the socket is closed.
    sock_source_port: "inet_sock"."inet_sport";
    /// Remote port, network byte order.
    sock_remote_port: "sock_common"."skc_dport";
    sock_remote_v4: "sock_common"."skc_daddr";
    sock_local_v4: "sock_common"."skc_rcv_saddr";
    sock_remote_v6: "sock_common"."skc_v6_daddr";
    sock_local_v6: "sock_common"."skc_v6_rcv_saddr";
    sock_cookie: "sock_common"."skc_cookie";
    sock_network: "sock_common"."skc_net";
    sock_protocol: "sock"."sk_protocol";
    /// Sequence number of the next byte a process writes.
    tcp_write_sequence: "tcp_sock"."write_seq";
    /// Sequence number of the next byte a process reads.
    tcp_copied_sequence: "tcp_sock"."copied_seq";
    /// Sequence number of the next byte expected from the peer.
    tcp_receive_next: "tcp_sock"."rcv_nxt";
    message_bytes: "msghdr"."msg_iter.count";
    buffer_data: "sk_buff"."data";
    buffer_length: "sk_buff"."len";
    buffer_transport_header: "sk_buff"."transport_header";
    buffer_socket: "sk_buff"."sk";
    buffer_device: "sk_buff"."dev";
    segment_flags: "tcp_skb_cb"."tcp_flags";
    /// Smoothed round-trip time, 1/8 microseconds.
    tcp_srtt: "tcp_sock"."srtt_us";
    /// Mean deviation of the round-trip time, 1/4 microseconds.
    tcp_mdev: "tcp_sock"."mdev_us";
    tcp_cwnd: "tcp_sock"."snd_cwnd";
    tcp_ssthresh: "tcp_sock"."snd_ssthresh";
    tcp_bytes_acked: "tcp_sock"."bytes_acked";
    tcp_bytes_received: "tcp_sock"."bytes_received";
    tcp_total_retrans: "tcp_sock"."total_retrans";
    tcp_lost_out: "tcp_sock"."lost_out";
    tcp_packets_out: "tcp_sock"."packets_out";
    /// A bit-field that starts at this byte.
    connection_ca_state: "inet_connection_sock"."icsk_ca_state";
    /// Which timer is set.
    connection_pending: "inet_connection_sock"."icsk_pending";
    buffer_head: "sk_buff"."head";
    buffer_network_header: "sk_buff"."network_header";
    buffer_control: "sk_buff"."cb";
    segment_sequence: "tcp_skb_cb"."seq";
    segment_end_sequence: "tcp_skb_cb"."end_seq";
    /// inode number of a network namespace, in `struct net`.
    network_inode: "net"."ns.inum";
    network_fib6_null_entry: "net"."ipv6.fib6_null_entry";
    flow4_destination: "flowi4"."daddr";
    flow4_source: "flowi4"."saddr";
    flow6_destination: "flowi6"."daddr";
    flow6_source: "flowi6"."saddr";
    next_hop_device: "fib_nh_common"."nhc_dev";
    next_hop_gateway_family: "fib_nh_common"."nhc_gw_family";
    next_hop_gateway: "fib_nh_common"."nhc_gw";
    fib6_result_next_hop: "fib6_result"."nh";
    fib6_result_route: "fib6_result"."f6i";
    fib6_result_type: "fib6_result"."fib6_type";
    fib6_next_hop_common: "fib6_nh"."nh_common";
    fib6_table_id: "fib6_table"."tb6_id";
    device_name: "net_device"."name";
    device_network: "net_device"."nd_net";
    neighbor_table: "neighbour"."tbl";
    neighbor_state: "neighbour"."nud_state";
    neighbor_address: "neighbour"."ha";
    neighbor_device: "neighbour"."dev";
    neighbor_key: "neighbour"."primary_key";
    neighbor_table_family: "neigh_table"."family";
    task_tgid: "task_struct"."tgid";
    task_pid: "task_struct"."pid";
    task_comm: "task_struct"."comm";
    task_exit_code: "task_struct"."exit_code";
    task_signal: "task_struct"."signal";
    task_stack: "task_struct"."stack";
    task_flags: "task_struct"."flags";
    task_memory: "task_struct"."mm";
    /// The thread that a process began with.
    task_group_leader: "task_struct"."group_leader";
    task_namespaces: "task_struct"."nsproxy";
    /// A process's network namespace.
    namespaces_network: "nsproxy"."net_ns";
    /// Threads of the group that have not yet exited.
    signal_live: "signal_struct"."live";
    memory_argument_start: "mm_struct"."arg_start";
    memory_argument_end: "mm_struct"."arg_end";
    binary_file_name: "linux_binprm"."filename";
    /// First and second argument of a system call, in the registers saved on x86-64.
    registers_x86_first: "pt_regs"."di";
    registers_x86_second: "pt_regs"."si";
    /// General registers of aarch64.
    registers_aarch64: "user_pt_regs"."regs";
}

const _: () = assert!(size_of::<Layout>() == 2 * MEMBERS.len());
