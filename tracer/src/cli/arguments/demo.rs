use super::{CaptureOptions, OutputOptions, values};
use crate::client::RequestOptions;
use clap::Args;
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  sudo tracer demo                              the whole story of one page
  sudo tracer demo -v                           with every event and its evidence
  sudo tracer demo --layers                     with the packets opened layer by layer
  sudo tracer demo -L http://redirect.test/     a redirect: two linked journeys
  sudo tracer demo -- curl -k https://www.shop.test/   any client, in the same network

Client, gateway, DNS server and web server live in namespaces that end with the demo.
Names to try: www.shop.test, plain.test (http), redirect.test, v4only.test, v6only.test;
and what goes wrong: nowhere.test (NXDOMAIN), silent.test (no DNS answer), refused.test,
unreachable.test, badcert.test, expired.test, alert.test, closes.test.";

/// Show a whole journey in a network of its own; needs no internet.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// What to open there.
    #[arg(default_value = "https://www.shop.test/")]
    pub url: String,
    /// Follow redirects, each as a linked journey.
    #[arg(short = 'L', long)]
    pub location: bool,
    /// IPv4 only.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Accept any certificate.
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// HTTP/1.1 only.
    #[arg(long = "http1.1")]
    pub http1: bool,
    /// Run this command there instead of the built-in client.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub capture: CaptureOptions,
}

impl Demo {
    /// What the built-in client is to do.
    pub fn request(&self) -> RequestOptions {
        RequestOptions {
            url: values::with_scheme(&self.url),
            location: self.location,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            insecure: self.insecure,
            http1: self.http1,
            ..RequestOptions::default()
        }
    }
}
