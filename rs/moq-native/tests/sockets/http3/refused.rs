//! Peers that break HTTP/3, or take more than they are given: each is told by number what was wrong, and counted.

use std::time::Duration;

use moq_native::Server;

use crate::{
    handmade::*,
    pair::*,
    server::{beside, count},
    stranger::Stranger,
};

/// The number that somebody who writes this on a control stream and a request is refused with. They end, if told to.
async fn refused(server: &mut Server, control: &[u8], request: &[u8], ends: bool) -> u64 {
    let stranger = Stranger::of(server, "h3");
    let story = async {
        let mut client = Handmade::connect(&stranger).await;
        for (stream, bytes) in [(&mut client.control, control), (&mut client.send, request)] {
            // Fails where the server is quicker to refuse.
            if !bytes.is_empty() && stream.write_all(bytes).await.is_ok() && ends {
                let _ = stream.finish();
            }
        }
        client.closed().await
    };
    soon(beside(server, story)).await
}

#[tokio::test]
async fn a_control_stream_that_is_none_is_refused() {
    let (mut server, _) = endpoints().await;
    let many: Vec<_> = (0..2000).map(|place| (0x21 + 0x1f * place, 0)).collect();
    for (place, (control, ends, expected)) in [
        (vec![0x00], true, 0x104),                                     // ends before it says anything
        ([&[0x00][..], &frame(0x07, &[0])].concat(), false, 0x10a),    // GOAWAY first
        ([&[0x00][..], &frame(0x01, &[])].concat(), false, 0x10a),     // HEADERS
        ([&[0x00][..], &frame(0x00, &[])].concat(), false, 0x105),     // DATA
        ([&[0x00][..], &frame(0x08, &[])].concat(), false, 0x105),     // a frame of HTTP/2
        (vec![0x00, 0x04, 0x02, 0x33], true, 0x106),                   // SETTINGS cut short
        (vec![0x00, 0x04], true, 0x106),                               // no length
        (control(&[(0x33, 1), (0x04, 1)]), false, 0x109),              // a setting of HTTP/2
        ([&[0x00][..], &frame(0x04, &[0x33])].concat(), false, 0x109), // half a setting
        (control(&[(0x08, 1), (0xc671_706a, 1)]), false, 0x109),       // no datagrams
        (control(&many), false, 0x107),                                // more than clients have to say
        ([&[0x00][..], &frame(0x21, &[0; 70_000])].concat(), false, 0x107),
        ([vec![0x00], frame(0x21, &[]).repeat(33_000)].concat(), false, 0x107),
    ]
    .into_iter()
    .enumerate()
    {
        let first: Vec<u8> = control.iter().take(8).copied().collect();
        assert_eq!(refused(&mut server, &control, &[], ends).await, expected, "{first:02x?}");
        assert_eq!(count(&server, "refused_http3"), place as u64 + 1);
    }
}

#[tokio::test]
async fn a_request_that_is_none_is_refused() {
    let (mut server, _) = endpoints().await;
    let with = |name, value| {
        let mut fields = fields("/");
        fields.push((name, value));
        frame(0x01, &section(&fields))
    };
    let without = |name| frame(0x01, &section(&fields("/").into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>()));
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    let large = "x".repeat(17_000);
    // 12,000 bytes that say 19,200: the code of `0` is five zeroes.
    let swelling = [&[0, 0, 0x2f, 0xd9, 0x5d][..], &[0; 12_000]].concat();
    let settings = control(&SETTINGS);
    for (place, (request, ends, expected)) in [
        (frame(0x01, &section(&get)), false, 0x10b),
        (without(":protocol"), false, 0x10b),
        (without(":method"), false, 0x10b),
        (frame(0x01, &[]), false, 0x200),
        (without(":path"), false, 0x10e),
        (without(":authority"), false, 0x10e),
        (with(":path", "/b"), false, 0x10e),
        (with(":status", "200"), false, 0x10e),
        (with("x", "a\r\nb"), false, 0x10e),
        (with("x", "a\0b"), false, 0x10e),
        (with("x", &large), false, 0x107),
        (frame(0x01, &swelling), false, 0x107),
        (frame(0x01, &[3, 0x81, 0x10]), false, 0x200), // the dynamic table
        (frame(0x01, &[0, 0, 0x80]), false, 0x200),    // the same, undeclared
        (frame(0x01, &[0, 0, 0x23]), false, 0x200),
        (frame(0x00, b"data"), false, 0x105),
        (frame(0x04, &[]), false, 0x105),
        (vec![0x40, 0x41, 0x00], false, 0x105), // a stream of a session, where its request belongs
        (frame(0x21, &[0; 70_000]), false, 0x107),
        (vec![0x01, 0x10, 0, 0], true, 0x106),
        (frame(0x21, &[]), true, 0x10d),
    ]
    .into_iter()
    .enumerate()
    {
        let first: Vec<u8> = request.iter().take(8).copied().collect();
        assert_eq!(refused(&mut server, &settings, &request, ends).await, expected, "{place}: {first:02x?}");
        assert_eq!(count(&server, "refused_http3"), place as u64 + 1);
    }
}

#[tokio::test]
async fn whoever_takes_its_time_is_late_wherever_it_stops() {
    let mut config = server_config();
    config.setup_timeout = Duration::from_millis(300);
    let mut server = Server::bind(config).unwrap();
    let settings = control(&SETTINGS);
    let request = frame(0x01, &section(&fields("/")));
    let stories: [(&[u8], &[u8]); 6] = [
        (&[], &request),
        (&settings[..1], &request),
        (&settings[..settings.len() - 1], &request),
        (&settings, &[]),
        (&settings, &request[..1]),
        (&settings, &request[..request.len() - 1]),
    ];
    for (place, (control, request)) in stories.into_iter().enumerate() {
        // Nothing is wrong with it, so it hears no number of HTTP/3.
        assert_eq!(refused(&mut server, control, request, false).await, 0, "{place}");
        assert_eq!(count(&server, "refused_late"), place as u64 + 1);
    }
}

#[tokio::test]
async fn a_request_on_another_stream_becomes_no_session() {
    let (mut server, _) = endpoints().await;
    let stranger = Stranger::of(&server, "h3");
    let story = async {
        let mut client = Handmade::connect(&stranger).await;
        client.control.write_all(&control(&SETTINGS)).await.unwrap();
        let (mut second, _answer) = client.connection.open_bi().await.unwrap();
        second.write_all(&frame(0x01, &section(&fields("/")))).await.unwrap();
        client.send.write_all(&frame(0x01, &section(&[(":method", "GET")]))).await.unwrap();
        client.closed().await
    };
    assert_eq!(soon(beside(&mut server, story)).await, 0x10b);
}
