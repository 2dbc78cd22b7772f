//! What hyper is given to read from and write to, and what an application is given after an upgrade.
//!
//! hyper hands its transport to whoever asked for an upgrade, who may take it to another thread. A
//! connection's socket belongs to its worker's. Therefore hyper holds no more than the socket's place
//! in a table of that thread; and what is read and written after the upgrade goes through a pipe,
//! whose other end the connection's task serves.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread::{self, ThreadId},
};

use slab::Slab;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, copy, duplex, split},
    sync::oneshot,
};
use websample_connections::{
    socket::Socket,
    state::{Connection, Protocol},
    transport::tcp,
};

use super::body::{Progress, Watch};

/// Bytes that may be on their way between an application and its upgraded connection, each way.
const PIPE: usize = 16 * 1024;

thread_local! {
    /// The sockets of this thread that hyper serves HTTP/1.1 on.
    static SOCKETS: RefCell<Slab<Rc<Outlet>>> = const { RefCell::new(Slab::new()) };
}

/// A connection's socket, and what is waiting to be handed over with it.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: RefCell<Socket>,
    upgrade: RefCell<Option<Piped>>,
    /// What becomes of the request's body that is being read.
    body: RefCell<Option<Arc<Watch>>>,
}

/// An outlet's place in the table, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    key: usize,
    outlet: Rc<Outlet>,
}

impl Drop for Place {
    fn drop(&mut self) {
        SOCKETS.with_borrow_mut(|sockets| drop(sockets.try_remove(self.key)));
    }
}

impl Place {
    pub(super) fn new(socket: Socket) -> Self {
        let outlet = Rc::new(Outlet {
            socket: RefCell::new(socket),
            upgrade: RefCell::default(),
            body: RefCell::default(),
        });
        let key = SOCKETS.with_borrow_mut(|sockets| sockets.insert(Rc::clone(&outlet)));
        Self { key, outlet }
    }

    pub(super) fn outlet(&self) -> &Rc<Outlet> {
        &self.outlet
    }

    pub(super) fn plug(&self) -> Plug {
        Plug { key: self.key, piped: None }
    }
}

impl Outlet {
    /// A request has begun, of whose body no more is known than its reader sees.
    pub(super) fn watch(&self, body: Option<Arc<Watch>>) {
        *self.body.borrow_mut() = body;
    }

    /// Tells the connection when all of a body has come, before more is read.
    #[inline]
    fn note_body(&self, connection: &Connection) {
        let mut body = self.body.borrow_mut();
        if let Some(Progress::Whole(bytes)) = body.as_ref().map(|body| body.progress()) {
            *body = None;
            if connection.is_in_body() {
                connection.has_body(bytes as usize, true);
            }
        }
    }

    /// Whether its client has gone, who may yet have closed its own side alone; who has asked is woken when
    /// that changes.
    pub(super) fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        let socket = self.socket.borrow();
        let io = socket.io.borrow();
        let mut byte = [0];
        let peeked = tcp(&io.transport).poll_peek(cx, &mut ReadBuf::new(&mut byte));
        matches!(peeked, Poll::Ready(Err(_)))
    }

    /// The response that hyper is about to write upgrades the connection.
    pub(super) fn upgrade(&self) -> Upgrade {
        let (theirs, ours) = duplex(PIPE);
        let (held, dropped) = oneshot::channel();
        let handed_over = Arc::new(AtomicBool::new(false));
        *self.upgrade.borrow_mut() = Some(Piped {
            pipe: theirs,
            home: thread::current().id(),
            handed_over: Arc::clone(&handed_over),
            _held: held,
        });
        Upgrade { pipe: ours, handed_over, dropped }
    }
}

/// An upgraded connection's own end of the pipe.
#[derive(Debug)]
pub(super) struct Upgrade {
    pipe: DuplexStream,
    handed_over: Arc<AtomicBool>,
    /// An error once the application has let go of its end.
    dropped: oneshot::Receiver<()>,
}

