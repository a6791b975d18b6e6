//! stub

/// Interfaces, neighbours and routes by rtnetlink.
pub mod netlink;
