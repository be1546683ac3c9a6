//! What a session says first when it is the one that dialled, and what it makes of the answer.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bare;

use std::{future::poll_fn, time::Duration};

use bare::{Bare, drain, hop, read, roles, settle, soon, write};
use moq_lite::{
    model::origin::Origin,
    session::{Roles, Session},
    testing::{
        memory::{self, Connection, RecvStream, SendStream},
        pair::{self, story},
    },
    transport::{Connection as _, SendStream as _},
};
use moq_proto::{
    Prefix, VarInt, Version,
    lite::{
        legacy::{ClientSetup, ServerSetup},
        message::{Role, Setup},
        stream,
    },
};
use tokio::time::timeout;

const OWN: u64 = 0xc11e47;

/// A client that dials a bare server.
fn dial(options: memory::Options, target: Option<&'static str>, roles: Roles<Connection>) -> Bare {
    let (connection, here) = memory::connect(options);
    let served = tokio::task::spawn_local(async move {
        let mut session = Session::connect(here, Version::ALL).await?;
        target.into_iter().for_each(|target| session.set_request_target(target.into()));
        session.run(roles).await
    });
    Bare { connection, served }
}

async fn setup_of(bare: &mut Bare, version: Version) -> Setup {
    let mut stream = bare.accept_uni().await;
    let wire = soon("SETUP", read(&mut stream, 2)).await.unwrap();
    let mut prefix = Prefix::new(&wire);
    assert_eq!(prefix.varint(), Ok(stream::SETUP));
    assert_eq!(prefix.varint().unwrap().get() as usize, wire.len() - prefix.consumed(), "{version}: one message");
    assert_eq!(soon("its end", drain(&mut stream)).await, Ok(()), "{version}");
    version.dialect().setup.as_ref().unwrap().decode(&wire[prefix.consumed()..]).unwrap()
}

#[tokio::test(start_paused = true)]
async fn setup_says_who_dials_what_for_and_where_to() {
    // Whether it may be given something, and may give something.
    let ways = [((true, true), None), ((false, true), Some(Role::Publisher)), ((true, false), Some(Role::Subscriber))];
    for version in [Version::Lite05, Version::Lite06] {
        for ((takes, gives), role) in ways {
            for target in [None, Some("/room?jwt=abc")] {
                story(async move {
                    let Roles { inbound, outbound, .. } = roles::<Connection>(&Origin::new(hop(OWN)));
                    let roles = Roles {
                        inbound: inbound.filter(|_| takes),
                        outbound: outbound.filter(|_| gives),
                        ..Roles::new(hop(OWN))
                    };
                    let mut bare = dial(pair::options(version), target, roles);
                    let expected = Setup { path: target.map(str::to_owned), role, hop: hop(OWN), ..Setup::default() };
                    let said = setup_of(&mut bare, version).await;
                    assert_eq!(Setup { probe: expected.probe, ..said }, expected, "{version}");
                })
                .await;
            }
        }
    }
}

/// A server has no role and no path.
#[tokio::test(start_paused = true)]
async fn a_server_says_who_it_is_and_no_more() {
    for version in [Version::Lite05, Version::Lite06] {
        story(async move {
            let origin = Origin::new(hop(OWN));
            let roles = Roles { inbound: None, ..roles(&origin) };
            let mut bare = Bare::serve(pair::options(version), Version::ALL, roles);
            let said = setup_of(&mut bare, version).await;
            assert_eq!((said.hop, said.path, said.role, said.cost), (hop(OWN), None, None, None), "{version}");
        })
        .await;
    }
}

/// The exchange of moq-lite-01 and 02: what the client says, and the stream on which it is answered.
async fn offered(protocol: Option<&str>) -> (Bare, ClientSetup, (SendStream, RecvStream)) {
    let origin = Origin::new(hop(OWN));
    let options = memory::Options { protocol: protocol.map(Into::into), ..memory::Options::default() };
    let mut bare = dial(options, None, roles(&origin));
    let (send, mut recv) = bare.accept_bi().await;
    let wire = soon("an offer", read(&mut recv, 3)).await.unwrap();
    assert_eq!((wire[0], u16::from_be_bytes([wire[1], wire[2]]) as usize), (0x20, wire.len() - 3));
    (bare, ClientSetup::decode(&wire[3..]).unwrap(), (send, recv))
}

/// Whether a stream comes that was not there.
async fn opens_more(bare: &mut Bare) -> bool {
    let uni = timeout(Duration::from_secs(1), poll_fn(|cx| bare.connection.poll_accept_uni(cx))).await.is_ok();
    uni || timeout(Duration::from_secs(1), poll_fn(|cx| bare.connection.poll_accept_bi(cx))).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn without_a_token_both_old_versions_are_offered_and_nothing_is_opened_before_the_answer() {
    let codes = [Version::Lite02, Version::Lite01].map(|version| VarInt::from_u32(version.setup_code()));
    for protocol in [None, Some("moql")] {
        for code in codes {
            story(async move {
                let (mut bare, offer, (mut send, _recv)) = offered(protocol).await;
                assert_eq!(offer, ClientSetup { versions: codes.to_vec(), path: None });
                assert!(!opens_more(&mut bare).await, "{protocol:?}");
                write(&mut send, &ServerSetup { version: code }.to_wire()).await;
                // It asks what there is.
                let (_send, mut recv) = bare.accept_bi().await;
                assert_eq!(&soon("a request", read(&mut recv, 3)).await.unwrap()[..], [1, 1, 0], "{protocol:?}");

                send.finish().unwrap();
                assert_eq!(bare.closed().await.0, 0, "{protocol:?}: the stream stands for the session");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_offered_or_makes_no_sense_ends_the_session() {
    let answer = |code: u32| ServerSetup { version: VarInt::from_u32(code) }.to_wire().to_vec();
    let answers = [
        answer(Version::Lite03.setup_code()),
        answer(0xff00_000e),
        vec![0x21, 0, 1, 0xff],
        vec![0x20, 0, 2, 0, 0],
        vec![0x21, 0],
    ];
    for bytes in answers {
        story(async move {
            let (mut bare, _, (mut send, _recv)) = offered(None).await;
            write(&mut send, &bytes).await;
            send.finish().unwrap();
            assert_eq!(bare.closed().await.0, 0x15, "{bytes:02x?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_the_old_versions_ends_with_its_stream_however_that_ends() {
    let ways: [fn(&mut SendStream); 2] = [|send| send.finish().unwrap(), |send| send.reset(0)];
    for version in [Version::Lite01, Version::Lite02] {
        for way in ways {
            story(async move {
                let origin = Origin::new(hop(OWN));
                let options = memory::Options { protocol: None, ..memory::Options::default() };
                let mut bare = Bare::serve(options, Version::ALL, roles(&origin));
                let offer = ClientSetup { versions: vec![VarInt::from_u32(version.setup_code())], path: None };
                let (mut send, mut recv) = bare.open_bi(&offer.to_wire()).await;
                soon("an answer", read(&mut recv, 12)).await.unwrap();
                // A bitrate, which changes nothing.
                write(&mut send, &[1, 0x3f]).await;
                settle().await;
                assert!(!bare.served.is_finished(), "{version}");
                way(&mut send);
                assert_eq!(bare.closed().await.0, 0, "{version}");
            })
            .await;
        }
    }
}