impl Upgrade {
    /// Carries bytes between the application and its client until one of them has gone; hyper is done
    /// with the connection.
    pub(super) async fn carry(self, socket: Socket) {
        let Self { pipe, handed_over, dropped } = self;
        handed_over.store(true, Ordering::Release);
        let (mut from_client, mut to_client) = split(socket);
        let (mut from_app, mut to_app) = split(pipe);
        let outward = async {
            if copy(&mut from_app, &mut to_client).await.is_ok()
                && to_client.shutdown().await.is_ok()
            {
                // It may have closed one side only; an error says that it has gone.
                let _ = dropped.await;
            }
        };
        let inward = async {
            let ended = match copy(&mut from_client, &mut to_app).await {
                Ok(_) => to_app.shutdown().await,
                Err(error) => Err(error),
            };
            // What the application still says, or has said before it let go of its end, is carried on;
            // any other error is the client's.
            if ended.map_or_else(|error| error.kind() == io::ErrorKind::BrokenPipe, |()| true) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = outward => {}
            () = inward => {}
        }
    }
}

/// What an application has of its upgraded connection.
#[derive(Debug)]
struct Piped {
    pipe: DuplexStream,
    home: ThreadId,
    handed_over: Arc<AtomicBool>,
    /// Dropped with it.
    _held: oneshot::Sender<()>,
}

/// hyper's transport.
#[derive(Debug)]
pub(super) struct Plug {
    key: usize,
    piped: Option<Piped>,
}

impl Plug {
    /// The pipe, once hyper has handed this over. It polls on its own thread alone.
    fn pipe(&mut self) -> Option<&mut DuplexStream> {
        let piped = self.piped.as_mut()?;
        let is_apps =
            piped.handed_over.load(Ordering::Acquire) || thread::current().id() != piped.home;
        is_apps.then_some(&mut piped.pipe)
    }

    fn socket<R>(
        &self,
        poll: impl FnOnce(Pin<&mut Socket>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        SOCKETS.with_borrow(|sockets| match sockets.get(self.key) {
            Some(outlet) => poll(Pin::new(&mut *outlet.socket.borrow_mut())),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })
    }

    /// Where the head of a 101 is written, what comes after it is the application's.
    fn take_upgrade(&mut self) {
        SOCKETS.with_borrow(|sockets| {
            let Some(outlet) = sockets.get(self.key) else { return };
            let protocol = outlet.socket.borrow().connection.protocol();
            if matches!(protocol, Protocol::WebSocket | Protocol::Other) {
                self.piped = outlet.upgrade.borrow_mut().take();
            }
        });
    }
}

impl AsyncRead for Plug {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(pipe) = this.pipe() {
            return Pin::new(pipe).poll_read(cx, buf);
        }
        SOCKETS.with_borrow(|sockets| match sockets.get(this.key) {
            Some(outlet) => {
                let mut socket = outlet.socket.borrow_mut();
                outlet.note_body(&socket.connection);
                Pin::new(&mut *socket).poll_read(cx, buf)
            }
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })
    }
}

impl AsyncWrite for Plug {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(pipe) = this.pipe() {
            return Pin::new(pipe).poll_write(cx, bytes);
        }
        if this.piped.is_none() {
            this.take_upgrade();
        }
        this.socket(|socket| socket.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(pipe) = this.pipe() {
            return Pin::new(pipe).poll_write_vectored(cx, slices);
        }
        if this.piped.is_none() {
            this.take_upgrade();
        }
        this.socket(|socket| socket.poll_write_vectored(cx, slices))
    }

    /// hyper asks once, at the beginning.
    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(pipe) = this.pipe() {
            return Pin::new(pipe).poll_flush(cx);
        }
        this.socket(|socket| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(pipe) = this.pipe() {
            return Pin::new(pipe).poll_shutdown(cx);
        }
        // The close is the connection's task's, which may have something to say before it.
        this.socket(|socket| socket.poll_flush(cx))
    }
}
