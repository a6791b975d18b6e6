//! A server's TCP stream that closes as the textbook says.
//!
//! Three things would make the close of a quick server look unlike RFC 9293, figure 12:
//! the kernel delays the ACK of a FIN until it can ride on the server's own FIN (tcp_fin
//! enters pingpong mode); a server that answers the client's TLS or HTTP/2 goodbye at once
//! may overtake the client's FIN; and a socket closed with bytes still unread resets the
//! connection. So a shutdown waits for the client's FIN, acknowledges it, and a dropped
//! stream is read to its end before its socket closes.

use rustix::net::sockopt::set_tcp_quickack;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// How long the client may take to close.
const PATIENCE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Courteous {
    /// `None` only while it is dropped.
    tcp: Option<TcpStream>,
    client_closed: bool,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Courteous {
    pub fn new(tcp: TcpStream) -> Self {
        Self {
            tcp: Some(tcp),
            client_closed: false,
            waiting: None,
        }
    }

    fn tcp(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let tcp = self.tcp.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(tcp))
    }

    /// Reads what the client still sends, up to its FIN.
    fn poll_client_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.client_closed {
            let mut bytes = [0; 1024];
            let mut rest = ReadBuf::new(&mut bytes);
            ready!(self.tcp()?.poll_read(context, &mut rest))?;
            self.client_closed = rest.filled().is_empty();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Courteous {
    fn drop(&mut self) {
        let Some(mut tcp) = self.tcp.take() else {
            return;
        };
        // Without a runtime the process is ending, and the kernel closes what is open.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(PATIENCE, async move {
                let mut rest = [0; 1024];
                let _ = tcp.shutdown().await;
                while matches!(tcp.read(&mut rest).await, Ok(length) if length > 0) {}
            }));
        }
    }
}

impl AsyncRead for Courteous {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.tcp()?.poll_read(context, buffer))?;
        self.client_closed |= buffer.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Courteous {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.tcp()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        if waiting.as_mut().poll(context).is_pending() {
            // An error is the client's reset, and closes as well.
            let _ = ready!(self.poll_client_close(context));
        }
        // Sends a pending ACK now; only the look of the close is at stake.
        let _ = self.tcp().map(|tcp| set_tcp_quickack(&*tcp, true));
        self.tcp()?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tcp()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}
