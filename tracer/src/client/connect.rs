//! TCP connections: several addresses, the first that connects wins (RFC 8305).

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long one attempt runs alone before the next one starts beside it (RFC 8305,
/// section 5, recommends 250 ms).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers, in order. A failed attempt starts the next
/// at once, a slow one after [`ATTEMPT_DELAY`].
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    attempts.extend(waiting.next().map(attempt));
    while !attempts.is_empty() {
        let delay = tokio::time::sleep(ATTEMPT_DELAY);
        tokio::select! {
            Some((address, outcome)) = attempts.next() => match outcome {
                Ok(stream) => {
                    // Requests and close must not wait for an ACK (Nagle); curl does the same.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => {
                    failures.push(format!("{}: {}", address.ip(), sentence(&error)));
                    attempts.extend(waiting.next().map(attempt));
                }
            },
            () = delay, if waiting.len() > 0 => attempts.extend(waiting.next().map(attempt)),
        }
    }
    Err(failures.join(", "))
}

async fn attempt(address: SocketAddr) -> (SocketAddr, io::Result<TcpStream>) {
    (address, TcpStream::connect(address).await)
}

/// The error as strerror(3) puts it, in lower case and without the number.
pub(super) fn sentence(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(text, _)| text);
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::connect;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_refused_address_hands_over_to_the_next() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = closed.local_addr().unwrap();
        drop(closed);
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(&[refused, open.local_addr().unwrap()])
            .await
            .expect("the second connects");
        assert_eq!(stream.peer_addr().unwrap(), open.local_addr().unwrap());
        let why = connect(&[refused]).await.expect_err("refused");
        assert_eq!(why, "127.0.0.1: connection refused");
    }
}
