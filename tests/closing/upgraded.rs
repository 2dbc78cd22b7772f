use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::common::{PATIENCE, block_on, raw::Client, server::Server};

type WebSocket = WebSocketStream<TcpStream>;

async fn try_open(server: &Server) -> Result<WebSocket, Error> {
    let tcp = TcpStream::connect(server.app).await?;
    let (socket, _) = client_async(format!("ws://{}/ws", server.app), tcp).await?;
    Ok(socket)
}

async fn open(server: &Server) -> WebSocket {
    let mut socket = try_open(server).await.expect("a socket");
    socket.send(Message::text("hello")).await.expect("it is taken");
    assert_eq!(socket.next().await.expect("an echo").expect("no error"), Message::text("hello"));
    socket
}

/// The close frame, and then the end of the connection in peace.
async fn closed(mut socket: WebSocket) -> CloseFrame {
    let close = async {
        let frame = loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => break frame,
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        };
        // tungstenite answers by itself; then the server closes, without a reset.
        match socket.next().await {
            None | Some(Err(Error::ConnectionClosed)) => frame,
            other => panic!("after the close frame: {other:?}"),
        }
    };
    timeout(PATIENCE, close).await.expect("an end")
}

#[test]
fn websockets_are_closed_with_going_away_over_the_spread() {
    let server = Server::start(&["--close.spread", "1s"]);
    block_on(async {
        let sockets: Vec<_> = join_all((0..40).map(|_| open(&server))).await;
        server.sigterm();
        let start = Instant::now();
        let ends = join_all(
            sockets.into_iter().map(async |socket| (closed(socket).await.code, start.elapsed())),
        );
        let ends = ends.await;
        assert!(ends.iter().all(|(code, _)| *code == CloseCode::Away), "{ends:?}");
        let early = ends.iter().filter(|(_, at)| *at < Duration::from_millis(500)).count();
        assert!((5..=35).contains(&early), "{early} of 40 in the first half");
    });
    let ended = server.wait().clean();
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
}

#[test]
fn a_websocket_in_use_is_closed_too() {
    let server = Server::start(&[]);
    block_on(async {
        let mut socket = open(&server).await;
        server.sigterm();
        let frame = loop {
            // It may be closed between any two messages.
            let _ = socket.send(Message::text("more")).await;
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => break frame,
                Some(Ok(message)) => assert_eq!(message, Message::text("more")),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(frame.map(|frame| frame.code), Some(CloseCode::Away));
    });
    server.wait().clean();
}

#[test]
fn a_new_websocket_in_the_lame_duck_is_sent_elsewhere() {
    let server = Server::start(&["--delay.min", "500ms"]);
    server.sigterm().phase("lame_duck");
    block_on(async {
        let refused = try_open(&server).await;
        let Err(Error::Http(response)) = refused else { panic!("{refused:?}") };
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(response.headers()["connection"], "close");
    });
    server.wait().clean();
}

/// The handlers would close them some time within the spread; a second signal does not wait.
#[test]
fn websockets_that_are_cut_hear_of_a_restart() {
    let flags = ["--grace_period", "60s", "--delay.max", "300ms", "--close.spread", "50s"];
    let server = Server::start(&flags);
    let codes = block_on(async {
        let sockets = join_all((0..5).map(|_| open(&server))).await;
        server.sigterm().phase("draining").sigterm();
        join_all(sockets.into_iter().map(async |socket| closed(socket).await.code)).await
    });
    // Each of them has one chance in a hundred to be told in time by its handler.
    let restarted = codes.iter().filter(|code| **code == CloseCode::Restart).count();
    assert!(restarted >= 3, "{codes:?}");
    let ended = server.wait();
    assert_eq!(ended.report["outcome"], "forced");
    assert_eq!(ended.cut(), vec!["/ws"; restarted]);
}

#[test]
fn server_sent_events_end_with_a_hint_when_to_come_back() {
    for spread in ["0s", "1500ms"] {
        let server = Server::start(&["--close.spread", spread]);
        let mut client = Client::to(server.app).ask_for("/events");
        assert!(text(client.chunk().expect("an event")).starts_with("id: 0\nevent: tick\n"));
        server.sigterm();
        let mut last = String::new();
        loop {
            let chunk = text(client.chunk().expect("no end before the last chunk"));
            if chunk.is_empty() {
                break;
            }
            last = chunk;
        }
        assert_eq!(last, "retry: 1000\n\n");
        client.ends();
        server.wait().clean();
    }
}

#[test]
fn streams_run_to_their_end() {
    let server = Server::start(&[]);
    let mut client = Client::to(server.app);
    client.ask("/stream/3");
    server.until_counts(1, 1);
    server.sigterm();
    assert_eq!(text(client.response().body), "1 of 3\n2 of 3\n3 of 3\n");
    client.ends();
    server.wait().clean();
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}
