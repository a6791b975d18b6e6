//! A stream that outlives the HTTP library's interest in it.
//!
//! hyper drops the stream as soon as it has shut its own side down. The peer's answer to
//! that (close_notify, FIN) would then meet a closed socket, and the kernel would reset the
//! connection. So the stream is shared, and closed here only after the peer has closed too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// How long the peer may take to answer the close. Longer than any round trip on earth.
const PATIENCE: Duration = Duration::from_millis(500);
/// A peer that goes on sending instead of closing is not listened to beyond this. Bytes.
const MAX_LEFTOVER: usize = 1 << 20;

/// The connection to the server.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(tls) => tls.get_mut().0,
        }
    }
}

/// A clone of the handle for the HTTP library, another for the close.
#[derive(Debug, Clone)]
pub(super) struct Held(Arc<Mutex<Stream>>);

impl Held {
    pub fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, call: impl FnOnce(Pin<&mut dyn Both>) -> T) -> T {
        match &mut *self.lock() {
            Stream::Plain(tcp) => {
                let pinned: Pin<&mut TcpStream> = Pin::new(tcp);
                call(pinned)
            }
            Stream::Secure(tls) => {
                let pinned: Pin<&mut TlsStream<TcpStream>> = Pin::new(tls);
                call(pinned)
            }
        }
    }

    /// Closes in order: close_notify and FIN of ours, close_notify and FIN of the peer.
    /// What the peer does wrong at this point is no error: the response is complete.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(PATIENCE, async {
            let _ = self.shutdown().await;
            drain(&mut self).await;
            // TLS ends with close_notify; the FIN comes after it.
            if let Some(stream) = Arc::into_inner(self.0) {
                let mut stream = stream.into_inner().unwrap_or_else(PoisonError::into_inner);
                drain(stream.tcp()).await;
            }
        })
        .await;
    }
}

async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut leftover = [0; 4096];
    let mut total = 0;
    while let Ok(length) = stream.read(&mut leftover).await {
        total += length;
        if length == 0 || total > MAX_LEFTOVER {
            return;
        }
    }
}

trait Both: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Both for T {}

impl AsyncRead for Held {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &*self.lock() {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Secure(tls) => tls.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Stream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_close_waits_for_what_the_peer_still_says() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            Held::new(Stream::Plain(stream)).close().await;
        });
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut nothing = [0; 1];
        assert_eq!(peer.read(&mut nothing).await.unwrap(), 0, "the FIN");
        peer.write_all(b"a last word").await.unwrap();
        peer.shutdown().await.unwrap();
        client.await.unwrap();
        // Had the client's socket been gone, its kernel would have answered with a reset.
        assert_eq!(peer.read(&mut nothing).await.unwrap(), 0);
        assert!(peer.take_error().unwrap().is_none());
    }
}
