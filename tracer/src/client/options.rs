//! Command line options. Names and meaning are curl's wherever curl has them.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What to request, as given on the command line; `fetch` flattens this.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RequestOptions {
    /// URL to open, with its scheme
    pub url: String,
    /// Request method [default: GET, or POST with --data]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub method: Option<String>,
    /// Add a header; "Name:" alone removes a default one (repeatable)
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        allow_hyphen_values = true
    )]
    pub headers: Vec<String>,
    /// Send this as the request body; @FILE reads it from a file (repeatable, joined by &)
    #[arg(
        short = 'd',
        long = "data",
        value_name = "DATA",
        allow_hyphen_values = true
    )]
    pub data: Vec<String>,
    /// Accept any certificate
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Follow redirects, at most 10
    #[arg(short = 'L', long)]
    pub location: bool,
    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Trust these certificates (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Use HTTP/1.1
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub http1: bool,
    /// Use HTTP/2 where the server offers it (the default for https)
    #[arg(long)]
    pub http2: bool,
    /// Use this address for host and port instead of asking the resolver (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    pub resolve: Vec<String>,
    /// Write the response body to a file; - is stdout [default: discard]
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub max_time: Option<f64>,
    /// Give up when not connected (name, TCP and TLS) after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub connect_timeout: Option<f64>,
}

/// Options of the hidden subcommand `__client`.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientArguments {
    #[command(flatten)]
    pub request: RequestOptions,
    /// Pipe for reports, one JSON object a line
    #[arg(long, value_name = "FD", hide = true)]
    pub report_fd: Option<RawFd>,
    /// Pipe for TLS secrets, SSLKEYLOGFILE lines
    #[arg(long, value_name = "FD", hide = true)]
    pub secret_fd: Option<RawFd>,
}

impl RequestOptions {
    /// The response body takes standard output.
    #[must_use]
    pub fn writes_body_to_stdout(&self) -> bool {
        self.body
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    /// The options as arguments that parse into the same options.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, set: bool| {
            if set {
                arguments.push(name.into());
            }
        };
        flag("--insecure", self.insecure);
        flag("--location", self.location);
        flag("--ipv4", self.ipv4);
        flag("--ipv6", self.ipv6);
        flag("--http1.1", self.http1);
        flag("--http2", self.http2);
        // `--name=value`, because a value may begin with a dash.
        let mut option = |name: &str, value: OsString| {
            let mut argument = OsString::from(name);
            argument.push("=");
            argument.push(value);
            arguments.push(argument);
        };
        for (name, values) in [
            ("--header", &self.headers),
            ("--data", &self.data),
            ("--resolve", &self.resolve),
        ] {
            values
                .iter()
                .for_each(|value| option(name, value.clone().into()));
        }
        if let Some(method) = &self.method {
            option("--request", method.clone().into());
        }
        for (name, path) in [("--cacert", &self.cacert), ("--body", &self.body)] {
            if let Some(path) = path {
                option(name, path.clone().into());
            }
        }
        for (name, seconds) in [
            ("--max-time", self.max_time),
            ("--connect-timeout", self.connect_timeout),
        ] {
            if let Some(seconds) = seconds {
                option(name, seconds.to_string().into());
            }
        }
        arguments.push("--".into());
        arguments.push(self.url.clone().into());
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::RequestOptions;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: RequestOptions,
    }

    #[test]
    fn options_survive_the_way_to_the_client_process() {
        let line = [
            "tracer",
            "-X",
            "PUT",
            "-H",
            "-odd: value",
            "-d",
            "-a=1",
            "-d",
            "b",
            "-k",
            "-L",
            "-6",
            "--cacert",
            "ca file.pem",
            "--http2",
            "--resolve",
            "a.test:443:[::1]",
            "--body",
            "-",
            "--max-time",
            "1.5",
            "--connect-timeout",
            "3",
            "https://a.test/?x=%20",
        ];
        let given = Line::try_parse_from(line).expect("a usable line").options;
        let mut again = vec!["tracer".into()];
        again.extend(given.to_arguments());
        let parsed = Line::try_parse_from(again).expect("a usable line").options;
        assert_eq!(format!("{given:?}"), format!("{parsed:?}"));
    }

    #[test]
    fn one_address_family_excludes_the_other() {
        assert!(Line::try_parse_from(["tracer", "-4", "-6", "http://a.test"]).is_err());
        assert!(Line::try_parse_from(["tracer", "--http1.1", "--http2", "http://a.test"]).is_err());
    }
}
