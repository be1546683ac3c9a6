//! `moq import`: what goes in as a film comes out as tracks that a player can find.

use std::{fs, path::Path};

use crate::relay::{Over, Relay};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/fixtures").join(name)).unwrap()
}

/// The varint before a frame, and what is after it.
fn legacy(frame: &[u8]) -> (u64, &[u8]) {
    let (time, payload) = frame.split_at(8);
    (u64::from_be_bytes(time.try_into().unwrap()) & (u64::MAX >> 2), payload)
}

#[test]
fn a_film_is_found_by_its_catalog() {
    let relay = Relay::start();
    let watch = |track: &str| {
        let args = ["--from", "0", "--wait", "1m", "--frames", "length", "demo/film.hang", track];
        relay.moq(Over::WebTransport, "subscribe", &args)
    };
    let mut import = relay.moq(Over::WebTransport, "import", &["--wait", "--json", "--stay", "10m", "demo/film.hang"]);
    let catalog = watch("catalog.json");
    import.write(&fixture("h264-aac.flv"));
    import.close();
    import.says("\"end\"");
    let (video, audio) = (watch("video").end().well().output, watch("audio").end().well().output);
    import.signal("INT");

    let told = import.end().well().text();
    assert!(told.contains(r#"{"event":"track","track":"video","codec":"avc1.42c00a"}"#), "{told}");
    assert!(told.contains(r#"{"event":"track","track":"audio","codec":"mp4a.40.2"}"#), "{told}");
    let catalog = String::from_utf8_lossy(&catalog.end().well().output).into_owned();
    let (first, second) = (catalog.find(r#""codec":"#), catalog.rfind(r#""sampleRate":48000"#));
    assert!(first.is_some() && first < second, "{catalog}");

    let mut frames = Vec::new();
    let mut rest = &video[..];
    while let Some((size, after)) = rest.split_first_chunk() {
        let (frame, after) = after.split_at(u32::from_be_bytes(*size) as usize);
        frames.push(legacy(frame));
        rest = after;
    }
    let times: Vec<_> = frames.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [times[0], times[0] + 33_000, times[0] + 67_000]);
    // The length of a NAL unit before each, as the description has it.
    assert!(frames.iter().all(|(_, payload)| payload[..2] == [0, 0]));
    assert!(audio.len() > 100);
}

#[test]
fn an_input_that_is_no_good_fails_and_says_what_would_be() {
    let relay = Relay::start();
    for (input, way_out) in [
        (&b""[..], "the input is empty"),
        (b"\x47\x40\x11\x10\0\x42\xf0\x25", "-f flv"),
        (&fixture("plain.mp4"), "-movflags empty_moov+default_base_moof+frag_every_frame"),
    ] {
        let mut import = relay.moq(Over::WebTransport, "import", &["demo/film.hang"]);
        import.write(input);
        let ended = import.end();
        assert_eq!(ended.status, Some(1), "{}", ended.errors);
        assert!(ended.errors.contains("standard input, byte") && ended.errors.contains(way_out), "{}", ended.errors);
    }
}
