//! What must hold for all bytes, one function a family. Run by the fuzzer's targets, and by `tests/fuzz.rs` on a corpus.

use std::fmt::Debug;

use moq_proto::{
    FrameHead, Framing, Path, Prefix, PrefixError, VarInt, Version, Writer, canonical,
    lite::{
        Layout,
        legacy::{ClientSetup, ServerSetup},
    },
};

/// Every message of a version: the first byte chooses the version, the second is the type where one stands before the size.
pub(crate) fn messages(bytes: &[u8]) {
    let [version, kind, body @ ..] = bytes else { return };
    let Some(version) = Version::ALL.get(usize::from(*version) % Version::ALL.len()) else { return };
    let (kind, dialect) = (VarInt::from(*kind), version.dialect());
    message(&dialect.announce_request, kind, body);
    message(&dialect.announce, kind, body);
    message(&dialect.subscribe, kind, body);
    message(&dialect.subscribe_update, kind, body);
    message(&dialect.reply, kind, body);
    message(&dialect.group, kind, body);
    dialect.setup.iter().for_each(|layout| message(layout, kind, body));
    dialect.announce_init.iter().for_each(|layout| message(layout, kind, body));
    dialect.announce_ok.iter().for_each(|layout| message(layout, kind, body));
    dialect.datagram.iter().for_each(|layout| message(layout, kind, body));
    dialect.track.iter().for_each(|layout| message(layout, kind, body));
    dialect.track_info.iter().for_each(|layout| message(layout, kind, body));
    dialect.fetch.iter().for_each(|layout| message(layout, kind, body));
    dialect.probe.iter().for_each(|layout| message(layout, kind, body));
    dialect.goaway.iter().for_each(|layout| message(layout, kind, body));
    dialect.session_info.iter().for_each(|layout| message(layout, kind, body));
}

/// What can be read, and said, is read the same once it is said.
fn message<M: Debug + PartialEq>(layout: &Layout<M>, kind: VarInt, body: &[u8]) {
    let kind = layout.is_typed().then_some(kind);
    let Ok(read) = layout.from_wire(kind, body) else { return };
    if layout.can_say(&read) {
        let said = layout.encode(&read);
        assert_eq!(layout.from_wire(kind, &said).as_ref(), Ok(&read));
        assert_eq!(said, layout.encode(&read));
    } else {
        assert!(layout.to_wire(&read).is_empty());
    }
}

/// The bodies of the legacy SETUP exchange.
pub(crate) fn legacy(bytes: &[u8]) {
    if let Ok(client) = ClientSetup::decode(bytes) {
        assert_eq!(ClientSetup::decode(body(&client.to_wire())), Ok(client));
    }
    if let Ok(server) = ServerSetup::decode(bytes) {
        assert_eq!(ServerSetup::decode(body(&server.to_wire())), Ok(server));
    }
}

/// What stands behind type and length, which must be its own.
fn body(wire: &[u8]) -> &[u8] {
    let mut prefix = Prefix::new(wire);
    let length = prefix.varint().and_then(|_| prefix.u16());
    let (_, body) = wire.split_at(prefix.consumed());
    assert_eq!(length, Ok(body.len() as u16));
    body
}

/// A stream of frames that arrives byte by byte: heads are read once they are whole, and what follows changes nothing.
pub(crate) fn frames(bytes: &[u8]) {
    for framing in [Framing::Sized, Framing::Timed] {
        let mut rest = bytes;
        while let Some((head, size)) = frame(framing, rest) {
            let payload = rest.len().saturating_sub(size);
            let Some(skipped) = usize::try_from(head.size).ok().filter(|skipped| *skipped <= payload) else { break };
            rest = rest.get(size + skipped..).unwrap_or_default();
        }
    }
}

fn frame(framing: Framing, bytes: &[u8]) -> Option<(FrameHead, usize)> {
    let (head, size) = framing.read_head(bytes).ok()??;
    assert!((1..=Framing::HEAD_MAX).contains(&size));
    for arrived in 0..size {
        assert_eq!(framing.read_head(bytes.get(..arrived)?), Ok(None));
    }
    assert_eq!(framing.read_head(bytes.get(..size)?), Ok(Some((head, size))));
    let mut written = Writer::new();
    framing.write_head(head, &mut written);
    let written = written.into_bytes();
    assert!(written.len() <= size, "the shortest spelling is written");
    assert_eq!(framing.read_head(&written), Ok(Some((head, written.len()))));
    Some((head, size))
}

/// The head of a stream: as many integers as there are, at most what fits in a prefix.
pub(crate) fn heads(bytes: &[u8]) {
    let mut prefix = Prefix::new(bytes);
    let ended = loop {
        match prefix.varint() {
            Ok(value) => assert!(value <= VarInt::MAX),
            Err(error) => break error,
        }
    };
    assert!(prefix.consumed() <= bytes.len().min(Prefix::MAX));
    assert_eq!(ended == PrefixError::Short, bytes.len() < Prefix::MAX, "{ended}");
}

/// Paths, plain and canonical.
pub(crate) fn paths(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(path) = Path::new(text) {
        normal(&path);
    }
    if let Ok(path) = canonical(text) {
        normal(&path);
        assert!(!path.segments().any(|segment| matches!(segment, "." | "..")));
        assert!(!path.as_str().contains(|c: char| c.is_control() || c == '\\'));
        // A path without a `%` is already what it stands for.
        assert!(path.as_str().contains('%') || canonical(path.as_str()) == Ok(path));
    }
}

fn normal(path: &Path) {
    assert_eq!(Path::new(path.as_str()).as_ref(), Ok(path));
    assert!(path.as_str().len() <= Path::BYTES_MAX);
    assert!(path.segments().count() <= Path::SEGMENTS_MAX);
    assert_eq!(path.segments().collect::<Vec<_>>().join("/"), path.as_str());
    assert_eq!(path.strip_prefix(path), Some(Path::root()));
    assert_eq!(path.strip_prefix(&Path::root()).as_ref(), Some(path));
}
