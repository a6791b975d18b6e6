use super::values::{self, Data, Header, Resolve};
use super::{CaptureOptions, OutputOptions};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  sudo tracer https://example.org/
  sudo tracer -L http://example.org/          follow redirects, each as a journey
  sudo tracer --layers --body page.html https://example.org/
  sudo tracer -X POST -H 'Content-Type: application/json' -d '{\"a\": 1}' \\
    https://api.example.org/
  sudo tracer --resolve shop.test:443:127.0.0.1 -k https://shop.test/

Options that curl has too mean the same here. The body is discarded without --body.
Without a scheme, https is taken; for localhost and for addresses http.";

/// Fetch a URL with the built-in client and trace it.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Fetch {
    /// What to open.
    #[arg(value_parser = values::url)]
    pub url: url::Url,
    #[command(flatten)]
    pub request: RequestOptions,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub capture: CaptureOptions,
}

impl Fetch {
    /// The request method: what -X says; otherwise POST with data, GET without.
    pub fn method(&self) -> &str {
        match &self.request.method {
            Some(method) => method,
            None if self.request.data.is_empty() => "GET",
            None => "POST",
        }
    }
}

/// The request, in curl's names.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Request")]
pub struct RequestOptions {
    /// Request method [default: GET, with -d POST].
    #[arg(short = 'X', long = "request", value_name = "METHOD", value_parser = values::method)]
    pub method: Option<String>,
    /// A header, `Name: value`; `Name;` for an empty one. Repeatable.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = values::header)]
    pub headers: Vec<Header>,
    /// Send this as the body; `@FILE` sends a file, `@-` standard input. Repeatable: joined by `&`.
    #[arg(short = 'd', long = "data", value_name = "DATA", value_parser = values::data, allow_hyphen_values = true)]
    pub data: Vec<Data>,
    /// Accept any certificate.
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Follow redirects, each as a linked journey.
    #[arg(short = 'L', long)]
    pub location: bool,
    /// IPv4 only.
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// IPv6 only.
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Trust the authorities in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// HTTP/1.1 only.
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub http1_1: bool,
    /// HTTP/2 only.
    #[arg(long)]
    pub http2: bool,
    /// Take these addresses for this host and port and ask nobody. Repeatable.
    #[arg(long, value_name = "HOST:PORT:ADDRESS[,ADDRESS]", value_parser = values::resolve)]
    pub resolve: Vec<Resolve>,
    /// Write the response body here; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// Give up after this time, for instance 30, 2.5, 500ms (plain numbers are seconds).
    #[arg(short = 'm', long, value_name = "TIME", value_parser = values::duration)]
    pub max_time: Option<Duration>,
    /// Give up connecting after this time.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub connect_timeout: Option<Duration>,
}
