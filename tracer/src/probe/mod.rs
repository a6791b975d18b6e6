//! stub
use crate::capture::*;
use crate::journey::model::HookReport;
#[derive(Debug, Clone)]
pub enum Scope {
    Processes,
    Host,
}
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    pub scope: Scope,
    pub interfaces: Vec<String>,
    pub payload_budget: u32,
    pub full: bool,
    pub ring_bytes: u32,
    pub without: Vec<HookKind>,
    pub force: Vec<(String, HookKind)>,
    pub xdp_native: bool,
}
pub struct Clock;
impl Clock {
    pub fn started_unix_nano(&self) -> u64 {
        0
    }
    pub fn since_start(&self, b: u64) -> u64 {
        b
    }
    pub fn elapsed_ns(&self) -> u64 {
        0
    }
}
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("x")]
    NotPermitted { a: u8 },
    #[error("x")]
    Unsupported { a: u8 },
    #[error("x")]
    NotBuilt,
    #[error("x")]
    Interface { a: u8 },
}
pub struct Probe;
impl Probe {
    pub async fn attach(_o: ProbeOptions) -> Result<Probe, ProbeError> {
        todo!()
    }
    pub fn clock(&self) -> &Clock {
        todo!()
    }
    pub fn hooks(&self) -> &[HookReport] {
        todo!()
    }
    pub fn interfaces(&self) -> &[String] {
        todo!()
    }
    pub fn trace_process(&mut self, _pid: u32) -> Result<(), ProbeError> {
        todo!()
    }
    pub async fn next(&mut self) -> Result<Vec<Observation>, ProbeError> {
        todo!()
    }
    pub async fn drain(&mut self) -> Vec<Observation> {
        todo!()
    }
    pub async fn detach(self) {}
}
pub mod netlink {
    use crate::capture::*;
    pub async fn interfaces() -> std::io::Result<Vec<Interface>> {
        todo!()
    }
    pub async fn neighbors() -> std::io::Result<Vec<NeighborEvent>> {
        todo!()
    }
    pub async fn route_to(_ip: std::net::IpAddr) -> std::io::Result<RouteDetail> {
        todo!()
    }
}
