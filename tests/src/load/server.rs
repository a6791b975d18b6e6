//! nginx, and wrk that asks it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::processor;
use crate::program::Program;
use crate::running::Running;

/// How the clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    KeepAlive,
    /// One connection for each request.
    Close,
    Tls,
}

pub const MODES: [Mode; 3] = [Mode::KeepAlive, Mode::Close, Mode::Tls];

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::Close => "one connection per request",
            Self::Tls => "keep-alive with TLS",
        }
    }
}

/// Connections at a time.
const CONNECTIONS: &str = "16";
const BODY: usize = 1024;
const START: Duration = Duration::from_secs(10);

/// A web server with one worker.
pub struct Server {
    pub port: u16,
    tls_port: u16,
    worker: u32,
    _running: Running,
    folder: tempfile::TempDir,
}

/// What the clients did, and what it took.
pub struct Asked {
    pub requests: f64,
    /// Processor time of server and clients.
    pub watched: Duration,
    pub machine: Duration,
}

impl Server {
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, tls_port) = (free_port()?, free_port()?);
        make_certificate(folder.path())?;
        fs::write(folder.path().join("page"), "x".repeat(BODY))?;
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, configure(folder.path(), port, tls_port))?;
        let running = Program::new("nginx")
            .args(["-e", "stderr", "-c"])
            .args([&configuration])
            .limit(Duration::from_secs(3600))
            .start()?;
        let deadline = Instant::now() + START;
        // It listens before it makes its worker.
        let worker = loop {
            let workers = processor::children_of(running.pid())?;
            if let Some(worker) = workers.first() {
                break *worker;
            }
            ensure!(Instant::now() < deadline, "nginx has no worker");
            std::thread::yield_now();
        };
        Ok(Self {
            port,
            tls_port,
            worker,
            _running: running,
            folder,
        })
    }

    /// Where observers may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets clients ask as fast as they can for some seconds.
    pub fn ask(&self, mode: Mode, seconds: u64) -> Result<Asked> {
        let url = match mode {
            Mode::Tls => format!("https://127.0.0.1:{}/page", self.tls_port),
            _ => format!("http://127.0.0.1:{}/page", self.port),
        };
        let duration = format!("{seconds}s");
        let mut wrk = Program::new("wrk").args(["-t", "1", "-c", CONNECTIONS, "-d", &duration]);
        if mode == Mode::Close {
            wrk = wrk.args(["-H", "Connection: close"]);
        }
        let server = processor::of_process(self.worker)?;
        let clients = processor::of_children()?;
        let machine = processor::of_machine()?;
        let outcome = wrk.args([&url]).run()?.expect_code(0)?;
        let clients = processor::of_children()?.saturating_sub(clients);
        let server = processor::of_process(self.worker)?.saturating_sub(server);
        let machine = processor::of_machine()?.saturating_sub(machine);
        ensure!(
            !outcome.stdout.contains("Non-2xx") && !outcome.stdout.contains("Socket errors"),
            "not every request was answered:\n{}",
            outcome.stdout
        );
        Ok(Asked {
            requests: requests(&outcome.stdout).context("wrk does not say how many")?,
            watched: clients + server,
            machine,
        })
    }
}

/// The number in `   12345 requests in 1.00s, 2.34MB read`.
fn requests(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace().next()?.parse().ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn configure(folder: &Path, port: u16, tls_port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off; user root; worker_processes 1; pid {folder}/pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
           access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;\n\
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n\
           scgi_temp_path {folder}/scgi;\n\
           server {{\n\
             listen 127.0.0.1:{port} backlog=4096;\n\
             listen 127.0.0.1:{tls_port} ssl;\n\
             ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;\n\
             root {folder};\n\
           }}\n\
         }}\n"
    )
}

fn make_certificate(folder: &Path) -> Result<()> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (key, certificate) = (path("key"), path("certificate"));
    Program::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "1", "-newkey", "ec"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-keyout", &key, "-out", &certificate])
        .run()?
        .expect_code(0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::requests;

    #[test]
    fn the_number_of_requests_is_read() {
        let text = "Running 1s test\n  51234 requests in 1.10s, 62.10MB read\nRequests/sec: 1.0\n";
        assert_eq!(requests(text), Some(51234.0));
        assert_eq!(requests("Requests/sec: 1.0"), None);
    }
}
