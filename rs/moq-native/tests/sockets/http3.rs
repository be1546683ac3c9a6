//! WebTransport among the rest of HTTP/3: what a browser may send beside its session.

use moq_native::{AnyConnection, Server};
use web_transport_proto::ConnectRequest;
use web_transport_quinn::Session;

use crate::{pair::*, stranger::Stranger};

/// A session as a browser opens it, whose QUIC connection is at hand.
async fn browse(server: &mut Server) -> (Session, AnyConnection) {
    let stranger = Stranger::of(server, "h3");
    let url = url("https", server.local_addr(), "/room");
    let open = async {
        let connection = stranger.connect().await.unwrap();
        Session::connect(connection, ConnectRequest::new(url)).await.unwrap()
    };
    soon(async { tokio::join!(open, async { arrive(server).await.accept().await.unwrap() }) }).await
}

#[tokio::test]
async fn streams_of_http3_reach_nobody_and_hold_nobody_up() {
    let (mut server, _) = endpoints().await;
    let (browser, mut connection) = browse(&mut server).await;

    let mut kept = Vec::new();
    for first_bytes in [
        &[0x02][..],                     // QPACK encoder
        &[0x03],                         // QPACK decoder
        &[0x40],                         // half a type
        &[0x40, 0x54],                   // a session that is not named yet
        &[0x21, 0x00],                   // reserved, to keep receivers honest
        &[0x40, 0x54, 0x04, b'n', b'o'], // a session that does not exist
    ] {
        let mut stream = quinn::Connection::open_uni(&browser).await.unwrap();
        stream.write_all(first_bytes).await.unwrap();
        kept.push(stream);
    }
    let (mut request, _answer) = quinn::Connection::open_bi(&browser).await.unwrap();
    request.write_all(&[0x01, 0x00]).await.unwrap();

    let mut ours = browser.open_uni().await.unwrap();
    ours.write_all(b"ours").await.unwrap();
    ours.finish().unwrap();
    assert_eq!(soon(read_to_end(&mut accept_uni(&mut connection).await)).await.unwrap(), b"ours");

    let (mut ours, _answer) = browser.open_bi().await.unwrap();
    ours.write_all(b"ours too").await.unwrap();
    ours.finish().unwrap();
    assert_eq!(soon(read_to_end(&mut accept_bi(&mut connection).await.1)).await.unwrap(), b"ours too");
}
