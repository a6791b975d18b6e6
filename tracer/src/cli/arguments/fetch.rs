use super::values;
use super::{CaptureOptions, NetworkOptions, OutputOptions};
use crate::client::RequestOptions;
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  sudo tracer https://example.org/
  sudo tracer -L http://example.org/          follow redirects, each as a journey
  sudo tracer --layers --body page.html https://example.org/
  sudo tracer -X POST -H 'Content-Type: application/json' -d '{\"a\": 1}' \\
    https://api.example.org/
  sudo tracer --netns blue http://10.0.0.2/   from the namespace `blue`
  sudo tracer --resolve shop.test:443:127.0.0.1 -k https://shop.test/

Options that curl has too mean the same here. The body is discarded without --body.
Without a scheme, https is taken; for localhost and for addresses http.";

/// Fetch a URL with the built-in client and trace it.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Fetch {
    #[command(flatten, next_help_heading = "Request")]
    pub request: RequestOptions,
    #[command(flatten)]
    pub output: OutputOptions,
    #[command(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    pub capture: CaptureOptions,
}

impl Fetch {
    /// What the client is to do; a URL without a scheme gets one.
    pub fn request(&self) -> RequestOptions {
        RequestOptions {
            url: values::with_scheme(&self.request.url),
            ..self.request.clone()
        }
    }
}
