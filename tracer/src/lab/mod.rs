//! The lab: a small network of its own in namespaces, for `tracer demo` and the
//! end-to-end tests. Needs no internet and leaves nothing behind.
//!
//! ```text
//!   client                    gateway                      services
//!   eth0 ──────────── client0       services0 ──────────── eth0
//!   10.77.1.10        10.77.1.1     10.77.2.1              10.77.2.80 (HTTP, HTTPS)
//!   fd77:1::10        fd77:1::1     fd77:2::1              fd77:2::80
//!                     10.77.1.53 (DNS)
//! ```
//!
//! The namespaces have no name: each lives as long as a descriptor of it or a process in
//! it, and the servers are child processes that end with the tracer.

/// Addresses and names.
mod address;
/// The lab's own certificate authority.
mod certificate;
/// Namespaces without names.
mod namespace;
/// Interfaces, addresses and routes.
mod network;
/// Starting and ending the server processes.
mod process;
/// What runs in the server processes.
mod server;

pub use address::*;
pub use namespace::{Inside, Namespace};
pub use server::{LabServerArguments, run};

use crate::launch::{EtcFile, LaunchSpec, ResolverFiles};
use certificate::Certificates;
use process::ServerProcess;
use server::{Configuration, Role};
use std::io;
use std::os::fd::BorrowedFd;

/// Where launched commands find the lab's root certificate.
pub const CA_PATH: &str = "/etc/tracer-lab/ca.pem";

/// The policy table of RFC 6724, section 2.1. glibc's built-in one is still that of RFC 3484,
/// which prefers the lab's unique local IPv6 addresses to IPv4.
const ADDRESS_POLICY: &str = "\
precedence ::1/128 50
precedence ::/0 40
precedence ::ffff:0:0/96 35
precedence 2002::/16 30
precedence 2001::/32 5
precedence fc00::/7 3
precedence ::/96 1
precedence fec0::/10 1
precedence 3ffe::/16 1
";

/// Variables that would send a client of the lab elsewhere.
const PROXY_VARIABLES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("cannot {step}: not permitted; run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN")]
    NotPermitted { step: &'static str },
    #[error("cannot {step}: {source}; {hint}")]
    Kernel {
        step: &'static str,
        source: io::Error,
        hint: &'static str,
    },
    #[error("cannot start the lab's {server} server: {reason}; please report this defect")]
    Server {
        server: &'static str,
        reason: String,
    },
    #[error("cannot make the lab's certificates: {0}; please report this defect")]
    Certificates(String),
}

impl LabError {
    fn kernel(step: &'static str, source: io::Error, hint: &'static str) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::NotPermitted { step };
        }
        Self::Kernel { step, source, hint }
    }
}

/// The running network. Dropped, it is gone: servers first, then the namespaces.
#[derive(Debug)]
pub struct Lab {
    servers: Vec<ServerProcess>,
    client: Namespace,
    gateway: Namespace,
    services: Namespace,
    root_certificate: String,
}

impl Lab {
    /// Builds the network and starts its servers; when this returns, every address is
    /// usable, both servers listen, and all neighbour caches are cold.
    ///
    /// The calling thread stays in its own namespace. The program must call
    /// [`crate::launch::hidden_command`] first in `main`.
    ///
    /// # Errors
    /// Without the right to make namespaces and interfaces, or when the kernel lacks veth.
    pub fn start() -> Result<Self, LabError> {
        // Keys take as long as the network: made meanwhile.
        let certificates = std::thread::spawn(Certificates::generate);
        let network = network::build()?;
        let dns = ServerProcess::spawn(Role::Dns, &network.gateway)?;
        let web = ServerProcess::spawn(Role::Web, &network.services)?;
        let certificates = certificates
            .join()
            .unwrap_or_else(|_| Err("the thread panicked".to_owned()))
            .map_err(LabError::Certificates)?;
        let configuration = Configuration {
            ipv6: network.ipv6,
            identities: certificates.identities,
        };
        let mut servers = vec![dns, web];
        for server in &mut servers {
            server.configure(&configuration)?;
        }
        for server in &mut servers {
            server.wait_until_ready()?;
        }
        Ok(Self {
            servers,
            client: network.client,
            gateway: network.gateway,
            services: network.services,
            root_certificate: certificates.root,
        })
    }

    /// The network namespace of the client, where its interface is `eth0`.
    #[must_use]
    pub fn client_network(&self) -> BorrowedFd<'_> {
        self.client.descriptor()
    }

    /// The namespace between the two links; it forwards.
    #[must_use]
    pub fn gateway_network(&self) -> BorrowedFd<'_> {
        self.gateway.descriptor()
    }

    /// The namespace of the servers.
    #[must_use]
    pub fn services_network(&self) -> BorrowedFd<'_> {
        self.services.descriptor()
    }

    /// Moves the calling thread into the client's network until the result is dropped.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN.
    pub fn enter_client(&self) -> Result<Inside, LabError> {
        self.client.enter()
    }

    /// Process ids of the servers: DNS, then web.
    #[must_use]
    pub fn server_pids(&self) -> Vec<u32> {
        self.servers.iter().map(ServerProcess::pid).collect()
    }

    /// Root certificate (PEM) of the servers' certificates; launched commands also find it
    /// at [`CA_PATH`].
    #[must_use]
    pub fn ca_certificate(&self) -> &str {
        &self.root_certificate
    }

    /// What a command in the lab sees in /etc.
    #[must_use]
    pub fn resolver_files(&self) -> ResolverFiles {
        let file = |name: &str, contents: String| EtcFile {
            name: name.to_owned(),
            contents,
        };
        ResolverFiles {
            host_name: Some("client".to_owned()),
            files: vec![
                file(
                    "resolv.conf",
                    // Short time-outs, so that `silent.test` fails while one watches.
                    format!("nameserver {DNS_V4}\noptions timeout:1 attempts:2\n"),
                ),
                file(
                    "hosts",
                    "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 client\n".to_owned(),
                ),
                file("nsswitch.conf", "hosts: files dns\n".to_owned()),
                file("gai.conf", ADDRESS_POLICY.to_owned()),
                file(
                    CA_PATH.trim_start_matches("/etc/"),
                    self.root_certificate.clone(),
                ),
            ],
        }
    }

    /// Makes `spec` run as the lab's client: its network, its resolver files, no proxies.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn place(&self, spec: &mut LaunchSpec) -> Result<(), LabError> {
        spec.network = Some(self.client.duplicate()?);
        spec.resolver_files = Some(self.resolver_files());
        spec.without_environment
            .extend(PROXY_VARIABLES.map(Into::into));
        Ok(())
    }

    /// Makes the neighbour caches of all three hosts cold again.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN in the lab's namespaces.
    pub fn flush_neighbors(&self) -> Result<(), LabError> {
        for namespace in [&self.client, &self.gateway, &self.services] {
            network::flush_neighbors(namespace)?;
        }
        Ok(())
    }

    /// Ends the servers and gives the namespaces back; the same as dropping it.
    pub fn stop(self) {
        drop(self);
    }
}
